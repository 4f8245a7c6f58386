"""Keys encrypted to an X.509 certificate, as .NET's ``ProtectKeysWithCertificate`` writes and reads them.

XML Encryption (W3C xmlenc-core), this one shape::

    <EncryptedData Type="…xmlenc#Element" xmlns="http://www.w3.org/2001/04/xmlenc#">
      <EncryptionMethod Algorithm="…xmlenc#aes256-cbc" />
      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
        <EncryptedKey xmlns="http://www.w3.org/2001/04/xmlenc#">
          <EncryptionMethod Algorithm="…xmlenc#rsa-1_5" />                           or …xmlenc#rsa-oaep-mgf1p
          <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
            <X509Data><X509Certificate>base64 of DER</X509Certificate></X509Data>
          </KeyInfo>
          <CipherData><CipherValue>base64 of RSA(session key)</CipherValue></CipherData>
        </EncryptedKey>
      </KeyInfo>
      <CipherData><CipherValue>base64 of content</CipherValue></CipherData>
    </EncryptedData>

    content := IV (16) ‖ AES-256-CBC(session key, <masterKey> as UTF-8 ‖ random × (n - 1) ‖ n)     n = 1…16, ISO 10126

The certificate in a document says which of the configured ones to use, by its bytes, and no more; validity and chain
are not looked at, as in .NET. Nothing here authenticates: who can write to the store can plant a key. That is what
`dpmiddleware.keys.signature` is for. Every failure after the certificate was found is one error, and a session key
that does not decrypt is replaced by a random one, so that a document tells nobody about RSA padding.
"""

from __future__ import annotations

import hashlib
import os
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import pkcs12

from dpmiddleware.at_rest.elements import attribute, child, decode, opened
from dpmiddleware.dotnet_types import BUILD, DATA_PROTECTION, type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file, read_password
from dpmiddleware.urls import ConfigurationURL

__all__ = ["CertificateKey", "RsaPrivateKey", "X509KeyWrapper", "load_certificates", "unusable_key"]

_TYPE: Final = type_in(DATA_PROTECTION, "XmlEncryption.EncryptedXmlDecryptor")

_XENC: Final = "http://www.w3.org/2001/04/xmlenc#"
_XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_SHA1: Final = _XMLDSIG + "sha1"
_AES: Final = _XENC + "aes256-cbc"
_PKCS1: Final = _XENC + "rsa-1_5"
_OAEP: Final = _XENC + "rsa-oaep-mgf1p"
_PADDINGS: Final[dict[str, padding.AsymmetricPadding]] = {
    _PKCS1: padding.PKCS1v15(),
    # SHA-1 is what rsa-oaep-mgf1p means; OAEP does not lean on its collision resistance
    _OAEP: padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303
}
_KEY_SIZE: Final = 32
_BLOCK: Final = 16


class RsaPrivateKey(Protocol):
    """What unwrapping asks of a private key; one in a hardware module needs this method only.

    Any other exception than ``ValueError`` means that the key could not be used, and becomes `KeyUnwrapError`.
    """

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        """RSA decryption; ``ValueError`` where the padding is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """A certificate with its private key; ``None`` where this process may only wrap."""

    certificate: x509.Certificate
    private_key: RsaPrivateKey | None = None

    @property
    def is_rsa(self) -> bool:
        """Whether its key is of the one kind that XML Encryption as .NET does it can use."""
        return isinstance(self.certificate.public_key(), rsa.RSAPublicKey)

    @property
    def der(self) -> bytes:
        """The certificate's bytes: what documents name it by."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


class X509KeyWrapper:
    """Encrypts keys to the first certificate, opens keys encrypted to any of them. Files are read at the first use.

    paths: PEM (certificates and private keys, several of each, in any order) or PKCS#12. password: of the private
    keys. oaep: write OAEP key transport, which .NET reads too, in place of .NET's own PKCS#1 v1.5.
    """

    def __init__(self, *paths: str | Path, password: bytes | None = None, oaep: bool = False) -> None:
        self._load: Callable[[], list[CertificateKey]] = lambda: [
            key for path in paths for key in load_certificates(path, password)
        ]
        self._method = _OAEP if oaep else _PKCS1
        self._keys: tuple[CertificateKey, ...] = ()
        self.private_files = tuple(map(Path, paths))
        """Files that others should not be able to read."""

    @classmethod
    def of(cls, keys: Iterable[CertificateKey], *, oaep: bool = False) -> X509KeyWrapper:
        """From certificates at hand."""
        wrapper = cls(oaep=oaep)
        given = tuple(keys)
        wrapper._load = lambda: list(given)
        return wrapper

    @classmethod
    def from_url(cls, url: str) -> X509KeyWrapper:
        """``x509:///keys.pem`` or ``x509:///keys.pfx?password=env:NAME`` (or a file)."""
        parts = ConfigurationURL.parse(url, "password")
        path, reference = parts.file(), parts.options.get("password")
        wrapper = cls(path)

        def load() -> list[CertificateKey]:
            password = read_password(reference, "certificate's password") if reference else None
            return load_certificates(path, password)

        wrapper._load = load
        return wrapper

    @property
    def decryptor_types(self) -> frozenset[str]:
        """.NET's ``EncryptedXmlDecryptor``."""
        return frozenset({_TYPE})

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """All configured certificates, the one that wraps first. `ConfigurationError` where they cannot be read."""
        return tuple(key.certificate for key in self._loaded())

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Encrypt to the first certificate. `ConfigurationError` where it cannot be read."""
        chosen = self._loaded()[0]
        public = chosen.certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 (_checked let it pass)
        session_key = os.urandom(_KEY_SIZE)
        transported = public.encrypt(session_key, _PADDINGS[self._method])
        return _TYPE + BUILD, _encrypted_data(
            self._method, chosen.der, transported, _encrypt(session_key, dump(secret))
        )

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Decrypt with the private key of the certificate that the document names. `KeyUnwrapError`."""
        try:
            known = {key.der: key.private_key for key in self._loaded()}
        except ConfigurationError as error:
            raise KeyUnwrapError(f"no certificate to unwrap with: {error}", hint=error.hint) from None
        method, der, transported, content = _parts(encrypted)
        private_key = known.get(der)
        if private_key is None:
            state = "is here without its private key" if der in known else "is not configured"
            thumbprint = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
            raise KeyUnwrapError(
                f"wrapped for the certificate with thumbprint {thumbprint}, which {state}",
                hint="give key_wrapper= that certificate with its private key as well",
            )
        plaintext = _decrypt(_session_key(private_key, transported, _PADDINGS[method]), content)
        if plaintext is None:
            raise _undecryptable()
        try:
            return opened(plaintext)
        except KeyUnwrapError:
            raise _undecryptable() from None

    def _loaded(self) -> tuple[CertificateKey, ...]:
        """The certificates and keys, read once (by two threads at the same time: twice); a failure is tried again."""
        if not self._keys:
            found = self._load()
            if not found:
                raise ConfigurationError("no certificate to wrap keys with was given")
            self._keys = (_checked(found[0]), *(_checked(key) for key in found[1:] if key.is_rsa))
        return self._keys

    def __repr__(self) -> str:
        return f"<X509KeyWrapper {', '.join(map(printable, self.private_files))}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


def _undecryptable() -> KeyUnwrapError:
    return KeyUnwrapError(
        "the key does not decrypt with its certificate's private key", hint="the document was changed or is damaged"
    )


def _checked(key: CertificateKey) -> CertificateKey:
    """``key`` if it is an RSA one whose two halves belong together; else `ConfigurationError`."""
    subject = printable(key.certificate.subject.rfc4514_string())
    if not key.is_rsa:
        raise ConfigurationError(
            f"the certificate {subject} has no RSA key",
            hint="keys are wrapped with RSA certificates only, as in .NET; a signer may have an ECDSA or Ed25519 key",
        )
    if isinstance(key.private_key, rsa.RSAPrivateKey) and not _belong_together(key.certificate, key.private_key):
        raise ConfigurationError(f"the private key is not that of the certificate {subject}")
    return key


# --- XML Encryption -----------------------------------------------------------------------------------------


def _encrypted_data(method: str, der: bytes, transported: bytes, content: bytes) -> ET.Element:
    data = ET.Element(f"{{{_XENC}}}EncryptedData", {"Type": _XENC + "Element"})
    ET.SubElement(data, f"{{{_XENC}}}EncryptionMethod", {"Algorithm": _AES})
    key_info = ET.SubElement(data, f"{{{_XMLDSIG}}}KeyInfo")
    key = ET.SubElement(key_info, f"{{{_XENC}}}EncryptedKey")
    ET.SubElement(key, f"{{{_XENC}}}EncryptionMethod", {"Algorithm": method})
    x509_data = ET.SubElement(ET.SubElement(key, f"{{{_XMLDSIG}}}KeyInfo"), f"{{{_XMLDSIG}}}X509Data")
    ET.SubElement(x509_data, f"{{{_XMLDSIG}}}X509Certificate").text = b64encode(der).decode("ascii")
    for parent, value in ((key, transported), (data, content)):
        cipher_data = ET.SubElement(parent, f"{{{_XENC}}}CipherData")
        ET.SubElement(cipher_data, f"{{{_XENC}}}CipherValue").text = b64encode(value).decode("ascii")
    return data


