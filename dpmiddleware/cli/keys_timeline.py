"""``dpm keys timeline``: the lives of the keys as a picture. ::

....    made, not yet in force        ====    in force: the key activated last protects
----    expired; still opens          xxxx    revoked: opens nothing               |    now
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence

from dpmiddleware.cli.keys_list import describe, read_ring
from dpmiddleware.cli.output import Console, table
from dpmiddleware.cli.ring import open_ring
from dpmiddleware.cli.verbs import Verbs
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key

__all__ = ["add_to", "bar"]

LEGEND = ".... made  ==== in force  ---- expired, still opens  xxxx revoked  | now"


def add_to(verbs: Verbs) -> None:
    """``timeline``."""
    parser = verbs.add("timeline", _timeline, "the lives of the keys, as a picture", notes=False)
    parser.add_argument("--width", type=int, default=60, help="of the picture, in characters; 60 by default")


def _timeline(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    reading, now, default = read_ring(dp)
    keys = sorted(reading.keys, key=lambda key: (key.activation_date, key.id))
    begin, end = _frame(keys, now)
    columns = min(max(arguments.width, 10), 400)
    moments = [Instant(begin.ticks + (end.ticks - begin.ticks) * column // columns) for column in range(columns + 1)]
    rows = [(str(key.id)[:8], bar(key, moments, now), describe(key, now, default)) for key in keys]
    lines = [f"{str(begin)[:10]} to {str(end)[:10]}", *table(("KEY", "", "STATE"), rows), LEGEND]
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
            for key in keys
        ],
    }
    console.result(data, lines if keys else [f"{dp.repository.location}: no keys"])
    return 0


def _frame(keys: Sequence[Key], now: Instant) -> tuple[Instant, Instant]:
    """From the first thing that happens to the last one; now is inside."""
    begin = min([now, *(key.creation_date for key in keys)])
    end = max([now.next(), *(key.expiration_date for key in keys)])
    return begin, end


def bar(key: Key, moments: Sequence[Instant], now: Instant) -> str:
    """One character for each span between two ``moments``: what the key was good for at its end."""
    return "".join("|" if begin <= now < end else _good_for(key, end) for begin, end in itertools.pairwise(moments))


def _good_for(key: Key, moment: Instant) -> str:
    revoked = key.revocation is not None and (key.revocation.date is None or key.revocation.date <= moment)
    if moment <= key.creation_date:
        return " "
    if revoked:
        return "x"
    if moment <= key.activation_date:
        return "."
    return "=" if moment <= key.expiration_date else "-"
