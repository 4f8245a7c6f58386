"""Keys in a table of any database that SQLAlchemy supports (extra ``sql``); `table` says what the table is.

A missing table is an empty store, unless the database has another table of key documents (`sql_place`). The first
commit creates the table; if the user lacks the permission, the hint of the error is the statement that creates it.

Some drivers have no timeout for answers. The connection of a call that takes too long is shut (`bounded.Call`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.extras import import_extra
from dpmiddleware.forks import after_fork
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.base import check_one_given
from dpmiddleware.repositories.bounded import Call, current_call
from dpmiddleware.repositories.sql_engine import (
    engine_of,
    has_no_file,
    is_collision,
    parameters_of,
    reason,
    says_no_table,
)
from dpmiddleware.repositories.sql_place import columns_of, objection
from dpmiddleware.repositories.sql_statements import COLUMNS, TABLE, Statements
from dpmiddleware.repositories.table import HINT, CollisionError, Rows, TableRepository
from dpmiddleware.repositories.url_parameters import bad_value, unknown_parameter
from dpmiddleware.urls import take_options

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

__all__ = ["SqlKeyRepository"]

_CREATING: Final = "create a table in"
_T = TypeVar("_T")


class SqlKeyRepository(TableRepository):
    """A `KeyRepository` in a table of any database that SQLAlchemy supports.

    Give either ``url`` or ``engine``.

    url: any URL of SQLAlchemy, such as ``postgresql+psycopg://user@host/database?password=env:NAME``; the password may
        also be a path. ``?schema=`` and ``?table=`` come before the arguments.
    engine: a ready one; its timeouts are not changed.
    schema, table: where the documents are.
    create_table: whether the first commit may create the table.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        engine: Engine | None = None,
        schema: str | None = None,
        table: str = TABLE,
        create_table: bool = True,
    ) -> None:
        check_one_given("a database", url, engine)
        self._sqlalchemy = import_extra("sqlalchemy", "sql", "a key ring in a database")
        plain, own = take_options(url or "", "schema", "table")
        for name in (pair.partition("=")[0] for pair in plain.partition("?")[2].split("&")):
            if near := difflib.get_close_matches(name.lower(), ("schema", "table"), 1, 0.8):  # else a second table
                raise ConfigurationError(f"the URL has the unknown option {printable(name)}", hint=f"use {near[0]}=")
        self._name, self._schema = own.get("table", table), own.get("schema", schema)
        self._engine: Engine = engine if engine is not None else engine_of(plain)
        if getattr(self._engine.dialect, "is_async", False):
            raise ConfigurationError(
                "a key ring cannot use an asyncio engine", hint="give an engine of create_engine()"
            )
        location = without_password(url or self._engine.url.render_as_string())
        named = ".".join(filter(None, (schema, table))) if (schema, table) != (None, TABLE) else ""
        super().__init__(f"{location} table {printable(named)}" if named and not own else location)
        self._create_table = create_table
        if type(self._engine.pool).__name__ in {"SingletonThreadPool", "StaticPool"}:  # SQLite in memory: one thread
            self._seconds = None
        self._use(COLUMNS)
        after_fork(self._leave_connections)

    def _use(self, columns: Sequence[str]) -> None:
        self._statements = Statements(self._engine.dialect, self._name, self._schema, columns)
        self._version = self._statements.version

    def _leave_connections(self) -> None:
        """In a forked child, start with an empty pool; the connections belong to the parent."""
        self._engine.dispose(close=False)

    def _make_table(self) -> None:
        create = self._statements.create
        try:
            if not self._create_table:
                raise RepositoryError(
                    "the table does not exist, and create_table=False", hint="create it, or leave create_table out"
                )
            self._run(_CREATING, lambda rows: bool(rows.connection.execute(create)), absent=False)
        except RepositoryError as error:
            if self._columns():  # another process created it at the same moment
                return
            raise self._failed(_CREATING, error, f"have the table created: {self._creation()};") from None

    def _creation(self) -> str:
        return " ".join(str(self._statements.create.compile(dialect=self._engine.dialect)).split())

    # --- around a connection --------------------------------------------------------------------------------------

    def _run(
        self,
        doing: str,
        action: Callable[[_Rows], _T],
        *,
        absent: _T,
        transaction: bool = False,
        first: bool = True,
    ) -> _T:
        """See `TableRepository`. first: whether this is not a second attempt."""
        errors = self._sqlalchemy.exc
        call = current_call() or Call()
        call.connection = None
        if not transaction and doing != _CREATING and has_no_file(self._engine):
            return absent
        try:
            return self._connected(call, action, transaction)
        except errors.DBAPIError as error:
            if transaction and is_collision(error.orig):
                raise CollisionError from None
            failure = self._failed(doing, *self._said(error.orig))
            if call.connection is None or error.connection_invalidated or doing == _CREATING:
                raise failure from None
            no_table = says_no_table(error.orig, self._engine.dialect.name)
        except (errors.SQLAlchemyError, OSError) as error:
            raise self._failed(doing, reason(error), HINT) from None
        except (ConfigurationError, TypeError) as error:
            raise self._unconnected(doing, error) from None
        columns = self._columns()
        if columns == () and no_table:
            self._check_absent(doing)
            return absent
        created = no_table and first  # by another process, between the statement and the look at the columns
        if not columns or (columns == self._statements.columns and not created):
            raise failure
        self._use(columns)
        return self._run(doing, action, absent=absent, transaction=transaction, first=False)

    def _unconnected(self, doing: str, error: ConfigurationError | TypeError) -> Exception:
        """The password's variable or file is missing, or a driver in Python does not know a parameter."""
        if isinstance(error, ConfigurationError):
            return self._failed(doing, error, error.hint)
        unknown = self._unknown(error)
        return error if unknown is None else self._failed(doing, *unknown)

    def _said(self, error: BaseException | None) -> tuple[str, str]:
        """What a driver says, and what to do about it."""
        return self._unknown(error) or (reason(error), bad_value(error) or HINT)

    def _unknown(self, error: BaseException | None) -> tuple[str, str] | None:
        return unknown_parameter(error, lambda: parameters_of(self._engine.dialect))

    def _connected(self, call: Call, action: Callable[[_Rows], _T], transaction: bool) -> _T:
        retried = False
        while True:
            try:
                with self._engine.connect() as plain:
                    call.connection = plain.connection.driver_connection
                    if transaction:
                        return self._in_transaction(plain, action)
                    return action(self._rows(plain.execution_options(isolation_level="AUTOCOMMIT")))
            except self._sqlalchemy.exc.DBAPIError as error:
                # The server closed a connection of the pool: retry once, on a new one.
                if transaction or retried or not error.connection_invalidated:
                    raise
                retried = True

    def _in_transaction(self, plain: Connection, action: Callable[[_Rows], _T]) -> _T:
        if self._engine.dialect.name != "sqlite":
            connection = plain.execution_options(isolation_level=self._statements.isolation)
            begin, end = self._statements.turns
            with connection.begin():
                if begin:
                    connection.exec_driver_sql(begin)
                try:
                    return action(self._rows(connection))
                finally:
                    if end:
                        connection.exec_driver_sql(end)
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver itself would begin without a lock
        try:
            result = action(self._rows(connection))
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        return result

    def _rows(self, connection: Connection) -> _Rows:
        return _Rows(connection, self._statements, self._version)

    def _inspect(self, action: Callable[[Any], _T], otherwise: _T) -> _T:
        """What ``action`` learns from SQLAlchemy's inspector; ``otherwise`` if the database does not answer."""
        call = current_call() or Call()
        try:
            with self._engine.connect() as connection:
                call.connection = connection.connection.driver_connection
                return action(self._sqlalchemy.inspect(connection))
        except (self._sqlalchemy.exc.SQLAlchemyError, OSError, ConfigurationError):
            return otherwise

    def _check_absent(self, doing: str) -> None:
        """The table does not exist. `RepositoryError` if another one may be meant."""
        unknown: tuple[str, str] | None = ("its tables cannot be listed", "allow this user to read the catalogue")
        name, schema, creation = self._name, self._schema, self._creation()
        found = self._inspect(lambda inspector: objection(inspector, name, schema, creation), unknown)
        if found is not None:
            raise self._failed(doing, *found)

    def _columns(self) -> Sequence[str] | None:
        """The table's columns; none if the database says that it does not exist, ``None`` if that is not known."""
        return self._inspect(lambda inspector: columns_of(inspector, self._name, self._schema), None)


class _Rows(Rows):
    """See `Rows`. version: the statement that computes the version, or ``None``."""

    def __init__(self, connection: Connection, statements: Statements, version: Any) -> None:
        self.connection = connection
        self._statements = statements
        self._version = version

    @property
    def computes_version(self) -> bool:
        return self._version is not None

    def version(self) -> Any:
        return self.connection.scalar(self._version)

    def read(self, *, for_change: bool = False) -> Sequence[Any]:
        return self.connection.execute(self._statements.read(self._version, for_change=for_change)).all()

    def delete(self, ids: Sequence[int]) -> None:
        for statement in self._statements.delete(ids):
            self.connection.execute(statement)

    def insert(self, added: Sequence[tuple[str | None, str]]) -> None:
        for name, text in added:
            self.connection.execute(self._statements.insert(name, text))
