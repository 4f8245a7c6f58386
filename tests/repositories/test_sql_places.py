"""Tables in a schema or under other names, on real databases; and that a second table is never made by accident."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, RepositoryError, VersionConflict
from dpmiddleware.repositories.sql import SqlKeyRepository
from dpmiddleware.testing.contracts.store import commit, contents, document, refusal, stored
from tests.repositories.test_sql import database
from tests.servers import Server

COLUMNS = {
    "net": ("Id", "FriendlyName", "Xml"),
    "snake": ("id", "friendly_name", "xml"),
    "upper": ("ID", "FRIENDLYNAME", "XML"),
}


class Place:
    """A database with a second schema (of MariaDB: a second database), and someone who makes tables in it."""

    def __init__(self, url: str, schema: str) -> None:
        self.url, self.schema = url, schema
        self.engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)

    def make(self, table: str, schema: str | None = None, columns: str = "net") -> None:
        row_id, name, xml = COLUMNS[columns]
        made = sqlalchemy.Table(
            table,
            sqlalchemy.MetaData(),
            sqlalchemy.Column(row_id, sqlalchemy.Integer, sqlalchemy.Identity(), primary_key=True),
            sqlalchemy.Column(name, sqlalchemy.Text),
            sqlalchemy.Column(xml, sqlalchemy.Text),
            schema=schema,
        )
        made.create(self.engine)

    def tables(self) -> set[str]:
        """All of both schemas; those of the second one with its name."""
        look: Any = sqlalchemy.inspect(self.engine)
        there = {f"{self.schema}.{name}" for name in look.get_table_names(schema=self.schema)}
        return there | set(look.get_table_names())

    def cleared(self) -> Place:
        quote = self.engine.dialect.identifier_preparer.quote
        with self.engine.begin() as connection:
            for name in self.tables():
                connection.exec_driver_sql(f"DROP TABLE {'.'.join(map(quote, name.split('.')))}")
        return self

    def open(self, **options: str) -> SqlKeyRepository:
        return SqlKeyRepository.from_url(f"{self.url}?{urlencode(options)}" if options else self.url)


@pytest.fixture(scope="module")
def postgres_place(postgres_server: Server) -> Iterator[Place]:
    for url in database(postgres_server):
        with sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool).begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA auth")
        yield Place(url, "auth")


@pytest.fixture(scope="module")
def mariadb_place(mariadb_server: Server) -> Iterator[Place]:
    for url in database(mariadb_server):
        for second in database(mariadb_server):
            yield Place(url, second.rpartition("/")[2])


@pytest.fixture(params=["postgres", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found.cleared()


def used(repository: SqlKeyRepository) -> None:
    """Everything that a ring does with a repository."""
    first, second = document(), document()
    assert contents(repository) == []
    commit(repository, first)
    version = repository.version()
    commit(repository, second)
    with pytest.raises(VersionConflict):
        repository.commit(add=[document()], expected=version)
    with refusal(repository):
        commit(repository, document(name=first.name))
    assert contents(repository) == sorted([first.data, second.data])
    repository.commit(remove=[stored(repository, first.data)], expected=repository.version())
    assert contents(repository) == [second.data]
    assert repository.read().version == repository.version()


NAMES = [
    pytest.param({"schema": True}, "net", id="a schema"),
    pytest.param({"table": "ShopKeys"}, "net", id="a table"),
    pytest.param({"schema": True, "table": "data_protection_keys"}, "snake", id="both, names of another convention"),
    pytest.param({"table": 'odd "n%(x)s`:y]'}, "upper", id="a name that needs quotes"),
]


@pytest.mark.parametrize(("exists", "how"), [(True, "arguments"), (False, "URL")], ids=["there", "made by us"])
@pytest.mark.parametrize(("named", "columns"), NAMES)
def test_keys_are_in_the_table_that_is_named(
    place: Place, named: dict[str, Any], columns: str, exists: bool, how: str
) -> None:
    table: str = named.get("table", "DataProtectionKeys")
    schema = place.schema if "schema" in named else None
    options = {**({"schema": schema} if schema else {}), **({"table": table} if "table" in named else {})}
    if exists:
        place.make(table, schema, columns)
    if how == "URL":
        repository = place.open(**options)
    else:
        repository = SqlKeyRepository(engine=sqlalchemy.create_engine(place.url), **options)  # type: ignore[arg-type]
        assert table in repository.location or table == "DataProtectionKeys"
    used(repository)
    assert place.tables() == {f"{schema}.{table}" if schema else table}


OTHERS: dict[str, tuple[str, bool, str, dict[str, Any]]] = {
    "another schema": ("DataProtectionKeys", True, "net", {}),
    "another convention": ("data_protection_keys", False, "snake", {}),
    "another name": ("AspNetDataProtectionKeys", False, "net", {}),
    "another schema and convention": ("data_protection_keys", True, "snake", {}),
    "another convention in the schema": ("dataprotectionkeys", True, "snake", {"schema": True}),
    "the named table in another case": ("ShopKeys", False, "net", {"table": "shop_keys"}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_second_table_is_never_made_beside_one_of_key_documents(place: Place, other: str) -> None:
    """An empty second table is a second ring: the cookies of the first one would be refused."""
    table, elsewhere, columns, configured = OTHERS[other]
    if place.engine.dialect.name == "mysql" and elsewhere and not configured:
        return  # another database of the server belongs to another application
    place.make(table, place.schema if elsewhere else None, columns)
    options = {name: place.schema if value is True else value for name, value in configured.items()}
    repository, before = place.open(**options), place.tables()
    for call in (repository.read, repository.version, lambda: repository.commit(add=[document()], expected="0")):
        with pytest.raises(RepositoryError, match=table) as caught:
            call()
        assert "add " in caught.value.hint
    assert place.tables() == before
    with pytest.raises(RepositoryError):
        DataProtection("shop", repository=repository).create_protector("p").protect("x")


def test_what_the_hint_says_opens_the_other_table(place: Place) -> None:
    place.make("data_protection_keys", None, "snake")
    with pytest.raises(RepositoryError) as caught:
        place.open().read()
    options = caught.value.hint.split()[1]
    used(SqlKeyRepository.from_url(f"{place.url}?{options}"))
    assert place.tables() == {"data_protection_keys"}


def test_with_the_statement_of_the_hint_two_rings_share_a_database(place: Place) -> None:
    place.make("data_protection_keys", None, "snake")
    with pytest.raises(RepositoryError) as caught:
        place.open().read()
    with place.engine.begin() as connection:
        connection.exec_driver_sql(caught.value.hint.partition("created: ")[2].rstrip(";"))
    used(place.open())


def test_another_name_that_is_configured_is_a_ring_of_its_own(place: Place) -> None:
    used(place.open())
    used(place.open(table="SecondKeys"))
    assert place.tables() == {"DataProtectionKeys", "SecondKeys"}


def test_a_table_of_something_else_is_not_in_the_way(place: Place) -> None:
    with place.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE api_keys (id int, name text)")
    used(place.open())


def test_a_table_of_something_else_is_not_used(place: Place) -> None:
    with place.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE api_keys (id int, name text)")
    repository = place.open(table="api_keys")
    with refusal(repository):
        repository.read()


def test_a_schema_that_does_not_exist_is_an_error_and_not_an_empty_store(place: Place) -> None:
    repository = place.open(schema="no_such_schema")
    for call in (repository.read, repository.version, lambda: repository.commit(add=[document()], expected="0")):
        with refusal(repository):
            call()


def test_in_sqlite_a_table_under_another_name_is_found(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/keys.db", "main")
    place.make("data_protection_keys", None, "snake")
    with pytest.raises(RepositoryError, match="data_protection_keys"):
        place.open().read()
    used(place.open(table="data_protection_keys"))
    used(place.open(schema="main", table="Other"))


@pytest.mark.parametrize("name", ["tabel", "Table", "TABLE", "tables", "shema", "Schema"])
def test_a_misspelt_option_does_not_make_a_second_ring(name: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    used(SqlKeyRepository.from_url(f"{url}?table=Shop"))
    with pytest.raises(ConfigurationError, match=name) as refusal:
        SqlKeyRepository.from_url(f"{url}?{name}=Shop")
    assert refusal.value.hint in {"use table=", "use schema="}


@pytest.mark.parametrize("query", ["schema=", "table=", "schema=a&schema=b", "table=a&table=b"])
def test_an_empty_or_double_name_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError):
        SqlKeyRepository.from_url(f"sqlite:///keys.db?{query}")
