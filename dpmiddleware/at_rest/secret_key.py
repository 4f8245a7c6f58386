"""Keys sealed under a secret that the application is given: an environment variable or a file.

Docker and Kubernetes secrets, systemd credentials and plain variables all end in one of the two. Ours; .NET cannot use
a key that is wrapped so. ::

    decryptorType = "dpmiddleware.SecretKey.v1"
    <sealedKey kdf="hkdf-sha256"> or <sealedKey kdf="scrypt-32768-8-3">, with <value>base64 of sealed</value>

    sealed := salt (32, random) ‖ nonce (12, random) ‖ AES-256-GCM(key, nonce, <masterKey> as UTF-8, binding) ‖ tag (16)
    key    := HKDF-SHA256(input, salt, info = decryptorType, 32 bytes)                                     RFC 5869
    input  := secret                                                      hkdf-sha256: at least 32 decoded bytes
            | scrypt(secret, salt = SHA-256(decryptorType ‖ 00 ‖ ring), N = 32768, r = 8, p = 3, 32 bytes)    RFC 7914

    binding: `dpmiddleware.at_rest.elements`

A secret is text in hexadecimal or base64 (also base64url) that decodes to 32 bytes or more, or as many raw bytes that
are no UTF-8: ``openssl rand -base64 32`` makes one. Anything else is a passphrase of at least 12 bytes, and stretched.
The cost of stretching is fixed, and its salt is the ring's: one computation a secret and process, whatever documents
say. ``scrypt-32768-8-3`` is the one name that is read, so a document cannot ask for more, nor for less.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dpmiddleware.at_rest.elements import (
    attribute,
    binding_bytes,
    children,
    decode,
    new_element,
    open_sealed,
    opened,
    seal,
)
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_secret
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


class SecretKeyWrapper:
    """Seals keys under the first secret, opens those under any of them. Secrets are read at the first use.

    references: ``env:NAME`` or the path of a file; the first wraps, the others are old ones.
    """

    def __init__(self, *references: str) -> None:
        self._load: Callable[[], list[bytes]] = lambda: [read_secret(reference, "secret") for reference in references]
        self.private_files = tuple(Path(name) for name in references if not name.startswith("env:"))
        """Files that others should not be able to read."""
        self._shown = ", ".join(printable(reference) for reference in references)
        self._sources: tuple[_Source, ...] = ()
        self._stretched: dict[tuple[int, str], Secret] = {}

    @classmethod
    def of(cls, *secrets: Secret) -> SecretKeyWrapper:
        """From secrets at hand, read by the same rules: text in hexadecimal or base64, raw bytes, passphrases."""
        wrapper = cls()
        wrapper._load = lambda: [secret.reveal() for secret in secrets]
        return wrapper

    @classmethod
    def from_url(cls, url: str) -> SecretKeyWrapper:
        """``secret:env:NAME`` or ``secret:///run/secrets/name``."""
        if url.startswith("secret:env:"):
            return cls(url.removeprefix("secret:"))
        return cls(str(ConfigurationURL.parse(url).file()))

    @property
    def decryptor_types(self) -> frozenset[str]:
        """`DECRYPTOR_TYPE`."""
        return frozenset({DECRYPTOR_TYPE})

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Seal under the first secret. `ConfigurationError` where it cannot be read, or is too short."""
        kdf = self._loaded()[0].kdf
        salt = os.urandom(_SALT_SIZE)
        key = _derive(self._input(0, binding.ring), salt)
        value = salt + seal(key, dump(secret), binding_bytes(DECRYPTOR_TYPE, binding))
        return DECRYPTOR_TYPE, new_element("sealedKey", attributes={"kdf": kdf}, value=value)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Try the secrets of the kind that the document names. `KeyUnwrapError`, the same whatever is wrong."""
        try:
            sources = self._loaded()
        except ConfigurationError as error:
            raise KeyUnwrapError(f"no secret to unwrap with: {error}", hint=error.hint) from None
        kdf = attribute(encrypted, "kdf", _HKDF, _SCRYPT)
        sealed = decode(*children(encrypted, "value"))
        for index, source in enumerate(sources):
            if source.kdf == kdf:
                key = _derive(self._input(index, binding.ring), sealed[:_SALT_SIZE])
                plaintext = open_sealed(key, sealed[_SALT_SIZE:], binding_bytes(DECRYPTOR_TYPE, binding))
                if plaintext is not None:
                    return opened(plaintext)
        raise KeyUnwrapError(
            "no configured secret opens the key",
            hint="was the secret changed? give the old one as well; else the document was changed or moved here",
        )

    def _loaded(self) -> tuple[_Source, ...]:
        if not self._sources:
            found = tuple(_read_as(value) for value in self._load())
            if not found:
                raise ConfigurationError("no secret to wrap keys with was given")
            self._sources = found
        return self._sources

    def _input(self, index: int, ring: str) -> bytes:
        """What keys are derived from; a passphrase is stretched once a ring, and a process has one ring."""
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

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


def _derive(material: bytes, salt: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, DECRYPTOR_TYPE.encode()).derive(material)


def _read_as(value: bytes) -> _Source:
    """What kind of secret ``value`` is; `ConfigurationError` where it is too short to be one."""
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
            f"the secret is shorter than {_SHORTEST_PASSPHRASE} bytes", hint="make one with: openssl rand -base64 32"
        )
    return _Source(_SCRYPT, Secret(value))


def _decoded(text: str) -> bytes | None:
    """The bytes of hexadecimal, base64 or base64url text; ``None`` for other text."""
    if re.fullmatch("(?:[0-9A-Fa-f]{2})+", text):
        return bytes.fromhex(text)
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        return None
