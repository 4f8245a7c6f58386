"""What a verb must find before it does anything, and where it may write.

A verb that was sent for keys and finds none, or not the right ring, ends with exit status 1 and says where it looked: a
mistyped place is an error, not a new ring. A verb that changes a ring does so only in a place that was named. Each
verb declares this where it is added (`dpmiddleware.cli.parsers.Verbs.add`).
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dpmiddleware.errors import ConfigurationError, KeyManagementError

if TYPE_CHECKING:
    from dpmiddleware.data_protection import DataProtection
    from dpmiddleware.keys.reading import Reading

__all__ = ["Needs", "NoRingError", "no_ring", "refuse_default_place", "refuse_memory", "require"]

_NAME_IT: Final = "use --repository or DPM_REPOSITORY to name the store"


class Needs(enum.Enum):
    """What must be in the store."""

    ANYTHING = enum.auto()
    """Nothing in particular: the verb itself reports what is missing."""
    ROOM = enum.auto()
    """Nothing at all, or a ring that can be read: the verb may write the first key."""
    DOCUMENTS = enum.auto()
    """Any document, also one that is not accepted."""
    KEYS = enum.auto()
    """A key, in any state."""


class NoRingError(KeyManagementError):
    """The store does not have the ring that a verb was sent for."""


def require(dp: DataProtection, reading: Reading, needs: Needs) -> None:
    """`NoRingError` unless a reading of the store of ``dp`` has what a verb needs."""
    strangers = bool(reading.refused) and not reading.keys
    enough = {
        Needs.ANYTHING: True,
        Needs.ROOM: not strangers,
        Needs.DOCUMENTS: bool(reading.documents or reading.set_aside),
        Needs.KEYS: bool(reading.keys),
    }
    if not enough[needs]:
        raise no_ring(dp, reading)


def no_ring(dp: DataProtection, reading: Reading | None = None) -> NoRingError:
    """The error that says where a ring was looked for, and what is there instead.

    reading: of the store, if it is not empty.
    """
    location = dp.repository.location
    if reading is not None and reading.set_aside:
        first = next(iter(reading.refused), reading.set_aside[0])
        cure = first.hint or "`dpm keys list` shows every document"
        return NoRingError(
            f"no key in {location} is accepted; {first.name}: {first.problem}",
            hint=f"correct --repository if the ring is elsewhere; otherwise: {cure}",
        )
    if reading is not None and reading.revocations:
        hint = "restore the keys from a backup, or start a new ring with `dpm keys create`"
        return NoRingError(f"{location} has revocations, but no key", hint=hint)
    if dp.home is not None:
        return NoRingError(f"there is no key ring in {location} ({dp.home.why})", hint=_NAME_IT)
    folder = getattr(dp.repository, "folder", None)
    missing = isinstance(folder, Path) and not folder.exists()
    return NoRingError(
        f"there is no key ring in {location}{': the folder does not exist' if missing else ''}",
        hint="correct --repository (DPM_REPOSITORY), or start a new ring with `dpm keys create`",
    )


def refuse_default_place() -> None:
    """`ConfigurationError` that names the place where keys are if none is named; nothing is created there."""
    from dpmiddleware.default_location import find_key_home

    home = find_key_home(create=False)
    raise ConfigurationError(
        f"no repository is named, so this would change the default place, {home.repository}: nothing was changed",
        hint=_NAME_IT if home.repository == "memory:" else f"{_NAME_IT}: --repository {home.repository}",
    )


def refuse_memory(dp: DataProtection) -> None:
    """`ConfigurationError` if ``dp`` keeps its keys in memory: they would be gone when the command ends."""
    if dp.repository.location == "memory:":
        text = "keys in memory are lost when this command ends: nothing was changed"
        raise ConfigurationError(text, hint=_NAME_IT)
