"""Keys sealed under one session key, which lies on a disk that is assumed insecure.

The procedure of CryptoAPI's documentation for storing a session key: exported as a simple key blob to an RSA exchange
key, signed, stored; read, the signature checked, imported. Whoever can write to the disk could otherwise put a blob of
a key of his own there (the exchange key's public half is enough) and read all that is encrypted from then on; so the
signature must be that of a key the reader was told to trust, and is checked before the exchange key is used. ::

    session.blob       the simple key blob of an AES-256 key              dpmiddleware.at_rest.cryptoapi
    session.blob.sig   the signature over its bytes

    decryptorType = "dpmiddleware.KeyBlob.v1"
    <sealedKey>, with <value>base64 of sealed</value>

    sealed := nonce (12, random) ‖ AES-256-GCM(session key, nonce, <masterKey> as UTF-8, binding) ‖ tag (16)
    binding: `dpmiddleware.at_rest.elements`

All keys of a ring cost one private-key operation a process, and the exchange key may be in hardware. Ours; .NET cannot
use a key that is wrapped so.
"""

from __future__ import annotations

import hashlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509
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
from dpmiddleware.at_rest.elements import binding_bytes, children, decode, new_element, open_sealed, opened, seal
from dpmiddleware.at_rest.x509 import RsaPrivateKey
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file, read_password
from dpmiddleware.telemetry import emit
from dpmiddleware.urls import ConfigurationURL

__all__ = [
    "DECRYPTOR_TYPE",
    "KeyBlobKeyWrapper",
    "VerifiedBlob",
    "create_key_blob",
    "signature_path",
    "verify_key_blob",
]

DECRYPTOR_TYPE: Final = "dpmiddleware.KeyBlob.v1"
_MIN_RSA_BITS: Final = 2048
_SIGN_HINT: Final = "was the blob exchanged? if it is yours: dpm key-blob create, with the signer's private key"


