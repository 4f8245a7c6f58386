"""Keys in a database of Django: the contract over PostgreSQL, MariaDB and SQLite, alone and beside SQLAlchemy."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from django.conf import settings
from django.db import connections, transaction
from django.test import override_settings

from dpmiddleware.components import repository_from
from dpmiddleware.errors import ConfigurationError, MissingExtraError, RepositoryError
from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.django_database import DjangoKeyRepository
from dpmiddleware.repositories.sql import SqlKeyRepository
from dpmiddleware.repositories.sql_statements import TABLE
from dpmiddleware.testing.contracts.remote_repository import RemoteRepositoryContract
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import PASSWORD, Store, commit, contents, document, refusal, stored
from dpmiddleware.testing.contracts.together import at_once
from tests.django_databases import django_database, migrated, settings_of
from tests.repositories.test_sql import Table, database
from tests.servers import LOOPBACK, Server, wait_for


class DjangoTable(Table):
    """A database that was migrated; ``beside``: every other repository on it is one of SQLAlchemy."""

    def __init__(self, url: str, alias: str, *, beside: bool = False) -> None:
        super().__init__(url)
        self.alias = alias
        kinds = [self.by_django, *([super().open] if beside else [])]
        self._kinds = itertools.cycle(kinds)

    def by_django(self) -> KeyRepository:
        return repository_from(f"django:{self.alias}")

    def open(self) -> KeyRepository:
        return next(self._kinds)()


@pytest.fixture(scope="module")
def postgres_url(postgres_server: Server) -> Iterator[str]:
    yield from database(postgres_server)


@pytest.fixture(scope="module")
def mariadb_url(mariadb_server: Server) -> Iterator[str]:
    yield from database(mariadb_server)


@pytest.fixture(scope="module")
def postgres_alias(postgres_url: str) -> Iterator[str]:
    with django_database(postgres_url) as alias:
        yield migrated(alias)


@pytest.fixture(scope="module")
def mariadb_alias(mariadb_url: str) -> Iterator[str]:
    with django_database(mariadb_url) as alias:
        yield migrated(alias)


@pytest.fixture(params=["Django", "Django and SQLAlchemy"])
def beside(request: pytest.FixtureRequest) -> bool:
    return bool(request.param != "Django")


@pytest.fixture
def postgres(postgres_url: str, postgres_alias: str) -> DjangoTable:
    table = DjangoTable(postgres_url, postgres_alias)
    table.emptied()
    return table


@pytest.fixture
def mariadb(mariadb_url: str, mariadb_alias: str) -> DjangoTable:
    table = DjangoTable(mariadb_url, mariadb_alias)
    table.emptied()
    return table


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[DjangoTable]:
    url = f"sqlite:///{tmp_path}/keys.db"
    with django_database(url) as alias:
        yield DjangoTable(url, migrated(alias))


@pytest.fixture(params=["postgres", "mariadb", "sqlite"])
def table(request: pytest.FixtureRequest) -> DjangoTable:
    found: DjangoTable = request.getfixturevalue(request.param)
    return found


class _Unreachable(RemoteRepositoryContract):
    """At a port where nobody answers as a database does."""

    url = ""

    @pytest.fixture(autouse=True)
    def _aliases(self) -> Iterator[None]:
        with django_database(f"{self.url}user:{PASSWORD}@{LOOPBACK}:1/keys") as alias:
            self.alias = alias
            yield

    def at(self, port: int) -> KeyRepository:
        connections.settings[self.alias]["PORT"] = port
        repository = DjangoKeyRepository(self.alias)
        repository._seconds = 1.0
        return repository


class TestPostgreSQL(_Unreachable):
    url = "postgresql+psycopg://"
    drips = b"NR\x00\x00\x10\x00"

    @pytest.fixture
    def store(self, postgres_url: str, postgres: DjangoTable, beside: bool) -> Store:
        return DjangoTable(postgres_url, postgres.alias, beside=beside)


class TestMariaDB(_Unreachable):
    url = "mysql+pymysql://"
    drips = b"\xff\xff\x00\x00"

    @pytest.fixture
    def store(self, mariadb_url: str, mariadb: DjangoTable, beside: bool) -> Store:
        return DjangoTable(mariadb_url, mariadb.alias, beside=beside)


class TestSQLite(RepositoryContract):
    @pytest.fixture
    def store(self, sqlite: DjangoTable, beside: bool) -> Store:
        return DjangoTable(sqlite.url, sqlite.alias, beside=beside)


# --- beside the application's own connection --------------------------------------------------------------------------


def test_a_commit_inside_of_a_transaction_is_neither_lost_nor_a_part_of_it(table: DjangoTable) -> None:
    """A request under ATOMIC_REQUESTS, and a ``TestCase``, are such a transaction."""
    repository, added = table.open(), document()
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=table.alias):
        before = connections[table.alias]
        with before.cursor() as cursor:
            cursor.execute("SELECT 1")
        commit(repository, added)
        assert connections[table.alias] is before
        assert before.in_atomic_block
        assert not before.needs_rollback
        _ = 1 / 0
    assert contents(repository) == [added.data]


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_a_request_that_wrote_before_does_not_stop_a_commit(name: str, request: pytest.FixtureRequest) -> None:
    table: DjangoTable = request.getfixturevalue(name)
    with transaction.atomic(using=table.alias), connections[table.alias].cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visits (number INTEGER)")
        cursor.execute("INSERT INTO visits VALUES (1)")
        commit(table.open(), document())
    assert len(contents(table.open())) == 1


def test_no_router_of_databases_is_asked(table: DjangoTable) -> None:
    repository = table.open()
    with override_settings(DATABASE_ROUTERS=[_Nowhere()]):
        commit(repository, document())
        assert len(contents(repository)) == 1


class _Nowhere:
    """A router that sends reads and writes to a database that does not exist."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "nowhere"


