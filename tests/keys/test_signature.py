"""Signed documents, and every defect for which a signature is refused."""

from __future__ import annotations

import hashlib
import pickle
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from dpmiddleware.errors import ConfigurationError, DocumentSignatureError, MalformedDocumentError
from dpmiddleware.keys.signature import RingSigner, TrustedSigners, is_signed, signature_of, signed_bytes
from dpmiddleware.keys.signers import (
    EcdsaSigner,
    Ed25519Signer,
    PublicKey,
    RsaPssSigner,
    Signer,
    key_id_of,
    load_public_keys,
    load_signer,
)
from dpmiddleware.keys.xml import NAMESPACE, SIGNATURE, canonical, dump, parse
from tests.interop.vectors import load
from tests.urls import url_of

NOW = datetime(2026, 11, 22, 12, 0, 0, 123457, tzinfo=timezone.utc)
SEED = bytes(range(32))
DOCUMENT = (
    b'<key id="80732141-ec8f-4b80-af9c-c4d2d1ff8901" version="1">'
    b"<creationDate>2026-01-02T03:04:05.6789001Z</creationDate>"
    b'<descriptor deserializerType="D, A"><descriptor><encryption algorithm="AES_256_CBC" />'
    b'<masterKey p4:requiresEncryption="true" xmlns:p4="http://schemas.asp.net/2015/03/dataProtection">'
    b"<value>8/z8/z8/zA==</value></masterKey></descriptor></descriptor></key>"
)


def ed25519_signer() -> Ed25519Signer:
    return Ed25519Signer(ed25519.Ed25519PrivateKey.from_private_bytes(SEED))


def signed(ring: str = "shop", signer: Signer | None = None, document: bytes = DOCUMENT) -> bytes:
    """A signed document as it is stored."""
    element = parse(document)
    RingSigner(signer or ed25519_signer(), ring=ring).sign(element, NOW)
    return dump(element)


def trusting(*keys: PublicKey, ring: str = "shop") -> TrustedSigners:
    return TrustedSigners(keys or (ed25519_signer().public_key,), ring=ring)


def refusal(data: bytes, trusted: TrustedSigners | None = None) -> str:
    """Why ``data`` is refused: the reason of the signature error, or "malformed" if it is not a document."""
    try:
        (trusted or trusting()).verify(parse(data))
    except DocumentSignatureError as error:
        return error.reason
    except MalformedDocumentError:
        return "malformed"
    return "accepted"


SIGNERS: dict[str, Callable[[], Signer]] = {
    "ed25519": ed25519_signer,
    "rsa-pss": lambda: RsaPssSigner(rsa.generate_private_key(65537, 2048)),
    "ecdsa-p256": lambda: EcdsaSigner(ec.generate_private_key(ec.SECP256R1())),
}


@pytest.fixture(params=SIGNERS, scope="module")
def signer(request: pytest.FixtureRequest) -> Signer:
    return SIGNERS[request.param]()


def test_what_a_trusted_key_signed_for_this_ring_is_accepted(signer: Signer) -> None:
    assert refusal(signed(signer=signer), trusting(signer.public_key)) == "accepted"


def test_the_signature_is_the_last_child_and_the_rest_is_as_it_was(signer: Signer) -> None:
    element = parse(signed(signer=signer))
    assert element[-1].tag == SIGNATURE
    element.remove(element[-1])
    assert dump(element) == dump(parse(DOCUMENT))


def test_a_signature_tells_its_ring_its_signer_and_its_time() -> None:
    signature = signature_of(parse(signed()))
    assert (signature.ring, signature.time) == ("shop", "2026-11-22T12:00:00.123457Z")
    assert signature.signer == key_id_of(ed25519_signer().public_key)


def test_signing_again_replaces_the_signature() -> None:
    element = parse(signed(ring="other"))
    RingSigner(ed25519_signer(), ring="shop").sign(element, NOW)
    assert len(list(element.iter(SIGNATURE))) == 1
    assert refusal(dump(element)) == "accepted"


