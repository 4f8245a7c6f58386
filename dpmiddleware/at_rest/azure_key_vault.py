"""Keys wrapped by Azure Key Vault, as .NET's ``ProtectKeysWithAzureKeyVault`` writes and reads them. ::

    <encryptedKey>
      <!-- … -->
      <kid>https://shop.vault.azure.net/keys/data-protection/{version}</kid>
      <key>base64 of RSA-OAEP(content key), done by the vault's key</key>
      <iv>base64 of 16 bytes</iv>
      <value>base64 of AES-128-CBC(content key, PKCS#7, BOM ‖ XML declaration ‖ <masterKey> as UTF-8)</value>
    </encryptedKey>

The content key has 16 bytes when written; 24 and 32 are read. Of ``kid`` only the version is taken, and only where
host and name are the configured ones: any other is unreadable, and no connection is made. Nothing in this format
authenticates, by .NET's design: who can write to the store can plant a key. That is what
`dpmiddleware.keys.signature` is for.

Needs keys/get (the version to wrap with) and keys/unwrapKey. A call ends after about five seconds; getting a token
for it may take longer.
"""

from __future__ import annotations

import importlib.util
import os
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from dpmiddleware.at_rest.elements import children, decode, opened
from dpmiddleware.dotnet_types import type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MissingExtraError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.urls import ConfigurationURL

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.keyvault.keys.crypto import CryptographyClient

__all__ = ["AzureKeyVaultKeyWrapper"]

_TYPE: Final = type_in("Azure.Extensions.AspNetCore.DataProtection.Keys", "AzureKeyVaultXmlDecryptor")
_OLD_TYPE: Final = type_in("Microsoft.AspNetCore.DataProtection.AzureKeyVault", "AzureKeyVaultXmlDecryptor")
_BUILD: Final = ", Version=1.0.0.0, Culture=neutral, PublicKeyToken=92742159e12e44c8"

_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_DECLARATION: Final = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>'
_TIMES: Final = {"connection_timeout": 2, "read_timeout": 3, "retry_total": 1}
_MOST_VERSIONS: Final = 32
_SERVICE_HINT: Final = "running processes keep the keys that they have; check the vault, the network, the permissions"