def test_every_connection_is_closed_at_the_end_of_its_call(postgres_url: str, postgres: DjangoTable) -> None:
    with django_database({**settings_of(postgres_url), "OPTIONS": {"application_name": "ring"}}) as alias:
        repository = DjangoKeyRepository(alias)
        commit(repository, document())
        at_once(4, lambda _: repository.read())
    with postgres.raw.connect() as connection:
        outside = connection.execution_options(isolation_level="AUTOCOMMIT")  # else it would count once
        open_ones = sqlalchemy.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ring'")
        wait_for("the server to notice", lambda: outside.scalar(open_ones) == 0)


def test_a_call_without_a_thread_of_its_own_gives_the_connection_back(table: DjangoTable) -> None:
    """Where no thread can be started, a call runs in that of its caller."""
    repository = table.open()
    repository._seconds = None  # type: ignore[attr-defined]  # of Repository
    with transaction.atomic(using=table.alias):
        before = connections[table.alias]
        commit(repository, document())
        assert connections[table.alias] is before
    assert len(contents(repository)) == 1


def test_keys_are_not_in_the_log_of_statements(table: DjangoTable, caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(DEBUG=True), caplog.at_level(logging.DEBUG):
        commit(table.open(), document("a key that is not wrapped"))
    assert "a key that is not wrapped" not in caplog.text


def test_options_of_the_settings_are_used_but_not_a_pool(postgres_url: str, postgres: DjangoTable) -> None:
    """Requests may have taken all connections of a pool."""
    options = {"pool": {"min_size": 0, "max_size": 0}, "options": "-c search_path=pg_catalog"}
    with django_database({**settings_of(postgres_url), "OPTIONS": options}) as alias:
        with pytest.raises(RepositoryError, match=f"the table {TABLE} does not exist"):
            DjangoKeyRepository(alias).read()
        options["options"] = "-c search_path=public"
        assert contents(DjangoKeyRepository(alias)) == []


def test_no_connection_is_left_in_a_thread(table: DjangoTable) -> None:
    seen: list[object] = []
    repository = table.open()

    def look() -> None:
        repository.read()
        seen.append(connections[table.alias].connection)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [None]


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_missing_table_is_an_error_and_not_an_empty_store(table: DjangoTable) -> None:
    """A server that starts before ``migrate`` has been run makes no second ring, and goes on once it was."""
    repository = DjangoKeyRepository(table.alias)
    table.dropped()
    for call in (repository.read, repository.version, lambda: repository.commit(add=[document()], expected="0")):
        with pytest.raises(RepositoryError, match=f"the table {TABLE} does not exist") as caught:
            call()
        assert caught.value.hint == f"run `manage.py migrate --database {table.alias}`"
    with connections[table.alias].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations")
    migrated(table.alias)
    commit(repository, document())
    assert len(contents(repository)) == 1


def test_without_the_app_there_is_no_migration_to_run(sqlite: DjangoTable) -> None:
    sqlite.dropped()
    installed = [each for each in settings.INSTALLED_APPS if each != "dpmiddleware.django"]
    with override_settings(INSTALLED_APPS=installed), pytest.raises(RepositoryError) as caught:
        sqlite.open().read()
    assert caught.value.hint.startswith("add 'dpmiddleware.django' to INSTALLED_APPS, and run `manage.py migrate")


def test_a_replacement_is_a_new_row(table: DjangoTable) -> None:
    repository, old, new = table.open(), document(name="key-1"), document(name="key-1")
    commit(repository, old)
    before = stored(repository, old.data)
    repository.commit(add=[new], remove=[before], expected=repository.version())
    assert int(stored(repository, new.data).locator) > int(before.locator)


def test_django_and_sqlalchemy_state_one_version(table: DjangoTable) -> None:
    ours, other = DjangoKeyRepository(table.alias), SqlKeyRepository(table.url)
    assert ours.version() == other.version()
    commit(ours, document("é ∀ 𝄞"))
    assert ours.version() == other.version() == ours.read().version == other.read().version


def test_many_rows_are_removed_and_added_at_once(table: DjangoTable) -> None:
    repository = table.open()
    commit(repository, *(document() for _ in range(250)))
    before = repository.read()
    repository.commit(add=[document()], remove=before.documents, expected=before.version)
    assert len(contents(repository)) == 1


def test_a_database_that_was_restarted_is_found_again(own_postgres: Server) -> None:
    with django_database(own_postgres.address + "postgres") as alias:
        repository, added = DjangoKeyRepository(migrated(alias)), document()
        commit(repository, added)
        own_postgres.stop()
        with refusal(repository):
            repository.version()
        own_postgres.start()
        assert contents(repository) == [added.data]


def test_a_database_that_freezes_is_let_go_and_found_again(own_postgres: Server) -> None:
    with django_database(own_postgres.address + "postgres") as alias:
        repository, added = DjangoKeyRepository(migrated(alias)), document()
        commit(repository, added)
        repository._seconds = 1.0
        with own_postgres.paused(), refusal(repository):
            repository.version()
        assert contents(repository) == [added.data]


# --- SQLite that only this process has --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        {"NAME": "file:memorydb_ring?mode=memory&cache=shared"},
        {"NAME": ":memory:"},
        {"NAME": "test.db", "TEST": {"NAME": "test.db"}},
    ],
    ids=["the memory of a test run", "memory", "the file of a test run"],
)
def test_a_ring_of_sqlite_in_a_test_run_lasts_while_a_test_holds_the_database(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the file is created
    with django_database({"ENGINE": "django.db.backends.sqlite3", **place}) as alias:
        added = document()
        with transaction.atomic(using=alias):
            if "file:" in place["NAME"]:
                with connections[alias].cursor() as cursor:
                    cursor.execute("CREATE TABLE visits (number INTEGER)")
            commit(DjangoKeyRepository(alias), added)
            transaction.set_rollback(True, using=alias)
        assert contents(DjangoKeyRepository(alias)) == [added.data]


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["django:", "django:defalt", "django://default", "django:default?table=keys"])
def test_a_url_that_cannot_be_is_refused_at_once(url: str, sqlite: DjangoTable) -> None:
    with pytest.raises(ConfigurationError) as caught:
        repository_from(url)
    assert "default" in caught.value.hint


def test_a_backend_without_a_test_is_refused() -> None:
    with (
        django_database({"ENGINE": "django.db.backends.dummy"}) as alias,
        pytest.raises(ConfigurationError, match="unknown") as caught,
    ):
        DjangoKeyRepository(alias)
    assert "oracle+oracledb://" in caught.value.hint


def test_without_django_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django", None)
    with pytest.raises(MissingExtraError) as caught:
        repository_from("django:default")
    assert "dpmiddleware[django]" in caught.value.hint


OUTSIDE = """
from dpmiddleware.components import repository_from
from dpmiddleware.errors import ConfigurationError
try:
    repository_from("django:default")
except ConfigurationError as error:
    print(error, "|", error.hint)
"""


def test_outside_of_django_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    shown = subprocess.run([sys.executable, "-c", OUTSIDE], capture_output=True, text=True, check=True).stdout
    assert "there are no settings of Django here | set DJANGO_SETTINGS_MODULE" in shown
