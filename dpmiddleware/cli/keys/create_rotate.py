"""``dpm keys create`` and ``dpm keys rotate``: create a key now, or only if one is due.

``create`` also starts a new ring in an empty store. ``rotate`` does not: it runs in a job, and for a job an empty store
is a mistyped place, or a loss.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

from dpmiddleware.cli.moments import moment
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.policy_options import add_policy_options
from dpmiddleware.cli.presence import Needs
from dpmiddleware.cli.ring import RingView, open_ring, refuse_unwrapped
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.durations import duration
from dpmiddleware.keys import maintenance

__all__ = ["add_to", "create"]


def add_to(verbs: Verbs) -> None:
    """``create``, ``rotate``."""
    create = verbs.add(
        "create",
        _create,
        "create a key, whether or not one is due; in an empty store, the first key of a new ring",
        examples=[
            "dpm keys create --repository redis://localhost/0 --key-wrapper x509:///etc/shop/keys.pem",
            "dpm keys create --now --lifetime 30d",
        ],
        needs=Needs.ROOM,
        changes=True,
    )
    create.add_argument("--now", action="store_true", help="activate it now, before every member has read it")
    create.add_argument("--algorithm", metavar="NAME", help="for example AES_256_GCM (default: DPM_ALGORITHM)")
    text = "time from activation, such as 30d (default: that of the policy)"
    create.add_argument("--lifetime", metavar="TIME", type=_lifetime, dest="key_lifetime", help=text)
    add_policy_options(create, but="lifetime")
    rotate = verbs.add(
        "rotate",
        _rotate,
        "create a key if one is due; exit status 1 if a due key cannot be created",
        examples=["dpm keys rotate --if-due --repository redis://localhost/0"],
        changes=True,
    )
    rotate.add_argument("--if-due", action="store_true", required=True, help="create nothing if no key is due")
    add_policy_options(rotate)


def _lifetime(text: str) -> timedelta:
    """A duration from 7 to 36500 days; a number is one of days."""
    try:
        span = duration(f"{text}d" if text.isascii() and text.isdigit() else text)
    except ValueError:
        span = timedelta()
    if not timedelta(days=7) <= span <= timedelta(days=36_500):
        raise argparse.ArgumentTypeError("must be a time such as 30d, from 7d to 36500d")
    return span


def _create(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    before = RingView.of(dp, arguments.needs)
    refuse_unwrapped(dp, before)
    create(dp, before, console, activate_now=arguments.now, lifetime=arguments.key_lifetime)
    return 0


def create(
    dp: DataProtection,
    before: RingView,
    console: Console,
    *,
    activate_now: bool = False,
    lifetime: timedelta | None = None,
) -> None:
    """Create a key, and print it. before: the ring as it was read."""
    created = dp.manager.create_key(activate_now=activate_now, lifetime=lifetime)
    view = RingView.of(dp)
    key, location = view.find(str(created)), dp.repository.location
    lines = [f"created {key.id} in {location}"]
    lines[0] += ", the first key of a new ring" if not before.keys else ""
    lines.append(f"active from {moment(key.activation_date)}, expires {moment(key.expiration_date)}")
    console.result({"location": location, **view.as_json(key)}, lines)


def _rotate(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    RingView.of(dp, arguments.needs)
    done, location = maintenance.rotate_if_due(dp.manager), dp.repository.location
    outcome = f"created {done.made}" if done.made else "no key was created" if done.problem else "no key is due"
    lines = [f"{outcome} in {location}"]
    if done.next_due and not done.problem:
        lines.append(f"the next key is due {moment(done.next_due)}")
    next_due = None if done.next_due is None else str(done.next_due)
    made = None if done.made is None else str(done.made)
    data = {"location": location, "made": made, "next_due": next_due, "problem": done.problem}
    console.result(data, lines)
    if done.problem:
        console.error(f"a key is due but was not created: {done.problem}", "run `dpm check` for details")
    return 1 if done.problem else 0
