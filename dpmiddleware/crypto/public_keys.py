"""Keys in the forms that files have."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization

__all__ = ["pem_blocks", "public_key_in"]


def public_key_in(data: bytes) -> object:
    """Load the key of a public key or certificate, PEM or DER. Raises various errors of ``cryptography``."""
    if b"-----BEGIN CERTIFICATE" in data:
        return x509.load_pem_x509_certificate(data).public_key()
    if b"-----BEGIN " in data:
        return serialization.load_pem_public_key(data)
    try:
        return serialization.load_der_public_key(data)
    except ValueError:
        return x509.load_der_x509_certificate(data).public_key()


def pem_blocks(data: bytes) -> list[bytes]:
    """The blocks of a PEM file, each from ``-----BEGIN`` to the end of its ``-----END`` line. Takes linear time."""
    blocks: list[bytes] = []
    at = 0
    while (start := data.find(b"-----BEGIN ", at)) >= 0:
        end = data.find(b"-----END ", start)
        close = data.find(b"-----", end + 9) if end >= 0 else -1
        if close < 0:
            break
        at = close + 5
        blocks.append(data[start:at])
    return blocks
