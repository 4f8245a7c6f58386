"""Keys encrypted by a real OpenBao server, and what a document cannot make the wrapper do."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import threading
import urllib.request
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dpmiddleware.at_rest.elements import binding_bytes, new_element
from dpmiddleware.at_rest.openbao import DECRYPTOR_TYPE, OpenBaoKeyWrapper
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.keys.maintenance import rewrap
from dpmiddleware.keys.xml import dump
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, master_key, unwrapped
from tests.fakes import key_document, manager
from tests.servers import Server

NAMES = (f"key-{n}" for n in itertools.count(1))


class Transit:
    """What an administrator of the server does: keys, policies, tokens."""

    def __init__(self, address: str) -> None:
        self.address = address

    def call(self, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode()
        headers = {"X-Vault-Token": "root"}
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"{}")

    def new_key(self) -> str:
        name = next(NAMES)
        self.call(f"at-rest/keys/{name}")
        return name

    def wrapper(self, key: str) -> OpenBaoKeyWrapper:
        return OpenBaoKeyWrapper.from_url(f"openbao:///at-rest/{key}?endpoint={self.address}&password=env:SHOP_TOKEN")


@pytest.fixture(scope="module")
def transit(openbao_server: Server) -> Transit:
    """A transit engine for these tests, and a token that must never be shown."""
    admin = Transit(openbao_server.address)
    admin.call("sys/mounts/at-rest", type="transit")
    admin.call("sys/policies/acl/canary", policy='path "at-rest/*" { capabilities = ["update"] }')
    admin.call("auth/token/create", id="CANARYTOKEN", policies=["canary"], no_parent=True)
    return admin


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "root")


def wrapped(wrapper: KeyWrapper) -> ET.Element:
    return wrapper.wrap(master_key(), BINDING)[1]


class TestContract(KeyWrapperContract):
    @pytest.fixture
    def wrapper(self, transit: Transit, monkeypatch: pytest.MonkeyPatch) -> KeyWrapper:
        monkeypatch.setenv("SHOP_TOKEN", "CANARYTOKEN")
        return transit.wrapper(transit.new_key())

    @pytest.fixture
    def stranger(self, transit: Transit) -> KeyWrapper:
        return transit.wrapper(transit.new_key())

    @pytest.fixture
    def unreachable(self) -> KeyWrapper:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return Transit(f"http://127.0.0.1:{port}").wrapper("shop")

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        return [b"CANARYTOKEN"]


def test_what_the_server_gets_is_the_binding_and_the_key(transit: Transit) -> None:
    key = transit.new_key()
    encrypted = wrapped(transit.wrapper(key))
    answer = transit.call(f"at-rest/decrypt/{key}", ciphertext=encrypted.findtext("value"))
    plaintext = b64decode(answer["data"]["plaintext"])
    assert plaintext == binding_bytes(DECRYPTOR_TYPE, BINDING) + dump(master_key())


def test_a_key_goes_over_to_a_new_version_on_the_server(transit: Transit) -> None:
    key = transit.new_key()
    wrapper = transit.wrapper(key)
    old = wrapped(wrapper)
    transit.call(f"at-rest/keys/{key}/rotate")
    new = wrapper.rewrap(old)
    assert new is not None
    assert wrapper.rewrap(new) is None
    assert (old.findtext("value") or "").startswith("vault:v1:")
    assert (new.findtext("value") or "").startswith("vault:v2:")
    transit.call(f"at-rest/keys/{key}/config", min_decryption_version=2)
    assert unwrapped(wrapper, new) == MASTER_KEY
    with pytest.raises(KeyUnwrapError):
        unwrapped(wrapper, old)


def test_a_ring_goes_over_to_a_new_version_and_what_is_there_is_left_alone(transit: Transit) -> None:
    key = transit.new_key()
    wrapper = transit.wrapper(key)
    store = MemoryKeyRepository([key_document(wrapper=wrapper), key_document(wrapper=wrapper)])
    ours = manager(store, wrappers=[wrapper])
    transit.call(f"at-rest/keys/{key}/rotate")
    assert len(rewrap(ours, wrapper).wrapped) == 2
    assert all(b">vault:v2:" in stored.data for stored in store.read().documents)
    again = rewrap(ours, wrapper)
    assert (again.wrapped, len(again.there)) == ((), 2)
    transit.call(f"at-rest/keys/{key}/config", min_decryption_version=2)
    assert all(each.usable for each in manager(store, wrappers=[wrapper]).load_ring().keys)


def test_a_process_that_may_only_unwrap_cannot_wrap(transit: Transit, monkeypatch: pytest.MonkeyPatch) -> None:
    key = transit.new_key()
    encrypted = wrapped(transit.wrapper(key))
    transit.call(f"sys/policies/acl/{key}", policy=f'path "at-rest/decrypt/{key}" {{ capabilities = ["update"] }}')
    token = transit.call("auth/token/create", policies=[key])["auth"]["client_token"]
    monkeypatch.setenv("SHOP_TOKEN", token)
    reader = transit.wrapper(key)
    assert unwrapped(reader, encrypted) == MASTER_KEY
    with pytest.raises(KeyUnwrapError, match="encrypt: status 403") as caught:
        wrapped(reader)
    assert "policy" in caught.value.hint
    with pytest.raises(KeyUnwrapError, match="rewrap: status 403"):
        reader.rewrap(encrypted)


def test_the_token_is_read_anew_for_each_call(transit: Transit, tmp_path: Path) -> None:
    """An agent renews it in its file."""
    file = tmp_path / "token"
    wrapper = OpenBaoKeyWrapper(transit.address, mount="at-rest", key=transit.new_key(), token=str(file))
    file.write_text("root\n")
    encrypted = wrapped(wrapper)
    file.write_text("expired\n")
    with pytest.raises(KeyUnwrapError, match="status 403"):
        unwrapped(wrapper, encrypted)
    file.write_text("root")
    assert unwrapped(wrapper, encrypted) == MASTER_KEY


def test_the_usual_variables_hold_the_token(transit: Transit, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = OpenBaoKeyWrapper(transit.address, mount="at-rest", key=transit.new_key())
    monkeypatch.delenv("BAO_TOKEN", raising=False)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    with pytest.raises(ConfigurationError, match="VAULT_TOKEN is not set"):
        wrapped(wrapper)
    monkeypatch.setenv("VAULT_TOKEN", "root")
    encrypted = wrapped(wrapper)
    monkeypatch.setenv("VAULT_TOKEN", "other")
    monkeypatch.setenv("BAO_TOKEN", "root")
    assert unwrapped(wrapper, encrypted) == MASTER_KEY


@pytest.mark.parametrize("token", [" ", "two words", "line\r\nX-Injected: 1", "schlüssel"])
def test_a_token_that_is_none_is_never_sent(transit: Transit, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", token)
    with pytest.raises(ConfigurationError, match="not one word of visible ASCII"):
        wrapped(transit.wrapper("shop"))


def test_after_an_outage_it_goes_on(transit: Transit) -> None:
    key = transit.new_key()
    encrypted = wrapped(transit.wrapper(key))
    wrapper = OpenBaoKeyWrapper("http://127.0.0.1:9", mount="at-rest", key=key, token="env:SHOP_TOKEN")
    with pytest.raises(KeyUnwrapError, match="cannot be reached"):
        unwrapped(wrapper, encrypted)
    wrapper._port = int(transit.address.rpartition(":")[2])
    assert unwrapped(wrapper, encrypted) == MASTER_KEY


# --- servers that are none, and TLS ---------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers every request with what the test set, and records the requests."""

    answer: ClassVar[tuple[int, dict[str, str], bytes]] = (200, {}, b"")
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def double() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.asked.clear()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param((200, {}, b"<html>"), "did not answer like a transit engine", id="a page"),
        pytest.param((200, {}, b"[]"), "did not answer like", id="another JSON"),
        pytest.param((200, {}, b'{"data": {"ciphertext": 1}}'), "did not answer like", id="a number"),
        pytest.param((200, {}, b'{"data": {"plaintext": "!"}}'), "did not answer like", id="not base64"),
        pytest.param((200, {}, b"x" * 5_000_000), "did not answer like", id="a huge answer"),
        pytest.param((307, {"Location": "http://127.0.0.1:1/"}, b""), "status 307", id="a redirect"),
        pytest.param((503, {}, b'{"sealed": true}'), "status 503", id="sealed"),
    ],
)
def test_another_answer_is_an_error(
    double: ThreadingHTTPServer, answer: tuple[int, dict[str, str], bytes], problem: str
) -> None:
    Handler.answer = answer
    wrapper = Transit(f"http://127.0.0.1:{double.server_port}").wrapper("shop")
    encrypted = new_element("transitKey", value="vault:v1:AAAA")
    with pytest.raises(KeyUnwrapError, match=problem):
        wrapped(wrapper)
    with pytest.raises(KeyUnwrapError, match=problem):
        wrapper.unwrap(encrypted, BINDING)
    assert Handler.asked == ["/v1/at-rest/encrypt/shop", "/v1/at-rest/decrypt/shop"]


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        wrapper = OpenBaoKeyWrapper(endpoint, key="shop", token="env:SHOP_TOKEN", timeout=0.1)
        with pytest.raises(KeyUnwrapError, match="cannot be reached"):
            wrapped(wrapper)