class KeyBlobKeyWrapper:
    """Seals keys under the session key in a blob. Files are read at the first use, and the blob is imported once.

    path: the blob; its signature lies beside it. exchange: the exchange key's private half, as PEM or PRIVATEKEYBLOB
    file, or an object that decrypts. trust: files of the public keys or certificates that may sign the blob.
    password: of the exchange key's file, ``env:NAME`` or a file. oaep: the blob was exported with CRYPT_OAEP.
    allow_unsigned: read a blob that nobody vouches for, with a warning: anyone who can write to the disk reads along.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        exchange: str | Path | RsaPrivateKey,
        trust: Iterable[str | Path] = (),
        password: str | None = None,
        oaep: bool = False,
        allow_unsigned: bool = False,
    ) -> None:
        self._path = Path(path)
        self._exchange = exchange
        self.private_files = (Path(exchange),) if isinstance(exchange, str | Path) else ()
        """Files that others should not be able to read; the blob is made for an insecure disk."""
        self._trust = tuple(trust)
        if not self._trust and not allow_unsigned:
            raise ConfigurationError(
                "a key blob needs somebody who is trusted to have signed it",
                hint="give trust= the signer's public key; without it, whoever can write to the disk can read along",
            )
        self._password = password
        self._oaep = oaep
        self._session_key: Secret | None = None
        self._useless = b""

    @classmethod
    def from_url(cls, url: str) -> KeyBlobKeyWrapper:
        """``keyblob:///session.blob?exchange=/exchange.pem&trust=/signer.pub[&password=env:NAME][&padding=oaep]``."""
        parts = ConfigurationURL.parse(url, "exchange", "trust", "password", "padding")
        if "exchange" not in parts.options:
            raise ConfigurationError("keyblob: names no exchange key", hint="add ?exchange=/path/of/exchange.pem")
        scheme = parts.options.get("padding", "pkcs1")
        if scheme not in {"pkcs1", "oaep"}:
            raise ConfigurationError(f"keyblob: padding {printable(scheme)} is unknown", hint="pkcs1 or oaep")
        trust = [parts.options["trust"]] if "trust" in parts.options else []
        password = parts.options.get("password")
        exchange = parts.options["exchange"]
        return cls(parts.file(), exchange=exchange, trust=trust, password=password, oaep=scheme == "oaep")

    @property
    def decryptor_types(self) -> frozenset[str]:
        """`DECRYPTOR_TYPE`."""
        return frozenset({DECRYPTOR_TYPE})

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Seal under the session key. `ConfigurationError`, `KeyUnwrapError` where that is not to be had."""
        sealed = seal(self._imported().reveal(), dump(secret), binding_bytes(DECRYPTOR_TYPE, binding))
        return DECRYPTOR_TYPE, new_element("sealedKey", value=sealed)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Open with the session key. `KeyUnwrapError`."""
        sealed = decode(*children(encrypted, "value"))
        try:
            key = self._imported().reveal()
        except ConfigurationError as error:
            raise KeyUnwrapError(f"no session key to unwrap with: {error}", hint=error.hint) from None
        plaintext = open_sealed(key, sealed, binding_bytes(DECRYPTOR_TYPE, binding))
        if plaintext is None:
            raise KeyUnwrapError(
                "the session key does not open the key",
                hint="was the blob replaced? give the old one as well; else the document was changed or moved here",
            )
        return opened(plaintext)

    def _imported(self) -> Secret:
        """The session key. Imported once; a blob that was of no use is not tried again until it changes."""
        if self._session_key is None:
            blob = read_file(self._path, "key blob")
            if self._trust:
                verify_key_blob(self._path, self._trust, blob=blob)
            else:
                emit("key_blob_unsigned", "warning", "a session key is used that nobody vouches for", path=self._path)
            self._session_key = self._import(blob)
        return self._session_key

    def _import(self, blob: bytes) -> Secret:
        digest = hashlib.sha256(blob).digest()
        if digest == self._useless:
            raise _useless_blob()
        exchange = self._exchange
        if isinstance(exchange, str | Path):
            exchange = _load_private(exchange, self._password)
            self._warn_of_two_jobs(exchange)
        try:
            return _of_aes_256(blob).import_key(exchange, oaep=self._oaep)
        except BlobError:
            self._useless = digest
            raise _useless_blob() from None

    def _warn_of_two_jobs(self, exchange: rsa.RSAPrivateKey) -> None:
        numbers = exchange.public_key().public_numbers()
        if any(numbers == _load_public(path).public_numbers() for path in self._trust):
            emit("key_blob_signed_by_exchange_key", "warning", "give the signer a key of its own", path=self._path)

    def __repr__(self) -> str:
        return f"<KeyBlobKeyWrapper {printable(self._path)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


def _useless_blob() -> KeyUnwrapError:
    return KeyUnwrapError(
        "the session key does not decrypt with the exchange key",
        hint="is it this exchange key's blob, and was it exported with the same padding?",
    )


# --- creating and verifying a blob --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifiedBlob:
    """What may be said about a blob. ``digest``: SHA-256 of its bytes, hex. ``bits``: of the exchange key."""

    digest: str
    bits: int
    signer: Path | str


def signature_path(path: str | Path) -> Path:
    """Where the signature of a blob lies: beside it."""
    return Path(f"{path}.sig")


def create_key_blob(
    path: str | Path,
    *,
    exchange: str | Path,
    signer: str | Path,
    password: str | None = None,
    oaep: bool = False,
) -> str:
    """Make an AES-256 session key, export it to the exchange key, sign the blob, store both; its SHA-256 in hex.

    exchange: a file with the exchange key; its public half is enough (certificate, PEM, DER, PUBLICKEYBLOB).
    signer: the signer's private key (PEM, PRIVATEKEYBLOB); password: of that file, ``env:NAME`` or a file. An existing
    blob is never replaced: all keys that were sealed under it would be lost. `ConfigurationError`.
    """
    public = _load_public(exchange)
    private = _load_private(signer, password)
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
            f"key blob: {printable(path)} was not written: {error.strerror}",
            hint="an existing blob is not replaced; choose another name, and keep the old one to unwrap with",
        ) from None
    if public.public_numbers() == private.public_key().public_numbers():
        emit("key_blob_signed_by_exchange_key", "warning", "give the signer a key of its own", path=path)
    return hashlib.sha256(blob).hexdigest()


