"""``dpm keys rewrap``: wrap every key with another wrapper."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from uuid import UUID

from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring, setting
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.components import wrappers_from
from dpmiddleware.keys import maintenance
from dpmiddleware.keys.interfaces import KeyWrapper

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``rewrap``."""
    text = "wrap every key with another certificate, secret or key service"
    examples = ["dpm keys rewrap --key-wrapper x509:///etc/shop/old.pem --to x509:///etc/shop/new.pem"]
    rewrap = verbs.add("rewrap", _rewrap, text, examples=examples, changes=True, long=True)
    rewrap.add_argument(
        "--to", metavar="URL", required=True, help="the new wrapper; the old ones are those of the ring"
    )


def _old_and_new(arguments: argparse.Namespace) -> Sequence[KeyWrapper | str] | str:
    """The wrappers that open the ring. The new one is among them, to read the keys that an earlier run has wrapped."""
    if len(arguments.to.split()) != 1 or arguments.to == "plain:":
        raise UsageError("--to must name one wrapper other than plain:", hint="use for example x509:///keys.pem")
    if arguments.command.has_own_ring:
        manager = open_ring(arguments).manager
        return [*manager.wrappers, arguments.to, *(["plain:"] if manager.allow_plain else [])]
    old = str(setting(arguments, "key_wrapper") or "plain:").split()
    wrappers = [*(each for each in old if each not in {"plain:", arguments.to}), arguments.to]
    return " ".join([*wrappers, *(["plain:"] if "plain:" in old else [])])


def _rewrap(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments, key_wrapper=_old_and_new(arguments))
    view = RingView.of(dp, arguments.needs, console.reading)
    manager, location = dp.manager, dp.repository.location
    (wrapper,), _ = wrappers_from(arguments.to)
    wrapped: list[UUID] = []

    def between() -> None:
        if wrapped:
            left = f"rewrapped {len(wrapped):,} of {len(view.keys):,} keys in {location}"
            console.progress.stopped = f"{left}; run the same command again to go on"
        console.progress.at(len(wrapped), len(view.keys), "keys rewrapped")

    with console.progress.whole_steps():
        done = maintenance.rewrap(manager, wrapper, progress=wrapped.append, between=between)
    lines = [f"rewrapped {key_id}" for key_id in done.wrapped]
    lines.append(f"rewrapped {counted(len(done.wrapped), 'key')} in {location}; already rewrapped: {len(done.there)}")
    data = {
        "location": location,
        "wrapped": [str(key_id) for key_id in done.wrapped],
        "there": [str(key_id) for key_id in done.there],
        "failed": [{"id": str(key.id), "problem": key.problem} for key in done.failed],
        "left_out": [aside.name for aside in done.left_out],
    }
    for key in done.failed:
        console.error(f"{key.id} was not rewrapped: {key.problem}", key.hint)
    incomplete = console.left_out(done.left_out, "rewrapped") or bool(done.failed)
    if not incomplete:
        lines.append("once every member has the new wrapper, remove the old one; keep it for backups of the store")
    console.result(data, lines)
    return int(incomplete)
