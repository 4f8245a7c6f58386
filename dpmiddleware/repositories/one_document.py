"""A ring in one object of an object store: read as a whole, replaced as a whole, if its ETag is still the expected one.

A store says how to ask for the ETag, to get and to put; what the object holds is `dpmiddleware.repositories.markup`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from dpmiddleware.errors import ConfigurationError, MalformedDocumentError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.repositories.bounded import Call, within
from dpmiddleware.repositories.failures import conflict, failed
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE, edit, split

__all__ = ["ABSENT", "CONTENT_TYPE", "SECONDS_TO_CONNECT", "SECONDS_TO_READ", "OneDocumentRepository", "TooLargeError"]

ABSENT: Final = "absent"
"""The version of an object that is not there."""
CONTENT_TYPE: Final = "application/xml; charset=utf-8"
SECONDS_TO_CONNECT: Final = 2.0
SECONDS_TO_READ: Final = 2.0
_SECONDS: Final = 4.5
"""For a call with all that its client may do before, such as asking for a token."""
_T = TypeVar("_T")


class TooLargeError(Exception):
    """An object of more bytes than any ring has."""


class OneDocumentRepository(ABC):
    """What the repositories in object stores share. A subclass sets ``errors`` (its client's) and ``hint_for``."""

    errors: tuple[type[BaseException], ...]

    def __init__(self, location: str) -> None:
        self._location = location
        self._seconds = _SECONDS

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._location!r})"

    @property
    def location(self) -> str:
        """The URL of the object, without what opens it."""
        return self._location

    @abstractmethod
    def hint_for(self, error: BaseException) -> str:
        """What to do about an error of the client."""

    @abstractmethod
    def connect(self) -> None:
        """Have a client that is this process's own. Making one takes processor time and waits for no store."""

    @abstractmethod
    def etag(self) -> str:
        """The object's ETag, without the object; `ABSENT` where there is none. One request."""

    @abstractmethod
    def get(self) -> tuple[bytes, str]:
        """The object and its ETag; nothing and `ABSENT`. `TooLargeError` over `MAX_REPOSITORY_SIZE`."""

    @abstractmethod
    def put(self, data: bytes, etag: str) -> bool:
        """Replace the object that has this ETag (`ABSENT`: make it); ``False``, and nothing done, if it has another."""

    def read(self) -> Snapshot:
        """All elements and the ETag that they came with: one request."""
        data, etag = self._run("read", self.get)
        if etag == ABSENT:
            return Snapshot((), ABSENT)
        try:
            return Snapshot(split(data), etag)
        except MalformedDocumentError as error:
            raise self._unreadable(error) from error

    def version(self) -> str:
        """The ETag: one request, no content."""
        return self._run("read", self.etag)

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """As the contract says, in two requests. Names are not kept. `MalformedDocumentError` for what is no XML."""
        data, etag = self._run("read", self.get)
        if etag != expected:
            raise conflict(self._location)
        if not add and not remove:
            return
        try:
            split(data)
        except MalformedDocumentError as error:
            raise self._unreadable(error) from error
        edited = edit(data, add, remove)
        if not self._run("write to", lambda: self.put(edited, expected)):
            raise conflict(self._location)

    def _unreadable(self, error: MalformedDocumentError) -> Exception:
        hint = "nothing is written over it; put an earlier version of the object back (versioning), or delete it"
        return failed(self._location, "read", error, hint)

    def _run(self, doing: str, action: Callable[[], _T]) -> _T:
        try:
            self.connect()
            return within(self._seconds, Call(), action)
        except self.errors as error:
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise failed(self._location, doing, reason, self.hint_for(error)) from error
        except TooLargeError:
            reason = f"larger than {MAX_REPOSITORY_SIZE // 2**20} MB"
            raise failed(self._location, doing, reason, "this object is no key ring") from None
        except ConfigurationError as error:  # the password's variable or file is not there
            raise failed(self._location, doing, error, error.hint) from error
