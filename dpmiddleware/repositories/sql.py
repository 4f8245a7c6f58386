"""Keys in a table, as ASP.NET Core's ``PersistKeysToDbContext`` stores them (extra ``sql``: SQLAlchemy).

::

    DataProtectionKeys := Id (integer, generated) ‖ FriendlyName (text, may be null) ‖ Xml (text, may be null)

A missing table is an empty store. The first commit creates the table; if the user lacks the permission, the hint of the
error is the statement that creates it.

A commit is one serializable transaction: version, taken names, inserts, deletes. It is retried if the database
reports a collision. A replaced document is a new row, and the old row is deleted.

The version is the number of rows and a digest of all rows, because a row may be changed in place. PostgreSQL, MySQL and
MariaDB compute it and send a short answer. SQLite runs in this process anyway. From other databases the rows are
fetched and digested here, which is correct, but slow for a large ring.

Some drivers have no timeout for answers. So each call runs in a thread of its own for at most `_SECONDS`; then its
connection is shut.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.extras import import_extra
from dpmiddleware.forks import after_fork
from dpmiddleware.keys.interfaces import MAX_DOCUMENTS, Snapshot, StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE
from dpmiddleware.printable import without_password
from dpmiddleware.repositories.base import Repository, check_one_given
from dpmiddleware.repositories.bounded import Call, within
from dpmiddleware.repositories.documents import stored_document, text_of
from dpmiddleware.repositories.markup import bare
from dpmiddleware.repositories.sql_engine import TABLE, engine_of, is_collision, key_table, reason, says_no_table

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

__all__ = ["SqlKeyRepository"]

_SECONDS: Final = 4.5
_TRIES: Final = 8
_CREATING: Final = "create a table in"
_EMPTY: Final = "0"
"""The version of a table without rows, and of a missing table: creating the table does not change it."""

_POSTGRESQL: Final = f"""
SELECT concat(count(*), '-', encode(sha256(convert_to(coalesce(string_agg(
    encode(sha256(convert_to(concat("Id", '/', "FriendlyName", '/', "Xml"), 'UTF8')), 'hex'), '' ORDER BY "Id"
), ''), 'UTF8')), 'hex')) FROM "{TABLE}"
"""  # noqa: S608 (no part of it comes from outside)
_ROW: Final = "sha1(concat(Id, '/', coalesce(FriendlyName, ''), '/', coalesce(Xml, '')))"
_MYSQL: Final = f"""
SELECT concat(count(*), '-', coalesce(max(Id), 0),
    '-', hex(bit_xor(cast(conv(left({_ROW}, 16), 16, 10) AS UNSIGNED))),
    '-', hex(bit_xor(cast(conv(right({_ROW}, 16), 16, 10) AS UNSIGNED)))) FROM {TABLE}
