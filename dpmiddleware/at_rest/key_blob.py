"""Keys encrypted with one session key, which is stored in a key blob on a disk that is assumed to be insecure.

This is the procedure of CryptoAPI's documentation for storing a session key: it is exported as a simple key blob to an
RSA exchange key, signed and stored; to use it, the signature is verified and the blob is imported. Without a signature,
an attacker who can write to the disk could replace the blob by one of their own session key, because exporting needs
only the public half of the exchange key, and read everything that is encrypted from then on. So the signature has to be
that of a trusted key, and is verified before the exchange key is used. ::

    decryptorType = "dpmiddleware.KeyBlob.v1"
    <sealedKey>, with <value>base64 of sealed</value>

    sealed := nonce (12, random) ‖ AES-256-GCM(session key, nonce, <masterKey> as UTF-8, binding) ‖ tag (16)
    binding: `dpmiddleware.at_rest.elements`; the files: `dpmiddleware.at_rest.key_blob_files`

All keys of a ring cost one private-key operation per process, and the exchange key may be in hardware. The format is
ours; .NET cannot use a key that is wrapped so.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dpmiddleware.at_rest.cryptoapi import BlobError
from dpmiddleware.at_rest.elements import (
    binding_bytes,
    children,
    decode,
    decrypt,
    encrypt,
    master_key_in,
    new_element,
)
from dpmiddleware.at_rest.key_blob_files import (
    load_private_key,
    load_public_key,
    parse_aes_256_blob,
    verify_key_blob,
    warn_of_one_key_for_both,
)
from dpmiddleware.at_rest.rsa_keys import RsaPrivateKey
from dpmiddleware.crypto.secret import Secret, Unpicklable
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_file
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.urls import ConfigurationURL

__all__ = ["DECRYPTOR_TYPE", "KeyBlobKeyWrapper"]

DECRYPTOR_TYPE: Final = "dpmiddleware.KeyBlob.v1"


class KeyBlobKeyWrapper(Unpicklable, HidesLocals):
    """Wraps keys with the session key in a blob. Files are read on first use, and the blob is imported once.

    path: the blob; its signature is stored next to it.
    exchange: the exchange key's private half: a file (PEM, PRIVATEKEYBLOB), or an object that decrypts.
    trust: files of the public keys or certificates that may sign the blob.
    password: of the exchange key's file: ``env:NAME`` or the path of a file.
    oaep: whether the blob was exported with CRYPT_OAEP.
    allow_unsigned: use an unsigned blob, with a warning. Anyone who can write to the disk can then read the keys.
    """

    decryptor_types = frozenset({DECRYPTOR_TYPE})
    """`DECRYPTOR_TYPE`."""

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
        """Files that other users should not be able to read; the blob may be on an insecure disk."""
        self._trust = tuple(trust)
        if not self._trust and not allow_unsigned:
            raise ConfigurationError(
                "a key blob needs a trusted signer",
                hint="set trust= to the signer's public key; otherwise an attacker could replace the blob",
            )
        self._password = password
        self._oaep = oaep
        self._session_key: Secret | None = None
        self._useless = b""

    @classmethod
    def from_url(cls, url: str) -> KeyBlobKeyWrapper:
        """Open ``keyblob:///session.blob?exchange=/exchange.pem&trust=/signer.pub``.

        Further options: ``password=env:NAME`` or a file; ``padding=oaep``.
        """
        parts = ConfigurationURL.parse(url, "exchange", "trust", "password", "padding")
        options = parts.options
        if "exchange" not in options:
            raise ConfigurationError("keyblob: does not name an exchange key", hint="add ?exchange=/path/exchange.pem")
        padding = options.get("padding", "pkcs1")
        if padding not in {"pkcs1", "oaep"}:
            raise ConfigurationError(f"keyblob: the padding {printable(padding)} is unknown", hint="use pkcs1 or oaep")
        return cls(
            parts.file(),
            exchange=options["exchange"],
            trust=[options["trust"]] if "trust" in options else [],
            password=options.get("password"),
            oaep=padding == "oaep",
        )

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Encrypt with the session key. `ConfigurationError`, `KeyUnwrapError` if it cannot be used."""
        encrypted = encrypt(self._imported().reveal(), dump(secret), binding_bytes(DECRYPTOR_TYPE, binding))
        return DECRYPTOR_TYPE, new_element("sealedKey", value=encrypted)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Decrypt with the session key. `KeyUnwrapError`."""
        value = decode(*children(encrypted, "value"))
        try:
            key = self._imported().reveal()
        except ConfigurationError as error:
            raise KeyUnwrapError(f"there is no session key to unwrap with: {error}", hint=error.hint) from None
        plaintext = decrypt(key, value, binding_bytes(DECRYPTOR_TYPE, binding))
        if plaintext is None:
            raise KeyUnwrapError(
                "the session key does not decrypt the key",
                hint="add the old blob to key_wrapper= if it was replaced; otherwise check who changed the document",
            )
        return master_key_in(plaintext)

    def _imported(self) -> Secret:
        """Return the session key. It is imported once; a blob that failed is not tried again until it changes."""
        if self._session_key is None:
            blob = read_file(self._path, "key blob")
            if self._trust:
                verify_key_blob(self._path, self._trust, blob=blob)
            else:
                emit("key_blob_unsigned", "warning", "the session key is from an unsigned key blob", path=self._path)
            self._session_key = self._import(blob)
        return self._session_key

    def _import(self, blob: bytes) -> Secret:
        digest = hashlib.sha256(blob).digest()
        if digest == self._useless:
            raise _useless_blob()
        exchange = self._exchange
        if isinstance(exchange, str | Path):
            exchange = load_private_key(exchange, self._password)
            warn_of_one_key_for_both(self._path, exchange.public_key(), map(load_public_key, self._trust))
        try:
            return parse_aes_256_blob(blob).import_key(exchange, oaep=self._oaep)
        except BlobError:
            self._useless = digest
            raise _useless_blob() from None

    def __repr__(self) -> str:
        return f"<KeyBlobKeyWrapper {printable(self._path)}>"


def _useless_blob() -> KeyUnwrapError:
    return KeyUnwrapError(
        "the session key does not decrypt with the exchange key",
        hint="check that the blob was exported to this exchange key, with this padding",
    )
