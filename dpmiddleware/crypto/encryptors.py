"""Authenticated encryption of one payload with one key, byte for byte as in ASP.NET Core.

The body of a payload follows its magic and key id::

    CBC := key modifier (16) ‖ IV (block) ‖ ciphertext (PKCS #7, at least one block) ‖ HMAC(IV ‖ ciphertext)
    GCM := key modifier (16) ‖ nonce (12) ‖ ciphertext (as long as the plaintext)    ‖ tag (16)

The two keys of CBC, or the one key of GCM, are derived for each payload from master key, label, context header and key
modifier (`dpmiddleware.crypto.derivation`). This derivation is also what authenticates the label (key id and purposes)
and the modifier: the MAC does not cover them. A context header is a constant that identifies an algorithm. It contains
the result of running the algorithm with empty input::

    CBC := 0000 ‖ BE32(key) ‖ BE32(block) ‖ BE32(HMAC key) ‖ BE32(digest) ‖ CBC(zeros, "") ‖ HMAC("")
    GCM := 0001 ‖ BE32(key) ‖ BE32(12) ‖ BE32(16) ‖ BE32(16) ‖ GCM tag(zeros, "")

The MAC is compared, in constant time, before anything is decrypted. CBC exists in C as well (`_cbc_hmac.c`), with one
call per payload: `cryptography` needs several calls for it, but only one for GCM.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from dpmiddleware import compiled
from dpmiddleware.crypto.derivation import derive, prepare, short_hmac
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import TamperedPayloadError, UnsupportedAlgorithmError
from dpmiddleware.tracebacks import hides_locals

__all__ = ["Algorithm", "AuthenticatedEncryptor", "BoundEncryptor", "CbcHmac", "Gcm", "Suite"]

_MODIFIER: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_LONGEST_PAYLOAD: Final = 2**31 - 1
_LONGEST_PLAINTEXT: Final = 2**31 - 1025
"""Bytes. OpenSSL takes lengths as signed 32-bit numbers. The compiled core has the same limits."""
_DIGESTS: Final = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


class BoundEncryptor(NamedTuple):
    """The two operations of one key for one label. Each call is one payload. Thread-safe."""

    encrypt: Callable[[bytes], bytes]
    """Encrypt a plaintext to ``head ‖ body``, with new random bytes. ``OverflowError`` for 2 GiB or more."""
    decrypt: Callable[[bytes], bytes]
    """Decrypt ``head ‖ body``. `TamperedPayloadError` for every failure. The head is not checked."""


@dataclass(frozen=True, slots=True)
class CbcHmac:
    """CBC with PKCS #7, then HMAC. ``key_size``: bytes. ``digest``: sha1, sha256, sha384 or sha512."""

    key_size: int
    digest: str = "sha256"
    cipher: str = "AES"

    def __post_init__(self) -> None:
        key_sizes = {"AES": {16, 24, 32}, "3DES": {24}}.get(self.cipher, set())
        if self.key_size not in key_sizes or self.digest not in _DIGESTS:
            raise UnsupportedAlgorithmError(f"{self.name} is not supported")

    @property
    def name(self) -> str:
        """The name, in the style of ASP.NET Core's documentation."""
        return f"{self.cipher}-{8 * self.key_size}-CBC + HMAC{self.digest.upper()}"

    def block_cipher(self) -> Callable[[bytes], CipherAlgorithm]:
        """The class of the cipher. A future version of ``cryptography`` may lack TripleDES."""
        if self.cipher == "AES":
            return AES
        try:
            from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
        except ImportError as error:
            raise UnsupportedAlgorithmError(
                "the installed version of cryptography does not have TripleDES",
                hint="install cryptography 50, or create a key with another algorithm and revoke this one",
            ) from error
        return TripleDES

    def bind(self, master_key: bytes, label: bytes, head: bytes) -> BoundEncryptor:
        """See `AuthenticatedEncryptor.bind`."""
        return _bind_compiled(self, master_key, label, head) or _bind_cbc(self, master_key, label, head)