def test_the_signed_bytes_are_those_of_the_documentation() -> None:
    """Built by hand from the layout, and verified with the key alone."""
    element = parse(b"<key id='1'><reason> gone </reason></key>")
    RingSigner(ed25519_signer(), ring="shöp").sign(element, NOW)

    def field(part: bytes) -> bytes:
        return len(part).to_bytes(4, "big") + part

    key = b"\x01" + field(b"key") + (1).to_bytes(4, "big") + field(b"id") + field(b"1") + field(b"")
    key += b"\x01" + field(b"reason") + (0).to_bytes(4, "big") + field(b"gone") + b"\x02" + b"\x02"
    public = ed25519_signer().public_key
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    data = b"".join(
        field(part)
        for part in (
            b"dpmiddleware.DocumentSignature",
            b"1",
            "shöp".encode(),
            hashlib.sha256(spki).digest(),
            b"2026-11-22T12:00:00.123457Z",
            key,
        )
    )
    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify(b64decode(element[-1].text or ""), data)


INDENTED = signed().replace(b"><", b">\r\n   <").replace(b"</value>", b"\n</value>")
REPREFIXED = signed().replace(b"p4:", b"q:").replace(b":p4=", b":q=").replace(b"p3:", b"q:").replace(b":p3=", b":q=")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(INDENTED, id="indented with CRLF"),
        pytest.param(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n' + INDENTED, id="BOM and declaration"),
        pytest.param(signed().replace(b"8/z8/z8/zA==", b"8/z<!-- x -->8/z8/zA=="), id="a comment inside a value"),
        pytest.param(signed().replace(b"<creationDate>", b"<!-- x --><creationDate>"), id="a comment between"),
        pytest.param(
            signed().replace(b'<signature version="1"', b'<s:signature version="1"')
            .replace(b' xmlns="urn:', b' xmlns:s="urn:').replace(b"</signature>", b"</s:signature>"),
            id="another prefix for the signature",
        ),
        pytest.param(ET.tostring(parse(signed())), id="written by another XML library"),
    ],
)  # fmt: skip
def test_another_way_of_writing_the_same_document_stays_signed(data: bytes) -> None:
    assert data != signed()
    assert refusal(data) == "accepted"


def _spliced(inside: bytes, before: bytes = b"</key>") -> bytes:
    return inside.join((signed().rpartition(before)[0], before))


SIGNATURE_XML = signed()[signed().index(b"<signature") : signed().rindex(b"</key>")]

