"""Keys encrypted by the transit engine of OpenBao, or of any server with the same API (HashiCorp Vault). ::

    decryptorType = "dpmiddleware.OpenBao.v1"
    <transitKey>, with <value>vault:v3:base64</value>          what the server gave

    plaintext := binding ‖ <masterKey> as UTF-8                 binding: `dpmiddleware.at_rest.elements`

    POST /v1/{mount}/encrypt/{key}   plaintext → ciphertext
    POST /v1/{mount}/decrypt/{key}   ciphertext → plaintext
    POST /v1/{mount}/rewrap/{key}    ciphertext → ciphertext under the key's newest version

Host, mount and key come from the configuration; a document gives the ciphertext and no more. The binding stands before
the key, inside what the server authenticates, and not in ``associated_data``: rewrapping on the server takes none
(OpenBao 2.7 refuses such a ciphertext), and a key should not have to come here to get a new version. The transit key
must be a symmetric one (``aes256-gcm96``, ``chacha20-poly1305``). Ours; .NET cannot use a key that is wrapped so.

The token is read anew for each call: an agent may renew its file. Redirects are not followed, proxies not used.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import re
import ssl
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from dpmiddleware.at_rest.elements import binding_bytes, children, new_element, opened
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import read_secret
from dpmiddleware.urls import ConfigurationURL

__all__ = ["DECRYPTOR_TYPE", "OpenBaoKeyWrapper"]

DECRYPTOR_TYPE: Final = "dpmiddleware.OpenBao.v1"
_SECONDS: Final = 5.0
_PORT: Final = 8200
_LARGEST_ANSWER: Final = 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_CIPHERTEXT: Final = re.compile(r"[a-z]+:v[0-9]{1,9}:[A-Za-z0-9+/=]+")
_HINTS: Final = {
    403: "the token is expired, or its policy does not allow encrypt, decrypt (and rewrap) with this key",
    404: "is the transit engine mounted there?",
    429: "this is a standby node: name the active one",
    503: "the server is sealed or in maintenance",
}


class OpenBaoKeyWrapper:
    """Has a server encrypt and decrypt keys.

    endpoint: ``https://host:port``; plain ``http`` for loopback only. mount, key: of the transit engine. token:
    ``env:NAME`` or a file; by default the variables ``BAO_TOKEN``, ``VAULT_TOKEN``. ca: a file of certificates to
    trust in place of the system's. timeout: seconds, for each step of a call.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        key: str,
        mount: str = "transit",
        token: str | None = None,
        ca: str | None = None,
        timeout: float = _SECONDS,
    ) -> None:
        self._https, self._host, self._port = _endpoint(endpoint)
        if not all(_NAME.fullmatch(part) for part in (key, *mount.split("/"))):
            raise ConfigurationError("openbao: mount or key is no name", hint="openbao://host/transit/key")
        self._mount, self._key = mount, key
        self._token = token
        self.private_files = () if token is None or token.startswith("env:") else (Path(token),)
        """Files that others should not be able to read."""
        self._ca = ca
        self._timeout = timeout
        self._context: ssl.SSLContext | None = None

    @classmethod
    def from_url(cls, url: str) -> OpenBaoKeyWrapper:
        """``openbao://host[:8200]/transit/key[?password=env:TOKEN][&trust=/ca.pem][&endpoint=http://127.0.0.1:8200]``.

        password: where the token is. endpoint: in place of the host, where it is not ``https``.
        """
        parts = ConfigurationURL.parse(url, "password", "trust", "endpoint")
        mount, _, key = parts.path.strip("/").rpartition("/")
        endpoint = parts.options.get("endpoint", f"https://{parts.host}")
        if "endpoint" in parts.options and parts.host:
            raise ConfigurationError("openbao: a host and an endpoint", hint="openbao:///transit/key?endpoint=…")
        token, ca = parts.options.get("password"), parts.options.get("trust")
        return cls(endpoint, key=key, mount=mount, token=token, ca=ca)

    @property
    def decryptor_types(self) -> frozenset[str]:
        """`DECRYPTOR_TYPE`."""
        return frozenset({DECRYPTOR_TYPE})

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Have the server encrypt. `KeyUnwrapError` where it does not, `ConfigurationError` without a token."""
        plaintext = binding_bytes(DECRYPTOR_TYPE, binding) + dump(secret)
        ciphertext = self._call("encrypt", "ciphertext", plaintext=b64encode(plaintext).decode("ascii"))
        return DECRYPTOR_TYPE, new_element("transitKey", value=ciphertext)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have the server decrypt. `KeyUnwrapError`."""
        ciphertext = _ciphertext(encrypted)
        try:
            text = self._call("decrypt", "plaintext", ciphertext=ciphertext)
        except ConfigurationError as error:
            raise KeyUnwrapError(f"{self}: {error}", hint=error.hint) from None
        try:
            plaintext = b64decode(text, validate=True)
        except ValueError:
            raise self._no_answer() from None
        expected = binding_bytes(DECRYPTOR_TYPE, binding)
        if not plaintext.startswith(expected):
            raise KeyUnwrapError(
                "the wrapping belongs to another key, ring or state of this document",
                hint="the document was changed, or a wrapping was moved here from another one",
            )
        return opened(plaintext[len(expected) :])

    def rewrap(self, encrypted: ET.Element) -> ET.Element | None:
        """The same under the newest version of the server's key, or ``None`` where it is; nothing comes here in clear.

        `KeyUnwrapError`, `ConfigurationError` without a token.
        """
        old = _ciphertext(encrypted)
        new = self._call("rewrap", "ciphertext", ciphertext=old)
        return None if new.split(":")[:2] == old.split(":")[:2] else new_element("transitKey", value=new)

    def _call(self, operation: str, wanted: str, **body: str) -> str:
        """One request; the text ``wanted`` of its answer's data."""
        headers = {"X-Vault-Token": self._read_token(), "X-Vault-Request": "true", "Content-Type": "application/json"}
        connection = self._connection()
        try:
            path = f"/v1/{self._mount}/{operation}/{self._key}"
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            status, data = response.status, response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise KeyUnwrapError(
                f"{self} cannot be reached: {printable(type(error).__name__)}",
                hint="running processes keep the keys that they have; check the server, the network, its certificate",
            ) from None
        finally:
            connection.close()
        if status != http.client.OK:
            raise KeyUnwrapError(
                f"{self} refused to {operation}: status {status}",
                hint=_HINTS.get(status, "was the document changed, or is it another server's or key's?"),
            )
        return self._answer(data, wanted)

    def _answer(self, data: bytes, wanted: str) -> str:
        try:
            found = json.loads(data)["data"][wanted]
        except (ValueError, LookupError, TypeError):
            found = None
        if not isinstance(found, str):
            raise self._no_answer()
        return found

    def _no_answer(self) -> KeyUnwrapError:
        return KeyUnwrapError(f"{self} gave no answer of a transit engine", hint="is it OpenBao, and the mount right?")

    def _connection(self) -> http.client.HTTPConnection:
        if not self._https:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        if self._context is None:
            try:
                self._context = ssl.create_default_context(cafile=self._ca)
            except OSError:
                raise ConfigurationError(f"openbao: no certificates in {printable(self._ca)}") from None
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)

    def _read_token(self) -> str:
        reference = self._token
        if reference is None:
            reference = "env:BAO_TOKEN" if os.environ.get("BAO_TOKEN") else "env:VAULT_TOKEN"
        token = read_secret(reference, "OpenBao token").decode("ascii", "replace").strip()
        if not re.fullmatch("[!-~]+", token):
            raise ConfigurationError("the OpenBao token is no token", hint="one word of visible ASCII characters")
        return token

    def __repr__(self) -> str:
        return f"<OpenBaoKeyWrapper {self._host}:{self._port}/{self._mount}/{self._key}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


def _ciphertext(encrypted: ET.Element) -> str:
    (value,) = children(encrypted, "value")
    text = (value.text or "").strip()
    if len(value) or not _CIPHERTEXT.fullmatch(text):
        raise KeyUnwrapError("the wrapping cannot be read: no ciphertext of a transit engine", hint="it was changed")
    return text


def _endpoint(endpoint: str) -> tuple[bool, str, int]:
    """Whether it is HTTPS, host, port. `ConfigurationError` for anything that is more or less than that."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    plain = parts.scheme == "http" and _is_loopback(host)
    if (
        not host
        or "@" in parts.netloc
        or parts.path.strip("/")
        or parts.query
        or not (plain or parts.scheme == "https")
    ):
        raise ConfigurationError(
            "openbao: no endpoint", hint="https://host:8200, or http:// on loopback; openbao://host/transit/key"
        )
    return not plain, host, port or _PORT


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
