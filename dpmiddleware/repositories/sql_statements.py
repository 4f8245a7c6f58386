"""What is said to a database: the statements for one table of key documents, in each dialect of SQLAlchemy.

=============================  ==============================================================================
SQLite, Oracle                 ``substr``; the others say ``substring``
SQL Server                     ``datalength`` (``len`` leaves out trailing blanks); texts are NVARCHAR(max)
Oracle                         texts are NCLOB, which cannot be compared; '' is NULL, as an empty text is here
PostgreSQL, MySQL, MariaDB     compute the version; from other databases all rows are fetched for it
PostgreSQL, others             a serializable transaction collides with another one, and is retried
MySQL, MariaDB                 end most of many such transactions by deadlock errors, so ours take turns (``get_lock``)
SQL Server, Oracle             lock the table, because a serializable transaction deadlocks there, or misses a writer
=============================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from dpmiddleware.keys.interfaces import MAX_DOCUMENTS
from dpmiddleware.keys.xml import MAX_SIZE

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

__all__ = ["COLUMNS", "MAX_NAME", "TABLE", "TURNS", "Statements", "computed_version", "key_table"]

TABLE: Final = "DataProtectionKeys"
COLUMNS: Final = ("Id", "FriendlyName", "Xml")
MAX_NAME: Final = 256
"""Characters of a friendly name that are read."""
_PER_STATEMENT: Final = 500
"""Rows: Oracle takes 1,000 values in one list, SQL Server 2,100 parameters."""

_POSTGRESQL: Final = """
concat(count(*), '-', encode(sha256(convert_to(coalesce(string_agg(
    encode(sha256(convert_to(concat({0}, '/', {1}, '/', {2}), 'UTF8')), 'hex'), '' ORDER BY {0}
), ''), 'UTF8')), 'hex'))
"""
_ROW: Final = "sha1(concat({0}, '/', coalesce({1}, ''), '/', coalesce({2}, '')))"
_MYSQL: Final = f"""
concat(count(*), '-', coalesce(max({{0}}), 0),
    '-', hex(bit_xor(cast(conv(left({_ROW}, 16), 16, 10) AS UNSIGNED))),
    '-', hex(bit_xor(cast(conv(right({_ROW}, 16), 16, 10) AS UNSIGNED))))
"""
_VERSIONS: Final = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}

_LOCK: Final = "left(concat('dpmiddleware.', database()), 64)"
_TAKE_TURNS: Final = (f"SELECT get_lock({_LOCK}, 3)", f"SELECT release_lock({_LOCK})")
TURNS: Final = {
    "mysql": _TAKE_TURNS,
    "mariadb": _TAKE_TURNS,
    "oracle": ("LOCK TABLE {} IN EXCLUSIVE MODE WAIT 3", ""),  # until the transaction ends
}
"""What is said at the beginning and at the end of a transaction, where a serializable one is not enough."""
_LOCKED: Final = "WITH (TABLOCKX, HOLDLOCK)"
"""SQL Server: read for a change."""


class Statements:
    """The statements for the table ``table`` of ``schema`` in one dialect.

    columns: the names of its three columns.
    version: selects the version as the database computes it, or is ``None``.
    turns: what to say at the beginning and at the end of a transaction, or "".
    isolation: the isolation level of a transaction that changes something.
    create: creates the table.
    """

    def __init__(
        self, dialect: Dialect, table: str = TABLE, schema: str | None = None, columns: Sequence[str] = COLUMNS
    ) -> None:
        import sqlalchemy as sql

        self._dialect, self._sql = dialect.name, sql
        self.columns = tuple(columns)
        self.table = key_table(table, schema, columns)
        quote = dialect.identifier_preparer
        self.shown: str = quote.format_table(self.table)
        """The table's name in SQL."""
        self.turns = tuple(text.format(self.shown) for text in TURNS.get(dialect.name, ("", "")))
        self.isolation = "READ COMMITTED" if dialect.name in {"oracle", "mssql"} else "SERIALIZABLE"
        computed = computed_version(dialect.name, [quote.quote(column) for column in columns])
        self.version: Any = None
        if computed is not None:
            shown: Any = sql.literal_column(computed, sql.String())
            self.version = sql.select(shown).select_from(self.table)
        self.create: Any = sql.schema.CreateTable(self.table)

    def read(self, version: Any, *, for_change: bool = False) -> Any:
        """Select id, name, text, the text's length and ``version`` (if it is not ``None``) of each row."""
        sql, row = self._sql, self.table.c
        cut: Any = sql.func.substr if self._dialect in {"sqlite", "oracle"} else sql.func.substring
        length: Any = sql.func.datalength if self._dialect == "mssql" else sql.func.char_length
        one: Any = sql.literal_column("1")
        name = cut(row.FriendlyName, one, sql.literal_column(str(MAX_NAME)), type_=sql.Text())
        text = cut(row.Xml, one, sql.literal_column(str(MAX_SIZE + 1)), type_=sql.Text())
        more = [] if version is None else [version.scalar_subquery()]
        found: Any = sql.select(row.Id, name, text, length(row.Xml), *more).order_by(row.Id).limit(MAX_DOCUMENTS + 1)
        return found.with_hint(self.table, _LOCKED, "mssql") if for_change else found

    def insert(self, name: str | None, text: str) -> Any:
        """Insert a row; the database generates its id, which is not asked for."""
        return self._sql.insert(self.table).values(FriendlyName=name, Xml=text).inline()

    def delete(self, ids: Sequence[int]) -> list[Any]:
        """Delete rows, in several statements if there are many."""
        row = self.table.c
        pieces = [ids[start : start + _PER_STATEMENT] for start in range(0, len(ids), _PER_STATEMENT)]
        return [self._sql.delete(self.table).where(row.Id.in_(piece)) for piece in pieces]


def computed_version(dialect: str, columns: Sequence[str]) -> str | None:
    """The expression for the version of all rows; ``None`` if this database does not compute it. columns: quoted."""
    found = _VERSIONS.get(dialect)
    return None if found is None else found.format(*columns)


def key_table(table: str = TABLE, schema: str | None = None, columns: Sequence[str] = COLUMNS) -> Any:
    """Return the table of .NET's Entity Framework Core, as a SQLAlchemy ``Table``."""
    import sqlalchemy as sql
    from sqlalchemy.dialects import mssql, mysql, oracle

    text = (
        sql.Text()
        .with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
        .with_variant(mssql.NVARCHAR(), "mssql")
        .with_variant(oracle.NCLOB(), "oracle")
    )
    row_id, name, xml = columns
    return sql.Table(
        table,
        sql.MetaData(),
        sql.Column(row_id, sql.Integer, sql.Identity(), key="Id", primary_key=True),
        sql.Column(name, text, key="FriendlyName"),
        sql.Column(xml, text, key="Xml"),
        schema=schema,
        sqlite_autoincrement=True,  # as .NET creates it: an Id is never reused
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )
