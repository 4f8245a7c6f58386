"""What all repositories here share: their location, and their errors in the same words."""

from __future__ import annotations

from typing import Self

from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.errors import ConfigurationError, RepositoryError, VersionConflict
from dpmiddleware.printable import printable, without_secrets
from dpmiddleware.tracebacks import HidesLocals

__all__ = ["Repository", "check_one_given"]


class Repository(HidesLocals, Unpicklable):
    """Base of the repositories. ``location``: see `KeyRepository`. It may hold keys or a password: no pickles."""

    def __init__(self, location: str) -> None:
        self.location = location

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


def check_one_given(store: str, url: object, client: object) -> None:
    """Raise `ConfigurationError` unless exactly one of a URL and a ready client is given."""
    if (url is None) == (client is None):
        raise ConfigurationError(f"a key ring in {store} needs a URL or a client", hint="give exactly one of them")
