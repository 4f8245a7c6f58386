"""``dpm keys timeline``: draws the lifetimes of the keys, one row per key, as wide as the terminal. ::

....  ····    created, not yet active       ====  ━━━━    active: the key activated last protects
----  ────    expired, still unprotects     xxxx  ××××    revoked: its payloads are refused        |  ┃    now

The ASCII form is used with ``--ascii``, and if standard output cannot print the other.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from dpmiddleware.cli.output import Console, counted, table
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key

__all__ = ["ASCII", "LINES", "Glyphs", "add_to", "bar"]


class Glyphs(NamedTuple):
    """The characters of the drawing."""

    created: str
    active: str
    expired: str
    revoked: str
    now: str

    @property
    def legend(self) -> str:
        """The meaning of each character."""
        created, active, expired, revoked = (4 * glyph for glyph in self[:4])
        return f"{created} created  {active} active  {expired} expired (unprotects)  {revoked} revoked  {self.now} now"


ASCII: Final = Glyphs(".", "=", "-", "x", "|")
LINES: Final = Glyphs("·", "━", "─", "×", "┃")
_BESIDE: Final = len("active, default") + 2 * 2
"""Columns of the state, and between the columns."""
_WIDEST: Final = 400
_LAST: Final = 20
"""Keys that are drawn, unless all are wanted."""


def add_to(verbs: Verbs) -> None:
    """``timeline``."""
    examples = ["dpm keys timeline --repository redis://localhost/0", "dpm keys timeline --all --ascii --width 40"]
    text = f"draw the lifetimes of the last {_LAST} keys"
    parser = verbs.add("timeline", _timeline, text, examples=examples, notes=False)
    parser.add_argument("--all", action="store_true", help=f"draw all keys, not only the last {_LAST}")
    parser.add_argument("--width", type=int, help="width of the drawing in characters (default: that of the terminal)")
    parser.add_argument("--ascii", action="store_true", help="use only ASCII characters")


def _timeline(arguments: argparse.Namespace, console: Console) -> int:
    view = RingView.of(open_ring(arguments), arguments.needs)
    keys, now = view.keys if arguments.all else _last(view), view.now
    begin, end = _frame(keys, now)
    glyphs = ASCII if arguments.ascii or not _can_print(LINES) else LINES
    ids = [view.short(key.id) for key in keys]
    free = shutil.get_terminal_size().columns - _BESIDE - max(map(len, ids))
    width = free if arguments.width is None else arguments.width
    columns = min(max(width, 10), _WIDEST)
    moments = [Instant(begin.ticks + (end.ticks - begin.ticks) * column // columns) for column in range(columns + 1)]
    rows = [(short, bar(key, moments, now, glyphs), view.describe(key)) for short, key in zip(ids, keys, strict=True)]
    drawing = table(("KEY", "", "STATE"), rows, longest=_WIDEST)
    lines = [f"{str(begin)[:10]} to {str(end)[:10]}", *drawing, glyphs.legend]
    left_out = len(view.keys) - len(keys)
    if left_out:
        lines.append(f"not shown: {counted(left_out, 'older key')}; use --all")
    data = {
        "now": str(now),
        "keys": [
            {
                "id": str(key.id),
                "created": str(key.creation_date),
                "activation": str(key.activation_date),
                "expiration": str(key.expiration_date),
                "revoked": None if key.revocation is None else str(key.revocation.date or key.creation_date),
            }
            for key in view.keys
        ],
    }
    console.result(data, lines)
    return 0


def _last(view: RingView) -> list[Key]:
    """The keys that were activated last, and the default key, which may be older than all of them."""
    older, last = view.keys[:-_LAST], view.keys[-_LAST:]
    return [*(key for key in older if key.id == view.default), *last]


def _frame(keys: Sequence[Key], now: Instant) -> tuple[Instant, Instant]:
    """The time span of the drawing: from the first creation to the last expiration, including ``now``."""
    begin = min([now, *(key.creation_date for key in keys)])
    end = max([now.next(), *(key.expiration_date for key in keys)])
    return begin, end


def _can_print(glyphs: Glyphs) -> bool:
    try:
        "".join(glyphs).encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def bar(key: Key, moments: Sequence[Instant], now: Instant, glyphs: Glyphs = ASCII) -> str:
    """One character per span between two ``moments``: the state of the key at the end of the span."""
    spans = itertools.pairwise(moments)
    return "".join(glyphs.now if begin <= now < end else _glyph(key, end, glyphs) for begin, end in spans)


def _glyph(key: Key, moment: Instant, glyphs: Glyphs) -> str:
    revoked = key.revocation is not None and (key.revocation.date is None or key.revocation.date <= moment)
    if moment <= key.creation_date:
        return " "
    if revoked:
        return glyphs.revoked
    if moment <= key.activation_date:
        return glyphs.created
    return glyphs.active if moment <= key.expiration_date else glyphs.expired
