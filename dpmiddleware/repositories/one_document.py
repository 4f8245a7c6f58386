"""A ring in one object of an object store: read as a whole, replaced as a whole if its ETag is the expected one.

A subclass gets the ETag, gets the object and puts it; `dpmiddleware.repositories.markup` is the object's content.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from dpmiddleware.errors import ConfigurationError, MalformedDocumentError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.repositories.base import Repository
from dpmiddleware.repositories.bounded import Call, within
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE, edit, split

__all__ = ["ABSENT", "CONTENT_TYPE", "SECONDS_TO_CONNECT", "SECONDS_TO_READ", "OneDocumentRepository", "TooLargeError"]

ABSENT: Final = "absent"
"""The version of an object that does not exist."""
CONTENT_TYPE: Final = "application/xml; charset=utf-8"
SECONDS_TO_CONNECT: Final = 2.0
SECONDS_TO_READ: Final = 2.0
_SECONDS: Final = 4.5
"""For a call and what its client does before it, such as requesting a token."""
_T = TypeVar("_T")


class TooLargeError(Exception):
    """An object larger than `MAX_REPOSITORY_SIZE`."""


class OneDocumentRepository(Repository, ABC):
    """What the repositories in object stores share. ``errors``: what the subclass's client raises."""

    errors: tuple[type[BaseException], ...]

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._seconds = _SECONDS

    @abstractmethod
    def hint_for(self, error: BaseException) -> str:
        """Return what to do about an error of the client."""

    @abstractmethod
    def connect(self) -> None:
        """Make sure that there is a client of this process. Takes processor time, but does not contact the store."""

    @abstractmethod
    def etag(self) -> str:
        """Return the ETag, or `ABSENT` if there is no object. One request, without the content."""

    @abstractmethod
    def get(self) -> tuple[bytes, str]:
        """Return the object and its ETag, or no bytes and `ABSENT`. `TooLargeError`."""

    @abstractmethod
    def put(self, data: bytes, etag: str) -> bool:
        """Replace the object that has this ETag (`ABSENT`: create it). ``False`` if it has another."""

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
            self.connect()
            return within(self._seconds, Call(), action)
        except self.errors as error:
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise self._failed(doing, reason, self.hint_for(error)) from error
        except TooLargeError:
            reason = f"larger than {MAX_REPOSITORY_SIZE // 2**20} MB"
            raise self._failed(doing, reason, "check the object's name; this is not a key ring") from None
        except ConfigurationError as error:  # the password's variable or file is missing
            raise self._failed(doing, error, error.hint) from error
