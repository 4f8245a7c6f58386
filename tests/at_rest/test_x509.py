"""Keys encrypted to a certificate: the contract, .NET's vectors, the real .NET, and another XML Encryption."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from dpmiddleware.at_rest.certificates import CertificateKey, load_certificates
from dpmiddleware.at_rest.elements import new_element
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper
from dpmiddleware.at_rest.key_blob_files import create_key_blob, load_private_key
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.at_rest.xml_encryption import _decrypt
from dpmiddleware.crypto.public_keys import public_der
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.keys.signers import load_signer
from dpmiddleware.keys.xml import ENCRYPTED_SECRET, dump, parse
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, master_key, reread, unwrapped
from tests.at_rest.documents import bound, new_document
from tests.fakes import CountingKey
from tests.interop.peer import Peer
from tests.interop.vectors import VECTORS, load
from tests.urls import url_of

CERTIFICATES = VECTORS / "certificates"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
DSIG = "{http://www.w3.org/2000/09/xmldsig#}"


@cache
def certificate_key(bits: int = 2048, name: str = "test") -> CertificateKey:
    return CertificateKey(*_certificate(rsa.generate_private_key(65537, bits), name))


def _certificate(key: Any, name: str = "test") -> tuple[x509.Certificate, Any]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2020, 1, 1, tzinfo=timezone.utc)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, start, start + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()), key


def of_vectors(name: str) -> X509KeyWrapper:
    return X509KeyWrapper(CERTIFICATES / f"{name}.pem")


class TestContract(KeyWrapperContract):
    authenticates = False
    binds = False

    @pytest.fixture(params=[False, True], ids=["PKCS#1 v1.5", "OAEP"])
    def wrapper(self, request: pytest.FixtureRequest, tmp_path: Path) -> KeyWrapper:
        return X509KeyWrapper(CERTIFICATES / "first.pem", oaep=request.param)

    def names_the_same_key(self, encrypted: ET.Element, copy: ET.Element) -> bool:
        """Its certificate differs, as that of a renewed one does; only the public key in it counts."""
        texts, others = ([(element.tag, element.text) for element in each.iter()] for each in (encrypted, copy))
        different = [tag for (tag, text), other in zip(texts, others, strict=False) if (tag, text) != other]
        return len(texts) == len(others) and different == [f"{DSIG}X509Certificate"]

    @pytest.fixture
    def stranger(self) -> KeyWrapper:
        return of_vectors("second")

    @pytest.fixture
    def unreachable(self) -> KeyWrapper:
        return X509KeyWrapper.from_url("x509:///no/such.pfx?password=env:NO_SUCH_VARIABLE")

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        key = load_certificates(CERTIFICATES / "first.pem")[0].private_key
        assert isinstance(key, rsa.RSAPrivateKey)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        exported = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
        return [exported[200:260], str(key.private_numbers().d).encode()]


# --- what .NET wrote ------------------------------------------------------------------------------------------

RINGS = load("wrapped")["rings"]


@pytest.mark.parametrize("ring", [pytest.param(ring, id=ring["id"]) for ring in RINGS])
@pytest.mark.parametrize("form", ["pfx", "pem"])
def test_a_ring_of_dotnet_opens_with_its_certificate(
    ring: dict[str, Any], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PFX_PASSWORD", ring["password"])
    url = url_of("x509", (VECTORS / ring["certificate"]).with_suffix(f".{form}"))
    wrapper = X509KeyWrapper.from_url(url + ("?password=env:PFX_PASSWORD" if form == "pfx" else ""))
    (document,) = ring["documents"]
    for case in ring["payloads"]:
        encryptor = bound(document, [wrapper], ring["application"], *case["purposes"])
        assert encryptor.decrypt(b64decode(case["payload"])) == b64decode(case["plaintext"])


def test_another_certificate_is_named_in_the_error() -> None:
    with pytest.raises(KeyUnwrapError, match=r"thumbprint [0-9A-F]{40}, which is not configured"):
        bound(RINGS[0]["documents"][0], [of_vectors("second")], "shop", "")


def test_several_certificates_open_and_the_first_one_wraps() -> None:
    both = X509KeyWrapper(CERTIFICATES / "second.pem", CERTIFICATES / "first.pem")
    for ring in RINGS[:2]:
        assert bound(ring["documents"][0], [both], "shop", "").decrypt(b64decode(ring["payloads"][0]["payload"])) == b""
    assert unwrapped(of_vectors("second"), both.wrap(master_key(), BINDING)[1]) == MASTER_KEY


@pytest.mark.parametrize("case", load("xmlenc")["cases"], ids=lambda case: case["why"])
def test_iso_10126_padding_is_read(case: dict[str, str]) -> None:
    assert _decrypt(bytes.fromhex(case["key"]), b64decode(case["cipher_value_b64"])) == case["plaintext"].encode()


def test_what_is_written_has_the_form_of_what_dotnet_wrote() -> None:
    """The same elements, attributes and namespaces; except for texts. With PKCS#1 v1.5, which .NET writes."""
    theirs = parse(RINGS[0]["documents"][0].encode()).find(f".//{ENCRYPTED_SECRET}")
    assert theirs is not None
    wrapper = X509KeyWrapper(CERTIFICATES / "first.pem", oaep=False)
    decryptor_type, ours = wrapper.wrap(master_key(), BINDING)
    assert decryptor_type == theirs.get("decryptorType")
    shape = [(element.tag, dict(element.attrib)) for element in theirs[0].iter()]
    assert [(element.tag, dict(element.attrib)) for element in reread(ours).iter()] == shape
    certificates = [e.findtext(f".//{DSIG}X509Certificate") for e in (theirs, ours)]
    assert certificates[0] == certificates[1]


