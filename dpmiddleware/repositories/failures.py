"""The errors that all stores have in common, in the same words."""

from __future__ import annotations

from dpmiddleware.errors import RepositoryError, VersionConflict
from dpmiddleware.printable import printable

__all__ = ["conflict", "failed", "moving", "name_taken"]


def conflict(location: str) -> VersionConflict:
    """The store is not at the version that a commit expected."""
    return VersionConflict(f"{location} has moved on; nothing was written", hint="read the store again and decide anew")


def name_taken(location: str, name: str) -> RepositoryError:
    """A document of that name is there, and the commit does not remove it."""
    return RepositoryError(
        f"{location} has a document named {printable(name)} already; nothing was written",
        hint="a document is never written over another: remove the old one in the same commit",
    )


def moving(location: str) -> RepositoryError:
    """The store changed again and again while it was read."""
    return RepositoryError(
        f"{location} did not keep still while it was read", hint="try again; who keeps writing there?"
    )


def failed(location: str, doing: str, reason: object, hint: str) -> RepositoryError:
    """The store could not be used. ``doing``: "read", "write to" …; ``reason``: one line, free of secrets."""
    return RepositoryError(f"cannot {doing} {location}: {printable(reason)}", hint=hint)
