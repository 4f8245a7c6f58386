"""Opens the ring that a command works on, and reads what its store holds.

Each setting of the ring comes from an option, a ``DPM_*`` variable or the default of `DataProtection`, in this order;
or the ring is that of an application (`dpmiddleware.cli.own_ring`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from dpmiddleware.cli.own_ring import open_own_ring
from dpmiddleware.cli.presence import Needs, refuse_default_place, refuse_memory, require
from dpmiddleware.cli.short_ids import short_ids
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.data_protection import SETTINGS, DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import may_be_revocation
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import POLICY_SETTINGS, no_limit
from dpmiddleware.keys.reading import Reading, SetAside
from dpmiddleware.keys.rotation import resolve
from dpmiddleware.names import refuse_unknown_variables
from dpmiddleware.naming import VARIABLE, Naming, option_or_variable
from dpmiddleware.printable import printable

__all__ = ["KeyNotFoundError", "RingView", "makes_keys", "open_ring", "refuse_unwrapped", "setting"]

_SETTINGS: Final = tuple(name for name in SETTINGS if name != "auto_create_keys")
_SHORTEST: Final = 4
"""Characters of an id that name a key."""


def open_ring(arguments: argparse.Namespace, *, auto_create_keys: bool = True, **overrides: Any) -> DataProtection:
    """Open the ring that the options name, without access to its store. `UsageError` if the settings are not valid.

    overrides: settings to use instead (another ``repository`` for the same ring).
    `ConfigurationError` if the verb changes the ring, and no place is named where the change would last.
    """
    own = arguments.command.has_own_ring
    opened = open_own_ring if own else _open_named_ring
    dp = opened(arguments, auto_create_keys=auto_create_keys, overrides=overrides)
    if arguments.changes:
        refuse_memory(dp)
    return dp


def _open_named_ring(
    arguments: argparse.Namespace, *, auto_create_keys: bool, overrides: dict[str, Any]
) -> DataProtection:
    """The ring that options and variables name."""
    settings = {name: overrides.get(name) or setting(arguments, name) for name in _SETTINGS}
    try:
        refuse_unknown_variables(os.environ, SETTINGS, [value for value in settings.values() if isinstance(value, str)])
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error
    wrapped = settings["key_wrapper"] is not None and settings["key_wrapper"].split() != ["plain:"]
    if wrapped and not (settings["application"] or settings["ring"]):
        text = "a ring with wrapped keys needs a name, because wrapped keys are bound to it"
        raise UsageError(text, hint="set --application NAME or --ring NAME")
    if arguments.changes and settings["repository"] is None:
        refuse_default_place()
    try:
        given = DataProtection.from_config(settings, naming=_naming(arguments))
        dp = given.with_parts(auto_create_keys=auto_create_keys)
        _ = dp.manager
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error
    return dp


def makes_keys(arguments: argparse.Namespace) -> bool:
    """Whether the member that is looked at may create keys."""
    if arguments.command.has_own_ring:
        return bool(arguments.command.application.data_protection.with_parts().manager.auto_create_keys)
    return os.environ.get("DPM_AUTO_CREATE_KEYS", "").lower() not in {"false", "0", "no"}


def refuse_unwrapped(dp: DataProtection, view: RingView) -> None:
    """`ConfigurationError` if a new key would not be wrapped although keys of the ring are: members would refuse it.

    Not if ``plain:`` was said.
    """
    wrapped = any(key.wrapped and view.now < key.expiration_date for key in view.reading.keys)
    if wrapped and "key_wrapper" not in dp.stated:
        raise ConfigurationError(
            f"the keys in {view.reading.location} are wrapped, but no key wrapper is configured for a new one: "
            "nothing was changed",
            hint="use --key-wrapper or DPM_KEY_WRAPPER as in the other members; plain: stores it unencrypted",
        )


def _naming(arguments: argparse.Namespace) -> Naming:
    """Errors name the option, or the variable where the setting comes from there."""
    variables = [
        name for name in _SETTINGS if getattr(arguments, name, None) is None and VARIABLE.write(name) in os.environ
    ]
    return option_or_variable(variables)


def setting(arguments: argparse.Namespace, name: str) -> Any:
    """The value of an option, else of its variable, else ``None``. Repeated options are joined with spaces.

    Of an application's own ring: the option, else the application's time span if it has set one.
    """
    given: str | list[str] | None = getattr(arguments, name, None)
    if isinstance(given, list):
        given = " ".join(given)
    if given is None and arguments.command.has_own_ring:
        own = arguments.command.application.data_protection
        return no_limit(getattr(own.policy, name)) if name in POLICY_SETTINGS and name in own.stated else None
    return given if given is not None else os.environ.get(f"DPM_{name.upper()}") or None


class KeyNotFoundError(KeyManagementError):
    """An id, or the beginning of one, does not name exactly one key of the ring."""


@dataclass(frozen=True)
class RingView:
    """What the store of a ring holds at one moment.

    reading: its keys and documents. now: the moment. default: the id of the default key, if there is one.
    """

    reading: Reading
    now: Instant
    default: UUID | None

    @classmethod
    def of(
        cls,
        dp: DataProtection,
        needs: Needs = Needs.ANYTHING,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
        read: Callable[[KeyManager, Callable[[int, int], None]], Reading] = KeyManager.read,
    ) -> RingView:
        """Read the store. Nothing is changed. `NoRingError` if the store does not have what the verb needs.

        read: `glance` where it is enough.
        """
        reading, now = read(dp.manager, progress), dp.manager.now()
        require(dp, reading, needs)
        default = resolve(now, reading.keys, dp.manager.policy_in(reading)).default
        return cls(reading, now, None if default is None else default.id)

    @cached_property
    def keys(self) -> list[Key]:
        """All keys, ordered by activation."""
        return sorted(self.reading.keys, key=lambda key: (key.activation_date.ticks, key.id))

    @property
    def not_used(self) -> list[SetAside]:
        """The documents that are set aside; refused revocations first, because they should be noticed."""
        return sorted(self.reading.set_aside, key=lambda one: not (one.refused and may_be_revocation(one.stored)))

    def get(self, key_id: UUID) -> Key | None:
        """The key with this id."""
        return next((key for key in self.reading.keys if key.id == key_id), None)

    def find(self, text: str) -> Key:
        """The only key whose id is ``text``, or begins with it. `KeyNotFoundError` if it names no key, or several."""
        wanted = text.strip().strip("{}").lower()
        found = [key for key in self.keys if str(key.id).startswith(wanted)] if len(wanted) >= _SHORTEST else []
        if len(found) == 1:
            return found[0]
        location, shown = self.reading.location, printable(text, 40)
        if found:
            ids = ", ".join(str(key.id) for key in found[:5]) + (" …" if len(found) > 5 else "")
            text = f"{len(found)} keys in {location} begin with {shown!r}: {ids}"
            raise KeyNotFoundError(text, hint="type more of the id")
        raise KeyNotFoundError(f"{location} has no key {shown!r}", hint="run `dpm keys list` to see the ids")

    def short(self, key_id: UUID) -> str:
        """The beginning of a key's id that no other key of the ring has: 8 characters, or more if that is ambiguous."""
        return self._short_ids.get(key_id, str(key_id))

    @cached_property
    def _short_ids(self) -> Mapping[UUID, str]:
        return short_ids(key.id for key in self.reading.keys)

    def describe(self, key: Key) -> str:
        """The state of a key, for people."""
        state = key.state(self.now).value
        if key.untried and key.revocation is None:
            return f"{state}, not tried"
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
            "tried": not key.untried,
            "revoked": None if key.revocation is None else _revocation_as_json(key.revocation),
        }


def _revocation_as_json(revocation: Revocation) -> dict[str, object]:
    date = None if revocation.date is None else str(revocation.date)
    return {"all_before": revocation.key_id is None, "date": date, "reason": revocation.reason}
