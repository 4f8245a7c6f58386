"""``dpm keys prune``: remove keys that expired long ago."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

from dpmiddleware.cli.output import Console, counted, moment
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import open_ring
from dpmiddleware.keys import maintenance

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``prune``."""
    prune = verbs.add("prune", _prune, "remove keys that expired long ago")
    text = "time since expiration, such as 180d or 12h"
    prune.add_argument("--older-than", metavar="AGE", type=_age, required=True, help=text)
    text = "lifetime of the longest-lived payload; expired keys are kept at least as long"
    prune.add_argument("--longest-lifetime", metavar="AGE", type=_age, default=timedelta(0), help=text)
    prune.add_argument("--dry-run", action="store_true", help="show what would be removed, and remove nothing")
    prune.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _age(text: str) -> timedelta:
    """A number of days (180d) or hours (12h)."""
    match = re.fullmatch(r"([0-9]{1,5})([dh])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError("must be an age such as 180d or 12h")
    return timedelta(**{"days" if match[2] == "d" else "hours": int(match[1])})


def _prune(arguments: argparse.Namespace, console: Console) -> int:
    manager = open_ring(arguments).manager
    ages = {"older_than": arguments.older_than, "longest_lifetime": arguments.longest_lifetime}
    found = maintenance.prune(manager, **ages, dry_run=True)
    if found.removed and not arguments.dry_run:
        question = f"remove {counted(len(found.removed), 'key')} from {manager.repository.location}"
        if not console.confirmed(question, yes=arguments.yes):
            return 1
        found = maintenance.prune(manager, **ages)
    verb = "would remove" if arguments.dry_run else "removed"
    lines = [f"{verb} {key.id}, expired {moment(key.expiration_date)}" for key in found.removed]
    lines += [f"kept {key.id}, expired {moment(key.expiration_date)}: {why}" for key, why in found.kept]
    data = {
        "removed": [str(key.id) for key in found.removed],
        "kept": [{"id": str(key.id), "why": why} for key, why in found.kept],
        "dry_run": arguments.dry_run,
    }
    console.result(data, lines or ["no key has expired"])
    return console.left_out(manager.read().set_aside, "pruned")