def verify_key_blob(path: str | Path, trust: Iterable[str | Path], *, blob: bytes | None = None) -> VerifiedBlob:
    """Return if a trusted key signed the blob, and it is one of an AES-256 key; decrypts nothing.

    `KeyUnwrapError` where it is not; `ConfigurationError` where a file cannot be read.
    """
    blob = read_file(path, "key blob") if blob is None else blob
    try:
        signature = read_file(signature_path(path), "signature of the key blob")
    except ConfigurationError as error:
        raise KeyUnwrapError(f"the key blob is not signed: {error}", hint=_SIGN_HINT) from None
    for source in trust:
        if signed_by(blob, signature, _load_public(source)):
            break
    else:
        raise KeyUnwrapError(f"no trusted key signed the key blob {printable(path)}", hint=_SIGN_HINT)
    parsed = _of_aes_256(blob)
    return VerifiedBlob(hashlib.sha256(blob).hexdigest(), 8 * len(parsed.transported), source)


def _of_aes_256(blob: bytes) -> SimpleKeyBlob:
    """`BlobError` would say the same of every blob; what is wrong with a signed one may be told."""
    try:
        parsed = SimpleKeyBlob.parse(blob)
    except BlobError as error:
        raise KeyUnwrapError(f"the key blob cannot be read: {error}", hint=_SIGN_HINT) from None
    if parsed.algorithm != AES_256:
        raise KeyUnwrapError(
            f"the key blob is one of another algorithm (ALG_ID {parsed.algorithm:#06x}), not of AES-256",
            hint="dpm key-blob create makes one",
        )
    return parsed


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


# --- key files ----------------------------------------------------------------------------------------------


def _load_private(path: str | Path, password: str | None = None) -> rsa.RSAPrivateKey:
    data = read_file(path, "RSA key")
    protection = read_password(password, "RSA key's password") if password is not None else None
    try:
        key = serialization.load_pem_private_key(data, protection) if b"-----" in data else private_key_from_blob(data)
    except Exception:  # noqa: BLE001 (cryptography has no common base for keys it cannot read)
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(
            f"RSA key: {printable(path)} holds no RSA private key that can be read",
            hint="PEM or PRIVATEKEYBLOB; with password=env:NAME or a file where encrypted",
        )
    return key


def _load_public(path: str | Path) -> rsa.RSAPublicKey:
    """The RSA key in a file: certificate or public key, PEM or DER, PUBLICKEYBLOB; or of a private key its half."""
    data = read_file(path, "RSA key")
    for load in (_public_from_pem, public_key_from_blob, _public_from_der):
        try:
            key = load(data)
        except Exception:  # noqa: BLE001, S112 (the next form is tried)
            continue
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
            return key
    raise ConfigurationError(
        f"RSA key: {printable(path)} holds no RSA key of 2048 bits or more that can be read",
        hint="a certificate or public key, PEM or DER, or a PUBLICKEYBLOB",
    )


def _public_from_pem(data: bytes) -> object:
    if b"-----BEGIN CERTIFICATE" in data:
        return x509.load_pem_x509_certificate(data).public_key()
    if b"PRIVATE KEY-----" in data:
        return serialization.load_pem_private_key(data, None).public_key()
    return serialization.load_pem_public_key(data)


def _public_from_der(data: bytes) -> object:
    try:
        return serialization.load_der_public_key(data)
    except ValueError:
        return x509.load_der_x509_certificate(data).public_key()
