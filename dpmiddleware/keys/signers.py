"""The keys that sign documents. The kind of a key decides its algorithm; there is nothing else to choose.

==============  =====================================================================================
key             signature
==============  =====================================================================================
Ed25519         RFC 8032, 64 bytes
RSA ≥ 2048      RSASSA-PSS, SHA-256, MGF1 with SHA-256, salt of 32 bytes (RFC 8017)
ECDSA P-256     SHA-256, DER sequence of r and s (X9.62); convert the result of a service that returns r ‖ s
==============  =====================================================================================
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from dpmiddleware.crypto.public_keys import pem_blocks, private_keys_in, public_der, public_key_in
from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file, read_password
from dpmiddleware.tracebacks import HidesLocals, hides_locals
from dpmiddleware.urls import ConfigurationURL

__all__ = [
    "EcdsaSigner",
    "Ed25519Signer",
    "PublicKey",
    "RsaPssSigner",
    "Signer",
    "checked_key",
    "key_id_of",
    "load_public_keys",
    "load_signer",
    "verify_bytes",
]

PublicKey: TypeAlias = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
"""A key that verifies signatures: Ed25519, RSA, or ECDSA on P-256."""
_MIN_RSA_BITS: Final = 2048
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)


class Signer(Protocol):
    """A private key, wherever it is: in a file, a hardware module or a key service."""

    @property
    def public_key(self) -> PublicKey:
        """The public key. It decides the algorithm; see the table above."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature of ``data``."""
        ...


def key_id_of(key: PublicKey) -> str:
    """The id of a signer: SHA-256 of its public key (DER SubjectPublicKeyInfo) in hex."""
    return hashlib.sha256(public_der(key)).hexdigest()


def verify_bytes(key: PublicKey, signature: bytes, data: bytes) -> None:
    """Return if ``key`` has made ``signature`` of ``data``; else raise ``cryptography``'s ``InvalidSignature``."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, _PSS, hashes.SHA256())
    else:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))


def checked_key(key: object) -> PublicKey:
    """``key``, if documents can be signed with its kind; else `ConfigurationError`."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ConfigurationError(
        "documents cannot be signed with this kind of key",
        hint="use Ed25519, RSA of 2048 bits or more, or ECDSA P-256",
    )


@hides_locals
def load_public_keys(path: str | Path) -> list[PublicKey]:
    """The public keys in a file: PEM keys and certificates (several), or one of them as DER. `ConfigurationError`."""
    data = read_file(path, "trusted signer")
    keys: list[PublicKey] = []
    for block in pem_blocks(data) or [data]:
        if b"PRIVATE KEY-----" in block:
            raise ConfigurationError(
                f"trusted signer: {printable(path)} contains a private key",
                hint="use the public key, and keep the private one where documents are signed: openssl pkey -pubout",
            )
        keys.append(checked_key(_load_public_key(block, path)))
    return keys


def _load_public_key(block: bytes, path: str | Path) -> object:
    try:
        return public_key_in(block)
    except Exception:  # noqa: BLE001 (cryptography has no common base for keys it cannot read)
        problem = f"trusted signer: {printable(path)} does not contain a readable public key or certificate"
        raise ConfigurationError(problem, hint="use PEM or DER, SubjectPublicKeyInfo or X.509") from None


_Key = TypeVar("_Key", ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)


class _PrivateKeySigner(Unpicklable, HidesLocals, Generic[_Key]):
    """A signer with a private key in memory. It shows only its id."""

    path: Path | None = None
    """The file that the private key was read from. Other users should not be able to read it."""

    def __init__(self, key: _Key) -> None:
        self._key: _Key = key
        self.public_key: PublicKey = key.public_key()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {key_id_of(self.public_key)[:16]}…>"


class Ed25519Signer(_PrivateKeySigner[ed25519.Ed25519PrivateKey]):
    """Signs with an Ed25519 private key: the default."""

    @classmethod
    def from_url(cls, url: str) -> Ed25519Signer:
        """``ed25519:///path/signer.pem[?password=env:NAME]`` (PKCS#8). Reads the file; `ConfigurationError`."""
        parts = ConfigurationURL.parse(url, "password")
        reference = parts.options.get("password")
        password = read_password(reference, "signer's password") if reference is not None else None
        signer = load_signer(parts.file(), password)
        if not isinstance(signer, Ed25519Signer):
            raise ConfigurationError(
                "the key of the signer is not an Ed25519 key", hint="create one: openssl genpkey -algorithm ed25519"
            )
        return signer

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(data)


class RsaPssSigner(_PrivateKeySigner[rsa.RSAPrivateKey]):
    """Signs with an RSA private key of 2048 bits or more (RSA-PSS, SHA-256)."""

    def sign(self, data: bytes) -> bytes:
        """As long as the modulus."""
        return self._key.sign(data, _PSS, hashes.SHA256())


class EcdsaSigner(_PrivateKeySigner[ec.EllipticCurvePrivateKey]):
    """Signs with an ECDSA P-256 private key (SHA-256)."""

    def sign(self, data: bytes) -> bytes:
        """A DER sequence of r and s."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


@hides_locals
def load_signer(path: str | Path, password: bytes | None = None) -> Ed25519Signer | RsaPssSigner | EcdsaSigner:
    """The signer whose private key is in a PEM or PKCS#12 file; the key's kind says which. `ConfigurationError`."""
    data = read_file(path, "signer")
    try:
        key = next(iter(private_keys_in(data, password)), None)
    except Exception:  # noqa: BLE001 (cryptography has no common base for keys it cannot read)
        problem = f"signer: {printable(path)} does not contain a readable private key"
        raise ConfigurationError(
            problem, hint="use PEM or PKCS#12; if the key is encrypted, add ?password=env:NAME or a file"
        ) from None
    if key is None:
        raise ConfigurationError(
            f"signer: {printable(path)} does not contain a private key",
            hint="name the file of the private key, for example tls.key and not tls.crt",
        )
    checked_key(key.public_key())
    signer: Ed25519Signer | RsaPssSigner | EcdsaSigner
    if isinstance(key, rsa.RSAPrivateKey):
        signer = RsaPssSigner(key)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signer = EcdsaSigner(key)
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey)  # noqa: S101 (checked_key lets no fourth kind pass)
        signer = Ed25519Signer(key)
    signer.path = Path(path)
    return signer
