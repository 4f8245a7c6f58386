"""``dpm keys list`` and ``dpm keys show``: the keys of a ring, and their states."""

from __future__ import annotations

import argparse

from dpmiddleware.cli.moments import distance, moment, outlook
from dpmiddleware.cli.output import Console, counted, entries, table
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.presence import Needs, no_ring
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.glance import MOST, glance
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.manager import KeyManager

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``list``, ``show``."""
    listed = verbs.add(
        "list",
        _list,
        "list the keys of the ring, and the documents in its store that are not used",
        examples=["dpm keys list --repository redis://localhost/0", "dpm keys list --wide"],
        notes=False,
        needs=Needs.DOCUMENTS,
        long=True,
    )
    listed.add_argument("--wide", action="store_true", help="show whole ids, all dates and the algorithm")
    text = f"unwrap every key; of a large ring, only {MOST} are, the newest, to see whether they can be"
    listed.add_argument("--all", action="store_true", help=text)
    show = verbs.add("show", _show, "show one key", examples=["dpm keys show 4d5e1c0a"], notes=False)
    show.add_argument("key", metavar="KEY", help="id of the key, or the beginning of it")


def _list(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    view = RingView.of(dp, arguments.needs, console.reading, KeyManager.read if arguments.all else glance)
    if console.as_json:
        console.result(_as_json(dp, view), ())
    else:
        console.result({}, _as_text(view, console, wide=arguments.wide))
    if not view.keys:
        console.failure(no_ring(dp, view.reading))
    return 0 if view.keys else 1


def _as_text(view: RingView, console: Console, *, wide: bool) -> list[str]:
    lines = [f"{view.reading.location}: {counted(len(view.keys), 'key')}"]
    if view.keys:
        lines += ["", *(_wide(view) if wide else _narrow(view))]
    untried = [key for key in view.keys if key.untried and key.revocation is None]
    if untried:
        text = "not tried, because the ring is large: they may not unwrap; `dpm keys list --all` tries them all"
        lines += [
            "",
            *console.escaped([f"{counted(len(untried), 'key')} {'was' if len(untried) == 1 else 'were'} {text}"]),
        ]
    broken = [key for key in view.keys if key.problem]
    problems = [(str(key.id) if wide else view.short(key.id), key.problem) for key in broken]
    problems += [(a.name, f"{'refused' if a.refused else 'set aside'}: {a.problem}") for a in view.not_used]
    if problems:
        lines += ["", *entries("NOT USED", problems, console.written)]
        hints = [*(key.hint for key in broken), *(aside.hint for aside in view.not_used)]
        lines += console.escaped(f"hint: {hint}" for hint in dict.fromkeys(hints) if hint)
    return lines


def _as_json(dp: DataProtection, view: RingView) -> dict[str, object]:
    return {
        "location": dp.repository.location,
        "ring": dp.ring,
        "keys": [view.as_json(key) for key in view.keys],
        "set_aside": [{"document": a.name, "problem": a.problem, "refused": a.refused} for a in view.not_used],
    }


def _narrow(view: RingView) -> list[str]:
    """At most 80 columns."""
    rows = [(view.short(key.id), view.describe(key), outlook(key, view.now), _at_rest(key)) for key in view.keys]
    return table(("KEY", "STATE", "WHEN", "AT REST"), rows)


def _wide(view: RingView) -> list[str]:
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
    return table(("KEY", "STATE", "CREATED", "ACTIVE FROM", "EXPIRES", "ALGORITHM", "AT REST"), rows)


def _at_rest(key: Key) -> str:
    return "wrapped" if key.wrapped else "not wrapped"


def _show(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    view = RingView.of(dp, arguments.needs)
    key, now = view.find(arguments.key), view.now
    rows: list[tuple[str, object]] = [
        ("key", key.id),
        ("ring", dp.repository.location),
        ("state", view.describe(key)),
        ("created", f"{key.creation_date} ({distance(key.creation_date, now)})"),
        ("active from", f"{key.activation_date} ({distance(key.activation_date, now)})"),
        ("expires", f"{key.expiration_date} ({distance(key.expiration_date, now)})"),
        ("algorithm", key.algorithm or "-"),
        ("at rest", _at_rest(key)),
    ]
    if key.revocation is not None:
        scope = "all keys created before" if key.revocation.key_id is None else "this key, on"
        rows.append(("revoked", f"{scope} {key.revocation.date or 'an unreadable date'}"))
        rows.append(("reason", key.revocation.reason or "-"))
    lines = table(("", ""), rows)[1:]
    if key.problem:
        lines += console.escaped([f"problem      {key.problem}", *([f"hint         {key.hint}"] if key.hint else [])])
    console.result(view.as_json(key), lines)
    return 0
