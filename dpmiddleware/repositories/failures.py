"""The errors that all stores raise, in the same words."""

from __future__ import annotations

from dpmiddleware.errors import RepositoryError, VersionConflict
from dpmiddleware.printable import printable

__all__ = ["conflict", "failed", "moving", "name_taken"]


def conflict(location: str) -> VersionConflict:
    """The store is not at the version that a commit expected."""
    return VersionConflict(f"{location} has changed; nothing was written", hint="read the store again and retry")


def name_taken(location: str, name: str) -> RepositoryError:
    """The store has a document of that name, and the commit does not remove it."""
    return RepositoryError(
        f"{location} already has a document named {printable(name)}; nothing was written",
        hint="remove the old document in the same commit; documents are never overwritten",
    )


def moving(location: str) -> RepositoryError:
    """The store changed during each attempt to read it."""
    return RepositoryError(
        f"{location} kept changing while it was read", hint="try again, and find out what keeps writing there"
    )


def failed(location: str, doing: str, reason: object, hint: str) -> RepositoryError:
    """The store could not be used.

    location: the store's.
    doing: "read", "write to" or the like.
    reason: one line, free of secrets.
    hint: what to do.
    """
    return RepositoryError(f"cannot {doing} {location}: {printable(reason)}", hint=hint)