# --- the real .NET, both ways ---------------------------------------------------------------------------------


def _pfx(name: str) -> dict[str, str]:
    return {"pfx": str(CERTIFICATES / f"{name}.pfx"), "password": name}


@pytest.mark.parametrize("oaep", [False, True], ids=["PKCS#1 v1.5", "OAEP"])
def test_dotnet_opens_a_key_that_was_wrapped_here(peer: Peer, oaep: bool) -> None:
    wrapper = X509KeyWrapper(CERTIFICATES / "first.pem", oaep=oaep)
    document = new_document(wrapper)
    theirs = peer.documents([document], application="shop", autoGenerate=False, unprotectWith=[_pfx("first")])
    payload = theirs.protect(b"3 apples", "cart")
    assert bound(document, [wrapper], "shop", "cart").decrypt(payload) == b"3 apples"
    assert theirs.unprotect(bound(document, [wrapper], "shop", "cart").encrypt(b"pear"), "cart") == b"pear"


def test_a_key_that_dotnet_wraps_now_opens_here(peer: Peer) -> None:
    theirs = peer.documents([], application="shop", protectWith=_pfx("second"))
    payload = theirs.protect(b"3 apples", "cart")
    (document,) = theirs.ask("store.documents")["documents"]
    assert bound(document, [of_vectors("second")], "shop", "cart").decrypt(payload) == b"3 apples"


# --- another implementation of XML Encryption -----------------------------------------------------------------


@pytest.mark.parametrize("oaep", [False, True], ids=["PKCS#1 v1.5", "OAEP"])
def test_libxmlsec_opens_what_was_wrapped_here(oaep: bool) -> None:
    xmlsec = pytest.importorskip("xmlsec", reason="python-xmlsec is not installed")
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    _, encrypted = X509KeyWrapper(CERTIFICATES / "first.pem", oaep=oaep).wrap(master_key(), BINDING)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_file(str(CERTIFICATES / "first.pem"), xmlsec.constants.KeyDataFormatPem))
    node = etree.fromstring(dump(encrypted))
    decrypted = xmlsec.EncryptionContext(manager).decrypt(node)
    assert b64decode(decrypted.findtext("value")) == MASTER_KEY


