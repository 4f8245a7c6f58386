"""``dpm keys prune``: remove keys that expired long ago."""

from __future__ import annotations

import argparse
from datetime import timedelta

from dpmiddleware.cli.moments import moment
from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.durations import duration
from dpmiddleware.keys import maintenance

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``prune``."""
    examples = [
        "dpm keys prune --older-than 180d --longest-lifetime 14d --dry-run",
        "dpm keys prune --older-than 180d --longest-lifetime 14d --repository redis://localhost/0 --yes",
    ]
    prune = verbs.add("prune", _prune, "remove keys that expired long ago", examples=examples, changes=True)
    text = "time since expiration, such as 180d or 12h"
    prune.add_argument("--older-than", metavar="AGE", type=_age, required=True, help=text)
    text = "lifetime of the longest-lived payload; expired keys are kept at least as long"
    prune.add_argument("--longest-lifetime", metavar="AGE", type=_age, default=timedelta(0), help=text)
    prune.add_argument("--dry-run", action="store_true", help="show what would be removed, and remove nothing")
    prune.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _age(text: str) -> timedelta:
    """A duration."""
    try:
        return duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be an age such as 180d or 12h") from None


def _prune(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    RingView.of(dp, arguments.needs)
    manager, location = dp.manager, dp.repository.location
    ages = {"older_than": arguments.older_than, "longest_lifetime": arguments.longest_lifetime}
    found = maintenance.prune(manager, **ages, dry_run=True)
    if found.removed and not arguments.dry_run:
        action = f"remove {counted(len(found.removed), 'key')} from {location}"
        effect = f"no payload under {'it' if len(found.removed) == 1 else 'them'} can ever be opened again"
        if not console.confirmed(action, effect, yes=arguments.yes):
            return 1
        found = maintenance.prune(manager, **ages)
    verb = "would remove" if arguments.dry_run else "removed"
    lines = [f"{verb} {key.id}, expired {moment(key.expiration_date)}" for key in found.removed]
    lines += [f"kept {key.id}, expired {moment(key.expiration_date)}: {why}" for key, why in found.kept]
    lines.append(
        f"{verb} {counted(len(found.removed), 'key')} from {location}" if lines else f"no key in {location} has expired"
    )
    data = {
        "location": location,
        "removed": [str(key.id) for key in found.removed],
        "kept": [{"id": str(key.id), "why": why} for key, why in found.kept],
        "dry_run": arguments.dry_run,
    }
    console.result(data, lines)
    return console.left_out(manager.read().set_aside, "pruned")
