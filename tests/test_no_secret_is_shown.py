"""Secrets in configuration URLs, in the right place and in wrong ones: no output of any kind shows them.

Output: errors with hint and traceback, representations, locations, log records and their fields, health, pickles, and
what ``dpm check`` and ``dpm keys list`` print.
"""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.cli import main
from dpmiddleware.errors import ConfigurationError, DataProtectionError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.repositories.memory import MemoryKeyRepository

SECRET = "Zq9xHunter2KxvY"
REPOSITORIES = {
    # a password that is in its place
    "a user and a password": "redis://u:{}@127.0.0.1:9/0",
    "a password without a user": "redis://:{}@127.0.0.1:9/0",
    "a token without a colon": "redis://{}@127.0.0.1:9/0",
    "rediss": "rediss://u:{}@127.0.0.1:9/0",
    "a percent-encoded part": "redis://u:%2F{}%40@127.0.0.1:9/0",
    "a percent-encoded colon": "redis://u%3A{}@127.0.0.1:9/0",
    "a semicolon for the colon": "redis://u;{}@127.0.0.1:9/0",
    "IPv6": "redis://u:{}@[::1]:9/0",
    "IPv6, not closed": "redis://u:{}@[::1/0",
    "a unix socket": "unix://u:{}@/nowhere/redis.sock",
    "several hosts, like a Sentinel's": "redis://u:{}@127.0.0.1:9,127.0.0.2:9/0",
    "PostgreSQL": "postgresql+psycopg://u:{}@127.0.0.1:9/db",
    "MariaDB": "mysql+pymysql://u:{}@127.0.0.1:9/db",
    "SQLCipher": "sqlite+pysqlcipher://:{}@/keys.db",
    "a driver that is not installed": "postgresql+nodriver://u:{}@h/db",
    "a scheme in capitals": "REDIS://u:{}@127.0.0.1:9/0",
    # a password with characters that end it too early
    "a slash": "redis://u:a/{}@127.0.0.1:9/0",
    "a hash": "redis://u:a#{}@127.0.0.1:9/0",
    "a question mark": "redis://u:a?{}@127.0.0.1:9/0",
    "an @": "redis://u:a@{}@127.0.0.1:9/0",
    "a colon": "redis://u:a:{}@127.0.0.1:9/0",
    "a backslash": "redis://u:a\\{}@127.0.0.1:9/0",
    "a blank": "redis://u:a {}@127.0.0.1:9/0",
    "a quote": "redis://u:'{}'@127.0.0.1:9/0",
    "a slash, PostgreSQL": "postgresql+psycopg://u:a/{}@127.0.0.1:9/db",
    "a hash, PostgreSQL": "postgresql+psycopg://u:a#{}@127.0.0.1:9/db",
    "an @, PostgreSQL": "postgresql+psycopg://u:a@{}@127.0.0.1:9/db",
    "a question mark, MariaDB": "mysql+pymysql://u:a?{}@127.0.0.1:9/db",
    # a URL that is not quite one
    "the host forgotten": "redis://u:{}",
    "the host forgotten, a database": "redis://u:{}/0",
    "a port that is none": "redis://u:{}@127.0.0.1:port/0",
    "one slash": "redis:/u:{}@127.0.0.1:9/0",
    "one slash, Azure": "azblob:/account/c/b?password={}",
    "no slash": "redis:u:{}@127.0.0.1:9/0",
    "three slashes": "redis:///u:{}@127.0.0.1:9/0",
    "backslashes": "redis:\\\\u:{}@h/0",
    "the colon forgotten": "redis//u:{}@h/0",
    "a semicolon": "redis;//u:{}@h/0",
    "no scheme": "u:{}@h/0",
    "no scheme, a longer user": "user:{}@h/0",
    "an empty scheme": "://u:{}@h/0",
    "a blank in the scheme": "re dis://u:{}@h/0",
    "a blank before": " redis://u:{}@h/0",
    "a line end before": "\nredis://u:{}@h/0",
    "quotes around": '"redis://u:{}@h/0"',
    "a misspelt scheme": "redsi://u:{}@h/0",
    "a misspelt scheme, one slash": "redsi:/u:{}@h/0",
    "another scheme": "https://u:{}@h/x",
    "an older name of a scheme": "postgres://u:{}@h/db",
    # a parameter
    "the secret for its place": "redis://127.0.0.1:9/0?password={}",
    "the secret for its place, PostgreSQL": "postgresql+psycopg://127.0.0.1:9/db?password={}",
    "a misspelt parameter": "redis://127.0.0.1:9/0?passwrd={}",
    "an abbreviated parameter": "redis://127.0.0.1:9/0?pass={}",
    "a percent-encoded parameter": "redis://127.0.0.1:9/0?pass%77ord={}",
    "an unknown parameter": "redis://127.0.0.1:9/0?credential={}",
    "an unknown parameter of no name": "redis://127.0.0.1:9/0?other={}",
    "a key that is not a list's name": "mysql+pymysql://127.0.0.1:9/db?key={}",
    "given twice": "redis://127.0.0.1:9/0?password={}&password=b",
    "an unreadable parameter beside it": "rediss://u:{}@127.0.0.1:9/0?ssl_cert_reqs=bogus",
    "a value of another kind": "redis://127.0.0.1:9/0?timeout={}",
    "libpq's": "postgresql+psycopg://127.0.0.1:9/db?sslpassword={}",
    "ODBC": "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{}",
    "a user in a parameter's value": "s3://b/k?endpoint=http://u:{}@127.0.0.1:9",
    "a user in a parameter's value, encoded": "s3://b/k?endpoint=http%3A%2F%2Fu%3A{}%40127.0.0.1%3A9",
    "a user in an unknown parameter's value": "redis://127.0.0.1:9/0?proxy=http://u:{}@p",
    "a shared access signature": "azblob://account/c/b?sv=2024&sig={}",
    "an unknown option, S3": "s3://b/k?aws_secret_access_key={}",
    "an unknown option of no name, S3": "s3://b/k?other={}",
    "a fragment": "azblob://account/c/b#{}",
    # credentials in other places
    "a user of S3": "s3://AKIA:{}@b/k",
    "a user of Azure": "azblob://account:{}@x/c/b",
    "a connection string": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={}==",
    "a connection string behind a scheme": "azblob:DefaultEndpointsProtocol=https;AccountName=a;AccountKey={}==",
    "a host of a file": "file://u:{}@h/x",
    "a parameter of a file": "file:///x?password={}",
    "a user of the registry": "registry://HKLM:{}@x/y",
    "a name of memory": "memory:{}",
}
WRAPPERS = {
    "the secret itself": "{}",
    "the secret itself, in base64": "{}==",
    "the secret itself, with a colon": "{}:abc",
    "the secret itself, with slashes": "{}//abc",
    "behind the scheme": "secret:{}",
    "behind one slash": "secret:/{}",
    "behind two slashes": "secret://{}",
    "behind three slashes": "secret:///{}",
    "in a folder that does not exist": "secret:///a/{}/b",
    "as the name of a variable": "secret:env:{}",
    "as the name of a variable, in hexadecimal": "secret:env:{}0123456789ABCDEF0123456789ABCDEF",
    "behind env": "env:{}",
    "after a blank": "secret:env {}",
    "in capitals": "SECRET:{}",
    "an equals sign": "secret={}",
    "a misspelt scheme": "secrt:{}",
    "another scheme": "base64:{}",
    "another scheme with slashes": "hex://{}",
    "plain": "plain:{}",
    "a password of a certificate": "x509:///nowhere/k.pfx?password={}",
    "a misspelt option of a certificate": "x509:///nowhere/k.pfx?passwd={}",
    "a fragment of a certificate": "x509:///nowhere/k.pfx#{}",
    "a user of a certificate": "x509://u:{}@h/k.pem",
    "a token for a host": "openbao://{}@127.0.0.1:9/t/k",
    "a user of OpenBao": "openbao://u:{}@127.0.0.1:9/t/k",
    "a token for its place": "openbao://127.0.0.1:9/t/k?password={}",
    "an unknown option of OpenBao": "openbao://127.0.0.1:9/t/k?token={}",
    "a user of an endpoint": "openbao:///t/k?endpoint=http://u:{}@127.0.0.1:9",
    "a user of a vault": "azurekv://u:{}@vault/key",
    "an option of a vault": "azurekv://vault/key?secret={}",
    "a user of KMS": "awskms://AKIA:{}@h/k",
    "an endpoint of KMS": "awskms:///k?endpoint=http://u:{}@127.0.0.1:9",
    "an unknown option of a key blob": "keyblob:///nowhere/b?other={}",
    "a scope of DPAPI": "dpapi:{}",
}


