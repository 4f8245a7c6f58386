"""``dpm keys rotate``, ``copy``, ``prune`` and ``rewrap``: what is done with a ring that is in use, now and then."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import timedelta

from dpmiddleware.cli.keys_list import counted
from dpmiddleware.cli.output import Console, moment
from dpmiddleware.cli.ring import UsageError, open_ring, setting
from dpmiddleware.cli.verbs import Verbs
from dpmiddleware.components import wrappers_from
from dpmiddleware.keys import maintenance
from dpmiddleware.keys.reader import SetAside

__all__ = ["add_to", "span"]


def add_to(verbs: Verbs) -> None:
    """``rotate``, ``copy``, ``prune``, ``rewrap``."""
    rotate = verbs.add(
        "rotate", _rotate, "make the key that is due; for a job that runs every day (exit status 1: due, not made)"
    )
    rotate.add_argument("--if-due", action="store_true", required=True, help="do nothing if none is")
    copy = verbs.add("copy", _copy, "bring every key and revocation into another store")
    copy.add_argument(
        "--to", metavar="URL", required=True, help="that store; application, wrappers and ring are the same"
    )
    prune = verbs.add("prune", _prune, "take out keys that expired long ago")
    prune.add_argument(
        "--older-than", metavar="AGE", type=span, required=True, help="since their expiration: 180d, 12h"
    )
    prune.add_argument(
        "--longest-lifetime",
        metavar="AGE",
        type=span,
        default=timedelta(0),
        help="of any payload; keys are kept as long",
    )
    prune.add_argument("--dry-run", action="store_true", help="say what would go")
    prune.add_argument("--yes", action="store_true", help="do not ask")
    rewrap = verbs.add("rewrap", _rewrap, "wrap every key under another certificate, secret or key service")
    rewrap.add_argument("--to", metavar="URL", required=True, help="that wrapper; --key-wrapper names the old ones")


def span(text: str) -> timedelta:
    """An age: a number and d (days) or h (hours)."""
    match = re.fullmatch(r"([0-9]{1,5})([dh])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError("not an age such as 180d or 12h")
    return timedelta(**{"days" if match[2] == "d" else "hours": int(match[1])})


def _rotate(arguments: argparse.Namespace, console: Console) -> int:
    done = maintenance.rotate_if_due(open_ring(arguments).manager)
    lines = [f"created {done.made}" if done.made else "no key was made" if done.problem else "no key is due"]
    if done.next_due and not done.problem:
        lines.append(f"the next one is due {moment(done.next_due)}")
    next_due = None if done.next_due is None else str(done.next_due)
    made = None if done.made is None else str(done.made)
    console.result({"made": made, "next_due": next_due, "problem": done.problem}, lines)
    if done.problem:
        console.error(f"a key is due and was not made: {done.problem}", "`dpm check` says more; run it again then")
    return 1 if done.problem else 0


def _copy(arguments: argparse.Namespace, console: Console) -> int:
    source, target = open_ring(arguments), open_ring(arguments, repository=arguments.to)
    done = maintenance.copy(source.manager, target.manager)
    there = f"{counted(done.there, 'document')} {'was' if done.there == 1 else 'were'} there"
    line = f"copied {counted(done.copied, 'document')} to {target.repository.location}; {there}"
    data = {"copied": done.copied, "there": done.there, "left_out": [aside.name for aside in done.left_out]}
    console.result(data, [line])
    return _left_out(console, done.left_out, "copied")


def _left_out(console: Console, left_out: Sequence[SetAside], verb: str) -> int:
    """Whatever was not done is named; exit status 1 if there is anything."""
    for aside in left_out:
        console.error(f"{aside.name} was not {verb}: {aside.problem}")
    return 1 if left_out else 0


def _prune(arguments: argparse.Namespace, console: Console) -> int:
    manager = open_ring(arguments).manager
    ages = {"older_than": arguments.older_than, "longest_lifetime": arguments.longest_lifetime}
    found = maintenance.prune(manager, **ages, dry_run=True)
    if found.removed and not arguments.dry_run:
        question = f"take {counted(len(found.removed), 'key')} out of {manager.repository.location}"
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
    return _left_out(console, manager.read().set_aside, "pruned")


def _old_and_new(arguments: argparse.Namespace) -> str:
    """What the ring is opened with: keys that an earlier run wrapped anew are read as well."""
    old = str(setting(arguments, "key_wrapper") or "plain:").split()
    if len(arguments.to.split()) != 1 or arguments.to == "plain:":
        raise UsageError("--to takes one wrapper, and plain: is none", hint="x509:///keys.pem, for one")
    wrappers = [*(each for each in old if each not in {"plain:", arguments.to}), arguments.to]
    return " ".join([*wrappers, *(["plain:"] if "plain:" in old else [])])


def _rewrap(arguments: argparse.Namespace, console: Console) -> int:
    manager = open_ring(arguments, key_wrapper=_old_and_new(arguments)).manager
    (wrapper,), _ = wrappers_from(arguments.to)
    done = maintenance.rewrap(manager, wrapper)
    lines = [f"wrapped anew: {key_id}" for key_id in done.wrapped]
    lines.append(f"{counted(len(done.wrapped), 'key')} wrapped anew; so already: {len(done.there)}")
    data = {
        "wrapped": [str(key_id) for key_id in done.wrapped],
        "there": [str(key_id) for key_id in done.there],
        "failed": [{"id": str(key.id), "problem": key.problem} for key in done.failed],
        "left_out": [aside.name for aside in done.left_out],
    }
    for key in done.failed:
        console.error(f"{key.id} was not wrapped anew: {key.problem}")
    incomplete = _left_out(console, done.left_out, "wrapped anew") or bool(done.failed)
    if not incomplete:
        lines.append("once every member has the new wrapper, the old one can go (backups of the store still need it)")
    console.result(data, lines)
    return int(incomplete)
