"""The frames of errors of key management hold no key bytes, passwords or key documents."""

from __future__ import annotations

import errno
import os
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.certificates import load_certificates
from dpmiddleware.at_rest.key_blob_files import load_private_key
from dpmiddleware.components import repository_from, signer_from, wrappers_from
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import KeyUnwrapError, RepositoryError
from dpmiddleware.keys import maintenance, sign_existing
from dpmiddleware.keys.interfaces import Binding, KeyRepository, StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.signature import RingSigner, TrustedSigners
from dpmiddleware.keys.signers import Ed25519Signer, load_public_keys, load_signer
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.repositories.one_document import OneDocumentRepository
from dpmiddleware.repositories.sql import SqlKeyRepository
from dpmiddleware.secret_sources import read_password, read_secret
from dpmiddleware.testing.frames import forms, shown_in
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.web.sessions.migration import DjangoSessions, FlaskSessions, StarletteSessions
from tests.fakes import BoxWrapper, StoppedClock, WatchedRepository, key_document, manager, put

pytestmark = pytest.mark.usefixtures("both_ways")

MASTER_KEY = bytes(range(64))
PASSWORD = b"horse battery staple"
RSA_KEY = rsa.generate_private_key(65537, 2048)
SIGNING_KEY = Ed25519PrivateKey.generate()
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def pem(key: Any, password: bytes | None = None) -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(PEM, PKCS8, protection))