@pytest.mark.parametrize("transport", ["RSA_PKCS1", "RSA_OAEP"])
def test_what_libxmlsec_wraps_opens_here(transport: str) -> None:
    xmlsec = pytest.importorskip("xmlsec", reason="python-xmlsec is not installed")
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    constants = xmlsec.constants
    element = etree.fromstring(dump(master_key()))
    template = xmlsec.template.encrypted_data_create(
        element, constants.TransformAes256Cbc, type=constants.TypeEncElement, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(template)
    info = xmlsec.template.encrypted_data_ensure_key_info(template, ns="dsig")
    encrypted_key = xmlsec.template.add_encrypted_key(info, getattr(constants, f"Transform{_camel(transport)}"))
    xmlsec.template.encrypted_data_ensure_cipher_value(encrypted_key)
    inner = xmlsec.template.encrypted_data_ensure_key_info(encrypted_key)
    xmlsec.template.x509_data_add_certificate(xmlsec.template.add_x509_data(inner))
    manager = xmlsec.KeysManager()
    key = xmlsec.Key.from_file(str(CERTIFICATES / "first.pem"), constants.KeyDataFormatPem)
    key.load_cert_from_file(str(CERTIFICATES / "first.pem"), constants.KeyDataFormatPem)
    manager.add_key(key)
    context = xmlsec.EncryptionContext(manager)
    context.key = xmlsec.Key.generate(constants.KeyDataAes, 256, constants.KeyDataTypeSession)
    encrypted = parse(etree.tostring(context.encrypt_xml(template, element)))
    assert encrypted.tag == f"{XENC}EncryptedData"
    if encrypted.find(f".//{DSIG}X509Certificate") is None:
        pytest.skip("this libxmlsec writes no certificate without one in the key manager's store")
    assert unwrapped(of_vectors("first"), encrypted) == MASTER_KEY


def _camel(name: str) -> str:
    return {"RSA_PKCS1": "RsaPkcs1", "RSA_OAEP": "RsaOaep"}[name]


# --- what is refused ------------------------------------------------------------------------------------------


def _wrapped(wrapper: X509KeyWrapper | None = None) -> ET.Element:
    return reread((wrapper or of_vectors("first")).wrap(master_key(), BINDING)[1])


def _find(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path)
    assert found is not None
    return found


INNER = f"{DSIG}KeyInfo/{XENC}EncryptedKey"


def _two_of(path: str, parent_path: str) -> Any:
    def change(element: ET.Element) -> None:
        parent = element if parent_path == "." else _find(element, parent_path)
        parent.append(_find(element, path))

    return change


SHAPES = {
    "content only": lambda e: e.set("Type", "http://www.w3.org/2001/04/xmlenc#Content"),
    "no type": lambda e: e.attrib.clear(),
    "AES-128": lambda e: _find(e, f"{XENC}EncryptionMethod").set("Algorithm", f"{XENC[1:-1]}aes128-cbc"),
    "AES-GCM": lambda e: _find(e, f"{XENC}EncryptionMethod").set("Algorithm", "http://www.w3.org/2009/xmlenc11#aes256-gcm"),
    "no such transport": lambda e: _find(e, f"{INNER}/{XENC}EncryptionMethod").set("Algorithm", "urn:x"),
    "OAEP with SHA-512": lambda e: ET.SubElement(
        _find(e, f"{INNER}/{XENC}EncryptionMethod"), f"{DSIG}DigestMethod", {"Algorithm": f"{XENC[1:-1]}sha512"}
    ),
    "two encrypted keys": _two_of(INNER, f"{DSIG}KeyInfo"),
    "two contents": _two_of(f"{XENC}CipherData", "."),
    "two certificates": _two_of(f"{INNER}//{DSIG}X509Certificate", f"{INNER}//{DSIG}X509Data"),
    "a reference elsewhere": lambda e: e.remove(_find(e, f"{XENC}CipherData")),
    "no key": lambda e: e.remove(_find(e, f"{DSIG}KeyInfo")),
    "nothing": lambda e: e.clear(),
}  # fmt: skip


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in SHAPES.items()])
def test_another_shape_is_refused_before_any_private_key_is_used(change: Any) -> None:
    key, counter = _counting(certificate_key())
    encrypted = _wrapped(X509KeyWrapper.of([key]))
    change(encrypted)
    with pytest.raises(KeyUnwrapError):
        X509KeyWrapper.of([key]).unwrap(encrypted, BINDING)
    assert counter.calls == 0


def _counting(key: CertificateKey) -> tuple[CertificateKey, CountingKey]:
    assert isinstance(key.private_key, rsa.RSAPrivateKey)
    counter = CountingKey(key.private_key)
    return CertificateKey(key.certificate, counter), counter


class Unplugged:
    """A hardware module that is missing, and whose error contains too much."""

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        raise ConnectionError("CANARY")


def test_a_private_key_that_cannot_be_used_is_one_of_our_errors() -> None:
    wrapper = X509KeyWrapper.of([CertificateKey(certificate_key().certificate, Unplugged())])
    with pytest.raises(KeyUnwrapError, match=r"(?m)could not be used: ConnectionError$") as caught:
        unwrapped(wrapper, _wrapped(wrapper))
    assert caught.value.hint


