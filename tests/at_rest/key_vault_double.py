"""A double of Azure Key Vault over TLS: real RSA, versions, a bearer challenge. Supports keys/get and unwrapkey."""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta, timezone
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

__all__ = ["TOKEN", "KeyVault", "rsa_key", "self_signed"]

TOKEN = "CANARYBEARERTOKEN"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 (RSA-OAEP, as the service means it)


def self_signed(folder: Path, rsa_key: rsa.RSAPrivateKey | None = None) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = rsa_key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@cache
def rsa_key(name: str, number: int) -> rsa.RSAPrivateKey:
    """The same for every double: creating one takes longer than most tests."""
    return rsa.generate_private_key(65537, 2048)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class KeyVault:
    """The vault: ``keys`` by name, each a list of (version, key), the newest last. ``asked``: every path, in order."""

    def __init__(self, certificate: Path) -> None:
        self.keys: dict[str, list[tuple[str, rsa.RSAPrivateKey]]] = {}
        self.asked: list[str] = []
        self.get_is_forbidden = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vault": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def rotate(self, name: str) -> str:
        """Create a new version of a key, or the first one; return its version."""
        version, versions = uuid.uuid4().hex, self.keys.setdefault(name, [])
        versions.append((version, rsa_key(name, len(versions))))
        return version

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The answer to a request with a valid token."""
        self.asked.append(path)
        _, _, name, *more = path.partition("?")[0].split("/")
        versions = dict(self.keys.get(name, []))
        version = more[0] if more and more[0] else next(reversed(versions), "")
        key = versions.get(version)
        if key is None:
            return 404, {"error": {"code": "KeyNotFound", "message": "no such key"}}
        kid = f"https://{self.host}/keys/{name}/{version}"
        if more[1:] == ["unwrapkey"]:
            try:
                value = key.decrypt(_decoded(body["value"]), OAEP)
            except ValueError:
                return 400, {"error": {"code": "BadParameter", "message": "the value does not decrypt"}}
            return 200, {"kid": kid, "value": _encoded(value)}
        if self.get_is_forbidden:
            return 403, {"error": {"code": "Forbidden", "message": "no keys/get"}}
        numbers = key.public_key().public_numbers()
        jwk = {"kid": kid, "kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"], "e": "AQAB"}
        return 200, {"key": {**jwk, "n": _encoded(numbers.n.to_bytes(256, "big"))}, "attributes": {"enabled": True}}


class _Handler(BaseHTTPRequestHandler):
    vault: KeyVault
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(json.loads(data or b"{}"))

    def _serve(self, body: dict[str, Any]) -> None:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            status, answer = self.vault.answer(self.path, body)
        else:
            status, answer = 401, {"error": {"code": "Unauthorized", "message": "who are you?"}}
        data = json.dumps(answer).encode()
        self.send_response(status)
        if status == 401:
            challenge = 'Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net"'
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Log nothing."""