class AzureKeyVaultKeyWrapper:
    """Has a key in a vault wrap and unwrap keys.

    vault: its name, or its host where that is not under ``vault.azure.net``. key: the key's name, an RSA key.
    credential: any token credential; by default ``azure.identity.DefaultAzureCredential``. options: handed to the
    SDK's client.
    """

    def __init__(
        self,
        vault: str,
        key: str,
        *,
        credential: TokenCredential | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        host = vault.lower() if "." in vault or ":" in vault else f"{vault.lower()}.vault.azure.net"
        if not _HOST.fullmatch(host) or not _NAME.fullmatch(key):
            raise ConfigurationError("azurekv: names no vault and key", hint="azurekv://vault/key, without a version")
        for library in ("azure.keyvault.keys", *(() if credential else ("azure.identity",))):
            if not _is_installed(library):
                raise MissingExtraError("azure", "keys wrapped by Azure Key Vault")
        self._id = f"https://{host}/keys/{key}"
        self._credential = credential
        self._options = {**_TIMES, **(options or {})}
        self._clients: dict[str, CryptographyClient] = {}
        self._process = os.getpid()

    @classmethod
    def from_url(cls, url: str) -> AzureKeyVaultKeyWrapper:
        """``azurekv://vault/key`` or ``azurekv://vault.vault.azure.cn/key``."""
        parts = ConfigurationURL.parse(url)
        return cls(parts.host, parts.path.removeprefix("/"))

    @property
    def decryptor_types(self) -> frozenset[str]:
        """The Azure package's ``AzureKeyVaultXmlDecryptor``, and that of the package before it."""
        return frozenset(form for name in (_TYPE, _OLD_TYPE) for form in (name, name.partition(",")[0]))

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Wrap under the key's newest version. `KeyUnwrapError` where the vault is of no help."""
        content_key, iv = os.urandom(16), os.urandom(16)
        kid, wrapped = self._wrap_key(content_key)
        element = ET.Element("encryptedKey")
        element.append(ET.Comment(" This key is wrapped by Azure Key Vault. "))
        texts = {"kid": kid, "key": _text(wrapped), "iv": _text(iv)}
        texts["value"] = _text(_encrypt(content_key, iv, _DECLARATION + dump(secret)))
        for name, text in texts.items():
            ET.SubElement(element, name).text = text
        return _TYPE + _BUILD, element

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have the vault unwrap the content key. `KeyUnwrapError`, the same for all that is wrong with the content."""
        kid, key, iv, value = children(encrypted, "kid", "key", "iv", "value")
        version = self._version(kid.text or "")
        wrapped, raw_iv, content = decode(key), decode(iv), decode(value)
        plaintext = _decrypt(self._unwrap_key(version, wrapped), raw_iv, content)
        try:
            return opened(plaintext or b"")
        except KeyUnwrapError:
            raise KeyUnwrapError(
                f"{self}: the key does not decrypt", hint="the document was changed or is damaged"
            ) from None

    def _version(self, kid: str) -> str:
        """The version in a ``kid`` of the configured key; nothing else of it is used."""
        key_id, _, version = kid.strip().rpartition("/")
        if key_id.lower() != self._id.lower() or not _NAME.fullmatch(version):
            raise KeyUnwrapError(
                f"wrapped by {printable(kid)}, which is not {self._id}",
                hint="give key_wrapper= that vault and key as well, if they are yours",
            )
        return version

    def _wrap_key(self, content_key: bytes) -> tuple[str, bytes]:
        """The full id of the key's version that was used, and the wrapped content key."""
        from azure.core.exceptions import AzureError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        try:
            result = self._new_client(self._id).wrap_key(KeyWrapAlgorithm.rsa_oaep, content_key)
        except (AzureError, ValueError) as error:
            raise self._failure(error) from None
        kid = result.key_id or ""
        if not kid.startswith(f"{self._id}/"):
            raise KeyUnwrapError(f"{self} does not tell its version", hint="the permission keys/get is needed to wrap")
        return kid, result.encrypted_key

    def _unwrap_key(self, version: str, wrapped: bytes) -> bytes:
        from azure.core.exceptions import AzureError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        try:
            if self._process != os.getpid():  # connections cannot be shared after a fork
                self._process, self._clients = os.getpid(), {}
            client = self._clients.get(version) or self._new_client(f"{self._id}/{version}")
            key = client.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped).key
        except (AzureError, ValueError) as error:
            raise self._failure(error) from None
        if len(self._clients) < _MOST_VERSIONS:
            self._clients[version] = client
        return key

    def _failure(self, error: Exception) -> KeyUnwrapError:
        status = getattr(error, "status_code", None)
        return KeyUnwrapError(f"{self} refused: {type(error).__name__} {status or ''}".rstrip(), hint=_SERVICE_HINT)

    def _new_client(self, key_id: str) -> CryptographyClient:
        from azure.keyvault.keys.crypto import CryptographyClient

        if self._credential is None:
            from azure.identity import DefaultAzureCredential

            self._credential = DefaultAzureCredential()
        return CryptographyClient(key_id, self._credential, **self._options)

    def __repr__(self) -> str:
        return f"<AzureKeyVaultKeyWrapper {self._id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:
        return False


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _encrypt(content_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    padder, encryptor = PKCS7(128).padder(), Cipher(AES(content_key), CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def _decrypt(content_key: bytes, iv: bytes, content: bytes) -> bytes | None:
    """``None`` for whatever is wrong: sizes, padding."""
    try:
        decryptor, unpadder = Cipher(AES(content_key), CBC(iv)).decryptor(), PKCS7(128).unpadder()
        return unpadder.update(decryptor.update(content) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None
