"""``dpm keys revoke`` and ``dpm keys revoke-all``: refuse every payload under a key, or under all keys."""

from __future__ import annotations

import argparse
import re
from typing import Final
from uuid import UUID

from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.policy_options import add_policy_options
from dpmiddleware.cli.ring import KeyNotFoundError, RingView, open_ring, refuse_unwrapped
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant

__all__ = ["add_to", "date"]

_NOT_THERE: Final = "not in this ring"
_COMPLETE: Final = 36
_BEGINNING: Final = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")
"""Of an id. A revocation cannot be undone, so at least what `dpm keys list` shows is needed."""


def add_to(verbs: Verbs) -> None:
    """``revoke``, ``revoke-all``."""
    revoke = verbs.add(
        "revoke",
        _revoke,
        "revoke one key: its payloads are refused",
        examples=["dpm keys revoke 4d5e1c0a --repository redis://localhost/0 --reason 'lost laptop'"],
        changes=True,
    )
    text = "id of the key, or its first 8 characters or more if no other key has them"
    revoke.add_argument("key", metavar="KEY", type=_key_id, help=text)
    text = "revoke the complete id even if the ring has no such key"
    revoke.add_argument("--unknown", action="store_true", help=text)
    everything = verbs.add(
        "revoke-all",
        _revoke_all,
        "revoke all existing keys, and create a new one",
        examples=[
            "dpm keys revoke-all --repository redis://localhost/0 --reason 'backup lost'",
            "dpm keys revoke-all --before 2026-11-22T10:00:00Z --repository redis://localhost/0 --yes",
        ],
        changes=True,
    )
    text = "revoke only keys created before this date (UTC unless it has a time zone)"
    everything.add_argument("--before", metavar="DATE", type=date, help=text)
    everything.add_argument("--future", action="store_true", help="allow a date in the future")
    for parser in (revoke, everything):
        add_policy_options(parser)
        parser.add_argument("--reason", default="", help="text to store in the revocation")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def date(text: str) -> Instant:
    """An XML Schema date. A space may replace the T; without a time zone it is UTC."""
    text = text.strip().replace(" ", "T")
    has_zone = text[-1:] in {"Z", "z"} or (text[-6:-5] in {"+", "-"} and text[-3:-2] == ":")
    try:
        return Instant.parse(text if has_zone else f"{text}Z")
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("must be a date such as 2026-11-22T10:00:00Z") from None


def _key_id(text: str) -> str:
    """An id in its usual form, or the beginning of one."""
    text = text.strip().strip("{}").lower()
    try:
        return str(UUID(text))
    except ValueError:
        if _BEGINNING.fullmatch(text):
            return text
    raise argparse.ArgumentTypeError(
        "must be the id of a key, or its first 8 characters or more; `dpm keys list` shows the ids"
    )


def _revoke(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    view, location = RingView.of(dp, arguments.needs), dp.repository.location
    wanted, state = _wanted(view, arguments)
    effect = "" if state in {"revoked", _NOT_THERE} else "signs out everybody whose cookie is under this key"
    if not console.confirmed(f"revoke {wanted} ({state}) in {location}", effect, yes=arguments.yes):
        return 1
    changed = dp.manager.revoke(wanted, arguments.reason)
    lines = [
        f"revoked {wanted} in {location}; {_effect(dp)}" if changed else f"{wanted} is already revoked in {location}"
    ]
    was_default = wanted == view.default
    default = RingView.of(dp).default if changed else view.default
    successor = None if default is None or default == view.default else str(default)
    if successor is not None:
        lines.append(f"it was the default key: {successor} was created and protects now")
    data = {
        "location": location,
        "revoked": str(wanted),
        "already": not changed,
        "was_default": was_default,
        "successor": successor,
    }
    console.result(data, lines)
    if default is None and was_default:
        console.error("no key protects now", "run `dpm check` for the reason, then `dpm keys create --now`")
        return 1
    return 0


def _wanted(view: RingView, arguments: argparse.Namespace) -> tuple[UUID, str]:
    """The id of the key to revoke, and its state. `KeyNotFoundError` if the ring does not have it."""
    try:
        key = view.find(arguments.key)
    except KeyNotFoundError as error:
        if len(arguments.key) < _COMPLETE:
            raise
        if arguments.unknown:
            return UUID(arguments.key), _NOT_THERE
        raise KeyNotFoundError(str(error), hint="use --unknown to revoke this id anyway") from None
    return key.id, view.describe(key)


def _effect(dp: DataProtection) -> str:
    """The promise is the ring's policy, or if it has none, the poll that these settings state."""
    poll = dp.manager.policy_in(dp.manager.read()).poll
    return f"effective in every member within {poll.total_seconds():g} s"


def _revoke_all(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    view, location = RingView.of(dp, arguments.needs), dp.repository.location
    refuse_unwrapped(dp, view)
    action, effect = _announced(view, arguments.before)
    if not console.confirmed(f"{action} in {location}", effect, yes=arguments.yes):
        return 1
    done = dp.manager.revoke_all(arguments.before, arguments.reason, future=arguments.future)
    survivors = sorted(done.survivors, key=lambda key: key.creation_date)
    number = counted(len(done.revoked), "key")
    lines = [
        f"revoked all keys in {location} created before {done.date}: {number}; {_effect(dp)}",
        f"created {done.new_key}",
        *(f"not revoked: {key.id}, created {key.creation_date}" for key in survivors),
    ]
    data = {
        "location": location,
        "date": str(done.date),
        "revoked": [str(key.id) for key in sorted(done.revoked, key=lambda key: key.creation_date)],
        "survivors": [str(key.id) for key in survivors],
        "created": str(done.new_key),
    }
    console.result(data, lines)
    if survivors:
        console.error(f"not revoked: {counted(len(survivors), 'key')}", "omit --before to revoke all keys")
    return 1 if survivors else 0


def _announced(view: RingView, before: Instant | None) -> tuple[str, str]:
    """What would be revoked, and what this does to users."""
    keys = [key for key in view.keys if before is None or key.creation_date < before]
    scope = counted(len(view.keys), "key") if before is None else f"the keys created before {before}"
    alive = sum(key.revocation is None for key in keys)
    these = "this key" if alive == 1 else f"these {alive} keys"
    return f"revoke {scope}", f"signs out everybody whose cookie is under {these}" if alive else ""
