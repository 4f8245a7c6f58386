"""Key material that ``dpm init`` creates. It goes into files that only their owner reads, never to a terminal."""

from __future__ import annotations

import base64
import os
from datetime import datetime, timedelta, timezone
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from dpmiddleware.tracebacks import hides_locals

__all__ = ["certificate", "secret", "signer"]

_BITS: Final = 3072
_YEARS: Final = timedelta(days=3650)
_LONGEST_NAME: Final = 64 - len("keys of ")
"""X.520 ends a common name at 64 characters."""


@hides_locals
def certificate(application: str) -> str:
    """A self-signed certificate and its RSA key, in one PEM text: .NET members can use it, too."""
    key = rsa.generate_private_key(65537, _BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"keys of {application[:_LONGEST_NAME]}")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (made.public_bytes(Encoding.PEM) + private).decode()


def secret() -> str:
    """32 random bytes, as ``openssl rand -base64 32`` writes them."""
    return base64.b64encode(os.urandom(32)).decode() + "\n"


@hides_locals
def signer() -> tuple[str, str]:
    """An Ed25519 key, and its public half; both PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
