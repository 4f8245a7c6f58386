"""Keys encrypted by the transit engine of OpenBao, or of any server with the same API (HashiCorp Vault). ::

    decryptorType = "dpmiddleware.OpenBao.v1"
    <transitKey>, with <value>vault:v3:base64</value>          what the server gave

    plaintext := binding ‖ <masterKey> as UTF-8                 binding: `dpmiddleware.at_rest.elements`

    POST /v1/{mount}/encrypt/{key}   plaintext → ciphertext
    POST /v1/{mount}/decrypt/{key}   ciphertext → plaintext
    POST /v1/{mount}/rewrap/{key}    ciphertext → ciphertext under the key's newest version

Host, mount and key come from the configuration; only the ciphertext comes from a document. The binding precedes the key
in the plaintext, which the server authenticates. It is not sent as ``associated_data``, because a server cannot rewrap
such a ciphertext (OpenBao 2.7 refuses it), and a key should not have to be decrypted here to get a new version. The
transit key has to be symmetric (``aes256-gcm96``, ``chacha20-poly1305``). The format is ours; .NET cannot use a key
that is wrapped so.

The token is read again for each call, because an agent may renew its file. Redirects are not followed, and proxies are
not used.
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
from typing import Final
from urllib.parse import urlsplit

from dpmiddleware.at_rest.elements import binding_bytes, children, master_key_in, new_element
from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import WHITE_SPACE, dump
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.bounded import Bounded, Call, current_call
from dpmiddleware.secret_sources import read_secret
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.urls import ConfigurationURL

__all__ = ["DECRYPTOR_TYPE", "OpenBaoKeyWrapper"]

DECRYPTOR_TYPE: Final = "dpmiddleware.OpenBao.v1"
_SECONDS: Final = 5.0
_PORT: Final = 8200
_LARGEST_ANSWER: Final = 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_CIPHERTEXT: Final = re.compile(r"[a-z]+:v[0-9]{1,9}:[A-Za-z0-9+/=]+")
_HINTS: Final = {
    403: "check the token: it may have expired, or its policy has to allow encrypt, decrypt and rewrap with this key",
    404: "check that the transit engine is mounted there",
    429: "name the active node; this is a standby node",
    503: "unseal the server, or wait for the end of its maintenance",
}


class OpenBaoKeyWrapper(Unpicklable, HidesLocals):
    """Has a server encrypt and decrypt keys.

    endpoint: ``https://host:port``; plain ``http`` only for loopback addresses.
    key: the name of the transit key.
    mount: where the transit engine is mounted.
    token: ``env:NAME`` or the path of a file; by default the variable ``BAO_TOKEN`` or ``VAULT_TOKEN``.
    ca: a file of certificates to trust instead of the system's.
    timeout: seconds, for a call.
    """

    decryptor_types = frozenset({DECRYPTOR_TYPE})
    """`DECRYPTOR_TYPE`."""

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
            raise ConfigurationError(
                f"openbao: {printable(f'{mount}/{key}')} is not a mount and a key",
                hint="write openbao://host/transit/key",
            )
        self._mount, self._key = mount, key
        self._token = token
        self.private_files = () if token is None or token.startswith("env:") else (Path(token),)
        """Files that other users should not be able to read."""
        self._ca = ca
        self._timeout = timeout
        self._calls = Bounded()
        self._context: ssl.SSLContext | None = None

    @classmethod
    def from_url(cls, url: str) -> OpenBaoKeyWrapper:
        """Open ``openbao://host[:8200]/transit/key[?password=env:TOKEN][&trust=/ca.pem]``.

        password: where the token is. trust: the file of certificates. A further option, ``endpoint=http://…``, replaces
        the host if the server does not use ``https``.
        """
        parts = ConfigurationURL.parse(url, "password", "trust", "endpoint")
        mount, _, key = parts.path.strip("/").rpartition("/")
        endpoint = parts.options.get("endpoint", f"https://{parts.host}")
        if "endpoint" in parts.options and parts.host:
            raise ConfigurationError(
                "openbao: both a host and an endpoint are given", hint="write openbao:///transit/key?endpoint=…"
            )
        token, ca = parts.options.get("password"), parts.options.get("trust")
        return cls(endpoint, key=key, mount=mount, token=token, ca=ca)

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Have the server encrypt. `KeyUnwrapError` if it does not, `ConfigurationError` without a token."""
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
            raise self._unexpected_answer() from None
        expected = binding_bytes(DECRYPTOR_TYPE, binding)
        if not plaintext.startswith(expected):
            raise KeyUnwrapError(
                "the wrapping belongs to another key, another ring or an earlier state of the document",
                hint="check who changed the document, or moved a wrapping into it",
            )
        return master_key_in(plaintext[len(expected) :])

    def rewrap(self, encrypted: ET.Element) -> ET.Element | None:
        """Have the server encrypt with the newest version of its key; ``None`` if the wrapping has it already.

        The key does not leave the server. `KeyUnwrapError`, `ConfigurationError` without a token.
        """
        old = _ciphertext(encrypted)
        new = self._call("rewrap", "ciphertext", ciphertext=old)
        return None if new.split(":")[:2] == old.split(":")[:2] else new_element("transitKey", value=new)

    def _call(self, operation: str, wanted: str, **body: str) -> str:
        """Send one request; return the text ``wanted`` of the answer's data."""
        headers = {"X-Vault-Token": self._read_token(), "X-Vault-Request": "true", "Content-Type": "application/json"}
        connection, path = self._connection(), f"/v1/{self._mount}/{operation}/{self._key}"

        def exchange() -> tuple[int, bytes]:
            (current_call() or Call()).connection = connection
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read(_LARGEST_ANSWER)

        try:
            status, data = self._calls.run(self._timeout, exchange)
        except (OSError, http.client.HTTPException) as error:
            raise KeyUnwrapError(
                f"{self} cannot be reached: {printable(type(error).__name__)}",
                hint="check the server, the network and the certificate; running processes keep their keys",
            ) from None
        finally:
            connection.close()
        if status != http.client.OK:
            raise KeyUnwrapError(
                f"{self} refused to {operation}: status {status}",
                hint=_HINTS.get(status, "check who changed the document; or it belongs to another server or key"),
            )
        return self._answer(data, wanted)

    def _answer(self, data: bytes, wanted: str) -> str:
        try:
            found = json.loads(data)["data"][wanted]
        except (ValueError, LookupError, TypeError):
            found = None
        if not isinstance(found, str):
            raise self._unexpected_answer()
        return found

    def _unexpected_answer(self) -> KeyUnwrapError:
        return KeyUnwrapError(
            f"{self} did not answer like a transit engine", hint="check that the server is OpenBao, and the mount"
        )

    def _connection(self) -> http.client.HTTPConnection:
        if not self._https:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        if self._context is None:
            try:
                self._context = ssl.create_default_context(cafile=self._ca)
            except OSError:
                raise ConfigurationError(
                    f"openbao: {printable(self._ca)} does not contain certificates", hint="give a PEM file"
                ) from None
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)

    def _read_token(self) -> str:
        reference = self._token
        if reference is None:
            reference = "env:BAO_TOKEN" if os.environ.get("BAO_TOKEN") else "env:VAULT_TOKEN"
        token = read_secret(reference, "OpenBao token").decode("ascii", "replace").strip()
        if not re.fullmatch("[!-~]+", token):
            raise ConfigurationError(
                "the OpenBao token is not one word of visible ASCII characters", hint="check the variable or file"
            )
        return token

    def __repr__(self) -> str:
        return f"<OpenBaoKeyWrapper {self._host}:{self._port}/{self._mount}/{self._key}>"


def _ciphertext(encrypted: ET.Element) -> str:
    (value,) = children(encrypted, "value")
    text = (value.text or "").strip(WHITE_SPACE)
    if len(value) or not _CIPHERTEXT.fullmatch(text):
        raise KeyUnwrapError(
            "the wrapping cannot be read: not a ciphertext of a transit engine", hint="check who changed the document"
        )
    return text


def _endpoint(endpoint: str) -> tuple[bool, str, int]:
    """Return whether it is HTTPS, host and port. `ConfigurationError` if there is more, or less."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    plain = parts.scheme == "http" and _is_loopback(host)
    has_more = "@" in parts.netloc or parts.path.strip("/") or parts.query
    if not host or has_more or not (plain or parts.scheme == "https"):
        raise ConfigurationError(
            f"openbao: {without_password(endpoint)} is not an endpoint",
            hint="write https://host:8200, or http:// for a loopback address",
        )
    return not plain, host, port or _PORT


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