LONG = f"{SECRET}0123456789abcdefABCDEF=="
PEM = f"-----BEGIN PRIVATE KEY-----\n{LONG}\n-----END PRIVATE KEY-----\n"
MISPLACED: dict[str, dict[str, Any]] = {
    "a trusted signer": {"trusted_signers": [SECRET]},
    "a trusted signer, a longer secret": {"trusted_signers": [LONG]},
    "a trusted signer, the PEM itself": {"trusted_signers": [PEM]},
    "a signer behind its scheme": {"signer": f"ed25519:{SECRET}"},
    "a signer behind three slashes": {"signer": f"ed25519:///{LONG}"},
    "a signer in a folder": {"signer": f"ed25519:///etc/{LONG}"},
    "a certificate behind its scheme": {"key_wrapper": f"x509:{SECRET}"},
    "a certificate behind three slashes": {"key_wrapper": f"x509:///{LONG}"},
    "a key blob": {"key_wrapper": f"keyblob:{LONG}"},
    "a repository": {"repository": LONG},
    "a repository, the PEM itself": {"repository": PEM},
}
VARIABLES = {
    "DPM_AUTO_CREATE_KEYS": SECRET,
    "DPM_LIFETIME": SECRET,
    "DPM_MAX_STALE": LONG,
    "DPM_ALGORITHM": LONG,
    "DPM_REPOSITORY": LONG,
    "DPM_TRUSTED_SIGNERS": LONG,
    "DPM_SIGNER": f"ed25519:{LONG}",
    "DPM_KEY_WRAPPER": f"x509:{LONG}",
}


