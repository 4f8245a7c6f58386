"""The options of ``dpm`` that state a policy, for the verbs that depend on one."""

from __future__ import annotations

import argparse
from typing import Final

from dpmiddleware.cli.parsers import Parser
from dpmiddleware.keys.policy import POLICY_SETTINGS
from dpmiddleware.naming import OPTION

__all__ = ["add_policy_options"]

_TEXTS: Final = {
    "lifetime": "how long a new key protects, such as 90d",
    "propagation": "how long before its first use a successor is created",
    "refresh": "after this time a member reads the whole ring again",
    "clock_skew": "how far the clocks of the farm may differ",
    "poll": "how often a member asks the store for changes",
    "max_stale": "how long a ring that cannot be checked is used, or none",
}


def add_policy_options(parser: Parser, but: str = "", *, states: bool = False) -> None:
    """Add ``--lifetime``, ``--poll`` and the others to a verb, ``but`` one that means something else there.

    states: whether the verb changes the policy. Otherwise, of an application's own ring, its settings count.
    """
    parser.set_defaults(states_policy=states)
    hidden = parser.has_own_ring and not states
    group = parser.add_argument_group(
        "policy (defaults: that of the ring; else the variables DPM_LIFETIME, DPM_POLL, …)"
    )
    for name in POLICY_SETTINGS:
        if name != but:
            group.add_argument(OPTION.write(name), metavar="TIME", help=argparse.SUPPRESS if hidden else _TEXTS[name])
