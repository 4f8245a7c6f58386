"""CryptoAPI's key blobs: a session key exported to an exchange key, RSA keys, and signatures over a blob.

All integers, ciphertexts and signatures are little-endian (PUBLICKEYSTRUC and RSAPUBKEY of wincrypt.h)::

    simple key blob := 01 02 0000 ‖ ALG_ID of the session key (4) ‖ 0000A400 ‖ reverse(RSA(session key))
    PUBLICKEYBLOB   := 06 02 0000 ‖ ALG_ID (4) ‖ "RSA1" ‖ bits (4) ‖ exponent (4) ‖ modulus
    PRIVATEKEYBLOB  := 07 02 0000 ‖ ALG_ID (4) ‖ "RSA2" ‖ bits (4) ‖ exponent (4) ‖ modulus
                       ‖ p ‖ q ‖ d mod p-1 ‖ d mod q-1 ‖ q^-1 mod p ‖ d
    signature       := reverse(RSASSA-PKCS1-v1_5(SHA-256, the blob's bytes))                     CryptSignHash

The RSA encryption is PKCS#1 v1.5, or OAEP with SHA-1 where CRYPT_OAEP was asked for; the blob does not say which.
A blob names no owner and has no place for a signature, which is kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dpmiddleware.at_rest.x509 import RsaPrivateKey, unusable_key
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
"""Bytes of a session key by ALG_ID: AES-128, AES-192, AES-256, 3DES, RC4."""
_RSA_EXCHANGE: Final = 0xA400
_RSA_SIGNATURE: Final = 0x2400
_SIMPLE, _PUBLIC, _PRIVATE = b"\x01\x02\0\0", b"\x06\x02\0\0", b"\x07\x02\0\0"
_PKCS1: Final = padding.PKCS1v15()
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 (what CRYPT_OAEP means)
_LARGEST_MODULUS: Final = 2048
"""Bytes: RSA of 16,384 bits, CryptoAPI's own limit."""


class BlobError(ValueError):
    """Bytes that are not the blob they should be."""


@dataclass(frozen=True, slots=True)
class SimpleKeyBlob:
    """A session key, encrypted to an exchange key. ``algorithm``: its ALG_ID. ``transported``: RSA, big-endian."""

    algorithm: int
    transported: bytes

    @classmethod
    def parse(cls, data: bytes) -> SimpleKeyBlob:
        """Take a blob apart; `BlobError` where it is none. Decrypts nothing."""
        algorithm = int.from_bytes(data[4:8], "little")
        exchange = int.from_bytes(data[8:12], "little")
        size = len(data) - 12
        if data[:4] != _SIMPLE or exchange != _RSA_EXCHANGE or not 64 <= size <= _LARGEST_MODULUS:
            raise BlobError("no simple key blob for an RSA exchange key")
        return cls(algorithm, data[:11:-1])

    @classmethod
    def export(cls, key: Secret, exchange: rsa.RSAPublicKey, *, oaep: bool, algorithm: int = AES_256) -> SimpleKeyBlob:
        """Encrypt a session key of the length of ``algorithm`` to an exchange key."""
        if len(key) != KEY_SIZES.get(algorithm):
            raise BlobError("a session key of another length than its algorithm's")
        return cls(algorithm, exchange.encrypt(key.reveal(), _OAEP if oaep else _PKCS1))

    def to_bytes(self) -> bytes:
        """The blob as CryptExportKey gives it."""
        ids = self.algorithm.to_bytes(4, "little") + _RSA_EXCHANGE.to_bytes(4, "little")
        return _SIMPLE + ids + self.transported[::-1]

    def import_key(self, exchange: RsaPrivateKey, *, oaep: bool) -> Secret:
        """Decrypt the session key: one private-key operation. `BlobError`, the same for every cause in the blob.

        Under PKCS#1 v1.5 a wrong blob may also give a random key, on purpose (implicit rejection).
        """
        try:
            key = exchange.decrypt(self.transported, _OAEP if oaep else _PKCS1)
        except ValueError:
            key = b""
        except Exception as error:  # noqa: BLE001 (a module of the user's own, whose errors nobody knows)
            raise unusable_key(error) from None
        if not key or len(key) != KEY_SIZES.get(self.algorithm):
            raise BlobError("the session key does not decrypt with this exchange key")
        return Secret(key)


def sign_blob(blob: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The signature over a blob's bytes, as CryptSignHash with SHA-256 gives it."""
    return key.sign(blob, _PKCS1, hashes.SHA256())[::-1]


def signed_by(blob: bytes, signature: bytes, key: rsa.RSAPublicKey) -> bool:
    """Whether ``signature`` is ``key``'s over ``blob``, with SHA-256; SHA-1 counts for nothing here."""
    try:
        key.verify(signature[::-1], blob, _PKCS1, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def public_key_from_blob(data: bytes) -> rsa.RSAPublicKey:
    """A PUBLICKEYBLOB. `BlobError`."""
    size = _rsa_size(data, _PUBLIC, b"RSA1")
    if len(data) != 20 + size:
        raise BlobError("a PUBLICKEYBLOB of another length than its modulus says")
    return _public_numbers(data, size).public_key()


def private_key_from_blob(data: bytes) -> rsa.RSAPrivateKey:
    """A PRIVATEKEYBLOB. `BlobError`, also where its numbers do not fit each other."""
    size = _rsa_size(data, _PRIVATE, b"RSA2")
    half = size // 2
    if len(data) != 20 + 2 * size + 5 * half:
        raise BlobError("a PRIVATEKEYBLOB of another length than its modulus says")
    start = 20 + size
    p, q, dmp1, dmq1, iqmp = (
        int.from_bytes(data[at : at + half], "little") for at in range(start, start + 5 * half, half)
    )
    d = int.from_bytes(data[start + 5 * half :], "little")
    try:
        return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, _public_numbers(data, size)).private_key()
    except ValueError:
        raise BlobError("a PRIVATEKEYBLOB whose numbers do not fit each other") from None


def _rsa_size(data: bytes, head: bytes, magic: bytes) -> int:
    """Bytes of the modulus."""
    algorithm, bits = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    known = data[:4] == head and data[8:12] == magic and algorithm in {_RSA_EXCHANGE, _RSA_SIGNATURE}
    if not known or bits % 16 or not 512 <= bits <= 8 * _LARGEST_MODULUS:
        raise BlobError("no key blob of an RSA key")
    return bits // 8


def _public_numbers(data: bytes, size: int) -> rsa.RSAPublicNumbers:
    exponent, modulus = int.from_bytes(data[16:20], "little"), int.from_bytes(data[20 : 20 + size], "little")
    return rsa.RSAPublicNumbers(exponent, modulus)
