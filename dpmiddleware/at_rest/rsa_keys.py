"""RSA private keys that unwrap: what is asked of them. They may be in memory, in a hardware module or in a service."""

from __future__ import annotations

from typing import Final, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from dpmiddleware.errors import KeyUnwrapError

__all__ = ["GOOD_RSA_BITS", "MIN_RSA_BITS", "OAEP", "PKCS1", "RsaPrivateKey", "decrypt"]

MIN_RSA_BITS: Final = 2048
"""Shorter keys wrap nothing. They still unwrap."""
GOOD_RSA_BITS: Final = 3072
"""128 bits of security (NIST SP 800-57), as everything else here has; 2,048 are 112 bits, approved until 2030."""
PKCS1: Final = padding.PKCS1v15()
OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
"""OAEP with SHA-1, as both XML Encryption's ``rsa-oaep-mgf1p`` and CryptoAPI's ``CRYPT_OAEP`` define it.

OAEP does not depend on the collision resistance of its hash.
"""


class RsaPrivateKey(Protocol):
    """A private key; one in a hardware module needs only this method.

    Any other exception than ``ValueError`` means that the key could not be used, and becomes a `KeyUnwrapError`.
    """

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        """Decrypt; ``ValueError`` if the padding is wrong."""
        ...


def decrypt(key: RsaPrivateKey, ciphertext: bytes, scheme: padding.AsymmetricPadding) -> bytes | None:
    """Have a private key decrypt. ``None`` if the padding is wrong; `KeyUnwrapError` if the key cannot be used."""
    try:
        return key.decrypt(ciphertext, scheme)
    except ValueError:
        return None
    except Exception as error:  # noqa: BLE001 (a module of the user's own; its message may contain anything)
        raise KeyUnwrapError(
            f"the private key could not be used: {type(error).__name__}",
            hint="check the module or service that holds it",
        ) from None