@dataclass(frozen=True, slots=True)
class Gcm:
    """AES-GCM. ``key_size`` in bytes."""

    key_size: int

    def __post_init__(self) -> None:
        if self.key_size not in {16, 24, 32}:
            raise UnsupportedAlgorithmError(f"AES does not have keys of {8 * self.key_size} bits")

    @property
    def name(self) -> str:
        """The name, in the style of ASP.NET Core's documentation."""
        return f"AES-{8 * self.key_size}-GCM"

    def bind(self, master_key: bytes, label: bytes, head: bytes) -> BoundEncryptor:
        """See `AuthenticatedEncryptor.bind`."""
        return _bind_gcm(self, master_key, label, head)


Suite = CbcHmac | Gcm


class Algorithm(enum.Enum):
    """The algorithms for new keys, as in ASP.NET Core's enumerations. Payloads of all of them can always be read."""

    AES_128_CBC_HMACSHA256 = CbcHmac(16, "sha256")
    AES_192_CBC_HMACSHA256 = CbcHmac(24, "sha256")
    AES_256_CBC_HMACSHA256 = CbcHmac(32, "sha256")
    AES_128_CBC_HMACSHA512 = CbcHmac(16, "sha512")
    AES_192_CBC_HMACSHA512 = CbcHmac(24, "sha512")
    AES_256_CBC_HMACSHA512 = CbcHmac(32, "sha512")
    AES_128_GCM = Gcm(16)
    AES_192_GCM = Gcm(24)
    AES_256_GCM = Gcm(32)


class AuthenticatedEncryptor:
    """A master key and the algorithms that it is used with."""

    __slots__ = ("_secret", "suite")

    def __init__(self, secret: Secret, suite: Suite) -> None:
        self._secret = secret
        self.suite = suite

    @hides_locals
    def bind(self, label: bytes, head: bytes = b"") -> BoundEncryptor:
        """Prepare encryption and decryption for one ``label`` (additional authenticated data).

        ``head`` is written before each body. This takes about 20 µs and 2 KB, so `DataProtector` keeps the result.
        """
        return self.suite.bind(self._secret.reveal(), label, head)

    def same_as(self, other: AuthenticatedEncryptor) -> bool:
        """Whether both can open the same payloads; in constant time."""
        return self.suite == other.suite and self._secret == other._secret

    def __repr__(self) -> str:
        return f"<AuthenticatedEncryptor {self.suite.name}>"


def _bind_compiled(suite: CbcHmac, master_key: bytes, label: bytes, head: bytes) -> BoundEncryptor | None:
    """Bind with the compiled core. ``None`` if there is none, or its OpenSSL does not have the algorithms.

    suite, master_key: the algorithms and the key.
    label, head: as for `AuthenticatedEncryptor.bind`.
    """
    core = compiled.load("crypto._cbc_hmac") if suite.cipher == "AES" else None
    if core is None:
        return None
    short_key = master_key if len(master_key) <= 128 else hashlib.sha512(master_key).digest()  # as HMAC does
    fixed = label + b"\0" + context_header(suite)
    name = f"AES-{8 * suite.key_size}-CBC"
    try:
        bound = core.CbcHmac(name, suite.digest, short_key, fixed, head, os.urandom, _refuse)
    except (ValueError, RuntimeError):
        return None
    return BoundEncryptor(bound.encrypt, bound.decrypt)


