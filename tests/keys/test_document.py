"""Key and revocation documents: written as .NET writes them, read in all the ways in which it does."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from uuid import UUID

import pytest

from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor, CbcHmac, Gcm, Suite
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MalformedDocumentError, UnsupportedAlgorithmError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.document import KeyDocument, RevocationDocument
from dpmiddleware.keys.interfaces import Binding, StoredDocument
from dpmiddleware.keys.wrapping import is_wrapped, unwrap, wrap
from dpmiddleware.keys.xml import parse
from tests.fakes import NOON, BoxWrapper, bad_document, key_document, revocation_document

ID = UUID("0c819c80-6619-4019-9536-53f8aaffee57")
KEY = base64.b64encode(bytes(range(64))).decode()
NAMESPACE = "http://schemas.asp.net/2015/03/dataProtection"
MODEL = "Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption.ConfigurationModel."
ASSEMBLY = "Microsoft.AspNetCore.DataProtection"


def key_text(
    descriptor: str = "", *, kind: str = "AuthenticatedEncryptorDescriptorDeserializer", secret: str = "", **parts: str
) -> str:
    """A key document with one part replaced: ``id``, ``creation``, ``activation``, ``expiration``."""
    said = {"id": str(ID), "creation": "2026-11-01T00:00:00Z", "activation": "2026-11-02T00:00:00Z"}
    said |= {"expiration": "2027-01-31T00:00:00Z"} | parts
    inner = descriptor or '<encryption algorithm="AES_256_CBC" /><validation algorithm="HMACSHA256" />'
    master_key = secret or f"<masterKey><value>{KEY}</value></masterKey>"
    return (
        f'<key id="{said["id"]}" version="1"><creationDate>{said["creation"]}</creationDate>'
        f"<activationDate>{said['activation']}</activationDate><expirationDate>{said['expiration']}</expirationDate>"
        f'<descriptor deserializerType="{MODEL}{kind}, {ASSEMBLY}"><descriptor>{inner}{master_key}</descriptor>'
        "</descriptor></key>"
    )


def load_key(text: str) -> KeyDocument:
    loaded = document.load(StoredDocument(None, text.encode()))
    assert isinstance(loaded, KeyDocument)
    return loaded


def load_revocation(text: str) -> RevocationDocument:
    loaded = document.load(StoredDocument(None, text.encode()))
    assert isinstance(loaded, RevocationDocument)
    return loaded


def suite_of(text: str) -> Suite:
    return unwrap(load_key(text), [], "shop")[0]


# --- written ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda algorithm: algorithm.name)
def test_a_new_key_is_read_as_what_it_was_made_for(algorithm: Algorithm) -> None:
    secret = Secret.random()
    stored = key_document(key_id=ID, algorithm=algorithm, secret=secret)
    loaded = document.load(stored)
    assert isinstance(loaded, KeyDocument)
    assert (loaded.id, stored.name) == (ID, f"key-{ID}")
    assert loaded.expiration_date == Instant.of(NOON) + (NOON.replace(year=2027, month=1, day=21) - NOON)
    assert unwrap(loaded, [], "shop") == (algorithm.value, secret)
    assert not is_wrapped(loaded)


def test_dates_of_documents_keep_their_ticks() -> None:
    exact = Instant.parse("2026-11-22T12:00:00.1234567Z")
    element = document.new_key(
        ID, creation=exact, activation=exact, expiration=exact, algorithm=Algorithm.AES_256_GCM, secret=Secret(b"k")
    )
    loaded = document.load(document.dump(element))
    assert isinstance(loaded, KeyDocument)
    assert loaded.creation_date == loaded.activation_date == loaded.expiration_date == exact


def test_revocations_have_the_names_that_net_gives_them() -> None:
    assert revocation_document(ID).name == f"revocation-{ID}"
    element = document.new_revocation(None, date=Instant.parse("2015-03-02T03:13:19.7573854Z"), reason="")
    assert document.dump(element).name == "revocation-20150302T0313197573854Z"


def test_a_revocation_is_read_as_what_it_was_made_for() -> None:
    one = document.load(revocation_document(ID, reason="stolen"))
    of_all = document.load(revocation_document(None))
    assert isinstance(one, RevocationDocument)
    assert isinstance(of_all, RevocationDocument)
    assert (one.key_id, one.reason, one.date) == (ID, "stolen", Instant.of(NOON))
    assert (of_all.key_id, of_all.date) == (None, Instant.of(NOON))


# --- read -------------------------------------------------------------------------------------------------------------

SUITES: list[tuple[str, str, str, Suite]] = [
    (
        "CBC by name",
        "",
        '<encryption algorithm="AES_128_CBC"/><validation algorithm="HMACSHA512"/>',
        CbcHmac(16, "sha512"),
    ),
    ("CBC by number", "", '<encryption algorithm="2"/><validation algorithm="0"/>', CbcHmac(32, "sha256")),
    ("GCM, no validation", "", '<encryption algorithm="AES_192_GCM"/>', Gcm(24)),
    ("GCM, and a validation", "", '<encryption algorithm="AES_256_GCM"/><validation algorithm="x"/>', Gcm(32)),
    (
        "managed",
        "ManagedAuthenticatedEncryptor",
        '<encryption algorithm="Aes" keyLength="192"/><validation algorithm="HMACSHA384"/>',
        CbcHmac(24, "sha384"),
    ),
    (
        "managed, by full names",
        "ManagedAuthenticatedEncryptor",
        (
            '<encryption algorithm="System.Security.Cryptography.Aes, System.Core, Version=4.0.0.0" keyLength="256"/>'
            '<validation algorithm="System.Security.Cryptography.HMACSHA1, mscorlib"/>'
        ),
        CbcHmac(32, "sha1"),
    ),
    (
        "CNG CBC",
        "CngCbcAuthenticatedEncryptor",
        '<encryption algorithm="AES" keyLength="256"/><hash algorithm="SHA512"/>',
        CbcHmac(32, "sha512"),
    ),
    (
        "CNG 3DES",
        "CngCbcAuthenticatedEncryptor",
        '<encryption algorithm="3DES" keyLength="192"/><hash algorithm="SHA1"/>',
        CbcHmac(24, "sha1", "3DES"),
    ),
    ("CNG GCM", "CngGcmAuthenticatedEncryptor", '<encryption algorithm="AES" keyLength="128"/>', Gcm(16)),
]


@pytest.mark.parametrize(("kind", "inner", "suite"), [pytest.param(*rest, id=name) for name, *rest in SUITES])
def test_every_kind_of_descriptor_is_read(kind: str, inner: str, suite: Suite) -> None:
    written = f"{kind or 'AuthenticatedEncryptor'}DescriptorDeserializer"
    assert suite_of(key_text(inner, kind=written)) == suite


def test_a_key_of_every_kind_opens_what_it_protected() -> None:
    """Not only the name is read: the algorithm is used."""
    for _, kind, inner, _ in SUITES:
        written = f"{kind or 'AuthenticatedEncryptor'}DescriptorDeserializer"
        suite, secret = unwrap(load_key(key_text(inner, kind=written)), [], "shop")
        bound = AuthenticatedEncryptor(secret, suite).bind(b"label")
        assert bound.decrypt(bound.encrypt(b"text")) == b"text"


UNKNOWN = [
    ('<encryption algorithm="AES_512_CBC"/><validation algorithm="HMACSHA256"/>', UnsupportedAlgorithmError),
    ('<encryption algorithm="aes_256_cbc"/><validation algorithm="HMACSHA256"/>', UnsupportedAlgorithmError),
    ('<encryption algorithm="6"/><validation algorithm="HMACSHA256"/>', UnsupportedAlgorithmError),
    ('<encryption algorithm="-1"/><validation algorithm="HMACSHA256"/>', UnsupportedAlgorithmError),
    ('<encryption algorithm="٢"/><validation algorithm="HMACSHA256"/>', UnsupportedAlgorithmError),
    (f'<encryption algorithm="{"9" * 5000}"/><validation algorithm="HMACSHA256"/>', UnsupportedAlgorithmError),
    ('<encryption algorithm="AES_256_CBC"/><validation algorithm="HMACMD5"/>', UnsupportedAlgorithmError),
    ('<encryption algorithm="AES_256_CBC"/>', MalformedDocumentError),
    ('<validation algorithm="HMACSHA256"/>', MalformedDocumentError),
    ("<encryption/><validation/>", UnsupportedAlgorithmError),
]


@pytest.mark.parametrize(("inner", "error"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_an_unknown_algorithm_is_said_to_be_one(inner: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        suite_of(key_text(inner))


@pytest.mark.parametrize("length", ["", "x", "-256", "0", "64", "999999", "256.0", "²"])
def test_a_key_length_that_no_cipher_has_is_refused(length: str) -> None:
    inner = f'<encryption algorithm="AES" keyLength="{length}"/>'
    with pytest.raises((MalformedDocumentError, UnsupportedAlgorithmError)):
        suite_of(key_text(inner, kind="CngGcmAuthenticatedEncryptorDescriptorDeserializer"))


def test_a_descriptor_of_an_unknown_kind_is_named_and_escaped() -> None:
    with pytest.raises(UnsupportedAlgorithmError, match=r"the kind of key .+ is not supported") as caught:
        suite_of(key_text(kind="Some&#10;Thing"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "secret",
    [
        "<masterKey/>", "<masterKey><value/></masterKey>", "<masterKey><value>!!!!</value></masterKey>",
        "<masterKey><value>AAA</value></masterKey>", "<masterKey/><masterKey/>", "<other/>",
        f"<masterKey><value>{KEY}</value></masterKey><masterKey><value>{KEY}</value></masterKey>",
    ],
)  # fmt: skip
def test_a_master_key_that_is_none_is_malformed_and_not_shown(secret: str) -> None:
    with pytest.raises(MalformedDocumentError) as caught:
        unwrap(load_key(key_text(secret=secret)), [], "shop")
    assert "!!!!" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_master_key_may_have_white_space_and_comments_inside() -> None:
    secret = f"<masterKey>\n<!-- warned -->\n  <value>\n{KEY[:40]}\r\n{KEY[40:]}\t</value></masterKey>"
    assert unwrap(load_key(key_text(secret=secret)), [], "shop")[1] == Secret(bytes(range(64)))


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "({})", "N", "upper", " {} ", "X"])
def test_an_id_is_read_in_every_form_of_net(form: str) -> None:
    first, second, third, *rest = (ID.bytes[:4].hex(), ID.bytes[4:6].hex(), ID.bytes[6:8].hex(), *ID.bytes[8:])
    hexadecimal = "{" + f"0x{first},0x{second},0x{third}," + "{" + ",".join(f"0x{byte:x}" for byte in rest) + "}}"
    written = {"N": ID.hex, "upper": str(ID).upper(), "X": hexadecimal}.get(form) or form.format(ID)
    assert load_key(key_text(id=written)).id == ID


@pytest.mark.parametrize("text", ["", "x", "{0c819c80-6619-4019-9536-53f8aaffee57", str(ID)[:-1], str(ID) + "0", "*"])
def test_a_key_without_an_id_is_malformed(text: str) -> None:
    with pytest.raises(MalformedDocumentError, match="GUID"):
        load_key(key_text(id=text))


@pytest.mark.parametrize("part", ["creation", "activation", "expiration"])
@pytest.mark.parametrize(
    "date", ["", "tomorrow", "2026-11-22T24:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01+14:00"]
)
def test_a_date_that_cannot_be_read_makes_the_key_malformed(part: str, date: str) -> None:
    with pytest.raises(MalformedDocumentError, match=f"{part}Date"):
        load_key(key_text(**{part: date}))


@pytest.mark.parametrize("tag", ["keys", "Key", "revocations", "repository", "settings"])
def test_what_is_neither_key_nor_revocation_is_named(tag: str) -> None:
    with pytest.raises(MalformedDocumentError, match=f"<{tag}>"):
        document.load(StoredDocument(None, f"<{tag}/>".encode()))


def test_what_the_store_set_aside_is_not_read() -> None:
    with pytest.raises(MalformedDocumentError, match="not a regular file"):
        document.load(StoredDocument("key-x", b"", problem="not a regular file"))


# --- revocations ------------------------------------------------------------------------------------------------------


def revocation_text(key_id: str, date: str = "<revocationDate>2026-11-22T12:00:00Z</revocationDate>") -> str:
    return f'<revocation version="1">{date}<key id="{key_id}"/><reason>why</reason></revocation>'


def test_the_date_of_one_keys_revocation_is_not_needed() -> None:
    """As in .NET: the key is revoked, whatever the date is."""
    for date in ("", "<revocationDate/>", "<revocationDate>tomorrow</revocationDate>"):
        loaded = load_revocation(revocation_text(str(ID), date))
        assert (loaded.key_id, loaded.date) == (ID, None)


def test_a_revocation_of_all_without_a_date_is_malformed() -> None:
    with pytest.raises(MalformedDocumentError, match="revocationDate"):
        load_revocation(revocation_text("*", ""))


@pytest.mark.parametrize("key_id", ["", "invalid", "**"])
def test_a_revocation_of_nobody_is_malformed(key_id: str) -> None:
    with pytest.raises(MalformedDocumentError, match="GUID"):
        load_revocation(revocation_text(key_id))


def test_a_revocation_without_a_reason_is_one() -> None:
    loaded = load_revocation(f'<revocation><revocationDate>2026-11-22</revocationDate><key id="{ID}"/></revocation>')
    assert (loaded.key_id, loaded.reason) == (ID, "")


# --- what may be what -------------------------------------------------------------------------------------------------


def test_a_document_that_cannot_be_loaded_is_what_its_name_says() -> None:
    assert document.may_be_revocation(bad_document("revocation"))
    assert not document.may_be_key(bad_document("revocation"))
    assert document.may_be_key(bad_document("key"))
    assert not document.may_be_key(bad_document("notes"))


@pytest.mark.parametrize(
    ("data", "key", "revocation"),
    [
        (b"<key id=", True, False), (b"<k", True, False), (b"<", True, True), (b"<revo", False, True),
        (b"", False, False), (b"<keys ", False, False), (b"<!-- x", False, False), (b"x<key>", False, False),
        (b"  <!-- x --><key>", True, False), (b"<?xml version='1.0'?>\n<revocation", False, True),
        (b"<!DOCTYPE key [<!ENTITY a 'b'>]><key>", True, False),
    ],
)  # fmt: skip
def test_a_document_without_a_name_is_what_its_first_tag_may_become(data: bytes, key: bool, revocation: bool) -> None:
    stored = StoredDocument(None, data)
    assert (document.may_be_key(stored), document.may_be_revocation(stored)) == (key, revocation)


@pytest.mark.parametrize(
    "data", [b"<!--" * 16_000, b"<!DOCTYPE [" * 6_000, b"<?" * 32_000, b" " * 64_000, b"]" * 64_000]
)
def test_guessing_what_a_document_was_takes_no_time(data: bytes) -> None:
    """No text makes the regular expression that skips comments backtrack; the time limit of the suite would show it."""
    for _ in range(20):
        assert not document.may_be_revocation(StoredDocument(None, data))


# --- wrapped ----------------------------------------------------------------------------------------------------------


def wrapped(kind: str, child: str = "<box/>") -> str:
    return f'<p:encryptedSecret decryptorType="{kind}" xmlns:p="{NAMESPACE}">{child}</p:encryptedSecret>'


def test_a_wrapped_key_is_unwrapped_by_the_wrapper_of_its_kind() -> None:
    wrapper, secret = BoxWrapper(), Secret.random()
    loaded = document.load(key_document(wrapper=wrapper, secret=secret))
    assert isinstance(loaded, KeyDocument)
    assert is_wrapped(loaded)
    assert unwrap(loaded, [BoxWrapper("Other"), wrapper], "shop")[1] == secret


def test_a_key_that_nobody_here_unwraps_says_by_what_it_was_wrapped() -> None:
    loaded = load_key(key_text(secret=wrapped("Contoso.Vault, Contoso")))
    with pytest.raises(KeyUnwrapError, match=r"Contoso\.Vault") as caught:
        unwrap(loaded, [BoxWrapper()], "shop")
    assert "key_wrapper=" in caught.value.hint


def test_of_several_wrappers_of_one_kind_one_that_opens_is_enough() -> None:
    """Two certificates, or two secrets: the old one still opens the old keys."""
    broken, good = BoxWrapper(), BoxWrapper()
    loaded = document.load(key_document(wrapper=good))
    assert isinstance(loaded, KeyDocument)
    broken.broken = True
    assert unwrap(loaded, [broken, good], "shop") == unwrap(loaded, [good], "shop")
    with pytest.raises(KeyUnwrapError):
        unwrap(loaded, [broken, broken], "shop")


@pytest.mark.parametrize("child", ["", "<box/><box/>"])
def test_an_encrypted_secret_has_one_child(child: str) -> None:
    with pytest.raises(MalformedDocumentError):
        unwrap(load_key(key_text(secret=wrapped("tests.Box, tests", child))), [BoxWrapper()], "shop")


def test_the_null_encryptor_of_net_hides_nothing() -> None:
    kind = f"{ASSEMBLY}.XmlEncryption.NullXmlDecryptor, {ASSEMBLY}"
    inner = f"<unencryptedKey><masterKey><value>{KEY}</value></masterKey></unencryptedKey>"
    loaded = load_key(key_text(secret=wrapped(kind, inner)))
    assert not is_wrapped(loaded)
    assert unwrap(loaded, [], "shop")[1] == Secret(bytes(range(64)))


def test_a_name_that_only_sounds_like_the_null_encryptor_is_another_wrapping() -> None:
    """Otherwise an unencrypted key could pass for a wrapped one, or the other way round."""
    assert is_wrapped(load_key(key_text(secret=wrapped("Contoso.NullXmlDecryptor, Contoso"))))


def test_a_wrapping_is_bound_to_its_ring_and_document() -> None:
    """What a wrapper authenticates: the ring's name, the key's id, and the rest of the document without the secret."""
    seen = []

    class Watching(BoxWrapper):
        def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
            seen.append(binding)
            return super().unwrap(encrypted, binding)

    wrapper = Watching()
    stored = key_document(key_id=ID, wrapper=wrapper)
    later = stored.data.replace(b"2027-01-21", b"2099-01-21")
    for data, ring in ((stored.data, "shop"), (stored.data, "farm"), (later, "shop")):
        unwrap(load_key(data.decode()), [wrapper], ring)
    shop, farm, changed = seen
    assert (shop.ring, farm.ring, shop.key_id) == ("shop", "farm", ID)
    assert shop.digest == farm.digest != changed.digest


def test_what_is_wrapped_is_not_wrapped_again() -> None:
    wrapper = BoxWrapper()
    with pytest.raises(ConfigurationError, match="wrapped already"):
        wrap(parse(key_document(wrapper=wrapper).data), wrapper, "shop")
