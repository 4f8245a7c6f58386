"""Keys in a table, as ASP.NET Core's ``PersistKeysToDbContext`` stores them, whichever library talks to the database.

::

    DataProtectionKeys := Id (integer, generated) ‖ FriendlyName (text, may be null) ‖ Xml (text, may be null)

A commit is one transaction: rows and version, deletes, inserts. It is retried if the database reports a collision. A
replaced document is a new row, and the old row is deleted.

The version is the number of rows and a digest of all rows, because a row may be changed in place. PostgreSQL, MySQL and
MariaDB compute it and send a short answer. SQLite runs in this process anyway. From other databases the rows are
fetched and digested here, which is correct, but slow for a large ring.

`sql` reaches the table through SQLAlchemy, `django_database` through Django. Both state the same version for the same
rows and exclude each other's transactions, so a farm may use both.
"""

from __future__ import annotations

import hashlib
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.repositories.base import Repository
from dpmiddleware.repositories.documents import stored_document, text_of
from dpmiddleware.repositories.markup import bare
from dpmiddleware.repositories.sql_statements import MAX_NAME

__all__ = ["HINT", "CollisionError", "Rows", "TableRepository"]

_TRIES: Final = 8
_EMPTY: Final = "0"
"""The version of a table without rows, and of a missing table: creating the table does not change it."""
HINT: Final = "check that the database runs, that this host reaches it, and the user's rights; loaded keys stay in use"
_T = TypeVar("_T")


class CollisionError(Exception):
    """The database ended a transaction that collided with another one."""


class Rows(Protocol):
    """The rows of the table through one connection. Texts are cut at the length that is used."""

    @property
    def computes_version(self) -> bool:
        """Whether the database computes the version."""
        ...

    def version(self) -> Any:
        """The version that the database computes. One statement."""
        ...

    def read(self, *, for_change: bool = False) -> Sequence[Sequence[Any]]:
        """Id, name, text, the text's length and, if the database computes it, the version. One statement."""
        ...

    def delete(self, ids: Sequence[int]) -> None:
        """Delete the rows with these ids."""
        ...

    def insert(self, added: Sequence[tuple[str | None, str]]) -> None:
        """Insert rows: name and text."""
        ...


class TableRepository(Repository, ABC):
    """A `KeyRepository` in a table. A subclass knows how to connect, and what the errors of its library mean."""

    @abstractmethod
    def _run(self, doing: str, action: Callable[[Rows], _T], *, absent: _T, transaction: bool = False) -> _T:
        """Run ``action`` with a connection of its own.

        doing: what for, for the error: "read" or "write to".
        action: gets the rows.
        absent: the result if there is no table.
        transaction: whether to run it in a transaction that excludes others, or raises `CollisionError`; otherwise each
            statement is its own.
        """

    @abstractmethod
    def _make_table(self) -> None:
        """Create the table, which `_run` found to be absent. `RepositoryError` if that is not possible."""

    def read(self) -> Snapshot:
        """Return all rows and the version. One statement."""
        return self._run("read", self._snapshot, absent=Snapshot((), _EMPTY))

    def version(self) -> str:
        """Return the number of rows and a digest. One statement."""

        def ask(rows: Rows) -> str:
            return _stated(rows.version()) if rows.computes_version else self._snapshot(rows).version

        return self._run("read", ask, absent=_EMPTY)

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """See `KeyRepository`. One serializable transaction. `MalformedDocumentError` for invalid XML."""
        added = [(document.name, bare(document.data).decode("utf-8")) for document in add]
        removed = [int(document.locator) for document in remove]

        def change(rows: Rows) -> bool:
            self._change(rows, added, removed, expected)
            return True

        for attempt in range(_TRIES):
            try:
                if self._run("write to", change, absent=False, transaction=True):
                    return
            except CollisionError:
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

    def _snapshot(self, rows: Rows, *, for_change: bool = False) -> Snapshot:
        found = rows.read(for_change=for_change)
        documents = tuple(_document(*row[:3]) for row in found)
        if not found:
            return Snapshot((), _EMPTY)
        if rows.computes_version:
            return Snapshot(documents, _stated(found[0][4]))
        digest = hashlib.sha256(repr([tuple(row[:4]) for row in found]).encode("utf-8", "surrogatepass")).hexdigest()
        return Snapshot(documents, f"{len(found)}-{digest}")

    def _change(
        self, rows: Rows, added: Sequence[tuple[str | None, str]], removed: Sequence[int], expected: str
    ) -> None:
        found, gone = self._snapshot(rows, for_change=True), {str(row_id) for row_id in removed}
        if found.version != expected:
            raise self._conflict()
        kept = [document.name for document in found.documents if document.locator not in gone]
        names = Counter(name[:MAX_NAME] for name in (*kept, *(name for name, _ in added)) if name is not None)
        for name, _ in added:
            if name is not None and names[name[:MAX_NAME]] > 1:
                raise self._name_taken(name)
        rows.delete(removed)
        rows.insert(added)


def _document(row_id: int, name: str | None, xml: str | None) -> StoredDocument:
    return stored_document(name, text_of((xml or "").encode("utf-8", "surrogatepass")), str(row_id))


def _stated(version: object) -> str:
    """Return the version that a database computed; a table without rows has no digest."""
    text = version.decode("ascii") if isinstance(version, bytes) else str(version)
    return _EMPTY if text.startswith("0-") else text