def _bind_cbc(suite: CbcHmac, master_key: bytes, label: bytes, head: bytes) -> BoundEncryptor:
    key_size, digest_size, digest = suite.key_size, _DIGESTS[suite.digest], suite.digest
    algorithm = suite.block_cipher()
    block = _block_size(suite)
    subkeys = prepare(master_key, label, context_header(suite), key_size + digest_size)
    mac = short_hmac(digest)
    paddings = [bytes([n]) * n for n in range(block + 1)]
    start, first = len(head), len(head) + _MODIFIER
    shortest = first + 2 * block + digest_size

    def encrypt(plaintext: bytes) -> bytes:
        random = os.urandom(_MODIFIER + block)
        modifier, iv = random[:_MODIFIER], random[_MODIFIER:]
        padded = _bounded(plaintext) + paddings[block - len(plaintext) % block]
        keys = subkeys(modifier)
        authenticated = iv + Cipher(algorithm(keys[:key_size]), CBC(iv)).encryptor().update(padded)
        return head + modifier + authenticated + mac(keys[key_size:], authenticated)

    def authentic(payload: bytes) -> bytes | None:
        keys = subkeys(payload[start:first])
        authenticated = payload[first:-digest_size]
        if not hmac.compare_digest(mac(keys[key_size:], authenticated), payload[-digest_size:]):
            return None
        iv, ciphertext = authenticated[:block], authenticated[block:]
        if len(ciphertext) % block:
            return None
        padded = Cipher(algorithm(keys[:key_size]), CBC(iv)).decryptor().update(ciphertext)
        length = padded[-1]
        return padded[:-length] if 0 < length <= block and padded[-length:] == paddings[length] else None

    def decrypt(payload: bytes) -> bytes:
        """Refuse in a frame that does not hold the keys: error reporters show local variables."""
        plaintext = authentic(payload) if shortest <= len(payload) <= _LONGEST_PAYLOAD else None
        if plaintext is None:
            raise _tampered()
        return plaintext

    return BoundEncryptor(encrypt, decrypt)


def _bind_gcm(suite: Gcm, master_key: bytes, label: bytes, head: bytes) -> BoundEncryptor:
    subkey = prepare(master_key, label, context_header(suite), suite.key_size)
    start, first, second = len(head), len(head) + _MODIFIER, len(head) + _MODIFIER + _NONCE
    shortest = second + _TAG

    def encrypt(plaintext: bytes) -> bytes:
        random = os.urandom(_MODIFIER + _NONCE)
        cipher = AESGCM(subkey(random[:_MODIFIER]))
        return head + random + cipher.encrypt(random[_MODIFIER:], _bounded(plaintext), None)

    def decrypt(payload: bytes) -> bytes:
        if not shortest <= len(payload) <= _LONGEST_PAYLOAD:
            raise _tampered()
        try:
            return AESGCM(subkey(payload[start:first])).decrypt(payload[first:second], payload[second:], None)
        except InvalidTag:
            raise _tampered() from None

    return BoundEncryptor(encrypt, decrypt)


@functools.lru_cache(maxsize=32)
def context_header(suite: Suite) -> bytes:
    """The constant that identifies an algorithm in the key derivation; its layout is in the module's docstring."""
    if isinstance(suite, Gcm):
        key = derive(b"", b"", b"", suite.key_size)
        sizes = (suite.key_size, _NONCE, 16, _TAG)
        return b"\0\1" + _be32(*sizes) + AESGCM(key).encrypt(bytes(_NONCE), b"", None)
    digest_size, block = _DIGESTS[suite.digest], _block_size(suite)
    keys = derive(b"", b"", b"", suite.key_size + digest_size)
    cipher = Cipher(suite.block_cipher()(keys[: suite.key_size]), CBC(bytes(block)))
    encrypted = cipher.encryptor().update(bytes([block]) * block)
    sizes = (suite.key_size, block, digest_size, digest_size)
    return b"\0\0" + _be32(*sizes) + encrypted + hmac.digest(keys[suite.key_size :], b"", suite.digest)


def _block_size(suite: CbcHmac) -> int:
    return 16 if suite.cipher == "AES" else 8


def _be32(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def _bounded(plaintext: bytes) -> bytes:
    if len(plaintext) > _LONGEST_PLAINTEXT:
        raise OverflowError("a plaintext of 2 GiB or more cannot be encrypted")
    return plaintext


def _refuse() -> NoReturn:
    raise _tampered()


def _tampered() -> TamperedPayloadError:
    """The same error for everything that can be wrong with a body."""
    return TamperedPayloadError("the payload was changed, or was made for another purpose or application")
