"""CryptoAPI's key blobs: a session key exported to an exchange key, RSA keys, and signatures over a blob.

All integers, ciphertexts and signatures are little-endian (PUBLICKEYSTRUC and RSAPUBKEY of wincrypt.h)::

    simple key blob := 01 02 0000 ‖ ALG_ID of the session key (4) ‖ 0000A400 ‖ reverse(RSA(session key))
    PUBLICKEYBLOB   := 06 02 0000 ‖ ALG_ID (4) ‖ "RSA1" ‖ bits (4) ‖ exponent (4) ‖ modulus
    PRIVATEKEYBLOB  := 07 02 0000 ‖ ALG_ID (4) ‖ "RSA2" ‖ bits (4) ‖ exponent (4) ‖ modulus
                       ‖ p ‖ q ‖ d mod p-1 ‖ d mod q-1 ‖ q^-1 mod p ‖ d
    signature       := reverse(RSASSA-PKCS1-v1_5(SHA-256, the blob's bytes))                     CryptSignHash

The RSA encryption is PKCS#1 v1.5, or OAEP with SHA-1 if CRYPT_OAEP was used; the blob does not say which. A blob does
not name an owner and has no place for a signature, which is stored next to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from dpmiddleware.at_rest.rsa_keys import OAEP, PKCS1, RsaPrivateKey, decrypt
from dpmiddleware.crypto.secret import Secret

__all__ = [
    "AES_256",
    "KEY_SIZES",
    "BlobError",
    "SimpleKeyBlob",
    "private_key_from_blob",
    "public_key_from_blob",
    "sign_blob",
    "signed_by",
]

AES_256: Final = 0x6610
KEY_SIZES: Final = {0x660E: 16, 0x660F: 24, AES_256: 32, 0x6603: 24, 0x6801: 16}
"""Bytes of a session key per ALG_ID: AES-128, AES-192, AES-256, 3DES, RC4."""
_RSA_EXCHANGE: Final = 0xA400
_RSA_SIGNATURE: Final = 0x2400
_SIMPLE, _PUBLIC, _PRIVATE = b"\x01\x02\0\0", b"\x06\x02\0\0", b"\x07\x02\0\0"
_LARGEST_MODULUS: Final = 2048
"""Bytes: RSA of 16,384 bits, the limit of CryptoAPI."""


class BlobError(ValueError):
    """The bytes are not a blob of the expected kind."""


@dataclass(frozen=True, slots=True)
class SimpleKeyBlob:
    """An encrypted session key. ``algorithm``: its ALG_ID. ``transported``: the RSA ciphertext, big-endian."""

    algorithm: int
    transported: bytes

    @classmethod
    def parse(cls, data: bytes) -> SimpleKeyBlob:
        """Take a blob apart, without decrypting. `BlobError`."""
        algorithm = int.from_bytes(data[4:8], "little")
        exchange = int.from_bytes(data[8:12], "little")
        size = len(data) - 12
        if data[:4] != _SIMPLE or exchange != _RSA_EXCHANGE or not 64 <= size <= _LARGEST_MODULUS:
            raise BlobError("not a simple key blob for an RSA exchange key")
        return cls(algorithm, data[:11:-1])

    @classmethod
    def export(cls, key: Secret, exchange: rsa.RSAPublicKey, *, oaep: bool, algorithm: int = AES_256) -> SimpleKeyBlob:
        """Encrypt a session key of the length of ``algorithm`` to an exchange key."""
        if len(key) != KEY_SIZES.get(algorithm):
            raise BlobError("the length of the session key does not fit its algorithm")
        return cls(algorithm, exchange.encrypt(key.reveal(), OAEP if oaep else PKCS1))

    def to_bytes(self) -> bytes:
        """Return the blob, as CryptExportKey returns it."""
        ids = self.algorithm.to_bytes(4, "little") + _RSA_EXCHANGE.to_bytes(4, "little")
        return _SIMPLE + ids + self.transported[::-1]

    def import_key(self, exchange: RsaPrivateKey, *, oaep: bool) -> Secret:
        """Decrypt the session key: one private-key operation. `BlobError`, the same for every cause in the blob.

        With PKCS#1 v1.5, a wrong blob may also give a random key, on purpose (implicit rejection).
        """
        key = decrypt(exchange, self.transported, OAEP if oaep else PKCS1)
        if not key or len(key) != KEY_SIZES.get(self.algorithm):
            raise BlobError("the session key does not decrypt with this exchange key")
        return Secret(key)


def sign_blob(blob: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """Sign a blob's bytes, as CryptSignHash with SHA-256 does."""
    return key.sign(blob, PKCS1, hashes.SHA256())[::-1]


def signed_by(blob: bytes, signature: bytes, key: rsa.RSAPublicKey) -> bool:
    """Whether ``signature`` is the signature of ``key`` over ``blob`` with SHA-256; one with SHA-1 is not accepted."""
    try:
        key.verify(signature[::-1], blob, PKCS1, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def public_key_from_blob(data: bytes) -> rsa.RSAPublicKey:
    """Load a PUBLICKEYBLOB. `BlobError`."""
    size = _rsa_size(data, _PUBLIC, b"RSA1")
    if len(data) != 20 + size:
        raise BlobError("the length of the PUBLICKEYBLOB does not fit its modulus")
    return _public_numbers(data, size).public_key()


def private_key_from_blob(data: bytes) -> rsa.RSAPrivateKey:
    """Load a PRIVATEKEYBLOB. `BlobError`, also if its numbers do not fit each other."""
    size = _rsa_size(data, _PRIVATE, b"RSA2")
    half = size // 2
    if len(data) != 20 + 2 * size + 5 * half:
        raise BlobError("the length of the PRIVATEKEYBLOB does not fit its modulus")
    start = 20 + size
    p, q, dmp1, dmq1, iqmp = (
        int.from_bytes(data[at : at + half], "little") for at in range(start, start + 5 * half, half)
    )
    d = int.from_bytes(data[start + 5 * half :], "little")
    try:
        return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, _public_numbers(data, size)).private_key()
    except ValueError:
        raise BlobError("the numbers of the PRIVATEKEYBLOB do not fit each other") from None


def _rsa_size(data: bytes, head: bytes, magic: bytes) -> int:
    """Check the head of a blob; return the size of the modulus in bytes."""
    algorithm, bits = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    known = data[:4] == head and data[8:12] == magic and algorithm in {_RSA_EXCHANGE, _RSA_SIGNATURE}
    if not known or bits % 16 or not 512 <= bits <= 8 * _LARGEST_MODULUS:
        raise BlobError("not a key blob of an RSA key")
    return bits // 8


def _public_numbers(data: bytes, size: int) -> rsa.RSAPublicNumbers:
    exponent, modulus = int.from_bytes(data[16:20], "little"), int.from_bytes(data[20 : 20 + size], "little")
    return rsa.RSAPublicNumbers(exponent, modulus)