def _certificate(folder: Path) -> Path:
    """A self-signed one for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
    certificate = builder.sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_is_verified(double: ThreadingHTTPServer, tmp_path: Path) -> None:
    path = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    double.socket = context.wrap_socket(double.socket, server_side=True)
    Handler.answer = (200, {}, b'{"data": {"ciphertext": "vault:v1:AAAA"}}')
    url = f"openbao://127.0.0.1:{double.server_port}/transit/shop?password=env:SHOP_TOKEN"
    with pytest.raises(KeyUnwrapError, match="cannot be reached: SSLCertVerificationError"):
        wrapped(OpenBaoKeyWrapper.from_url(url))
    assert Handler.asked == []
    assert wrapped(OpenBaoKeyWrapper.from_url(f"{url}&trust={path}")).findtext("value") == "vault:v1:AAAA"


@pytest.mark.parametrize(
    "value",
    [
        "vault:v1:",
        "vault:v1:A/../../sys/seal?",
        "vault:v1:AAAA\n<x/>",
        "https://elsewhere/",
        "vault:v99999999999999:AAAA",
        "",
    ],
)
def test_a_document_gives_a_ciphertext_and_no_more(double: ThreadingHTTPServer, value: str) -> None:
    wrapper = Transit(f"http://127.0.0.1:{double.server_port}").wrapper("shop")
    encrypted = ET.Element("transitKey")
    ET.SubElement(encrypted, "value").text = value
    with pytest.raises(KeyUnwrapError, match="not a ciphertext"):
        wrapper.unwrap(encrypted, BINDING)
    assert Handler.asked == []


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("openbao://bao.example/transit", id="no key"),
        pytest.param("openbao://bao.example/", id="nothing"),
        pytest.param("openbao:///transit/shop", id="no host"),
        pytest.param("openbao://bao.example/transit/../sys", id="dots"),
        pytest.param("openbao://user:pw@bao.example/transit/shop", id="a password in the URL"),
        pytest.param("openbao:///transit/shop?endpoint=http://bao.example:8200", id="plain http to elsewhere"),
        pytest.param("openbao:///transit/shop?endpoint=ftp://127.0.0.1", id="another protocol"),
        pytest.param("openbao://a/transit/shop?endpoint=http://127.0.0.1:8200", id="two hosts"),
        pytest.param("openbao://bao.example:x/transit/shop", id="no port"),
        pytest.param("openbao://bao.example/transit/shop?token=s.abc", id="the token in the URL"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenBaoKeyWrapper.from_url(url)
    assert "s.abc" not in f"{caught.value} {caught.value.hint}"
    assert "pw" not in f"{caught.value} {caught.value.hint}"


def test_a_url_names_host_mount_and_key() -> None:
    wrapper = OpenBaoKeyWrapper.from_url("openbao://bao.example/team/transit/shop")
    assert repr(wrapper) == "<OpenBaoKeyWrapper bao.example:8200/team/transit/shop>"