def raw(key: Any) -> bytes:
    """What an attacker needs of a private key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.private_numbers().d.to_bytes(256, "big")
    return bytes(key.private_bytes_raw())


TESTS = Path(__file__).parent
SECRETS = [MASTER_KEY, PASSWORD, raw(RSA_KEY), raw(SIGNING_KEY), pem(RSA_KEY)[60:120], pem(SIGNING_KEY)[30:80]]


def leaks(error: BaseException) -> list[str]:
    """Variables in which a secret is found, and what a reporter would send of the frames outside of the tests."""
    captured = traceback.TracebackException.from_exception(error, capture_locals=True)
    text: list[str] = []
    to_see: list[traceback.TracebackException | None] = [captured]
    while to_see:
        if (one := to_see.pop()) is not None:
            text += one.format_exception_only()
            for frame in one.stack:
                if not Path(frame.filename).is_relative_to(TESTS):
                    text += (frame.locals or {}).values()
            to_see += [one.__cause__, one.__context__]
    reported = "".join(text).encode("utf-8", "replace")
    return shown_in(error, SECRETS) + [form.decode() for s in SECRETS for form in forms(s) if form in reported]


def assert_hidden(call: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:
        call()
    assert caught.value.__traceback__ is not None
    assert leaks(caught.value) == []


# --- settings and files ----------------------------------------------------------------------------------------------

URL = f"redis://:{PASSWORD.decode().replace(' ', '-')}@127.0.0.1:9/0"
PASSWORD_IN_URL = PASSWORD.replace(b" ", b"-")
SECRETS.append(PASSWORD_IN_URL)
SETTINGS: dict[str, Callable[[Path], object]] = {
    "DataProtection(repository=, no algorithm)": lambda _: DataProtection("shop", repository=URL, algorithm="x"),  # type: ignore[arg-type]
    "DataProtection(repository=, no name)": lambda _: DataProtection("", repository=URL),
    "DataProtection(repository=, option)": lambda _: DataProtection("shop", repository=f"{URL}?key="),
    "DataProtection(key_wrapper=the secret)": lambda _: DataProtection("shop", key_wrapper=f"x:{URL}"),
    "from_config": lambda _: DataProtection.from_config({"application": "shop", "repository": URL, "algorithm": "x"}),
    "from_config, unknown name": lambda _: DataProtection.from_config({"application": "shop", "repositry": URL}),
    "from_env": lambda _: DataProtection.from_env({"DPM_APPLICATION": "shop", f"DPM_{'REPOSITRY'}": URL}),
    "from_env, not a truth": lambda _: DataProtection.from_env(
        {"DPM_APPLICATION": "shop", "DPM_REPOSITORY": URL, "DPM_AUTO_CREATE_KEYS": "perhaps"}
    ),
    "from_toml": lambda folder: DataProtection.from_toml(
        written(folder, f'[data_protection]\nrepository = "{URL}"\napplication = ""\n'.encode())
    ),
    "from_toml, not TOML": lambda folder: DataProtection.from_toml(
        written(folder, f'[data_protection]\nrepository = "{URL}"\n='.encode())
    ),
    "repository_from": lambda _: repository_from(URL.replace("redis", "no-such-store")),
    "repository_from, no colon": lambda _: repository_from(URL.replace(":", "", 1)),
    "wrappers_from": lambda _: wrappers_from(f"secret:{PASSWORD_IN_URL.decode()} plain:x"),
    "the secret of earlier sessions, a naive date": lambda _: FlaskSessions(PASSWORD, until=datetime(2030, 1, 1)),  # noqa: DTZ001
    "the secret of earlier sessions, used": lambda _: StarletteSessions(
        PASSWORD, until=datetime.now(timezone.utc) + timedelta(days=20)
    ).dumps({"odd": object()}, datetime.now(timezone.utc)),
    "the secret of earlier sessions, given twice": lambda _: DjangoSessions(
        PASSWORD, until=datetime.now(timezone.utc), fallbacks=[PASSWORD]
    ),
    "signer_from": lambda _: signer_from(f"ed25519://{PASSWORD_IN_URL.decode()}@host"),
}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("call", SETTINGS)
def test_settings_that_are_refused_are_not_shown(call: str, tmp_path: Path) -> None:
    assert_hidden(lambda: SETTINGS[call](tmp_path))


BROKEN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
FILES: dict[str, Callable[[Path], object]] = {
    "load_certificates, a broken certificate": lambda folder: load_certificates(
        written(folder, pem(RSA_KEY) + BROKEN_CERTIFICATE)
    ),
    "load_certificates, another password": lambda folder: load_certificates(
        written(folder, pem(RSA_KEY, b"another") + BROKEN_CERTIFICATE), password=PASSWORD
    ),
    "load_signer, another password": lambda folder: load_signer(
        written(folder, pem(SIGNING_KEY, b"another")), PASSWORD
    ),
    "load_signer, two keys, one broken": lambda folder: load_signer(
        written(folder, pem(SIGNING_KEY) + pem(SIGNING_KEY).replace(b"M", b"\n", 1))
    ),
    "load_public_keys of a private key": lambda folder: load_public_keys(written(folder, pem(SIGNING_KEY))),
    "load_private_key, no RSA key": lambda folder: load_private_key(written(folder, pem(SIGNING_KEY))),
    "read_secret, too large": lambda folder: read_secret(str(written(folder, PASSWORD * 100_000)), "secret"),
    "read_secret, the secret itself": lambda _: read_secret(PASSWORD_IN_URL.decode(), "secret"),
    "read_password, the password itself": lambda _: read_password(PASSWORD_IN_URL.decode()),
}


@pytest.mark.parametrize("call", FILES)
def test_files_of_secrets_that_are_refused_are_not_shown(call: str, tmp_path: Path) -> None:
    assert_hidden(lambda: FILES[call](tmp_path))


# --- the ring --------------------------------------------------------------------------------------------------------


def known_key(**options: Any) -> StoredDocument:
    """A key that is not wrapped: its document is the secret."""
    return key_document(secret=Secret(MASTER_KEY), **options)


class Failing(BoxWrapper):
    """A wrapper of somebody else's, which fails when it has the key, in a frame that is not a test's."""

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        fail(secret)
        raise AssertionError

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        fail(encrypted)
        raise AssertionError


def _failing_in(filename: str) -> Callable[[object], object]:
    names: dict[str, Any] = {"error": KeyUnwrapError}
    code = "def fail(given):\n    copied = list(given)\n    raise error('the service is away', hint='bring it back')\n"
    exec(compile(code, filename, "exec"), names)  # noqa: S102
    return names["fail"]  # type: ignore[no-any-return]


fail = _failing_in("/elsewhere/service.py")


@pytest.fixture(autouse=True)
def _known_new_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """New keys have the bytes that are searched for."""
    monkeypatch.setattr(Secret, "random", lambda size=64: Secret((MASTER_KEY * 2)[:size]))


def down(store: KeyRepository) -> WatchedRepository:
    """A store that takes no commit."""
    watched = WatchedRepository(store)
    watched.commit_failure = RepositoryError("cannot write", hint="is it running?")
    return watched


def signed(store: KeyRepository) -> KeyManager:
    signer = Ed25519Signer(SIGNING_KEY)
    return KeyManager(
        store,
        StoppedClock(),
        ring="shop",
        signer=RingSigner(signer, ring="shop"),
        verifier=TrustedSigners([signer.public_key], ring="shop"),
    )


def sign_a_changed_ring() -> object:
    store = MemoryKeyRepository([known_key()])
    found = sign_existing.find_unsigned(signed(store))
    put(store, known_key())
    return sign_existing.sign(signed(store), found)


BOX = BoxWrapper()
RING: dict[str, Callable[[], object]] = {
    "create_key, the store is down": lambda: manager(down(MemoryKeyRepository())).create_key(),
    "create_key, the wrapper fails": lambda: manager(MemoryKeyRepository(), wrappers=[Failing()]).create_key(),
    "_new_key, the wrapper fails": lambda: manager(MemoryKeyRepository(), wrappers=[Failing()]).load_ring(),
    "commit, the store is down": lambda: manager(down(MemoryKeyRepository([known_key()]))).revoke_all(),
    "commit, no signer": lambda: KeyManager(
        MemoryKeyRepository(),
        StoppedClock(),
        ring="shop",
        verifier=TrustedSigners([SIGNING_KEY.public_key()], ring="x"),
    ).create_key(),
    "rewrap, the new wrapper fails": lambda: maintenance.rewrap(manager(MemoryKeyRepository([known_key()])), Failing()),
    "rewrap, the store is down": lambda: maintenance.rewrap(manager(down(MemoryKeyRepository([known_key()]))), BOX),
    "rotate_if_due, the wrapper fails": lambda: maintenance.rotate_if_due(
        manager(MemoryKeyRepository(), wrappers=[Failing()])
    ),
    "sign_existing.sign, the ring has changed": sign_a_changed_ring,
}


@pytest.mark.parametrize("call", RING)
def test_errors_of_the_ring_do_not_show_its_keys(call: str) -> None:
    assert_hidden(RING[call])


# --- stores ----------------------------------------------------------------------------------------------------------


class Bucket(OneDocumentRepository):
    """An object store that answers reads, and refuses writes."""

    errors = (ConnectionError,)
    conflicts = frozenset()
    hints: Mapping[str, str] = {}
    hint = "is it running?"

    def __init__(self, content: bytes) -> None:
        super().__init__("bucket", object())
        self.content = content

    def _new_client(self) -> Any:
        return None

    def _client_for_child(self, client: Any) -> Any:
        return client

    def code_of(self, error: BaseException) -> str:
        return ""

    def etag(self) -> str:
        return "1"

    def get(self) -> tuple[bytes, str]:
        return self.content, "1"

    def _write(self, data: bytes, etag: str) -> None:
        raise ConnectionError("refused")


def bucket(suffix: bytes = b"") -> Bucket:
    return Bucket(b"<repository>" + known_key().data + b"</repository>" + suffix)


def failing_disk(path: Path) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        path.joinpath("keys").mkdir()
        put(FileKeyRepository(path / "keys"), known_key())


def read_only_table(path: Path) -> None:
    made = SqlKeyRepository(f"sqlite:///{path}/keys.db")
    put(made, known_key())
    put(SqlKeyRepository(f"sqlite:///file:{path}/keys.db?mode=ro&uri=true"), known_key())


STORES: dict[str, Callable[[Path], object]] = {
    "folder, a disk that fails": failing_disk,
    "one document, read": lambda _: bucket(b"<").read(),
    "one document, commit to a broken one": lambda _: bucket(b"<").commit(add=[known_key()], expected="1"),
    "one document, a write that fails": lambda _: bucket().commit(add=[known_key()], expected="1"),
    "one document, not XML": lambda _: bucket().commit(add=[StoredDocument(None, known_key().data[:-3])], expected="1"),
    "a table that is read-only": read_only_table,
    "Redis is down": lambda _: repository_from(URL).commit(add=[known_key()], expected="0"),
    "PostgreSQL is down": lambda _: repository_from(
        f"postgresql+psycopg://shop:{PASSWORD_IN_URL.decode()}@127.0.0.1:9/x"
    ).commit(add=[known_key()], expected="0"),
}


@pytest.mark.parametrize("call", STORES)
def test_errors_of_stores_do_not_show_documents(call: str, tmp_path: Path) -> None:
    assert_hidden(lambda: STORES[call](tmp_path))


# --- the base class --------------------------------------------------------------------------------------------------


def test_constructors_methods_class_methods_and_properties_are_hidden() -> None:
    names: dict[str, Any] = {"HidesLocals": HidesLocals, "MASTER_KEY": MASTER_KEY}
    code = """
def fail(copied):
    raise ValueError("no")

class Holder(HidesLocals):
    def __init__(self, key=None):
        if key:
            fail(key)

    def method(self, key):
        fail(key)

    @classmethod
    def made(cls, key):
        fail(key)

    @property
    def value(self):
        key = bytes(MASTER_KEY)
        fail(key)

    def _internal(self, key):
        fail(key)
"""
    exec(compile(code, "/elsewhere/holder.py", "exec"), names)  # noqa: S102
    holder = names["Holder"]
    for call in (
        lambda: holder(MASTER_KEY),
        lambda: holder().method(MASTER_KEY),
        lambda: holder.made(MASTER_KEY),
        lambda: holder().value,
    ):
        assert_hidden(call)
    with pytest.raises(ValueError, match="no") as caught:
        holder()._internal(MASTER_KEY)
    assert leaks(caught.value), "what is private is hidden only if it is called by what is public"
