"""``dpm keys policy``: the policy that is kept with the ring, and that all of its members follow."""

from __future__ import annotations

import argparse
from typing import Any

from dpmiddleware.cli.output import Console, table
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.policy_options import add_policy_options
from dpmiddleware.cli.ring import RingView, open_ring, setting
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.policy import POLICY_SETTINGS, RotationPolicy, no_limit
from dpmiddleware.keys.policy_change import PolicyChange, planned_policy, remove_policy, set_policy
from dpmiddleware.naming import ARGUMENT, OPTION, VARIABLE, written_as

__all__ = ["add_to"]

_BESIDE_DOTNET = (
    ".NET members do not follow the policy, and log a warning (event 15) whenever they read the ring; "
    "give them the same lifetime with SetDefaultKeyLifetime"
)


def add_to(verbs: Verbs) -> None:
    """``policy show``, ``policy set``, ``policy remove``."""
    group = verbs.group("policy", "show or change the policy that is kept with the ring")
    show = group.add(
        "show",
        _show,
        "show the policy that the members of the ring follow",
        examples=["dpm keys policy show --repository redis://localhost/0"],
        notes=False,
    )
    change = group.add(
        "set",
        _set,
        "keep a policy with the ring: all members follow it from their next poll on",
        examples=["dpm keys policy set --lifetime 30d --poll 5s --repository redis://localhost/0"],
        changes=True,
    )
    remove = group.add(
        "remove",
        _remove,
        "remove the policy from the ring: members follow their own settings again",
        examples=["dpm keys policy remove --repository redis://localhost/0"],
        changes=True,
    )
    add_policy_options(show)
    add_policy_options(change, states=True)
    for parser in (change, remove):
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _values(policy: RotationPolicy | None) -> dict[str, str] | None:
    return None if policy is None else {name: no_limit(getattr(policy, name)) for name in POLICY_SETTINGS}


def _show(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    reading = RingView.of(dp, arguments.needs).reading
    kept, differing = reading.policy is not None, dp.manager.policy_differences(reading)
    used, own = dp.manager.policy_in(reading), dp.policy
    rows = [(name, no_limit(getattr(used, name)), _source(arguments, name, kept=kept)) for name in POLICY_SETTINGS]
    data = {
        "location": dp.repository.location,
        "ring": dp.ring,
        "kept_with_ring": kept,
        "since": None if reading.policy is None else str(reading.policy.date),
        "policy": _values(used),
        "differing": {name: no_limit(getattr(own, name)) for name in differing},
    }
    place = "the ring has a policy" if kept else "the ring has no policy: each member follows its own settings"
    lines = [f"{dp.repository.location}: {place}", "", *table(("TIME SPAN", "VALUE", "FROM"), rows)]
    lines += [f"not followed: {name}={no_limit(getattr(own, name))} of these settings" for name in differing]
    console.result(data, console.escaped(lines))
    return 0


def _source(arguments: argparse.Namespace, name: str, *, kept: bool) -> str:
    if kept:
        return "the ring"
    if getattr(arguments, name, None) is not None:
        return "an option"
    if setting(arguments, name) is None:
        return "the default"
    own = arguments.command.has_own_ring
    naming = arguments.command.application.data_protection.naming if own else VARIABLE
    return naming.write(name).removesuffix("=")


def _set(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    settings: dict[str, Any] = {name: setting(arguments, name) for name in POLICY_SETTINGS}
    with written_as(POLICY_SETTINGS, OPTION if arguments.command.has_own_ring else ARGUMENT):
        planned = planned_policy(RingView.of(dp, arguments.needs).reading, settings)
    if planned.before == planned.after:
        return _report(dp, planned, console, f"{dp.repository.location} already has this policy")
    for line in _rows(planned):
        console.message(line)
    action = f"set this policy for the ring in {dp.repository.location}"
    if not console.confirmed(action, "all members follow it", yes=arguments.yes):
        return 1
    done = set_policy(dp.manager, settings)
    status = _report(
        dp,
        done,
        console,
        f"set the policy of the ring in {dp.repository.location}; every member follows it {_effect(done)}",
    )
    console.note(_BESIDE_DOTNET)
    return status


def _effect(change: PolicyChange) -> str:
    """Members poll at the old interval until they have read the new one; without a policy, each at its own."""
    return "from its next poll on" if change.before is None else f"within {no_limit(change.before.poll)}"


def _rows(change: PolicyChange) -> list[str]:
    before, after = _values(change.before) or {}, _values(change.after) or {}
    rows = [(name, before.get(name, "-"), after.get(name, "-")) for name in POLICY_SETTINGS]
    return table(("TIME SPAN", "BEFORE", "AFTER"), rows)


def _report(dp: DataProtection, change: PolicyChange, console: Console, line: str) -> int:
    data = {
        "location": dp.repository.location,
        "before": _values(change.before),
        "policy": _values(change.after),
        "changed": change.before != change.after,
    }
    console.result(data, console.escaped([line]))
    return 0


def _remove(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    location = dp.repository.location
    if RingView.of(dp, arguments.needs).reading.policy is None:
        console.error(f"the ring in {location} has no policy: nothing was removed")
        return 1
    action = f"remove the policy of the ring in {location}"
    if not console.confirmed(action, "members follow their own settings again", yes=arguments.yes):
        return 1
    done = remove_policy(dp.manager)
    return _report(
        dp,
        done,
        console,
        f"removed the policy of the ring in {location}; every member follows its own settings {_effect(done)}",
    )