"""  # noqa: S608 (no part of it comes from outside)
_LOCK: Final = "left(concat('dpmiddleware.', database()), 64)"
_TAKE_TURNS: Final = (f"SELECT get_lock({_LOCK}, 3)", f"SELECT release_lock({_LOCK})")
_TURNS: Final = {"mysql": _TAKE_TURNS, "mariadb": _TAKE_TURNS}
"""MySQL ends most of many simultaneous serializable transactions by deadlock errors, so ours take turns."""
_VERSIONS: Final = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}

_HINT: Final = "check that the database runs, that this host reaches it, and the user's rights; loaded keys stay in use"
_T = TypeVar("_T")


class SqlKeyRepository(Repository):
    """A `KeyRepository` in a table of any database that SQLAlchemy supports.

    Give either ``url`` or ``engine``.

    url: any URL of SQLAlchemy, such as ``postgresql+psycopg://user@host/database?password=env:NAME``; the password may
        also be a path.
    engine: a ready one; its timeouts are not changed.
    create_table: whether the first commit may create the table.
    """

    def __init__(self, url: str | None = None, *, engine: Engine | None = None, create_table: bool = True) -> None:
        check_one_given("a database", url, engine)
        self._sqlalchemy = import_extra("sqlalchemy", "sql", "a key ring in a database")
        self._engine: Engine = engine if engine is not None else engine_of(url or "")
        if getattr(self._engine.dialect, "is_async", False):
            raise ConfigurationError(
                "a key ring cannot use an asyncio engine", hint="give an engine of create_engine()"
            )
        super().__init__(without_password(url or self._engine.url.render_as_string()))
        self._create_table = create_table
        self._seconds = _SECONDS
        self._version = _VERSIONS.get(self._engine.dialect.name)
        self._table = key_table()
        after_fork(self._leave_connections)

    def _leave_connections(self) -> None:
        """In a forked child, start with an empty pool; the connections belong to the parent."""
        self._engine.dispose(close=False)

    def read(self) -> Snapshot:
        """Return all rows and the version. One statement."""
        return self._run("read", self._read, absent=Snapshot((), _EMPTY))

    def version(self) -> str:
        """Return the number of rows and a digest. One statement."""
        if self._version is None:
            return self.read().version
        statement = self._sqlalchemy.text(self._version)
        return self._run("read", lambda connection: _stated(connection.scalar(statement)), absent=_EMPTY)

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """See `KeyRepository`. One serializable transaction. `MalformedDocumentError` for invalid XML."""
        added = [{"FriendlyName": document.name, "Xml": bare(document.data).decode("utf-8")} for document in add]
        removed = [int(document.locator) for document in remove]

        def change(connection: Connection) -> bool:
            if self._read(connection).version != expected:
                raise self._conflict()
            self._change(connection, added, removed)
            return True

        for attempt in range(_TRIES):
            try:
                if self._run("write to", change, absent=False, transaction=True):
                    return
            except _CollisionError:
                # The winner has usually changed the version already. If not, random pauses keep the next tries apart.
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 (not a secret)
                if self.version() != expected:
                    raise self._conflict() from None
                continue
            if expected != _EMPTY:
                raise self._conflict()
            if not added:
                return
            self._make_table()
        raise self._failed("write to", f"{_TRIES} tries collided with other writers", "try again")

    # --- inside a connection --------------------------------------------------------------------------------------

    def _read(self, connection: Connection) -> Snapshot:
        sql, columns = self._sqlalchemy, self._table.c
        named, limited = sql.func.substr(columns.FriendlyName, 1, 256), sql.func.substr(columns.Xml, 1, MAX_SIZE + 1)
        version: Any = sql.literal_column(f"({self._version})") if self._version else sql.null()
        chosen = sql.select(columns.Id, named, limited, sql.func.char_length(columns.Xml), version)
        rows: Sequence[Any] = connection.execute(chosen.order_by(columns.Id).limit(MAX_DOCUMENTS + 1)).all()
        documents = tuple(_document(row_id, name, xml) for row_id, name, xml, _, _ in rows)
        if not rows:
            return Snapshot((), _EMPTY)
        if self._version:
            return Snapshot(documents, _stated(rows[0][4]))
        digest = hashlib.sha256(repr([tuple(row[:4]) for row in rows]).encode("utf-8", "surrogatepass")).hexdigest()
        return Snapshot(documents, f"{len(rows)}-{digest}")

    def _change(self, connection: Connection, added: list[dict[str, str | None]], removed: list[int]) -> None:
        sql, table = self._sqlalchemy, self._table
        if removed:
            connection.execute(sql.delete(table).where(table.c.Id.in_(removed)))
        names = Counter(row["FriendlyName"] for row in added if row["FriendlyName"] is not None)
        found = sql.select(table.c.FriendlyName).where(table.c.FriendlyName.in_(list(names)))
        twice = [name for name, number in names.items() if number > 1]
        taken = [*(connection.scalars(found).all() if names else ()), *twice]
        if taken:
            raise self._name_taken(str(taken[0]))
        for row in added:
            connection.execute(sql.insert(table).values(**row))

    def _make_table(self) -> None:
        create = self._sqlalchemy.schema.CreateTable(self._table)
        try:
            if not self._create_table:
                raise RepositoryError("the table does not exist, and create_table=False")
            if not self._is_absent():  # CREATE TABLE would wait for all who use the table
                return
            self._run(_CREATING, lambda connection: bool(connection.execute(create)), absent=False)
        except RepositoryError as error:
            if not self._is_absent():  # another process created it at the same moment
                return
            statement = " ".join(str(create.compile(dialect=self._engine.dialect)).split())
            raise self._failed(_CREATING, error, f"have the table created: {statement};") from None

    # --- around a connection --------------------------------------------------------------------------------------

    def _run(self, doing: str, action: Callable[[Connection], _T], *, absent: _T, transaction: bool = False) -> _T:
        """Run ``action`` with a connection, within `_SECONDS`.

        doing: what for, for the error: "read" or "write to".
        action: gets the connection.
        absent: the result if there is no table.
        transaction: whether to run it in a serializable transaction; otherwise each statement is its own.
        """
        errors = self._sqlalchemy.exc
        call = Call()
        try:
            return self._within(call, lambda: self._connected(call, action, transaction))
        except errors.DBAPIError as error:
            if transaction and is_collision(error.orig):
                raise _CollisionError from None
            connected = call.connection is not None and not error.connection_invalidated
            if connected and doing != _CREATING and (says_no_table(error.orig) or self._is_absent()):
                return absent
            raise self._failed(doing, reason(error.orig), _HINT) from None
        except (errors.SQLAlchemyError, OSError) as error:
            raise self._failed(doing, reason(error), _HINT) from None
        except ConfigurationError as error:  # the password's variable or file is missing
            raise self._failed(doing, error, error.hint) from None

    def _within(self, call: Call, action: Callable[[], _T]) -> _T:
        if self._engine.dialect.name == "sqlite":  # waits only for locks, with a timeout
            return action()
        return within(self._seconds, call, action)

    def _connected(self, call: Call, action: Callable[[Connection], _T], transaction: bool) -> _T:
        retried = False
        while True:
            try:
                with self._engine.connect() as plain:
                    call.connection = plain.connection.driver_connection
                    if transaction:
                        return self._in_transaction(plain, action)
                    return action(plain.execution_options(isolation_level="AUTOCOMMIT"))
            except self._sqlalchemy.exc.DBAPIError as error:
                # The server closed a connection of the pool: retry once, on a new one.
                if transaction or retried or not error.connection_invalidated:
                    raise
                retried = True

    def _in_transaction(self, plain: Connection, action: Callable[[Connection], _T]) -> _T:
        if self._engine.dialect.name != "sqlite":
            connection = plain.execution_options(isolation_level="SERIALIZABLE")
            with connection.begin():
                if self._engine.dialect.name not in _TURNS:
                    return action(connection)
                take, give_back = _TURNS[self._engine.dialect.name]
                connection.exec_driver_sql(take)
                try:
                    return action(connection)
                finally:
                    connection.exec_driver_sql(give_back)
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver itself would begin without a lock
        try:
            result = action(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        return result

    def _is_absent(self) -> bool:
        """Whether the database reports that the table does not exist."""
        look = self._sqlalchemy.inspect
        try:
            return not self._within(Call(), lambda: look(self._engine).has_table(TABLE))
        except (self._sqlalchemy.exc.SQLAlchemyError, OSError, ConfigurationError):
            return False


class _CollisionError(Exception):
    """The database ended a transaction that collided with another one."""


def _document(row_id: int, name: str | None, xml: str | None) -> StoredDocument:
    return stored_document(name, text_of((xml or "").encode("utf-8", "surrogatepass")), str(row_id))


def _stated(version: object) -> str:
    """Return the version that a database computed; a table without rows has no digest."""
    text = version.decode("ascii") if isinstance(version, bytes) else str(version)
    return _EMPTY if text.startswith("0-") else text
