"""Keys in the forms that files have.

``cryptography`` takes longer to import its readers of files than the rest of this package takes, and most processes
read no such file. So they are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

__all__ = ["pem_blocks", "private_keys_in", "public_der", "public_key_in"]


def public_key_in(data: bytes) -> object:
    """Load the key of a public key or certificate, PEM or DER. Raises various errors of ``cryptography``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if b"-----BEGIN CERTIFICATE" in data:
        return x509.load_pem_x509_certificate(data).public_key()
    if b"-----BEGIN " in data:
        return serialization.load_pem_public_key(data)
    try:
        return serialization.load_der_public_key(data)
    except ValueError:
        return x509.load_der_x509_certificate(data).public_key()


def private_keys_in(data: bytes, password: bytes | None) -> Sequence[PrivateKeyTypes]:
    """Load the private keys of a PEM or PKCS#12 file. Raises various errors of ``cryptography``.

    A PEM file may also contain certificates. The password is used where a key is encrypted.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    if b"-----BEGIN " not in data:
        key, _, _ = pkcs12.load_key_and_certificates(data, password)
        return [] if key is None else [key]
    blocks = [block for block in pem_blocks(data) if b"PRIVATE KEY-----" in block]
    return [serialization.load_pem_private_key(each, password if b"ENCRYPTED" in each else None) for each in blocks]


def public_der(key: PublicKeyTypes) -> bytes:
    """A public key as DER SubjectPublicKeyInfo: equal for equal keys."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


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
