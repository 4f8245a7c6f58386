"""What all repositories here share: their location, and their errors in the same words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, Self, TypeVar

from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.errors import ConfigurationError, RepositoryError, VersionConflict
from dpmiddleware.printable import printable, without_secrets
from dpmiddleware.repositories.bounded import Bounded
from dpmiddleware.tracebacks import HidesLocals

__all__ = ["Repository", "check_one_given"]


_WRITING: Final = "write to"
_CALLS: Final = {"read": "read", "version": "read", "findings": "read", "commit": _WRITING}
_T = TypeVar("_T")


class Repository(HidesLocals, Unpicklable):
    """Base of the repositories. It may hold keys or a password: no pickles.

    location: see `KeyRepository`.

    Each call of `KeyRepository` that a subclass defines is limited to `_seconds` in all, a commit, which may be
    retried, to twice that; `dpmiddleware.repositories.bounded` says how. A call that was abandoned may still take
    effect.
    """

    _seconds: float | None = 4.5
    """``None``: calls do not leave this process, and have no limit."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._calls = Bounded(self._abandon)

    def __init_subclass__(cls) -> None:
        for name, doing in _CALLS.items():
            if name in cls.__dict__:
                setattr(cls, name, _limited(cls.__dict__[name], doing))
        super().__init_subclass__()  # hides the locals of all that, too

    def _prepare(self) -> None:
        """Do what takes processor time before the first call; it does not wait for anybody, and has no limit."""

    def _abandon(self) -> None:
        """End the call that takes too long, as far as that is possible."""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open the repository that a URL names; see the class."""
        return cls(url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    def _conflict(self) -> VersionConflict:
        """The store is not at the version that a commit expected."""
        return VersionConflict(
            f"{self.location} has changed; nothing was written", hint="read the store again and retry"
        )

    def _name_taken(self, name: str) -> RepositoryError:
        """The store has a document of that name, and the commit does not remove it."""
        return RepositoryError(
            f"{self.location} already has a document named {printable(name)}; nothing was written",
            hint="remove the old document in the same commit; documents are never overwritten",
        )

    def _moving(self) -> RepositoryError:
        """The store changed during each attempt to read it."""
        hint = "try again, and find out what keeps writing there"
        return RepositoryError(f"{self.location} kept changing while it was read", hint=hint)

    def _failed(self, doing: str, reason: object, hint: str) -> RepositoryError:
        """The store could not be used. ``doing``: "read", "write to" …; ``reason``: one line without secrets."""
        return RepositoryError(f"cannot {doing} {self.location}: {printable(without_secrets(str(reason)))}", hint=hint)


def _limited(call: Callable[..., _T], doing: str) -> Callable[..., _T]:
    @functools.wraps(call)
    def limited(self: Repository, *arguments: object, **named: object) -> _T:
        if self._seconds is None:
            return call(self, *arguments, **named)
        self._prepare()
        seconds = self._seconds * (2 if doing == _WRITING else 1)
        try:
            return self._calls.run(seconds, lambda: call(self, *arguments, **named))
        except TimeoutError as error:
            hint = "check the store, the network and the mount; loaded keys stay in use"
            raise self._failed(doing, error, hint) from None

    return limited


def check_one_given(store: str, url: object, client: object) -> None:
    """Raise `ConfigurationError` unless exactly one of a URL and a ready client is given."""
    if (url is None) == (client is None):
        raise ConfigurationError(f"a key ring in {store} needs a URL or a client", hint="give exactly one of them")