def test_unwrapping_is_one_private_key_operation_and_wrapping_none() -> None:
    key, counter = _counting(certificate_key())
    wrapper = X509KeyWrapper.of([key])
    encrypted = _wrapped(wrapper)
    assert counter.calls == 0
    assert unwrapped(wrapper, encrypted) == MASTER_KEY
    assert counter.calls == 1


def test_all_failures_after_the_certificate_was_found_look_alike() -> None:
    """A session key that does not decrypt, one of another length, changed content, content of another length."""
    wrapper = X509KeyWrapper.of([certificate_key()])
    public = certificate_key().certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    transported = {
        "bad padding": b"\x00" * 256,
        "too long a ciphertext": b"\x00" * 300,
        "a short session key": public.encrypt(b"x" * 16, padding.PKCS1v15()),
        "another session key": public.encrypt(b"x" * 32, padding.PKCS1v15()),
    }
    contents = {"none": b"", "one block": bytes(16), "a cut block": bytes(40), "other bytes": bytes(64)}
    seen = set()
    for path, values in ((INNER, transported), (".", contents)):
        for value in values.values():
            encrypted = _wrapped(wrapper)
            _find(encrypted, f"{path}/{XENC}CipherData/{XENC}CipherValue").text = b64encode(value).decode()
            with pytest.raises(KeyUnwrapError) as caught:
                wrapper.unwrap(encrypted, BINDING)
            seen.add((str(caught.value), caught.value.hint, caught.value.__cause__, caught.value.__suppress_context__))
    assert len({message for message, *_ in seen}) == 1, seen


def test_what_is_inside_must_be_a_master_key() -> None:
    wrapper = X509KeyWrapper.of([certificate_key()])
    _, encrypted = wrapper.wrap(new_element("encryptedSecret", value="x"), BINDING)
    with pytest.raises(KeyUnwrapError, match="does not decrypt"):
        wrapper.unwrap(encrypted, BINDING)


def test_the_certificate_in_a_document_is_not_trusted_for_being_there() -> None:
    """An attacker's own certificate, complete and valid, is not configured here."""
    attacker = X509KeyWrapper.of([certificate_key(name="attacker", bits=2056)])
    with pytest.raises(KeyUnwrapError, match="is not configured"):
        unwrapped(of_vectors("first"), _wrapped(attacker))


# --- files and kinds of keys ----------------------------------------------------------------------------------


def _pem_of(key: Any, password: bytes | None = None) -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection))


def test_pem_and_pkcs12_are_read(tmp_path: Path) -> None:
    certificate, key = _certificate(rsa.generate_private_key(65537, 2048))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    legacy = serialization.PrivateFormat.TraditionalOpenSSL
    files = {
        "key first.pem": _pem_of(key) + pem,
        "locked.pem": pem + _pem_of(key, b"horse"),
        "old form.pem": pem + key.private_bytes(serialization.Encoding.PEM, legacy, serialization.NoEncryption()),
        "modern.pfx": pkcs12.serialize_key_and_certificates(
            b"x", key, certificate, None, serialization.BestAvailableEncryption(b"horse")
        ),
    }
    encrypted = X509KeyWrapper.of([CertificateKey(certificate)]).wrap(master_key(), BINDING)[1]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert unwrapped(X509KeyWrapper(tmp_path / name, password=b"horse"), encrypted) == MASTER_KEY, name