REFUSED = [
    pytest.param(DOCUMENT, "unsigned", id="no signature"),
    pytest.param(signed().replace(NAMESPACE.encode(), b"urn:other"), "unsigned", id="one in another namespace"),
    pytest.param(signed(ring="staging"), "wrong_ring", id="another ring's"),
    pytest.param(signed().replace(b'ring="shop"', b'ring="staging"'), "bad_signature", id="the ring exchanged"),
    pytest.param(signed(ring="staging").replace(b'"staging"', b'"shop"'), "bad_signature", id="ours written over it"),
    pytest.param(signed().replace(b"AES_256_CBC", b"AES_128_CBC"), "bad_signature", id="another algorithm"),
    pytest.param(signed().replace(b"2026-01-02", b"2036-01-02"), "bad_signature", id="another date"),
    pytest.param(signed().replace(b"2026-11-22", b"2026-11-23"), "bad_signature", id="another signing time"),
    pytest.param(signed().replace(b' version="1"><c', b"><c"), "bad_signature", id="an attribute taken away"),
    pytest.param(
        signed().replace(b"<creationDate>", b"<x/><creationDate>"), "bad_signature", id="an element added"
    ),
    pytest.param(_spliced(SIGNATURE_XML), "malformed_signature", id="two signatures"),
    pytest.param(_spliced(b"<x/>"), "malformed_signature", id="not the last child"),
    pytest.param(
        signed().replace(SIGNATURE_XML, b"").replace(b"</descriptor></key>", SIGNATURE_XML + b"</descriptor></key>"),
        "malformed_signature",
        id="deeper",
    ),
    pytest.param(b"<key><a>" + SIGNATURE_XML + b"</a>" + SIGNATURE_XML + b"</key>", "malformed_signature", id="both"),
    pytest.param(signed().replace(b"</signature>", b"<x/></signature>"), "malformed_signature", id="with a child"),
    pytest.param(SIGNATURE_XML, "malformed_signature", id="nothing but a signature"),
    pytest.param(signed().replace(b' ring="shop"', b""), "malformed_signature", id="without its ring"),
    pytest.param(signed().replace(b' ring="', b' x="" ring="'), "malformed_signature", id="one attribute more"),
    pytest.param(signed().replace(b'="1" ring', b'="2" ring'), "malformed_signature", id="a later version"),
    pytest.param(signed().replace(b' time="2026', b' time="x'), "malformed_signature", id="no time"),
    pytest.param(signed().replace(b' signer="', b' signer="0'), "malformed_signature", id="no key id"),
    pytest.param(signed().replace(b"</signature>", b"!</signature>"), "malformed_signature", id="not base64"),
    pytest.param(signed().replace(b"</signature>", b"</signature>x"), "malformed", id="text after it"),
    pytest.param(b"<!DOCTYPE key>" + signed(), "malformed", id="a DTD"),
    pytest.param(b'<!DOCTYPE key [<!ENTITY e "1">]>' + signed(), "malformed", id="an entity"),
    pytest.param(_spliced(b"<?x y?>"), "malformed", id="a processing instruction"),
    pytest.param(b"<a>" * 100_000 + signed() + b"</a>" * 100_000, "malformed", id="100,000 levels deep"),
    pytest.param(_spliced(b" " * 100_000_000), "malformed", id="100 MB"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_it_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    assert refusal(data) == reason


@pytest.mark.parametrize("mask", [0x01, 0x02, 0x20])
def test_no_byte_of_a_signed_document_can_be_changed(mask: int) -> None:
    data = signed()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= mask
        assert refusal(bytes(changed)) != "accepted", bytes(changed)[max(0, position - 20) : position + 20]


def test_a_signer_who_is_not_trusted_is_unknown(signer: Signer) -> None:
    stranger = ed25519.Ed25519PrivateKey.generate().public_key()
    assert refusal(signed(signer=signer), trusting(stranger)) == "unknown_signer"


def test_another_keys_signature_under_a_trusted_id_is_bad(signer: Signer) -> None:
    """The document selects the key only by its id, and does not select the algorithm."""
    data = signed(signer=signer)
    trusted = EcdsaSigner(ec.generate_private_key(ec.SECP256R1()))
    forged = data.replace(key_id_of(signer.public_key).encode(), key_id_of(trusted.public_key).encode())
    assert refusal(forged, trusting(trusted.public_key)) == "bad_signature"


def test_several_are_trusted_so_that_signers_rotate(signer: Signer) -> None:
    old, new = ed25519_signer(), signer
    both = trusting(old.public_key, new.public_key)
    assert [refusal(signed(signer=each), both) for each in (old, new)] == ["accepted", "accepted"]


def test_who_signs_trusts_himself() -> None:
    nobody = TrustedSigners((), ring="shop")
    assert (nobody.key_ids, refusal(signed(), nobody)) == ((), "unknown_signer")
    assert refusal(signed(), nobody.including(ed25519_signer())) == "accepted"


def test_a_signature_deeper_in_the_document_is_not_signed_over() -> None:
    element = parse(b"<key><descriptor>" + SIGNATURE_XML + b"</descriptor></key>")
    with pytest.raises(DocumentSignatureError) as caught:
        RingSigner(ed25519_signer(), ring="shop").sign(element, NOW)
    assert caught.value.reason == "malformed_signature"


def test_a_text_that_xml_changes_is_signed_as_it_will_be_read() -> None:
    element = parse(b"<revocation><reason /></revocation>")
    element[0].text = "lost\r\nlaptop"
    RingSigner(ed25519_signer(), ring="shop").sign(element, NOW)
    assert refusal(dump(element)) == "accepted"


def test_a_text_that_xml_cannot_carry_is_not_signed() -> None:
    element = parse(b"<revocation><reason /></revocation>")
    element[0].text = "\x1b[2K"
    with pytest.raises(MalformedDocumentError):
        RingSigner(ed25519_signer(), ring="shop").sign(element, NOW)


def test_is_signed_sees_bad_ones_too() -> None:
    assert is_signed(parse(b"<key><a>" + SIGNATURE_XML + b"</a></key>"))
    assert not is_signed(parse(DOCUMENT))


# --- keys: files, kinds, elsewhere ----------------------------------------------------------------------------


def _pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def _public(key: PublicKey, encoding: serialization.Encoding = serialization.Encoding.PEM) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _certificate(key: ed25519.Ed25519PrivateKey) -> x509.Certificate:
    """Self-signed, and long expired: only its public key is used."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    start = NOW - timedelta(days=900)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=1))
    return builder.sign(key, None)


def test_public_keys_and_certificates_are_read_from_files(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
    other = ed25519.Ed25519PrivateKey.generate()
    certificate = _certificate(key)
    contents = {
        "public.pem": _public(key.public_key()),
        "public.der": _public(key.public_key(), serialization.Encoding.DER),
        "certificate.pem": b"subject=signer\n" + certificate.public_bytes(serialization.Encoding.PEM),
        "certificate.der": certificate.public_bytes(serialization.Encoding.DER),
        "two.pem": _public(other.public_key()) + _public(key.public_key()),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        trusted = TrustedSigners(load_public_keys(tmp_path / name), ring="shop")
        assert refusal(signed(), trusted) == "accepted", name
    assert (
        len(
            TrustedSigners((key for name in contents for key in load_public_keys(tmp_path / name)), ring="shop").key_ids
        )
        == 2
    )


def test_the_signer_is_read_from_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
    (tmp_path / "a signer.pem").write_bytes(_pem(key))
    (tmp_path / "locked.pem").write_bytes(_pem(key, b"horse"))
    (tmp_path / "password").write_bytes(b"horse\n")
    monkeypatch.setenv("SIGNER_PASSWORD", "horse")
    urls = [
        url_of("ed25519", tmp_path / "a signer.pem"),
        url_of("ed25519", tmp_path / "locked.pem") + "?password=env:SIGNER_PASSWORD",
        url_of("ed25519", tmp_path / "locked.pem") + f"?password={tmp_path / 'password'}",
    ]
    for url in urls:
        assert refusal(signed(signer=Ed25519Signer.from_url(url))) == "accepted"


def test_a_signers_kind_follows_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "rsa.pem").write_bytes(_pem(rsa.generate_private_key(65537, 2048)))
    signer = load_signer(tmp_path / "rsa.pem")
    assert isinstance(signer, RsaPssSigner)
    with pytest.raises(ConfigurationError, match="not an Ed25519 key"):
        Ed25519Signer.from_url(url_of("ed25519", tmp_path / "rsa.pem"))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        pytest.param("ed25519://signer.pem", "does not name a file", id="two slashes"),
        pytest.param("ed25519:///no/such.pem", "No such file", id="no such file"),
        pytest.param("ed25519:///x.pem?pasword=y", "option pasword", id="an option misspelt"),
        pytest.param("ed25519:///x.pem#1", "fragment", id="a fragment"),
        pytest.param("ed25519:///x.pem?password=env:NO_SUCH_VARIABLE", "not set", id="no such variable"),
    ],
)
def test_a_signer_that_cannot_be_read_is_an_error_of_configuration(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Ed25519Signer.from_url(url)


def test_a_file_that_holds_no_private_key_is_an_error_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ConfigurationError, match="not contain a readable private key"):
        Ed25519Signer.from_url(url_of("ed25519", tmp_path / "empty.pem"))


def test_a_private_key_among_the_trusted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signer.pem").write_bytes(_pem(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(ConfigurationError, match="private key"):
        load_public_keys(tmp_path / "signer.pem")


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_public_key_is_an_error_of_configuration(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match="not contain a readable public key or certificate"):
        TrustedSigners(load_public_keys(tmp_path / "key.pem"), ring="shop")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 1024).public_key(), id="RSA of 1024 bits"),  # noqa: S505 (too short on purpose)
        pytest.param(ec.generate_private_key(ec.SECP384R1()).public_key(), id="another curve"),
    ],
)
def test_other_keys_are_not_for_signing(key: PublicKey) -> None:
    with pytest.raises(ConfigurationError, match="this kind of key"):
        TrustedSigners([key], ring="shop")


class ServiceSigner:
    """The class that a user writes for a key service; this one has its key in memory."""

    def __init__(self, chosen: padding.AsymmetricPadding) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self._padding = chosen
        self.calls = 0

    @property
    def public_key(self) -> PublicKey:
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        self.calls += 1
        return self._key.sign(data, self._padding, hashes.SHA256())


def test_a_signer_of_ones_own_needs_two_members() -> None:
    service = ServiceSigner(padding.PSS(padding.MGF1(hashes.SHA256()), 32))
    assert refusal(signed(signer=service), trusting(service.public_key)) == "accepted"
    assert service.calls == 1


def test_a_key_service_that_signs_in_another_way_is_found_out_at_once() -> None:
    with pytest.raises(ConfigurationError, match="does not match"):
        signed(signer=ServiceSigner(padding.PKCS1v15()))


class AwaySigner(ServiceSigner):
    """A key service that fails with an error that contains a secret."""

    def sign(self, data: bytes) -> bytes:
        raise TimeoutError("CANARY")


def test_a_key_service_that_does_not_sign_is_one_of_our_errors() -> None:
    with pytest.raises(DocumentSignatureError, match=r"(?m)did not sign: TimeoutError$") as caught:
        signed(signer=AwaySigner(padding.PKCS1v15()))
    assert caught.value.reason == "not_signed"
    assert caught.value.hint


def test_a_signer_shows_and_pickles_no_secret(signer: Signer) -> None:
    canary = SEED.hex()
    shown = f"{signer!r} {signer} {RingSigner(signer, ring='shop')!r} {vars(signer)}"
    assert canary not in shown
    assert b64encode(SEED).decode() not in shown
    with pytest.raises(TypeError):
        pickle.dumps(signer)


# --- the public vectors ---------------------------------------------------------------------------------------

VECTORS = load("signatures")


@pytest.mark.parametrize("case", [pytest.param(c, id=c["why"]) for c in VECTORS["canonical"]])
def test_the_canonical_form_is_that_of_the_vectors(case: dict[str, str]) -> None:
    assert canonical(parse(case["document"].encode())).hex() == case["canonical"]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["why"]) for c in VECTORS["signed"]])
def test_the_verdict_is_that_of_the_vectors(case: dict[str, str]) -> None:
    keys = [serialization.load_der_public_key(b64decode(key)) for key in VECTORS["trusted"].values()]
    trusted = TrustedSigners(keys, ring=VECTORS["ring"])  # type: ignore[arg-type]  # the file has only such keys
    document = case["document"].encode()
    assert refusal(document, trusted) == case["verdict"]
    if case["verdict"] == "accepted":
        element = parse(document)
        signature = signature_of(element)
        data = signed_bytes(element, signature.ring, signature.signer, signature.time)
        assert hashlib.sha256(data).hexdigest() == case["sha256_of_signed_bytes"]


def test_ed25519_gives_the_vectors_own_bytes() -> None:
    case = next(c for c in VECTORS["signed"] if c["why"] == "Ed25519")
    assert signed(ring=VECTORS["ring"]).decode() == case["document"]
