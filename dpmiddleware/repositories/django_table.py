"""The table of keys as Django sees it: a model, its rows, and a connection for one call.

The model is not in Django's registry, so ``flush``, ``dumpdata`` and the admin do not see keys; Django keeps the record
of its migrations in the same way. The table is created by a migration of ``dpmiddleware.django``.

A call has a connection of its own, with the settings of the alias. What the call commits is independent of the
transaction of a request or a test, and no router of databases is asked. While the call lasts, the connection takes the
place of the alias's in the thread of the call, where nothing else runs.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

from dpmiddleware.keys.interfaces import MAX_DOCUMENTS
from dpmiddleware.keys.xml import MAX_SIZE
from dpmiddleware.repositories.sql_engine import CONNECT
from dpmiddleware.repositories.sql_statements import COLUMNS, MAX_NAME, TABLE, TURNS, computed_version
from dpmiddleware.repositories.table import Rows

__all__ = ["APP_LABEL", "VENDORS", "DjangoRows", "connected", "key_model", "lives_in_process"]

APP_LABEL: Final = "dpmiddleware"
VENDORS: Final = ("postgresql", "mysql", "sqlite")
"""What a transaction has to do to exclude others is known and tested for these."""
_PER_STATEMENT: Final = 100


@cache
def key_model() -> Any:
    """The model of the table."""
    from django.apps.registry import Apps
    from django.db import models

    meta = type("Meta", (), {"apps": Apps(), "app_label": APP_LABEL, "db_table": TABLE})
    row_id, *texts = COLUMNS
    fields: dict[str, Any] = {
        row_id: models.AutoField(primary_key=True),
        **{name: models.TextField(null=True) for name in texts},
    }
    return type(TABLE, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


class DjangoRows(Rows):
    """See `Rows`. connection: of Django, and at present that of its alias in this thread."""

    def __init__(self, connection: Any) -> None:
        from django.db.models import F
        from django.db.models.expressions import RawSQL
        from django.db.models.functions import Length, Substr

        self._objects = key_model().objects.using(connection.alias)
        quote = connection.ops.quote_name
        computed = computed_version(connection.vendor, [quote(column) for column in COLUMNS])
        self._version = None if computed is None else f"SELECT {computed} FROM {quote(TABLE)}"  # noqa: S608 (constants)
        self._connection = connection
        row_id, name, text = COLUMNS
        self._columns = [F(row_id), Substr(name, 1, MAX_NAME), Substr(text, 1, MAX_SIZE + 1), Length(text)]
        self._columns += [] if self._version is None else [RawSQL(f"({self._version})", ())]  # noqa: S611 (constants)

    @property
    def computes_version(self) -> bool:
        """See `Rows`."""
        return self._version is not None

    def version(self) -> Any:
        """See `Rows`."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._version)
            return cursor.fetchone()[0]

    def read(self, *, for_change: bool = False) -> Sequence[Any]:
        """See `Rows`. A transaction excludes others by what `connected` begins it with."""
        return list(self._objects.order_by(COLUMNS[0]).values_list(*self._columns)[: MAX_DOCUMENTS + 1])

    def delete(self, ids: Sequence[int]) -> None:
        """See `Rows`. Django's ``delete`` would tell receivers of its signals."""
        for start in range(0, len(ids), _PER_STATEMENT):
            rows = self._objects.filter(pk__in=ids[start : start + _PER_STATEMENT])
            rows._raw_delete(self._connection.alias)  # noqa: SLF001

    def insert(self, added: Sequence[tuple[str | None, str]]) -> None:
        """See `Rows`."""
        _, name, text = COLUMNS
        rows = [key_model()(**{name: each, text: document}) for each, document in added]
        self._objects.bulk_create(rows, batch_size=_PER_STATEMENT)


@contextmanager
def connected(alias: str, *, transaction: bool) -> Generator[Any]:
    """A connection for the ``with`` block alone. transaction: one that excludes other writers of the table."""
    from django.db import connections
    from django.db.transaction import atomic

    connection = _new_connection(alias, excludes=transaction)
    before = connections[alias]
    connections[alias] = connection
    try:
        connection.ensure_connection()
        if not transaction:
            yield connection
            return
        with atomic(using=alias):
            begin, _ = TURNS.get(connection.vendor, ("", ""))
            if begin:  # until the connection is closed
                with connection.cursor() as cursor:
                    cursor.execute(begin)
            yield connection
    finally:
        connections[alias] = before
        with suppress(Exception):  # the server has closed it already
            connection.close()


def _new_connection(alias: str, *, excludes: bool) -> Any:
    """Not yet connected. With short timeouts unless the settings have others; not of a pool, which may be exhausted."""
    from django.db import connections

    connection: Any = connections.create_connection(alias)
    connection.settings_dict = settings = copy.deepcopy(connection.settings_dict)
    driver, excluding = _driver_of(connection.vendor)
    given = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    settings["OPTIONS"] = {**CONNECT[driver], **given, **(excluding if excludes else {})}
    settings["AUTOCOMMIT"] = True
    connection.make_debug_cursor = connection.make_cursor  # with DEBUG, Django logs the parameters, which are keys
    return connection


def _driver_of(vendor: str) -> tuple[str, dict[str, Any]]:
    """The driver as `CONNECT` names it, and the options with which transactions exclude each other."""
    if vendor == "sqlite":
        return "pysqlite", {"transaction_mode": "IMMEDIATE"}
    if vendor == "mysql":
        return "mysqldb", {"isolation_level": "serializable"}
    from django.db.backends.postgresql.psycopg_any import IsolationLevel, is_psycopg3

    return "psycopg" if is_psycopg3 else "psycopg2", {"isolation_level": IsolationLevel.SERIALIZABLE}


def lives_in_process(alias: str) -> bool:
    """Whether the database is SQLite in memory, which lasts as long as this process, or SQLite in a test run.

    There, a test's open transaction keeps every other connection from writing, until the test has ended.
    """
    from django.db import connections

    connection: Any = connections[alias]
    settings = connection.settings_dict
    in_test = bool(settings["TEST"]["NAME"]) and str(settings["NAME"]) == str(settings["TEST"]["NAME"])
    return connection.vendor == "sqlite" and (connection.is_in_memory_db() or in_test)
