"""A ring in one object of an object store: read as a whole, replaced as a whole if its ETag is the expected one.

A subclass gets the ETag, gets the object and puts it; `dpmiddleware.repositories.markup` is the object's content.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from dpmiddleware.errors import ConfigurationError, MalformedDocumentError
from dpmiddleware.forks import after_fork
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.repositories.base import Repository
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE, edit, split

__all__ = ["ABSENT", "CONTENT_TYPE", "SECONDS_TO_CONNECT", "SECONDS_TO_READ", "OneDocumentRepository", "TooLargeError"]

ABSENT: Final = "absent"
"""The version of an object that does not exist."""
CONTENT_TYPE: Final = "application/xml; charset=utf-8"
SECONDS_TO_CONNECT: Final = 2.0
SECONDS_TO_READ: Final = 2.0
_T = TypeVar("_T")


class TooLargeError(Exception):
    """An object larger than `MAX_REPOSITORY_SIZE`."""


class OneDocumentRepository(Repository, ABC):
    """What the repositories in object stores share.

    errors: what the subclass's client raises.
    conflicts: the store's error codes for a write that came too late.
    hints: what to do, per error code; ``hint``: for other errors.
    """

    errors: tuple[type[BaseException], ...]
    conflicts: frozenset[str]
    hints: Mapping[str, str]
    hint: str

    def __init__(self, location: str, client: Any) -> None:
        super().__init__(location)
        self._client = client
        after_fork(self._leave_connections)

    def _leave_connections(self) -> None:
        """In a forked child, do not use the connections of the parent."""
        if self._client is not None:
            self._client = self._client_for_child(self._client)

    def _prepare(self) -> None:
        if self._client is None:
            self._client = self._run("read", self._new_client)

    @abstractmethod
    def _new_client(self) -> Any:
        """Create a client. Takes processor time, but does not contact the store."""

    @abstractmethod
    def _client_for_child(self, client: Any) -> Any:
        """Return a client with connections of its own."""

    @abstractmethod
    def code_of(self, error: BaseException) -> str:
        """Return the store's code for an error, or ""."""

    @abstractmethod
    def etag(self) -> str:
        """Return the ETag, or `ABSENT` if there is no object. One request, without the content."""

    @abstractmethod
    def get(self) -> tuple[bytes, str]:
        """Return the object and its ETag, or no bytes and `ABSENT`. `TooLargeError`."""

    @abstractmethod
    def _write(self, data: bytes, etag: str) -> None:
        """Replace the object, under the condition that it has this ETag (`ABSENT`: does not exist)."""

    def put(self, data: bytes, etag: str) -> bool:
        """Replace the object that has this ETag (`ABSENT`: create it). ``False`` if it has another."""
        try:
            self._write(data, etag)
        except self.errors as error:
            if self.code_of(error) in self.conflicts:
                return False
            raise
        return True

    def read(self) -> Snapshot:
        """Return all elements and their ETag. One request."""
        data, etag = self._run("read", self.get)
        if etag == ABSENT:
            return Snapshot((), ABSENT)
        try:
            return Snapshot(split(data), etag)
        except MalformedDocumentError as error:
            raise self._unreadable(error) from error

    def version(self) -> str:
        """Return the ETag. One request, without the content."""
        return self._run("read", self.etag)

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """See `KeyRepository`. Two requests; names are not stored. `MalformedDocumentError` for invalid XML."""
        data, etag = self._run("read", self.get)
        if etag != expected:
            raise self._conflict()
        if not add and not remove:
            return
        try:
            split(data)
        except MalformedDocumentError as error:
            raise self._unreadable(error) from error
        edited = edit(data, add, remove)
        if not self._run("write to", lambda: self.put(edited, expected)):
            raise self._conflict()

    def _unreadable(self, error: MalformedDocumentError) -> Exception:
        hint = "restore an earlier version of the object, or delete it; nothing overwrites it"
        return self._failed("read", error, hint)

    def _run(self, doing: str, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except self.errors as error:
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise self._failed(doing, reason, self.hints.get(self.code_of(error), self.hint)) from error
        except TooLargeError:
            reason = f"larger than {MAX_REPOSITORY_SIZE // 2**20} MB"
            raise self._failed(doing, reason, "check the object's name; this is not a key ring") from None
        except ConfigurationError as error:  # the password's variable or file is missing
            raise self._failed(doing, error, error.hint) from error