class Shown:
    """Everything that somebody may see."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        self._texts: list[str] = []
        self._log, self._printed = caplog, capsys
        caplog.set_level(logging.INFO, "dpmiddleware")

    def run(self, action: Callable[[], object]) -> None:
        try:
            self.add(action())
        except Exception as error:  # noqa: BLE001 (whatever is raised is shown)
            self._texts += [f"{error} {error!r} {getattr(error, 'hint', '')} {vars(error)}"]
            self._texts += traceback.format_exception(error)

    def add(self, found: object) -> None:
        self._texts.append(f"{found} {found!r}")
        for take in (pickle.dumps, copy.deepcopy):
            try:
                self._texts.append(str(take(found)))
            except Exception as error:  # noqa: BLE001 (a refusal is shown, too)
                self._texts.append(f"{error}")

    def check(self) -> None:
        self._texts += [f"{record.getMessage()} {vars(record)}" for record in self._log.records]
        self._texts += self._printed.readouterr()
        found = [text for text in self._texts if SECRET.lower() in text.lower()]
        assert found == []


@pytest.fixture
def shown(
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shown:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    return Shown(caplog, capsys)


def use(shown: Shown, contacts: bool, **settings: Any) -> None:
    """Configure a ring, use it, look at it. ``contacts``: whether the store answers (with an error) at once."""

    def made() -> DataProtection:
        return DataProtection("shop", **settings)

    shown.run(made)
    try:
        dp = made()
    except ConfigurationError:
        return
    shown.run(lambda: dp.repository)
    shown.run(lambda: dp.repository.location)
    shown.run(lambda: dp.manager.wrappers)
    if contacts:
        shown.run(lambda: dp.create_protector("p").protect("x"))
        shown.run(dp.health)


@pytest.mark.parametrize("shape", REPOSITORIES)
def test_no_output_shows_a_secret_of_a_repository(shape: str, shown: Shown) -> None:
    url = REPOSITORIES[shape].format(SECRET)
    contacts = not url.startswith(("s3:", "azblob:"))
    use(shown, contacts, repository=url)
    arguments = ["--application", "shop", "--repository", url]
    for verb in (["check"], ["keys", "list"]) if contacts else ():
        shown.run(lambda verb=verb: main([*verb, *arguments]))  # type: ignore[misc]
    shown.check()


@pytest.mark.parametrize("shape", WRAPPERS)
def test_no_output_shows_a_secret_of_a_wrapper(
    shape: str, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = WRAPPERS[shape].format(SECRET)
    contacts = not url.startswith(("awskms:", "azurekv:"))
    use(shown, contacts, repository="memory:", key_wrapper=url)
    monkeypatch.setenv("DPM_KEY_WRAPPER", url)
    for verb in (["check"], ["keys", "list"]) if contacts else ():
        shown.run(lambda verb=verb: main([*verb, "--application", "shop", "--repository", str(tmp_path)]))  # type: ignore[misc]
    shown.check()


@pytest.mark.parametrize("place", MISPLACED)
def test_no_output_shows_a_secret_in_place_of_a_path(place: str, shown: Shown, tmp_path: Path) -> None:
    use(shown, True, **{"repository": "memory:", **MISPLACED[place]})
    shown.check()
    assert [path.name for path in tmp_path.iterdir()] == []  # no folder has the name of a secret


@pytest.mark.parametrize("name", VARIABLES)
def test_no_output_shows_a_secret_in_a_variable_of_something_else(name: str, shown: Shown) -> None:
    environment = {"DPM_APPLICATION": "shop", "DPM_REPOSITORY": "memory:", name: VARIABLES[name]}

    def used() -> object:
        return DataProtection.from_env(environment).create_protector("p").protect("x")

    with pytest.raises(DataProtectionError) as refusal:
        used()
    assert refusal.value.hint
    shown.run(used)
    shown.check()


@pytest.mark.parametrize("path", ["keys", "./" + LONG, "certificates/shop-keys-of-the-year-2026"])
def test_a_folder_may_have_any_name(path: str, shown: Shown, tmp_path: Path) -> None:
    dp = DataProtection("shop", repository=path)
    dp.create_protector("p").protect("x")
    assert tmp_path.joinpath(path).is_dir()


def test_what_leads_to_a_secret_is_shown_where_it_cannot_be_one(tmp_path: Path) -> None:
    """Otherwise nobody could find the mistake."""
    (tmp_path / "secret").write_bytes(b"")
    for reference, expected in (
        ("env:SHOP_RING_SECRET", "SHOP_RING_SECRET"),
        (f"{tmp_path}/secret", f"{tmp_path}/secret is empty"),
        (f"{tmp_path}/sceret", f"{tmp_path}/…"),
    ):
        url = f"secret:{reference}" if reference.startswith("env:") else f"secret://{reference}"
        with pytest.raises(Exception, match="secret") as caught:
            DataProtection("shop", repository="memory:", key_wrapper=url).create_protector("p").protect("x")
        assert expected in str(caught.value)


DOCUMENT = StoredDocument("key-1", f"<key><masterKey>{SECRET}</masterKey></key>".encode())


@pytest.mark.parametrize(
    "holder",
    [DOCUMENT, Snapshot((DOCUMENT,), "1"), MemoryKeyRepository([DOCUMENT])],
    ids=["document", "snapshot", "repository in memory"],
)
def test_what_holds_keys_is_not_pickled(holder: object) -> None:
    """A key that is not wrapped went into a cache or a queue."""
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            take(holder)
