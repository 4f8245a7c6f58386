"""Which table of a database is meant: the names of its columns, and other tables that may be meant instead.

.NET's table is ``DataProtectionKeys`` with the columns ``Id``, ``FriendlyName`` and ``Xml``, but many applications have
it in a schema of their own, or under names of another convention (``data_protection_keys`` with ``friendly_name``).

Columns are recognised whatever their case and underscores. A missing table is an empty store only if no other table may
be meant. Otherwise a second ring would begin, and cookies of the first one be refused:

- ``?table=`` is not configured: a table with the three columns and with *key* in its name
- ``?table=`` is configured: a table with the three columns whose name differs only by case and underscores

in the configured schema; without one, in any schema of the database (of MySQL, MariaDB, SQLite: in the database; of
Oracle: among the user's tables).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from dpmiddleware.printable import printable
from dpmiddleware.repositories.sql_statements import COLUMNS, TABLE

__all__ = ["columns_of", "objection"]

_WITH_SCHEMAS: Final = {"postgresql", "mssql"}


def columns_of(inspector: Any, table: str, schema: str | None) -> Sequence[str]:
    """Return the three columns as the database names them; none if there is no such table."""
    if not inspector.has_table(table, schema=schema):
        return ()
    return _three(inspector, table, schema) or COLUMNS


def objection(inspector: Any, table: str, schema: str | None, creation: str) -> tuple[str, str] | None:
    """Why a missing table must not be taken for an empty store, and what to do; ``None`` if it may.

    table, schema: as configured. creation: the statement that creates the table.
    """
    schemas: list[str] = inspector.get_schema_names()
    known = {name.casefold() for name in schemas}
    if schema is not None and "." not in schema and schema.casefold() not in known:  # a dot: another database
        return f"the schema {printable(schema)} does not exist", "create the schema, or correct ?schema="
    here = inspector.default_schema_name if schema is None else schema
    searched = schemas if schema is None and inspector.dialect.name in _WITH_SCHEMAS else [schema]
    for each in searched:
        for name in inspector.get_table_names(schema=each):
            alike = _plain(name) == _plain(table) or (table == TABLE and "key" in name.lower())
            made_meanwhile = name == table and each in {here, schema}
            if alike and not made_meanwhile and _three(inspector, name, each):
                found = {"schema": each, "table": name if name != TABLE else None}
                options = urlencode({key: value for key, value in found.items() if value})
                shown = printable(".".join(filter(None, (each, name))))
                return (
                    f"the table {printable(table)} does not exist, but {shown} does",
                    f"add {options} to the URL; or have a table for a separate ring created: {creation};",
                )
    return None


def _three(inspector: Any, table: str, schema: str | None) -> Sequence[str]:
    names = {_plain(column["name"]): column["name"] for column in inspector.get_columns(table, schema=schema)}
    found = [names.get(_plain(column)) for column in COLUMNS]
    return tuple(name for name in found if name is not None) if None not in found else ()


def _plain(name: str) -> str:
    return name.replace("_", "").casefold()
