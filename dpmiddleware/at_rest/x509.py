"""Keys encrypted to an X.509 certificate, as .NET's ``ProtectKeysWithCertificate`` writes and reads them.

The format is `dpmiddleware.at_rest.xml_encryption`. The certificate in a document selects one of the configured private
keys, by its public key, and is used for nothing else: a certificate that was renewed and kept its key opens what the
old one wrapped. As in .NET, validity and chain are not checked.

Nothing in the format is authenticated: an attacker who can write to the store can add a key. Sign the documents to
prevent this (`dpmiddleware.keys.signature`). After the certificate is found, every failure is the same error.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from dpmiddleware.at_rest.certificates import CertificateKey, holds_private_key, load_certificates
from dpmiddleware.at_rest.elements import master_key_in
from dpmiddleware.at_rest.rsa_keys import GOOD_RSA_BITS, MIN_RSA_BITS, RsaPrivateKey
from dpmiddleware.at_rest.xml_encryption import EncryptedData
from dpmiddleware.crypto.public_keys import public_der
from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.dotnet_types import BUILD, DATA_PROTECTION, type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_password, shown_path
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.urls import ConfigurationURL

__all__ = ["X509KeyWrapper"]

_TYPE: Final = type_in(DATA_PROTECTION, "XmlEncryption.EncryptedXmlDecryptor")


class X509KeyWrapper(Unpicklable, HidesLocals):
    """Wraps keys with the first certificate, and unwraps those of any of them. Files are read on first use.

    paths: PEM (certificates and private keys, several of each, in any order) or PKCS#12. A certificate and its private
    key may be in two files.
    password: of the private keys.
    oaep: encrypt session keys with OAEP. ``False``: with PKCS#1 v1.5, as .NET does; it is no longer approved for that
    (NIST SP 800-131A). .NET reads both, and so does this class, whatever is set.
    """

    decryptor_types = frozenset({_TYPE})
    """.NET's ``EncryptedXmlDecryptor``."""

    def __init__(self, *paths: str | Path, password: bytes | None = None, oaep: bool = True) -> None:
        self._load: Callable[[], list[CertificateKey]] = lambda: load_certificates(*paths, password=password)
        self._oaep = oaep
        self._keys: tuple[CertificateKey, ...] = ()
        self._paths = tuple(map(Path, paths))

    @classmethod
    def of(cls, keys: Iterable[CertificateKey], *, oaep: bool = True) -> X509KeyWrapper:
        """Use certificates that are already loaded."""
        wrapper = cls(oaep=oaep)
        given = tuple(keys)
        wrapper._load = lambda: list(given)
        return wrapper

    @classmethod
    def from_url(cls, url: str) -> X509KeyWrapper:
        """Open ``x509:///keys.pem``, ``x509:///tls.crt?key=/tls.key`` or ``x509:///keys.pfx``.

        ``password=env:NAME`` or a file: of the private keys. ``oaep=false``: see the class.
        """
        parts = ConfigurationURL.parse(url, "key", "password", "oaep")
        paths = [parts.file(), *(Path(value) for name, value in parts.options.items() if name == "key")]
        reference = parts.options.get("password")
        wrapper = cls(*paths, oaep=_is_true(parts.options.get("oaep", "true")))

        def load() -> list[CertificateKey]:
            password = read_password(reference, "certificate's password") if reference else None
            return load_certificates(*paths, password=password)

        wrapper._load = load
        return wrapper

    @property
    def private_files(self) -> tuple[Path, ...]:
        """Files that other users should not be able to read."""
        return tuple(path for path in self._paths if holds_private_key(path))

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """All configured certificates; the first one wraps. `ConfigurationError` if they cannot be read."""
        return tuple(key.certificate for key in self._loaded())

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Encrypt to the first certificate. `ConfigurationError` if it cannot be read, or its key is too short."""
        chosen = self._loaded()[0]
        public = chosen.certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 (`checked` accepts no other)
        if public.key_size < MIN_RSA_BITS:
            subject = printable(chosen.certificate.subject.rfc4514_string())
            raise ConfigurationError(
                f"the certificate {subject} has an RSA key of {public.key_size} bits, which wraps no keys",
                hint=f"wrap with one of {GOOD_RSA_BITS} bits, and keep the old one after it, to unwrap",
            )
        return _TYPE + BUILD, EncryptedData.encrypt(dump(secret), chosen.der, public, oaep=self._oaep).to_element()

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Decrypt with the private key of the certificate that the document names. `KeyUnwrapError`."""
        known: dict[bytes, RsaPrivateKey | None] = {}
        try:
            for key in self._loaded():
                known[key.public] = key.private_key or known.get(key.public)
        except ConfigurationError as error:
            raise KeyUnwrapError(f"there is no certificate to unwrap with: {error}", hint=error.hint) from None
        data = EncryptedData.parse(encrypted)
        public = _public_key_of(data.certificate)
        private_key = known.get(public)
        if private_key is None:
            state = "is configured without its private key" if public in known else "is not configured"
            thumbprint = hashlib.sha1(data.certificate, usedforsecurity=False).hexdigest().upper()
            raise KeyUnwrapError(
                f"the key is wrapped with the certificate with thumbprint {thumbprint}, which {state}",
                hint="add that certificate, with its private key, to key_wrapper=; if they are in two files: "
                "x509:///tls.crt?key=/tls.key",
            )
        plaintext = data.decrypt(private_key) or b""
        try:
            return master_key_in(plaintext)
        except KeyUnwrapError:
            raise KeyUnwrapError(
                "the key does not decrypt with its certificate's private key", hint="check who changed the document"
            ) from None

    def _loaded(self) -> tuple[CertificateKey, ...]:
        """Load certificates and keys once (by two threads at the same time: twice); a failure is retried later."""
        if not self._keys:
            found = self._load()
            if not found:
                raise ConfigurationError("no certificate is configured to wrap keys with", hint="name a PEM file")
            self._keys = (found[0].checked(), *(key.checked() for key in found[1:] if key.is_rsa))
        return self._keys

    def __repr__(self) -> str:
        return f"<X509KeyWrapper {', '.join(map(shown_path, self._paths))}>"


def _is_true(text: str) -> bool:
    """The option ``oaep`` of a URL."""
    if text not in {"true", "false"}:
        raise ConfigurationError(f"oaep={printable(text, 20)!r} is neither true nor false", hint="use ?oaep=true")
    return text == "true"


def _public_key_of(certificate: bytes) -> bytes:
    """Return the public key in a foreign certificate, or b"" if it is not one."""
    try:
        return public_der(x509.load_der_x509_certificate(certificate).public_key())
    except Exception:  # noqa: BLE001 (cryptography has no common base for what it cannot read)
        return b""
