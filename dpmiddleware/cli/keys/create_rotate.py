"""``dpm keys create`` and ``dpm keys rotate``: make a key, and make it if it is due."""

from __future__ import annotations

import argparse
from datetime import timedelta

from dpmiddleware.cli.output import Console, moment
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.keys import maintenance

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``create``, ``rotate``."""
    create = verbs.add("create", _create, "make a key, due or not")
    create.add_argument(
        "--now", action="store_true", help="it protects at once, not only when every member has seen it"
    )
    create.add_argument("--algorithm", metavar="NAME", help="AES_256_GCM, for one; else DPM_ALGORITHM, else the usual")
    create.add_argument("--lifetime", metavar="DAYS", type=_days, help="from its activation; 90 days by default")
    rotate = verbs.add(
        "rotate", _rotate, "make the key that is due; for a job that runs every day (exit status 1: due, not made)"
    )
    rotate.add_argument("--if-due", action="store_true", required=True, help="do nothing if none is")


def _days(text: str) -> timedelta:
    """A number of days, at least 7."""
    if not (text.isascii() and text.isdigit() and 7 <= int(text[:6]) <= 36_500):
        raise argparse.ArgumentTypeError("not a number of days from 7 to 36500")
    return timedelta(days=int(text))


def _create(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    created = dp.manager.create_key(activate_now=arguments.now, lifetime=arguments.lifetime)
    view = RingView.of(dp)
    key = next(key for key in view.keys if key.id == created)
    line = f"created {key.id}, active from {moment(key.activation_date)}, expires {moment(key.expiration_date)}"
    console.result(view.as_json(key), [line])
    return 0


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
