"""Opens the ring that a command works on, and reads what its store holds.

Each setting of the ring comes from an option, a ``DPM_*`` variable or the default of `DataProtection`, in this order.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from dpmiddleware.data_protection import SETTINGS, DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import may_be_revocation
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.reading import Reading, SetAside
from dpmiddleware.keys.rotation import resolve
from dpmiddleware.names import refuse_unknown_variables

__all__ = ["RingView", "UsageError", "open_ring", "setting"]

_SETTINGS: Final = tuple(name for name in SETTINGS if name != "auto_create_keys")


class UsageError(ConfigurationError):
    """The command line or a ``DPM_*`` variable is not valid: exit status 2."""


def open_ring(arguments: argparse.Namespace, *, auto_create_keys: bool = True, **overrides: Any) -> DataProtection:
    """Open the ring that the options name, without access to its store. `UsageError` if the settings are not valid.

    overrides: settings to use instead (another ``repository`` for the same ring).
    """
    settings = {name: overrides.get(name) or setting(arguments, name) for name in _SETTINGS}
    try:
        refuse_unknown_variables(os.environ, SETTINGS, [value for value in settings.values() if isinstance(value, str)])
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error
    wrapped = settings["key_wrapper"] is not None and settings["key_wrapper"].split() != ["plain:"]
    if wrapped and not (settings["application"] or settings["ring"]):
        text = "a ring with wrapped keys needs a name, because wrapped keys are bound to it"
        raise UsageError(text, hint="set --application NAME or --ring NAME")
    try:
        dp = DataProtection.from_config(settings, auto_create_keys=auto_create_keys)
        _ = dp.manager
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error
    return dp


def setting(arguments: argparse.Namespace, name: str) -> Any:
    """The value of an option, else of its variable, else ``None``. Repeated options are joined with spaces."""
    given: str | list[str] | None = getattr(arguments, name, None)
    if isinstance(given, list):
        given = " ".join(given)
    return given if given is not None else os.environ.get(f"DPM_{name.upper()}") or None


@dataclass(frozen=True, slots=True)
class RingView:
    """What the store of a ring holds at one moment.

    reading: its keys and documents. now: the moment. default: the id of the default key, if there is one.
    """

    reading: Reading
    now: Instant
    default: UUID | None

    @classmethod
    def of(cls, dp: DataProtection) -> RingView:
        """Read the store. Nothing is changed."""
        reading, now = dp.manager.read(), dp.manager.now()
        default = resolve(now, reading.keys, dp.policy).default
        return cls(reading, now, None if default is None else default.id)

    @property
    def keys(self) -> list[Key]:
        """All keys, ordered by activation."""
        return sorted(self.reading.keys, key=lambda key: (key.activation_date, key.id))

    @property
    def not_used(self) -> list[SetAside]:
        """The documents that are set aside; refused revocations first, because they should be noticed."""
        return sorted(self.reading.set_aside, key=lambda one: not (one.refused and may_be_revocation(one.stored)))

    def find(self, text: str) -> Key | None:
        """The only key whose id is ``text`` or begins with it (at least 4 characters), else ``None``."""
        wanted = text.strip().strip("{}").lower()
        found = [key for key in self.reading.keys if str(key.id).startswith(wanted)] if len(wanted) >= 4 else []
        return found[0] if len(found) == 1 else None

    def describe(self, key: Key) -> str:
        """The state of a key, for people."""
        state = key.state(self.now).value
        return f"{state}, default" if key.id == self.default else state

    def as_json(self, key: Key) -> dict[str, object]:
        """A key for programs. Dates are in XML Schema form, UTC."""
        return {
            "id": str(key.id),
            "state": key.state(self.now).value,
            "default": key.id == self.default,
            "created": str(key.creation_date),
            "activation": str(key.activation_date),
            "expiration": str(key.expiration_date),
            "algorithm": key.algorithm,
            "wrapped": key.wrapped,
            "problem": key.problem,
            "revoked": None if key.revocation is None else _revocation_as_json(key.revocation),
        }


def _revocation_as_json(revocation: Revocation) -> dict[str, object]:
    date = None if revocation.date is None else str(revocation.date)
    return {"all_before": revocation.key_id is None, "date": date, "reason": revocation.reason}
