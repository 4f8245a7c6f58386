"""``dpm keys list`` and ``dpm keys show``: what is in a ring, and in which state."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from uuid import UUID

from dpmiddleware.cli.output import Console, moment, table
from dpmiddleware.cli.ring import open_ring
from dpmiddleware.cli.verbs import Verbs
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import may_be_revocation
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.reader import Reading, SetAside
from dpmiddleware.keys.rotation import resolve

__all__ = ["add_to", "counted", "describe", "find_key", "key_json", "not_used", "read_ring"]


def add_to(verbs: Verbs) -> None:
    """``list``, ``show``."""
    verbs.add("list", _list, "all keys of the ring, and what in its store is not used", notes=False)
    show = verbs.add("show", _show, "one key", notes=False)
    show.add_argument("key", metavar="KEY", help="its id, or the beginning of it")


def read_ring(dp: DataProtection) -> tuple[Reading, Instant, UUID | None]:
    """What the store holds, the time, and the id of the default key; changes nothing."""
    reading, now = dp.manager.read(), dp.manager.now()
    default = resolve(now, reading.keys, dp.policy).default
    return reading, now, None if default is None else default.id


def key_json(key: Key, now: Instant, default: UUID | None) -> dict[str, object]:
    """One key for machines; dates in XML Schema form, UTC."""
    return {
        "id": str(key.id),
        "state": key.state(now).value,
        "default": key.id == default,
        "created": str(key.creation_date),
        "activation": str(key.activation_date),
        "expiration": str(key.expiration_date),
        "algorithm": key.algorithm,
        "wrapped": key.wrapped,
        "problem": key.problem,
        "revoked": None
        if key.revocation is None
        else {
            "all_before": key.revocation.key_id is None,
            "date": None if key.revocation.date is None else str(key.revocation.date),
            "reason": key.revocation.reason,
        },
    }


def describe(key: Key, now: Instant, default: UUID | None) -> str:
    """Its state in a few words."""
    state = key.state(now).value
    return f"{state}, default" if key.id == default else state


def _list(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    reading, now, default = read_ring(dp)
    keys = sorted(reading.keys, key=lambda key: (key.activation_date, key.id))
    rows = [
        (
            key.id,
            describe(key, now, default),
            moment(key.creation_date),
            moment(key.activation_date),
            moment(key.expiration_date),
            key.algorithm or "-",
            "wrapped" if key.wrapped else "in clear",
        )
        for key in keys
    ]
    lines = [f"{dp.repository.location}: {counted(len(keys), 'key')}"]
    if rows:
        lines += ["", *table(("KEY", "STATE", "CREATED", "ACTIVE FROM", "EXPIRES", "ALGORITHM", "AT REST"), rows)]
    lines += _problems(keys, reading)
    data = {
        "location": dp.repository.location,
        "ring": dp.ring,
        "keys": [key_json(key, now, default) for key in keys],
        "set_aside": [{"document": a.name, "problem": a.problem, "refused": a.refused} for a in not_used(reading)],
    }
    console.result(data, lines)
    return 0


def counted(number: int, thing: str) -> str:
    """``no keys``, ``1 key``, ``2 keys``."""
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def _problems(keys: Sequence[Key], reading: Reading) -> list[str]:
    unusable = [(key.id, key.problem) for key in keys if key.problem]
    aside = [(one.name, f"{'refused' if one.refused else 'set aside'}: {one.problem}") for one in not_used(reading)]
    rows = table(("NOT USED", "WHY"), [*unusable, *aside])
    return ["", *rows] if unusable or aside else []


def not_used(reading: Reading) -> list[SetAside]:
    """What is set aside; first revocations that nobody vouches for: as long as they are refused, nothing is revoked."""
    return sorted(reading.set_aside, key=lambda one: not (one.refused and may_be_revocation(one.stored)))


def find_key(reading: Reading, text: str) -> Key | None:
    """The one key whose id is ``text`` or begins with it (at least 4 characters)."""
    wanted = text.strip().strip("{}").lower()
    found = [key for key in reading.keys if str(key.id).startswith(wanted)] if len(wanted) >= 4 else []
    return found[0] if len(found) == 1 else None


def _show(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    reading, now, default = read_ring(dp)
    key = find_key(reading, arguments.key)
    if key is None:
        console.error("no key of the ring, or more than one, has this id", "`dpm keys list` shows the ids")
        return 1
    rows: list[tuple[str, object]] = [
        ("key", key.id),
        ("state", describe(key, now, default)),
        ("created", key.creation_date),
        ("active from", key.activation_date),
        ("expires", key.expiration_date),
        ("algorithm", key.algorithm or "-"),
        ("at rest", "wrapped" if key.wrapped else "in clear"),
    ]
    if key.problem:
        rows.append(("problem", key.problem))
    if key.revocation is not None:
        scope = "every key created before" if key.revocation.key_id is None else "this key, on"
        rows.append(("revoked", f"{scope} {key.revocation.date or 'an unreadable date'}"))
        rows.append(("reason", key.revocation.reason or "-"))
    console.result(key_json(key, now, default), table(("", ""), rows)[1:])
    return 0
