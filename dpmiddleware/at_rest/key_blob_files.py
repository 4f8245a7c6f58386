"""The files of a session key on a disk that is assumed to be insecure: created, signed, verified.

::

    session.blob       the simple key blob of an AES-256 key              dpmiddleware.at_rest.cryptoapi
    session.blob.sig   the signature over its bytes

Also the RSA keys for it: exchange keys and signers' keys, in the forms that files have.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dpmiddleware.at_rest.cryptoapi import (
    AES_256,
    BlobError,
    SimpleKeyBlob,
    private_key_from_blob,
    public_key_from_blob,
    sign_blob,
    signed_by,
)
from dpmiddleware.at_rest.rsa_keys import MIN_RSA_BITS
from dpmiddleware.crypto.public_keys import private_keys_in, public_key_in
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file, read_password
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import hides_locals

__all__ = [
    "VerifiedBlob",
    "create_key_blob",
    "load_private_key",
    "load_public_key",
    "parse_aes_256_blob",
    "signature_path",
    "verify_key_blob",
    "warn_of_one_key_for_both",
]

_SIGN_HINT: Final = "check who replaced the blob; create a signed one with: dpm key-blob create"


@dataclass(frozen=True, slots=True)
class VerifiedBlob:
    """What is known of a verified blob.

    digest: SHA-256 of its bytes, in hexadecimal.
    bits: the size of the exchange key.
    signer: the file of the public key that verified the signature.
    """

    digest: str
    bits: int
    signer: Path | str


def signature_path(path: str | Path) -> Path:
    """Return where the signature of a blob is stored: next to it."""
    return Path(f"{path}.sig")


@hides_locals
def create_key_blob(
    path: str | Path,
    *,
    exchange: str | Path,
    signer: str | Path,
    password: str | None = None,
    oaep: bool = False,
) -> str:
    """Create an AES-256 session key, export it to the exchange key, sign the blob, store both.

    Returns the blob's SHA-256 in hexadecimal. `ConfigurationError`, also if the blob exists: all keys that are wrapped
    with the session key in it would be lost.

    path: where to store the blob.
    exchange: a file with the exchange key; its public half is enough (certificate, PEM, DER, PUBLICKEYBLOB).
    signer: the signer's private key (PEM, PRIVATEKEYBLOB).
    password: of that file: ``env:NAME`` or the path of a file.
    oaep: encrypt the session key with OAEP instead of PKCS#1 v1.5.
    """
    public = load_public_key(exchange)
    private = load_private_key(signer, password)
    blob = SimpleKeyBlob.export(Secret.random(32), public, oaep=oaep).to_bytes()
    try:
        _write_new(Path(path), blob)
        try:
            _write_new(signature_path(path), sign_blob(blob, private))
        except OSError:
            Path(path).unlink()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"the key blob {printable(path)} was not written: {error.strerror}",
            hint="choose another name, and keep the old blob to unwrap with; a blob is never overwritten",
        ) from None
    warn_of_one_key_for_both(path, public, [private.public_key()])
    return hashlib.sha256(blob).hexdigest()


def verify_key_blob(path: str | Path, trust: Iterable[str | Path], *, blob: bytes | None = None) -> VerifiedBlob:
    """Verify that a trusted key signed a blob of an AES-256 key. Nothing is decrypted.

    `KeyUnwrapError` if it is not so, `ConfigurationError` if a file cannot be read.
    """
    blob = read_file(path, "key blob") if blob is None else blob
    try:
        signature = read_file(signature_path(path), "signature of the key blob")
    except ConfigurationError as error:
        raise KeyUnwrapError(f"the key blob is not signed: {error}", hint=_SIGN_HINT) from None
    signer = next((each for each in trust if signed_by(blob, signature, load_public_key(each))), None)
    if signer is None:
        raise KeyUnwrapError(f"no trusted key signed the key blob {printable(path)}", hint=_SIGN_HINT)
    parsed = parse_aes_256_blob(blob)
    return VerifiedBlob(hashlib.sha256(blob).hexdigest(), 8 * len(parsed.transported), signer)


def parse_aes_256_blob(blob: bytes) -> SimpleKeyBlob:
    """Take the blob of an AES-256 key apart. `KeyUnwrapError`."""
    try:
        parsed = SimpleKeyBlob.parse(blob)
    except BlobError as error:
        raise KeyUnwrapError(f"the key blob cannot be read: {error}", hint=_SIGN_HINT) from None
    if parsed.algorithm != AES_256:
        raise KeyUnwrapError(
            f"the key blob is for another algorithm (ALG_ID {parsed.algorithm:#06x}) than AES-256",
            hint="create one with: dpm key-blob create",
        )
    return parsed


def warn_of_one_key_for_both(path: str | Path, exchange: rsa.RSAPublicKey, signers: Iterable[rsa.RSAPublicKey]) -> None:
    """Emit an event if the exchange key also signs the blob."""
    if exchange.public_numbers() in [key.public_numbers() for key in signers]:
        emit("key_blob_signed_by_exchange_key", "warning", "the exchange key also signs its key blob", path=path)


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


# --- RSA keys -------------------------------------------------------------------------------------------------


@hides_locals
def load_private_key(path: str | Path, password: str | None = None) -> rsa.RSAPrivateKey:
    """Load an RSA key: PEM, PKCS#12 or PRIVATEKEYBLOB. ``password``: ``env:NAME`` or a file. `ConfigurationError`."""
    data = read_file(path, "RSA key")
    protection = read_password(password, "RSA key's password") if password is not None else None
    try:
        is_blob = data.startswith(b"\x07\x02")
        key = private_key_from_blob(data) if is_blob else next(iter(private_keys_in(data, protection)), None)
    except Exception:  # noqa: BLE001 (cryptography has no common base for keys it cannot read)
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        hint = "give PEM or PRIVATEKEYBLOB; for an encrypted file also password=env:NAME or a file"
        if b"-----BEGIN CERTIFICATE" in data:
            hint = "name the file of the private key, for example tls.key and not tls.crt"
        raise ConfigurationError(f"RSA key: {printable(path)} contains no RSA private key that can be read", hint=hint)
    return key


def load_public_key(path: str | Path) -> rsa.RSAPublicKey:
    """Load an RSA key: certificate or public key (PEM, DER), PUBLICKEYBLOB, or the half of a private key in PEM.

    `ConfigurationError`.
    """
    data = read_file(path, "RSA key")
    for load in (public_key_in, _half_of_private_key, public_key_from_blob):
        try:
            key = load(data)
        except Exception:  # noqa: BLE001, S112 (the next form is tried)
            continue
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
            return key
    raise ConfigurationError(
        f"RSA key: {printable(path)} contains no RSA key of {MIN_RSA_BITS} bits or more that can be read",
        hint="give a certificate or public key, PEM or DER, or a PUBLICKEYBLOB",
    )


def _half_of_private_key(data: bytes) -> object:
    return serialization.load_pem_private_key(data, None).public_key()
