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
from dpmiddleware.crypto.public_keys import private_keys_in, public_der
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file
from dpmiddleware.tracebacks import hides_locals

__all__ = ["CertificateKey", "holds_private_key", "load_certificates"]


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
    def public(self) -> bytes:
        """The public key's bytes. A renewed certificate that kept its key has the same, and opens the same."""
        return public_der(self.certificate.public_key())

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


@hides_locals
def load_certificates(*paths: str | Path, password: bytes | None = None) -> list[CertificateKey]:
    """Load the certificates of PEM or PKCS#12 files, each with its private key, whichever file that is in.

    A PEM file may contain several certificates and private keys, in any order; none of the files may be useless.
    `ConfigurationError`.
    """
    files = [(path, *_read(path, password)) for path in paths]
    keys = [key for _, _, some in files for key in some]
    pairs = [_paired(certificate, keys) for _, certificates, _ in files for certificate in certificates]
    used = [pair.private_key for pair in pairs]
    for path, certificates, some in files:
        if not certificates and not any(key in used for key in some):
            without = "its certificate is in none of the files" if pairs else "no certificate"
            problem = f"contains a private key, but {without}" if some else "does not contain a certificate"
            raise ConfigurationError(
                f"certificate: {printable(path)} {problem}",
                hint="name the certificate and its key: x509:///tls.crt?key=/tls.key, or one file that contains both",
            )
    return _leaf_first(pairs)


def _leaf_first(pairs: list[CertificateKey]) -> list[CertificateKey]:
    """Put the leaf of a chain before its authority: nobody could open what is wrapped with that one's certificate."""
    first = pairs[0] if pairs else None
    if first is None or first.private_key is not None:
        return pairs
    leaves = [each for each in pairs if each.private_key and _is_issued_by(each.certificate, first.certificate)]
    return [*leaves, *(each for each in pairs if each not in leaves)]


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    return certificate.issuer == authority.subject != certificate.subject


def holds_private_key(path: str | Path) -> bool:
    """Whether a file may contain a private key; also if it cannot be read."""
    try:
        data = read_file(path, "certificate")
    except ConfigurationError:
        return True
    return b"PRIVATE KEY-----" in data or b"-----BEGIN " not in data


def _read(path: str | Path, password: bytes | None) -> tuple[list[x509.Certificate], list[rsa.RSAPrivateKey]]:
    """Read certificates and RSA keys. Other keys are of no use: a certificate with one is refused."""
    data = read_file(path, "certificate")
    try:
        keys = [key for key in private_keys_in(data, password) if isinstance(key, rsa.RSAPrivateKey)]
        if b"-----BEGIN " in data:
            return (x509.load_pem_x509_certificates(data) if b"-----BEGIN CERTIFICATE" in data else []), keys
        _, certificate, more = pkcs12.load_key_and_certificates(data, password)
    except Exception:  # noqa: BLE001 (cryptography has no common base for what it cannot read)
        raise ConfigurationError(
            f"certificate: {printable(path)} cannot be read, or its password is wrong",
            hint="give PEM or PKCS#12; if the private key is encrypted, add ?password=env:NAME or a file",
        ) from None
    return ([certificate] if certificate else []) + more, keys


def _paired(certificate: x509.Certificate, keys: Iterable[rsa.RSAPrivateKey]) -> CertificateKey:
    return CertificateKey(certificate, next((key for key in keys if _belong_together(certificate, key)), None))


def _belong_together(certificate: x509.Certificate, private: rsa.RSAPrivateKey) -> bool:
    return public_der(certificate.public_key()) == public_der(private.public_key())
