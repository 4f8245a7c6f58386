"""Keys in a table: the contract over PostgreSQL, MariaDB and SQLite, and what is specific to SQL."""
# ruff: noqa: S608 (the names of table and columns are constants here)

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from dpmiddleware.errors import ConfigurationError, MalformedDocumentError, MissingExtraError, RepositoryError
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.repositories.sql import SqlKeyRepository
from dpmiddleware.repositories.sql_statements import TABLE
from dpmiddleware.testing.contracts.remote_repository import RemoteRepositoryContract
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import PASSWORD, Store, commit, contents, document, refusal
from tests.servers import LOOPBACK, Server


class Table(Store):
    """A database of its own, and an SQL prompt."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.raw = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
        quote = self.raw.dialect.identifier_preparer.quote
        self.table, self.name, self.xml = quote(TABLE), quote("FriendlyName"), quote("Xml")

    def emptied(self) -> Table:
        """Without rows. The table itself stays: creating one takes longer than a test."""
        if sqlalchemy.inspect(self.raw).has_table(TABLE):
            self.sql(f"DELETE FROM {self.table}")
        return self

    def dropped(self) -> Table:
        self.sql(f"DROP TABLE IF EXISTS {self.table}")
        return self

    def open(self) -> KeyRepository:
        return SqlKeyRepository.from_url(self.url)

    def sql(self, statement: str, **values: object) -> int:
        with self.raw.begin() as connection:
            return connection.execute(sqlalchemy.text(statement), values).rowcount

    def append(self, name: str, data: bytes) -> None:
        if not sqlalchemy.inspect(self.raw).has_table(TABLE):
            commit(self.open(), document())
            self.sql(f"DELETE FROM {self.table}")
        insert = f"INSERT INTO {self.table} ({self.name}, {self.xml}) VALUES (:name, :xml)"
        self.sql(insert, name=name, xml=data.decode())

    def delete(self, data: bytes) -> None:
        assert self.sql(f"DELETE FROM {self.table} WHERE {self.xml} = :old", old=data.decode()) == 1

    def replace(self, old: bytes, new: bytes) -> None:
        update = f"UPDATE {self.table} SET {self.xml} = :new WHERE {self.xml} = :old"
        assert self.sql(update, old=old.decode(), new=new.decode()) == 1


def database(server: Server) -> Iterator[str]:
    """The URL of a database on ``server`` that is dropped at the end."""
    name = f"dpm_test_{uuid4().hex[:12]}"
    admin = sqlalchemy.create_engine(server.address, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.pool.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server.address + name
    force = " WITH (FORCE)" if server.name == "postgresql" else ""
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


@pytest.fixture(scope="module")
def postgres_database(postgres_server: Server) -> Iterator[str]:
    yield from database(postgres_server)


@pytest.fixture(scope="module")
def mariadb_database(mariadb_server: Server) -> Iterator[str]:
    yield from database(mariadb_server)


@pytest.fixture
def postgres(postgres_database: str) -> Table:
    return Table(postgres_database).emptied()


@pytest.fixture
def mariadb(mariadb_database: str) -> Table:
    return Table(mariadb_database).emptied()


@pytest.fixture
def sqlite(tmp_path: Path) -> Table:
    return Table(f"sqlite:///{tmp_path}/keys.db")


def hasty(repository: SqlKeyRepository) -> SqlKeyRepository:
    """The same, with shorter time limits."""
    repository._seconds = 1.0
    return repository


class TestPostgreSQL(RemoteRepositoryContract):
    drips = b"NR\x00\x00\x10\x00"

    @pytest.fixture
    def store(self, postgres: Table) -> Store:
        return postgres

    def at(self, port: int) -> KeyRepository:
        return hasty(SqlKeyRepository.from_url(f"postgresql+psycopg://user:{PASSWORD}@{LOOPBACK}:{port}/keys"))


class TestMariaDB(RemoteRepositoryContract):
    drips = b"\xff\xff\x00\x00"

    @pytest.fixture
    def store(self, mariadb: Table) -> Store:
        return mariadb

    def at(self, port: int) -> KeyRepository:
        return hasty(SqlKeyRepository.from_url(f"mysql+pymysql://user:{PASSWORD}@{LOOPBACK}:{port}/keys"))


class TestSQLite(RepositoryContract):
    @pytest.fixture
    def store(self, sqlite: Table) -> Store:
        return sqlite


def test_a_file_that_is_not_there_is_an_empty_store_and_is_not_created_by_a_reader(tmp_path: Path) -> None:
    file = tmp_path / "kyes.db"
    repository = SqlKeyRepository(f"sqlite:///{file}")
    assert repository.read().documents == ()
    assert repository.version() == repository.read().version
    assert not file.exists()
    commit(repository, document())
    assert file.exists()
    with pytest.raises(RepositoryError, match="unable to open"):
        SqlKeyRepository(f"sqlite:///{tmp_path}/nowhere/keys.db").read()


class TestSQLByEngine(RepositoryContract):
    """An application's own engine, with SQLAlchemy's defaults; and a database that does not compute a digest."""

    @pytest.fixture(params=["given engine", "digested here"])
    def store(self, request: pytest.FixtureRequest, postgres: Table, monkeypatch: pytest.MonkeyPatch) -> Store:
        def open_one() -> KeyRepository:
            repository = SqlKeyRepository(engine=sqlalchemy.create_engine(postgres.url))
            if request.param == "digested here":
                repository._version = None
            return repository

        monkeypatch.setattr(postgres, "open", open_one)
        return postgres


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "mariadb", "sqlite"])
def table(request: pytest.FixtureRequest) -> Table:
    found: Table = request.getfixturevalue(request.param)
    return found.dropped()


def test_rows_are_what_net_reads(table: Table) -> None:
    """No byte order mark and no declaration; the database generates the Id."""
    net = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<key id="1" />\r\n'
    commit(table.open(), StoredDocument("key-1", net))
    with table.raw.connect() as connection:
        rows = connection.execute(sqlalchemy.text(f"SELECT * FROM {table.table}")).mappings().all()
    assert [dict(row) for row in rows] == [{"Id": 1, "FriendlyName": "key-1", "Xml": '<key id="1" />'}]


def test_what_net_could_not_read_is_never_written(table: Table) -> None:
    with pytest.raises(MalformedDocumentError):
        commit(table.open(), StoredDocument("key-1", b"<key>"))
    assert not sqlalchemy.inspect(table.raw).has_table(TABLE)


def test_reading_makes_no_table(table: Table) -> None:
    repository = table.open()
    repository.read()
    repository.version()
    repository.commit(expected=repository.version())
    assert not sqlalchemy.inspect(table.raw).has_table(TABLE)


def test_an_empty_table_and_no_table_are_one_version(table: Table) -> None:
    before = table.open().version()
    commit(table.open(), document())
    table.sql(f"DELETE FROM {table.table}")
    assert table.open().version() == before


def test_a_friendly_name_of_any_length_is_read_up_to_256_characters(table: Table) -> None:
    """In SQLite and PostgreSQL it is a text without a limit."""
    good = StoredDocument("key-1", document().data)
    commit(table.open(), good)
    if table.raw.dialect.name in {"sqlite", "postgresql"}:
        table.sql(f"UPDATE {table.table} SET {table.name} = '{'n' * 100_000}'")
        (found,) = table.open().read().documents
        assert (found.name, found.data) == ("n" * 256, good.data)
        table.open().commit(remove=[found], expected=table.open().version())
        assert contents(table.open()) == []


def test_a_row_without_text_is_named(table: Table) -> None:
    commit(table.open(), document())
    table.sql(f"INSERT INTO {table.table} ({table.name}) VALUES ('key-null')")
    assert [each.problem for each in table.open().read().documents] == ["", "empty"]


def test_a_name_changed_by_others_is_a_change(table: Table) -> None:
    commit(table.open(), document())
    before = table.open().version()
    table.sql(f"UPDATE {table.table} SET {table.name} = 'revocation-1'")
    assert table.open().version() != before


def test_a_replacement_is_a_new_row(table: Table) -> None:
    repository = table.open()
    commit(repository, document(name="key-1"))
    old = repository.read()
    repository.commit(add=[document(name="key-1")], remove=old.documents, expected=old.version)
    (new,) = repository.read().documents
    assert (old.documents[0].locator, new.locator) == ("1", "2")


@pytest.mark.parametrize("allowed", [True, False], ids=["no right", "not allowed"])
def test_where_the_table_cannot_be_made_the_error_says_how(allowed: bool, postgres: Table) -> None:
    postgres.dropped()
    postgres.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    role = f"dpm_{uuid4().hex[:8]}"
    postgres.sql(f"CREATE ROLE {role} LOGIN")
    try:
        engine = sqlalchemy.create_engine(postgres.url.replace("postgres@", f"{role}@"))
        repository = SqlKeyRepository(engine=engine, create_table=allowed)
        assert repository.read().documents == ()
        with refusal(repository):
            commit(repository, document())
        engine.dispose()
    finally:
        postgres.sql(f"DROP ROLE {role}")


def test_a_table_made_by_the_hint_is_used(postgres: Table) -> None:
    postgres.dropped()
    repository = SqlKeyRepository(engine=sqlalchemy.create_engine(postgres.url), create_table=False)
    with pytest.raises(RepositoryError) as caught:
        commit(repository, document())
    assert 'CREATE TABLE "DataProtectionKeys"' in caught.value.hint
    postgres.sql(caught.value.hint.partition(": ")[2])
    commit(repository, document())
    assert len(repository.read().documents) == 1


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_the_version_is_one_statement(name: str, request: pytest.FixtureRequest) -> None:
    table: Table = request.getfixturevalue(name)
    repository = SqlKeyRepository.from_url(table.url)
    commit(repository, document())
    asked: list[str] = []
    engine: Any = repository._engine
    sqlalchemy.event.listen(
        engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement)
    )
    sqlalchemy.event.listen(engine.pool, "connect", lambda *given: asked.append("a new connection"))
    answer = repository.version()
    assert len(asked) == 1
    assert len(answer) < 100
    repository.read()
    assert len(asked) == 2


def test_no_key_stands_in_an_error(postgres: Table) -> None:
    commit(postgres.open(), document())
    postgres.sql(f"ALTER TABLE {postgres.table} ADD CHECK ({postgres.xml} NOT LIKE '%SECRET%')")
    repository = SqlKeyRepository(engine=sqlalchemy.create_engine(postgres.url))
    with pytest.raises(RepositoryError) as caught:
        commit(repository, document("SECRET"))
    postgres.dropped()
    error: BaseException | None = caught.value
    while error is not None:
        assert "SECRET" not in f"{error} {getattr(error, 'hint', '')}"
        error = error.__cause__


def test_a_database_that_was_restarted_is_found_again(own_postgres: Server) -> None:
    repository = SqlKeyRepository.from_url(own_postgres.address + "postgres")
    added = document()
    commit(repository, added)
    own_postgres.stop()
    with refusal(repository):
        repository.version()
    own_postgres.start()
    assert contents(repository) == [added.data]


def test_a_database_that_freezes_is_let_go_and_found_again(own_postgres: Server) -> None:
    repository = SqlKeyRepository.from_url(own_postgres.address + "postgres")
    added = document()
    commit(repository, added)
    with own_postgres.paused(), refusal(hasty(repository)):
        repository.version()
    assert contents(repository) == [added.data]


# --- URLs -------------------------------------------------------------------------------------------------------------


def test_a_password_from_a_variable(own_postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_PASSWORD", PASSWORD)
    url = f"{own_postgres.address}postgres?password=env:KEYS_PASSWORD&application_name=keys"
    repository = SqlKeyRepository.from_url(url)
    assert repository.read().documents == ()
    engine: Any = repository._engine
    with engine.connect() as connection:
        shown = connection.connection.driver_connection.info
        assert shown.password == PASSWORD
        assert shown.get_parameters()["application_name"] == "keys"
    assert PASSWORD not in repository.location
    monkeypatch.delenv("KEYS_PASSWORD")
    with pytest.raises(RepositoryError, match="KEYS_PASSWORD"):
        SqlKeyRepository.from_url(url).read()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("sqlite://", id="SQLite in memory"),
        pytest.param("sqlite:///:memory:", id="SQLite in memory, by name"),
        pytest.param("sqlite:///file::memory:?uri=true", id="SQLite in memory, by URI"),
        pytest.param("sqlite:///file:keys?mode=memory&cache=shared&uri=true", id="SQLite in memory, by mode"),
        pytest.param("oracle+cx_oracle://host/db", id="a driver that is not installed"),
        pytest.param("postgresql+psycopg://host:port/db", id="a port that is none"),
        pytest.param("sqlite+aiosqlite:///keys.db", id="an asyncio driver"),
    ],
)
def test_a_url_that_cannot_be_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SqlKeyRepository.from_url(url)
    assert caught.value.hint


def test_one_of_url_and_engine_is_needed_and_it_must_be_a_plain_engine() -> None:
    with pytest.raises(ConfigurationError):
        SqlKeyRepository()
    engine = create_async_engine("postgresql+psycopg_async://localhost/keys")
    with pytest.raises(ConfigurationError, match="asyncio"):
        SqlKeyRepository(engine=engine.sync_engine)


def test_without_sqlalchemy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtraError) as caught:
        SqlKeyRepository.from_url("sqlite:///keys.db")
    assert "dpmiddleware[sql]" in caught.value.hint
