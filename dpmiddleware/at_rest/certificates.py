"""Certificates that wrap keys, with or without their private keys, and their files (PEM or PKCS#12)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from dpmiddleware.at_rest.rsa_keys import RsaPrivateKey
from dpmiddleware.crypto.public_keys import pem_blocks
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file

__all__ = ["CertificateKey", "load_certificates"]


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """A certificate and its private key; ``None`` if this process may only wrap."""

    certificate: x509.Certificate
    private_key: RsaPrivateKey | None = None

    @property
    def is_rsa(self) -> bool:
        """Whether it has an RSA key. XML Encryption, as .NET does it, can use no other kind."""
        return isinstance(self.certificate.public_key(), rsa.RSAPublicKey)

    @property
    def der(self) -> bytes:
        """The certificate's bytes, by which documents name it."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def checked(self) -> CertificateKey:
        """Return this. `ConfigurationError` if it is not RSA, or the private key is another certificate's."""
        subject = printable(self.certificate.subject.rfc4514_string())
        if not self.is_rsa:
            raise ConfigurationError(
                f"the certificate {subject} has no RSA key",
                hint="use an RSA certificate; only signers may have ECDSA or Ed25519 keys",
            )
        if isinstance(self.private_key, rsa.RSAPrivateKey) and not _belong_together(self.certificate, self.private_key):
            raise ConfigurationError(
                f"the private key is not that of the certificate {subject}", hint="give the two that belong together"
            )
        return self


def load_certificates(path: str | Path, password: bytes | None = None) -> list[CertificateKey]:
    """Load the certificates of a PEM or PKCS#12 file, with the private keys that it contains. `ConfigurationError`.

    A PEM file may contain several certificates and private keys, in any order.
    """
    data = read_file(path, "certificate")
    try:
        found = _from_pem(data, password) if b"-----BEGIN" in data else _from_pkcs12(data, password)
    except Exception:  # noqa: BLE001 (cryptography has no common base for what it cannot read)
        raise ConfigurationError(
            f"certificate: {printable(path)} cannot be read, or its password is wrong",
            hint="give PEM (certificate and private key in one file) or PKCS#12; ?password=env:NAME or a file",
        ) from None
    if not found:
        raise ConfigurationError(
            f"certificate: {printable(path)} does not contain a certificate",
            hint="add it to the file, before or after its key",
        )
    return found


def _from_pem(data: bytes, password: bytes | None) -> list[CertificateKey]:
    blocks = [block for block in pem_blocks(data) if b"PRIVATE KEY-----" in block]
    keys = [serialization.load_pem_private_key(each, password if b"ENCRYPTED" in each else None) for each in blocks]
    return [_paired(certificate, keys) for certificate in x509.load_pem_x509_certificates(data)]


def _from_pkcs12(data: bytes, password: bytes | None) -> list[CertificateKey]:
    key, certificate, more = pkcs12.load_key_and_certificates(data, password)
    return [_paired(one, [key]) for one in ([certificate] if certificate else []) + more]


def _paired(certificate: x509.Certificate, keys: Iterable[object]) -> CertificateKey:
    rsa_keys = (key for key in keys if isinstance(key, rsa.RSAPrivateKey))
    return CertificateKey(certificate, next((key for key in rsa_keys if _belong_together(certificate, key)), None))


def _belong_together(certificate: x509.Certificate, private: rsa.RSAPrivateKey) -> bool:
    public = certificate.public_key()
    return isinstance(public, rsa.RSAPublicKey) and public.public_numbers() == private.public_key().public_numbers()
