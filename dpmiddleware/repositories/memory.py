"""Keys in the memory of one process: for tests, and where no other store is configured.

They are lost when the process ends, and no other process sees them. A farm needs one of the other stores.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.forks import after_fork
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.repositories.base import Repository

__all__ = ["MemoryKeyRepository"]

_lock = threading.Lock()
"""One for all repositories: it is held for microseconds."""


@after_fork
def _renew_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


class MemoryKeyRepository(Repository):
    """A `KeyRepository` that keeps its documents in this object. A forked child has its own copy."""

    _seconds = None

    def __init__(self, documents: Sequence[StoredDocument] = ()) -> None:
        super().__init__("memory:")
        self._identity = uuid4().hex[:8]
        self._commits = 0
        self._documents: tuple[StoredDocument, ...] = ()
        self._place(documents, frozenset())

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open ``memory:``."""
        if url.rstrip("/") != "memory:":
            raise ConfigurationError("memory: does not take a name", hint="write memory: alone")
        return cls()

    def read(self) -> Snapshot:
        """Return all documents and the version."""
        with _lock:
            return Snapshot(self._documents, self._version())

    def version(self) -> str:
        """Return this object's identity and the number of its commits."""
        with _lock:
            return self._version()

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> str:
        """See `KeyRepository`. `VersionConflict` after another commit, `RepositoryError` for a name that is taken."""
        with _lock:
            if self._version() != expected:
                raise self._conflict()
            self._place(add, frozenset(document.locator for document in remove))
            self._commits += 1
            return self._version()

    def _version(self) -> str:
        return f"{self._identity}-{self._commits}"

    def _place(self, add: Sequence[StoredDocument], removed: frozenset[str]) -> None:
        kept = [document for document in self._documents if document.locator not in removed]
        names = {document.name for document in kept if document.name is not None}
        for document in add:
            if document.name is not None:
                if document.name in names:
                    raise self._name_taken(document.name)
                names.add(document.name)
            kept.append(StoredDocument(document.name, document.data, uuid4().hex, document.problem))
        self._documents = tuple(kept)
