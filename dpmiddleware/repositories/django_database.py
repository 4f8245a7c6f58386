"""Keys in a database of a Django project: ``django:default``, or another alias of its ``DATABASES``.

The table is that of Entity Framework Core, and of `sql`. A migration of ``dpmiddleware.django`` creates it. A missing
table is an error, never an empty store: ``migrate`` has not been run, or the alias names another database.

Needs no settings when it is constructed, so that a settings file may make a `DataProtection`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, Self, TypeVar

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.extras import import_extra
from dpmiddleware.keys.interfaces import KeyRepository, Snapshot, StoredDocument
from dpmiddleware.names import nearest
from dpmiddleware.printable import printable
from dpmiddleware.repositories.bounded import Call, current_call
from dpmiddleware.repositories.django_table import VENDORS, DjangoRows, connected, key_model, lives_in_process
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.repositories.sql_engine import is_collision, reason, says_no_table
from dpmiddleware.repositories.sql_statements import TABLE
from dpmiddleware.repositories.table import HINT, CollisionError, Rows, TableRepository

__all__ = ["DjangoKeyRepository"]

_APP: Final = "dpmiddleware.django"
"""The application that has the migration."""
_T = TypeVar("_T")
_in_process: Final[dict[str, KeyRepository]] = {}
"""Alias → the ring of a database that only this process has."""


class DjangoKeyRepository(TableRepository):
    """A `KeyRepository` in the database ``alias`` of a Django project.

    Reads and commits have a connection of their own, outside of the transactions of requests and tests. The ring of a
    SQLite database in memory, as test runs have it, is kept in memory beside it.
    """

    def __init__(self, alias: str = "default") -> None:
        import_extra("django", "django", "a key ring in Django's database")
        self.alias = alias
        super().__init__(f"django:{printable(alias)}")
        from django.conf import settings

        if settings.configured:
            self._check_alias()
        elif not os.environ.get("DJANGO_SETTINGS_MODULE"):
            raise ConfigurationError(
                f"{self.location} is a database of a Django project, and there are no settings of Django here",
                hint="set DJANGO_SETTINGS_MODULE, or give the URL of the database: postgresql+psycopg://user@host/name",
            )

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open ``django:ALIAS``."""
        alias = url.partition(":")[2]
        if not alias or "/" in alias or "?" in alias:
            raise ConfigurationError(
                "django: needs an alias of DATABASES, and takes no options", hint="write django:default"
            )
        return cls(alias)

    def _check_alias(self) -> None:
        from django.db import connections

        if self.alias not in connections.settings:
            raise ConfigurationError(
                f"{self.location}: DATABASES has no such alias", hint=nearest(self.alias, connections.settings)
            )
        vendor = connections[self.alias].vendor
        if vendor not in VENDORS:
            raise ConfigurationError(
                f"{self.location}: a key ring cannot be kept in a database of Django's backend for {printable(vendor)}",
                hint="give the URL of the database, as in oracle+oracledb://user@host/name, or use another store",
            )

    def _prepare(self) -> None:
        """Set Django up, as ``manage.py`` does, if nobody has."""
        import django
        from django.apps import apps

        try:
            if not apps.models_ready:
                django.setup()
            self._check_alias()
        except ConfigurationError as error:
            raise self._failed("open", error, error.hint) from None
        except Exception as error:  # noqa: BLE001 (whatever the settings or an application raise)
            raise self._failed("open", error, "correct the settings of Django") from None
        key_model()

    # --- the contract ---------------------------------------------------------------------------------------------

    def read(self) -> Snapshot:
        """See `TableRepository`."""
        place = self._place()
        return super().read() if place is None else place.read()

    def version(self) -> str:
        """See `TableRepository`."""
        place = self._place()
        return super().version() if place is None else place.version()

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """See `TableRepository`."""
        place = self._place()
        (super().commit if place is None else place.commit)(add=add, remove=remove, expected=expected)

    def _place(self) -> KeyRepository | None:
        """Where the ring of a database is that only this process has; else ``None``."""
        return _in_process.setdefault(self.alias, MemoryKeyRepository()) if lives_in_process(self.alias) else None

    # --- around a connection --------------------------------------------------------------------------------------

    def _run(self, doing: str, action: Callable[[Rows], _T], *, absent: _T, transaction: bool = False) -> _T:
        """See `TableRepository`. A table that is absent is an error."""
        from django.db import Error

        call = current_call() or Call()
        call.connection = None
        try:
            with connected(self.alias, transaction=transaction) as connection:
                call.connection = connection.connection
                return action(DjangoRows(connection))
        except (RepositoryError, CollisionError):
            raise
        except Error as error:
            self._refuse(doing, error.__cause__ or error, transaction=transaction)
        except Exception as error:  # noqa: BLE001 (a setting, the network, a test that may not use the database)
            raise self._failed(doing, reason(error), HINT) from None

    def _refuse(self, doing: str, error: BaseException, *, transaction: bool) -> NoReturn:
        from django.db import connections

        if transaction and is_collision(error):
            raise CollisionError from None
        if says_no_table(error, connections[self.alias].vendor):
            raise self._no_table(doing) from None
        raise self._failed(doing, reason(error), HINT) from None

    def _make_table(self) -> None:
        """Only a migration creates it."""
        raise self._no_table("write to")

    def _no_table(self, doing: str) -> RepositoryError:
        from django.apps import apps

        database = "" if self.alias == "default" else f" --database {printable(self.alias)}"
        hint = f"run `manage.py migrate{database}`"
        if not apps.is_installed(_APP):
            hint = f"add {_APP!r} to INSTALLED_APPS, and {hint}"
        return self._failed(doing, f"the table {TABLE} does not exist", hint)
