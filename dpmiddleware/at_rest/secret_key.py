"""Keys encrypted with a secret that the application is given, in an environment variable or a file.

Docker and Kubernetes secrets and systemd credentials are such files or variables. The format is ours; .NET cannot use a
key that is wrapped so. ::

    decryptorType = "dpmiddleware.SecretKey.v1"
    <sealedKey kdf="hkdf-sha256"> or <sealedKey kdf="scrypt-32768-8-3">, with <value>base64 of sealed</value>

    sealed := salt (32, random) ‖ nonce (12, random) ‖ AES-256-GCM(key, nonce, <masterKey> as UTF-8, binding) ‖ tag (16)
    key    := HKDF-SHA256(input, salt, info = decryptorType, 32 bytes)                                     RFC 5869
    input  := secret                                                      hkdf-sha256: at least 32 decoded bytes
            | scrypt(secret, salt = SHA-256(decryptorType ‖ 00 ‖ ring), N = 32768, r = 8, p = 3, 32 bytes)    RFC 7914

    binding: `dpmiddleware.at_rest.elements`

A secret is text in hexadecimal or base64 (also base64url) that decodes to 32 bytes or more, or 32 or more raw bytes
that are not UTF-8; ``openssl rand -base64 32`` creates one. Anything else is a passphrase of at least 12 bytes, which
is stretched. The cost of stretching is fixed, and its salt depends only on the ring, so a process stretches each secret
once. Only ``scrypt-32768-8-3`` is accepted, so a document cannot choose another cost.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dpmiddleware.at_rest.elements import (
    attribute,
    binding_bytes,
    children,
    decode,
    decrypt,
    encrypt,
    master_key_in,
    new_element,
)
from dpmiddleware.crypto.secret import Secret, Unpicklable
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.secret_sources import read_secret, shown
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.urls import ConfigurationURL

__all__ = ["DECRYPTOR_TYPE", "SecretKeyWrapper"]

DECRYPTOR_TYPE: Final = "dpmiddleware.SecretKey.v1"
_HKDF: Final = "hkdf-sha256"
_SCRYPT: Final = "scrypt-32768-8-3"
_SALT_SIZE: Final = 32
_STRONG: Final = 32
_SHORTEST_PASSPHRASE: Final = 12


class _Source(NamedTuple):
    """A secret as configured: how it derives keys, and its bytes."""

    kdf: str
    secret: Secret


class SecretKeyWrapper(Unpicklable, HidesLocals):
    """Wraps keys with the first secret, and unwraps those of any of them. Secrets are read on first use.

    references: ``env:NAME`` or the path of a file; the first wraps, the others are old ones.
    """

    decryptor_types = frozenset({DECRYPTOR_TYPE})
    """`DECRYPTOR_TYPE`."""

    def __init__(self, *references: str) -> None:
        self._load: Callable[[], list[bytes]] = lambda: [read_secret(reference, "secret") for reference in references]
        self.private_files = tuple(Path(name) for name in references if not name.startswith("env:"))
        """Files that other users should not be able to read."""
        self._shown = ", ".join(map(shown, references))
        self._sources: tuple[_Source, ...] = ()
        self._stretched: dict[tuple[int, str], Secret] = {}

    @classmethod
    def of(cls, *secrets: Secret) -> SecretKeyWrapper:
        """Use secrets that are already loaded: text in hexadecimal or base64, raw bytes, or passphrases."""
        wrapper = cls()
        wrapper._load = lambda: [secret.reveal() for secret in secrets]
        return wrapper

    @classmethod
    def from_url(cls, url: str) -> SecretKeyWrapper:
        """Open ``secret:env:NAME`` or ``secret:///run/secrets/name``."""
        if url.startswith("secret:env:"):
            return cls(url.removeprefix("secret:"))
        return cls(str(ConfigurationURL.parse(url).file()))

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Encrypt with the first secret. `ConfigurationError` if it cannot be read, or is too short."""
        kdf = self._loaded()[0].kdf
        salt = os.urandom(_SALT_SIZE)
        key = _derive(self._input(0, binding.ring), salt)
        value = salt + encrypt(key, dump(secret), binding_bytes(DECRYPTOR_TYPE, binding))
        return DECRYPTOR_TYPE, new_element("sealedKey", attributes={"kdf": kdf}, value=value)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Decrypt with a secret of the kind that the document names. `KeyUnwrapError`, the same for all failures."""
        try:
            sources = self._loaded()
        except ConfigurationError as error:
            raise KeyUnwrapError(f"there is no secret to unwrap with: {error}", hint=error.hint) from None
        kdf = attribute(encrypted, "kdf", _HKDF, _SCRYPT)
        value = decode(*children(encrypted, "value"))
        for index, source in enumerate(sources):
            if source.kdf == kdf:
                key = _derive(self._input(index, binding.ring), value[:_SALT_SIZE])
                plaintext = decrypt(key, value[_SALT_SIZE:], binding_bytes(DECRYPTOR_TYPE, binding))
                if plaintext is not None:
                    return master_key_in(plaintext)
        raise KeyUnwrapError(
            "no configured secret decrypts the key",
            hint="add the old secret to key_wrapper= if it was replaced; otherwise check who changed the document",
        )

    def _loaded(self) -> tuple[_Source, ...]:
        if not self._sources:
            found = tuple(_read_as(value) for value in self._load())
            if not found:
                raise ConfigurationError("no secret is configured to wrap keys with", hint="name one: secret:env:NAME")
            self._sources = found
        return self._sources

    def _input(self, index: int, ring: str) -> bytes:
        """Return what keys are derived from. A passphrase is stretched once per ring; most processes have one ring."""
        source = self._loaded()[index]
        if source.kdf == _HKDF:
            return source.secret.reveal()
        stretched = self._stretched.get((index, ring))
        if stretched is None:
            salt = hashlib.sha256(DECRYPTOR_TYPE.encode() + b"\0" + ring.encode()).digest()
            stretched = Secret(Scrypt(salt, 32, n=2**15, r=8, p=3).derive(source.secret.reveal()))
            if len(self._stretched) >= 2 * len(self._loaded()):
                self._stretched.clear()
            self._stretched[index, ring] = stretched
        return stretched.reveal()

    def __repr__(self) -> str:
        return f"<SecretKeyWrapper {self._shown}>"


def _derive(material: bytes, salt: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, DECRYPTOR_TYPE.encode()).derive(material)


def _read_as(value: bytes) -> _Source:
    """Decide which kind of secret ``value`` is. `ConfigurationError` if it is too short."""
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        decoded: bytes | None = value
    else:
        decoded = _decoded(text)
        value = text.encode()
    if decoded is not None and len(decoded) >= _STRONG:
        return _Source(_HKDF, Secret(decoded))
    if len(value) < _SHORTEST_PASSPHRASE:
        raise ConfigurationError(
            f"the secret is shorter than {_SHORTEST_PASSPHRASE} bytes", hint="create one with: openssl rand -base64 32"
        )
    return _Source(_SCRYPT, Secret(value))


def _decoded(text: str) -> bytes | None:
    """Decode hexadecimal, base64 or base64url text; ``None`` for other text."""
    if re.fullmatch("(?:[0-9A-Fa-f]{2})+", text):
        return bytes.fromhex(text)
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        return None
