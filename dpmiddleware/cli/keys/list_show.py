"""``dpm keys list`` and ``dpm keys show``: the keys of a ring, and their states."""

from __future__ import annotations

import argparse

from dpmiddleware.cli.output import Console, counted, moment, table
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.keys.key import Key

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``list``, ``show``."""
    verbs.add("list", _list, "list the keys of the ring, and the documents in its store that are not used", notes=False)
    show = verbs.add("show", _show, "show one key", notes=False)
    show.add_argument("key", metavar="KEY", help="id of the key, or the beginning of it")


def _list(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    view = RingView.of(dp)
    rows = [
        (
            key.id,
            view.describe(key),
            moment(key.creation_date),
            moment(key.activation_date),
            moment(key.expiration_date),
            key.algorithm or "-",
            _at_rest(key),
        )
        for key in view.keys
    ]
    lines = [f"{dp.repository.location}: {counted(len(rows), 'key')}"]
    if rows:
        lines += ["", *table(("KEY", "STATE", "CREATED", "ACTIVE FROM", "EXPIRES", "ALGORITHM", "AT REST"), rows)]
    problems: list[tuple[object, str]] = [(key.id, key.problem) for key in view.keys if key.problem]
    problems += [(a.name, f"{'refused' if a.refused else 'set aside'}: {a.problem}") for a in view.not_used]
    if problems:
        lines += ["", *table(("NOT USED", "REASON"), problems)]
    data = {
        "location": dp.repository.location,
        "ring": dp.ring,
        "keys": [view.as_json(key) for key in view.keys],
        "set_aside": [{"document": a.name, "problem": a.problem, "refused": a.refused} for a in view.not_used],
    }
    console.result(data, lines)
    return 0


def _at_rest(key: Key) -> str:
    return "wrapped" if key.wrapped else "not wrapped"


def _show(arguments: argparse.Namespace, console: Console) -> int:
    view = RingView.of(open_ring(arguments))
    key = view.find(arguments.key)
    if key is None:
        console.error(f"{arguments.key!r} does not identify a key of the ring", "run `dpm keys list` to see the ids")
        return 1
    rows: list[tuple[str, object]] = [
        ("key", key.id),
        ("state", view.describe(key)),
        ("created", key.creation_date),
        ("active from", key.activation_date),
        ("expires", key.expiration_date),
        ("algorithm", key.algorithm or "-"),
        ("at rest", _at_rest(key)),
    ]
    if key.problem:
        rows.append(("problem", key.problem))
    if key.revocation is not None:
        scope = "all keys created before" if key.revocation.key_id is None else "this key, on"
        rows.append(("revoked", f"{scope} {key.revocation.date or 'an unreadable date'}"))
        rows.append(("reason", key.revocation.reason or "-"))
    console.result(view.as_json(key), table(("", ""), rows)[1:])
    return 0