def test_an_authority_before_its_leaf_does_not_wrap(tmp_path: Path) -> None:
    """A key was stored that nobody could open."""
    authority, authoritys_key = _certificate(rsa.generate_private_key(65537, 2048), "authority")
    name, start = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]),
        datetime(2020, 1, 1, tzinfo=timezone.utc),
    )
    end = start + timedelta(days=1)
    builder = x509.CertificateBuilder(authority.subject, name, KEY.public_key(), 7, start, end)
    leaf = builder.sign(authoritys_key, hashes.SHA256())
    (tmp_path / "tls.crt").write_bytes(_pem(authority, leaf))
    (tmp_path / "tls.key").write_bytes(_pem(KEY))
    wrapper = X509KeyWrapper(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert wrapper.certificates == (leaf, authority)
    assert unwrapped(wrapper, wrapper.wrap(master_key(), BINDING)[1]) == MASTER_KEY


@pytest.mark.parametrize("name", ["test", "another"])
def test_a_new_certificate_before_the_pair_of_the_old_one_wraps(name: str, tmp_path: Path) -> None:
    new, _ = _certificate(rsa.generate_private_key(65537, 2048), name)
    old, _ = _certificate(KEY)
    (tmp_path / "keys.pem").write_bytes(_pem(new, old, KEY))
    assert X509KeyWrapper(tmp_path / "keys.pem").certificates == (new, old)


def test_a_certificate_without_its_private_key_wraps_only(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_bytes(certificate_key().certificate.public_bytes(serialization.Encoding.PEM))
    wrapper = X509KeyWrapper.from_url(url_of("x509", tmp_path / "public.pem"))
    encrypted = _wrapped(wrapper)
    with pytest.raises(KeyUnwrapError, match="without its private key"):
        wrapper.unwrap(encrypted, BINDING)
    assert unwrapped(X509KeyWrapper.of([certificate_key()]), encrypted) == MASTER_KEY


def test_certificates_of_issuers_beside_it_do_no_harm() -> None:
    issuer, _ = _certificate(ec.generate_private_key(ec.SECP256R1()), "issuer")
    wrapper = X509KeyWrapper.of([certificate_key(), CertificateKey(issuer)])
    assert unwrapped(wrapper, _wrapped(wrapper)) == MASTER_KEY
    assert wrapper.certificates == (certificate_key().certificate,)


def test_only_rsa_certificates_wrap() -> None:
    wrapper = X509KeyWrapper.of([CertificateKey(_certificate(ec.generate_private_key(ec.SECP256R1()))[0])])
    with pytest.raises(ConfigurationError, match="CN=test has no RSA key") as caught:
        wrapper.wrap(master_key(), BINDING)
    assert "RSA certificate" in caught.value.hint


def test_halves_that_do_not_belong_together_are_refused() -> None:
    wrong = CertificateKey(certificate_key().certificate, rsa.generate_private_key(65537, 2048))
    with pytest.raises(ConfigurationError, match="not that of the certificate"):
        X509KeyWrapper.of([wrong]).wrap(master_key(), BINDING)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "cannot be read", id="empty"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read", id="broken"),
        pytest.param((CERTIFICATES / "first.pfx").read_bytes(), "password is wrong", id="wrong password"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_configuration(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        X509KeyWrapper(tmp_path / "keys", password=b"CANARY").wrap(master_key(), BINDING)
    assert "CANARY" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_file_that_appears_later_is_found(tmp_path: Path) -> None:
    """A mounted secret that appears later; a failure is not remembered."""
    wrapper = X509KeyWrapper(tmp_path / "keys.pem")
    with pytest.raises(ConfigurationError, match="No such file"):
        wrapper.wrap(master_key(), BINDING)
    (tmp_path / "keys.pem").write_bytes((CERTIFICATES / "first.pem").read_bytes())
    assert unwrapped(wrapper, _wrapped(wrapper)) == MASTER_KEY


@pytest.mark.timeout(20)
def test_a_huge_wrapping_is_refused_in_bounded_time() -> None:
    encrypted = _wrapped()
    _find(encrypted, f"{INNER}/{XENC}CipherData/{XENC}CipherValue").text = "A" * 10_000_000
    with pytest.raises(KeyUnwrapError):
        of_vectors("first").unwrap(encrypted, BINDING)


# --- certificates that are renewed, and files that belong together ---------------------------------------------


KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PASSWORD = b"horse"


def _renewed(key: Any = KEY, number: int = 2) -> x509.Certificate:
    """A certificate of the same key: another number, other dates, another name."""
    return _certificate(key, f"renewed {number}")[0]


def _der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _pem(*parts: Any) -> bytes:
    """Certificates and private keys; a pair of a key and a password is an encrypted key."""
    return b"".join(
        part.public_bytes(serialization.Encoding.PEM)
        if isinstance(part, x509.Certificate)
        else _pem_of(*part if isinstance(part, tuple) else (part,))
        for part in parts
    )


def _pfx_of(key: Any, *certificates: x509.Certificate) -> bytes:
    first, more = (certificates[0], certificates[1:]) if certificates else (None, ())
    protection = serialization.BestAvailableEncryption(PASSWORD)
    return pkcs12.serialize_key_and_certificates(b"x", key, first, more, protection)


ISSUER, _ = _certificate(EC_KEY, "issuer")
TWO_FILES: dict[str, tuple[bytes, bytes]] = {
    "of Kubernetes": (_pem(_renewed()), _pem(KEY)),
    "the key first": (_pem(KEY), _pem(_renewed())),
    "a chain": (_pem(_renewed(), ISSUER), _pem(KEY)),
    "an encrypted key": (_pem(_renewed()), _pem((KEY, PASSWORD))),
    "other keys beside it": (_pem(_renewed()), _pem(EC_KEY, rsa.generate_private_key(65537, 2048), KEY)),
    "the key in PKCS#12": (_pem(_renewed()), _pfx_of(KEY)),
    "an old key beside the certificate": (_pem(_renewed(), rsa.generate_private_key(65537, 2048)), _pem(KEY)),
}


@pytest.mark.parametrize("files", TWO_FILES)
def test_a_certificate_and_its_key_may_be_in_two_files(files: str, tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "other"]
    for path, content in zip(paths, TWO_FILES[files], strict=True):
        path.write_bytes(content)
    wrapper = X509KeyWrapper(*paths, password=PASSWORD)
    assert unwrapped(wrapper, _wrapped(wrapper)) == MASTER_KEY
    assert wrapper.certificates[0] == _renewed()


@pytest.mark.parametrize("password", [None, PASSWORD], ids=["plain", "encrypted"])
def test_a_url_names_a_certificate_and_its_key(
    password: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_PASSWORD", PASSWORD.decode())
    (tmp_path / "tls.crt").write_bytes(_pem(_renewed(), ISSUER))
    (tmp_path / "tls.key").write_bytes(_pem((KEY, password)))
    url = f"{url_of('x509', tmp_path / 'tls.crt')}?key={tmp_path / 'tls.key'}&password=env:KEY_PASSWORD"
    wrapper = X509KeyWrapper.from_url(url)
    assert unwrapped(wrapper, _wrapped(wrapper)) == MASTER_KEY
    assert wrapper.private_files == (tmp_path / "tls.key",), "the certificate is public"
    assert repr(wrapper) == f"<X509KeyWrapper {tmp_path / 'tls.crt'}, {tmp_path / 'tls.key'}>"


METHODS = {"": "rsa-oaep-mgf1p", "?oaep=true": "rsa-oaep-mgf1p", "?oaep=false": "rsa-1_5"}


@pytest.mark.parametrize("query", METHODS)
def test_a_url_says_how_session_keys_are_encrypted_and_either_way_is_read(query: str) -> None:
    path = CERTIFICATES / "first.pem"
    wrapper = X509KeyWrapper.from_url(f"{url_of('x509', path)}{query}")
    encrypted = _wrapped(wrapper)
    methods = [
        str(element.get("Algorithm")).rpartition("#")[2] for element in encrypted.iter(f"{XENC}EncryptionMethod")
    ]
    assert methods == ["aes256-cbc", METHODS[query]]
    for other in (True, False):
        assert unwrapped(X509KeyWrapper(path, oaep=other), encrypted) == MASTER_KEY


def test_a_url_that_says_neither_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="oaep='yes' is neither true nor false") as caught:
        X509KeyWrapper.from_url("x509:///keys.pem?oaep=yes")
    assert "?oaep=true" in caught.value.hint


@pytest.mark.parametrize(("bits", "wraps"), [(1024, False), (2040, False), (2048, True)])
def test_a_short_key_wraps_nothing_and_still_unwraps(bits: int, wraps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = X509KeyWrapper.of([certificate_key(bits)])
    if not wraps:
        with pytest.raises(ConfigurationError, match=f"RSA key of {bits} bits, which wraps no keys") as caught:
            _wrapped(wrapper)
        assert "3072 bits" in caught.value.hint
        monkeypatch.setattr("dpmiddleware.at_rest.x509.MIN_RSA_BITS", 1024)  # as the versions before did
    encrypted = _wrapped(wrapper)
    monkeypatch.undo()
    assert unwrapped(wrapper, encrypted) == MASTER_KEY


USELESS: dict[str, tuple[list[bytes], str]] = {
    "a private key alone": ([_pem(KEY)], "other contains a private key, but no certificate"),
    "a private key of PKCS#12 alone": ([_pfx_of(KEY)], "other contains a private key, but no certificate"),
    "the key of another": (
        [_pem(_renewed()), _pem(rsa.generate_private_key(65537, 2048))],
        "other contains a private key, but its certificate is in none of the files",
    ),
    "no certificate": (
        [_pem(_renewed(), KEY), b"-----BEGIN X-----\n-----END X-----\n"],
        "other does not contain a cert",
    ),
    "the key of another kind": ([_pem(EC_KEY)], "other does not contain a certificate"),
}


@pytest.mark.parametrize("files", USELESS)
def test_a_file_that_is_of_no_use_is_named(files: str, tmp_path: Path) -> None:
    contents, problem = USELESS[files]
    paths = [tmp_path / name for name in ("one", "other")][-len(contents) :]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        X509KeyWrapper(*paths, password=PASSWORD).wrap(master_key(), BINDING)
    assert "x509:///tls.crt?key=/tls.key" in caught.value.hint


def test_a_renewed_certificate_that_kept_its_key_opens_what_the_old_one_wrapped() -> None:
    """cert-manager and certbot --reuse-key; the certificates were compared."""
    old, new = (CertificateKey(_renewed(number=number), KEY) for number in (1, 2))
    assert old.der != new.der
    encrypted = _wrapped(X509KeyWrapper.of([old]))
    assert unwrapped(X509KeyWrapper.of([new]), encrypted) == MASTER_KEY
    public_half = CertificateKey(_renewed(number=3))
    for order in ([public_half, new], [new, public_half]):
        assert unwrapped(X509KeyWrapper.of(order), encrypted) == MASTER_KEY
    of_new_key = CertificateKey(*_certificate(rsa.generate_private_key(65537, 2048), "renewed 1"))
    with pytest.raises(KeyUnwrapError, match="is not configured"):
        unwrapped(X509KeyWrapper.of([of_new_key]), encrypted)


@pytest.mark.parametrize("certificate", [b"", b"\x30\x00", bytes(1000), _der_of(ISSUER), _der_of(_renewed())[:-1]])
def test_what_a_document_gives_as_its_certificate_may_be_anything(certificate: bytes) -> None:
    wrapper = X509KeyWrapper.of([certificate_key()])
    encrypted = _wrapped(wrapper)
    _find(encrypted, f".//{DSIG}X509Certificate").text = b64encode(certificate).decode()
    with pytest.raises(KeyUnwrapError):
        wrapper.unwrap(encrypted, BINDING)


ONE_FILE: dict[str, bytes] = {
    "certificate and key": _pem(_renewed(), KEY),
    "key and chain": _pem(KEY, _renewed(), ISSUER),
    "an encrypted key": _pem(_renewed(), (KEY, PASSWORD)),
    "PKCS#12": _pfx_of(KEY, _renewed(), ISSUER),
    "PKCS#12, encrypted as Windows does it": pkcs12.serialize_key_and_certificates(
        b"x",
        KEY,
        _renewed(),
        None,
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .build(PASSWORD),
    ),
}


@pytest.mark.parametrize("content", ONE_FILE)
def test_every_file_that_a_wrapper_reads_is_read_for_signers_and_blobs(content: str, tmp_path: Path) -> None:
    """The password is the same for all; a key that is not encrypted does not need it."""
    path, password = tmp_path / "file", tmp_path / "password"
    path.write_bytes(ONE_FILE[content])
    password.write_bytes(PASSWORD + b"\n")
    wrapper = X509KeyWrapper(path, password=PASSWORD)
    assert unwrapped(wrapper, _wrapped(wrapper)) == MASTER_KEY
    assert public_der(load_signer(path, PASSWORD).public_key) == public_der(KEY.public_key())
    assert load_private_key(path, str(password)).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize("content", [_pem(_renewed(), ISSUER), _pem(_renewed())], ids=["a chain", "a certificate"])
def test_a_certificate_where_a_private_key_is_needed_is_said_to_be_one(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tls.crt"
    path.write_bytes(content)
    for load_key in (load_signer, load_private_key):
        with pytest.raises(ConfigurationError, match=r"contains no|not contain") as caught:
            load_key(path)
        assert "tls.key" in caught.value.hint


def test_a_blob_is_exported_to_a_chain_and_opened_with_the_key_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_bytes(_pem(_renewed(), ISSUER))
    (tmp_path / "tls.key").write_bytes(_pem(KEY))
    create_key_blob(tmp_path / "blob", exchange=tmp_path / "tls.crt", signer=tmp_path / "tls.key")
    wrapper = KeyBlobKeyWrapper(tmp_path / "blob", exchange=tmp_path / "tls.key", trust=[tmp_path / "tls.crt"])
    assert unwrapped(wrapper, wrapper.wrap(master_key(), BINDING)[1]) == MASTER_KEY
