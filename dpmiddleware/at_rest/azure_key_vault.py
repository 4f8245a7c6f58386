"""Keys wrapped by Azure Key Vault, as .NET's ``ProtectKeysWithAzureKeyVault`` writes and reads them. ::

    <encryptedKey>
      <!-- … -->
      <kid>https://shop.vault.azure.net/keys/data-protection/{version}</kid>
      <key>base64 of RSA-OAEP(content key), done by the vault's key</key>
      <iv>base64 of 16 bytes</iv>
      <value>base64 of AES-128-CBC(content key, PKCS#7, BOM ‖ XML declaration ‖ <masterKey> as UTF-8)</value>
    </encryptedKey>

A new content key has 16 bytes; 24 and 32 are read, too. Only the version of ``kid`` is used, and only if host and name
are the configured ones: any other key is unreadable, and no connection is made. Nothing in this format is
authenticated, by .NET's design: an attacker who can write to the store can add a key. Sign the documents to prevent
this (`dpmiddleware.keys.signature`).

Needs keys/get (for the version to wrap with) and keys/unwrapKey. A call ends after ten seconds, getting a token for
it included.
"""

from __future__ import annotations

import importlib.util
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from dpmiddleware.at_rest.elements import children, decode, dump_as_document, master_key_in, new_element
from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.dotnet_types import type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MissingExtraError
from dpmiddleware.forks import after_fork
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.bounded import Bounded
from dpmiddleware.tracebacks import HidesLocals
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
_TIMES: Final = {"connection_timeout": 2, "read_timeout": 3, "retry_total": 1}
_SECONDS: Final = 10.0
"""For a call, and for getting a token before it."""
_MOST_VERSIONS: Final = 32
_SERVICE_HINT: Final = "check the vault, the network and the permissions; running processes keep their keys"


class AzureKeyVaultKeyWrapper(Unpicklable, HidesLocals):
    """Has a key in a vault wrap and unwrap keys.

    vault: its name, or its host if that is not under ``vault.azure.net``.
    key: the name of an RSA key.
    credential: any token credential; by default ``azure.identity.DefaultAzureCredential``.
    options: for the SDK's client.
    """

    decryptor_types = frozenset(form for name in (_TYPE, _OLD_TYPE) for form in (name, name.partition(",")[0]))
    """The Azure package's ``AzureKeyVaultXmlDecryptor``, and that of its predecessor."""

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
            raise ConfigurationError(
                f"{without_password(f'azurekv://{vault}/{key}')} is not a vault and a key",
                hint="write azurekv://vault/key, without a version",
            )
        for library in ("azure.keyvault.keys", *(() if credential else ("azure.identity",))):
            if not _is_installed(library):
                raise MissingExtraError("azure", "keys wrapped by Azure Key Vault")
        self._id = f"https://{host}/keys/{key}"
        self._credential = credential
        self._options = {**_TIMES, **(options or {})}
        self._calls = Bounded()
        self._clients: dict[str, CryptographyClient] = {}
        after_fork(self._leave_connections)

    def _leave_connections(self) -> None:
        """In a forked child, use new clients; the connections of the others belong to the parent."""
        self._clients = {}

    @classmethod
    def from_url(cls, url: str) -> AzureKeyVaultKeyWrapper:
        """Open ``azurekv://vault/key`` or ``azurekv://vault.vault.azure.cn/key``."""
        parts = ConfigurationURL.parse(url)
        return cls(parts.host, parts.path.removeprefix("/"))

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Wrap with the key's newest version. `KeyUnwrapError` if the vault does not."""
        content_key, iv = os.urandom(16), os.urandom(16)
        kid, wrapped = self._wrap_key(content_key)
        value = _encrypt(content_key, iv, dump_as_document(secret))
        comment = " This key is wrapped by Azure Key Vault. "
        element = new_element("encryptedKey", comment=comment, kid=kid, key=wrapped, iv=iv, value=value)
        return _TYPE + _BUILD, element

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have the vault unwrap the content key. `KeyUnwrapError`, the same for all failures of the content."""
        kid, key, iv, value = children(encrypted, "kid", "key", "iv", "value")
        version = self._version(kid.text or "")
        wrapped, raw_iv, content = decode(key), decode(iv), decode(value)
        plaintext = _decrypt(self._unwrap_key(version, wrapped), raw_iv, content)
        try:
            return master_key_in(plaintext or b"")
        except KeyUnwrapError:
            raise KeyUnwrapError(f"{self}: the key does not decrypt", hint="check who changed the document") from None

    def _version(self, kid: str) -> str:
        """Return the version in a ``kid`` of the configured key; nothing else of it is used."""
        key_id, _, version = kid.strip().rpartition("/")
        if key_id.lower() != self._id.lower() or not _NAME.fullmatch(version):
            raise KeyUnwrapError(
                f"the key is wrapped by {printable(kid)}, which is not {self._id}",
                hint="add that vault and key to key_wrapper=, if they are yours",
            )
        return version

    def _wrap_key(self, content_key: bytes) -> tuple[str, bytes]:
        """Return the full id of the key's version that was used, and the wrapped content key."""
        from azure.core.exceptions import AzureError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        try:
            client = self._new_client(self._id)
            result = self._calls.run(_SECONDS, lambda: client.wrap_key(KeyWrapAlgorithm.rsa_oaep, content_key))
        except (AzureError, ValueError, OSError) as error:
            raise self._failure(error) from None
        kid = result.key_id or ""
        if not kid.startswith(f"{self._id}/"):
            raise KeyUnwrapError(f"{self} did not return its version", hint="allow keys/get, which wrapping needs")
        return kid, result.encrypted_key

    def _unwrap_key(self, version: str, wrapped: bytes) -> bytes:
        from azure.core.exceptions import AzureError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        try:
            client = self._clients.get(version) or self._new_client(f"{self._id}/{version}")
            key = self._calls.run(_SECONDS, lambda: client.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped).key)
        except (AzureError, ValueError, OSError) as error:
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


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:
        return False


def _encrypt(content_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    padder, encryptor = PKCS7(128).padder(), Cipher(AES(content_key), CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def _decrypt(content_key: bytes, iv: bytes, content: bytes) -> bytes | None:
    """``None`` for wrong sizes or padding."""
    try:
        decryptor, unpadder = Cipher(AES(content_key), CBC(iv)).decryptor(), PKCS7(128).unpadder()
        return unpadder.update(decryptor.update(content) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None