def _parts(data: ET.Element) -> tuple[str, bytes, bytes, bytes]:
    """Key transport method, certificate (DER), encrypted session key, content. `KeyUnwrapError` for another shape."""
    if data.tag != f"{{{_XENC}}}EncryptedData":
        raise KeyUnwrapError("the wrapping is no <EncryptedData>", hint="the document was changed or is damaged")
    attribute(data, "Type", _XENC + "Element")
    attribute(child(data, f"{{{_XENC}}}EncryptionMethod"), "Algorithm", _AES)
    key = child(child(data, f"{{{_XMLDSIG}}}KeyInfo"), f"{{{_XENC}}}EncryptedKey")
    transport = child(key, f"{{{_XENC}}}EncryptionMethod")
    method = attribute(transport, "Algorithm", *_PADDINGS)
    for digest in transport:  # others write the default digest of OAEP out
        attribute(digest, "Algorithm", _SHA1)
    x509_data = child(child(key, f"{{{_XMLDSIG}}}KeyInfo"), f"{{{_XMLDSIG}}}X509Data")
    certificate = child(x509_data, f"{{{_XMLDSIG}}}X509Certificate")
    value = [child(child(parent, f"{{{_XENC}}}CipherData"), f"{{{_XENC}}}CipherValue") for parent in (key, data)]
    return method, decode(certificate), decode(value[0]), decode(value[1])


def _session_key(private_key: RsaPrivateKey, transported: bytes, scheme: padding.AsymmetricPadding) -> bytes:
    """The session key, or a random one where it does not decrypt: the content then fails as a changed one does."""
    instead = os.urandom(_KEY_SIZE)
    try:
        session_key = private_key.decrypt(transported, scheme)
    except ValueError:
        return instead
    except Exception as error:  # noqa: BLE001 (a module of the user's own, whose errors nobody knows)
        raise unusable_key(error) from None
    return session_key if len(session_key) == _KEY_SIZE else instead


def unusable_key(error: Exception) -> KeyUnwrapError:
    """A private key that is not in memory did something else than decrypting; its words may hold anything."""
    return KeyUnwrapError(
        f"the private key could not be used: {type(error).__name__}",
        hint="is the module or service there that holds it?",
    )


def _encrypt(session_key: bytes, plaintext: bytes) -> bytes:
    iv = os.urandom(_BLOCK)
    missing = _BLOCK - len(plaintext) % _BLOCK
    encryptor = Cipher(AES(session_key), CBC(iv)).encryptor()
    padded = plaintext + os.urandom(missing - 1) + bytes([missing])
    return iv + encryptor.update(padded) + encryptor.finalize()


def _decrypt(session_key: bytes, content: bytes) -> bytes | None:
    """ISO 10126: only the last byte counts, the others are random."""
    if len(content) % _BLOCK or len(content) < 2 * _BLOCK:
        return None
    decryptor = Cipher(AES(session_key), CBC(content[:_BLOCK])).decryptor()
    padded = decryptor.update(content[_BLOCK:]) + decryptor.finalize()
    return padded[: -padded[-1]] if 1 <= padded[-1] <= _BLOCK else None


# --- files --------------------------------------------------------------------------------------------------


def load_certificates(path: str | Path, password: bytes | None = None) -> list[CertificateKey]:
    """The certificates in a PEM or PKCS#12 file, each with its private key if that is there. `ConfigurationError`."""
    data = read_file(path, "certificate")
    try:
        found = _from_pem(data, password) if b"-----BEGIN" in data else _from_pkcs12(data, password)
    except Exception:  # noqa: BLE001 (cryptography has no common base for what it cannot read)
        raise ConfigurationError(
            f"certificate: {printable(path)} cannot be read, or its password is wrong",
            hint="PEM (certificate and private key in one file) or PKCS#12; ?password=env:NAME or a file",
        ) from None
    if not found:
        raise ConfigurationError(f"certificate: {printable(path)} holds no certificate")
    return found


def _from_pem(data: bytes, password: bytes | None) -> list[CertificateKey]:
    blocks = re.findall(
        rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?-----END [A-Z0-9 ]*PRIVATE KEY-----", data, re.DOTALL
    )
    private: list[rsa.RSAPrivateKey] = []
    for block in blocks:
        encrypted = b"ENCRYPTED" in block
        key = serialization.load_pem_private_key(block, password if encrypted else None)
        if isinstance(key, rsa.RSAPrivateKey):
            private.append(key)
    return [_paired(certificate, private) for certificate in x509.load_pem_x509_certificates(data)]


def _from_pkcs12(data: bytes, password: bytes | None) -> list[CertificateKey]:
    key, certificate, more = pkcs12.load_key_and_certificates(data, password)
    private = [key] if isinstance(key, rsa.RSAPrivateKey) else []
    return [_paired(one, private) for one in ([certificate] if certificate else []) + more]


def _paired(certificate: x509.Certificate, private: Iterable[rsa.RSAPrivateKey]) -> CertificateKey:
    return CertificateKey(certificate, next((key for key in private if _belong_together(certificate, key)), None))


def _belong_together(certificate: x509.Certificate, private: rsa.RSAPrivateKey) -> bool:
    public = certificate.public_key()
    return isinstance(public, rsa.RSAPublicKey) and public.public_numbers() == private.public_key().public_numbers()
