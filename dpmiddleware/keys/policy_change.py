"""The work of an operator on the policy of a ring: set it for all members, or remove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dpmiddleware.instants import Instant
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import POLICY_SETTINGS, RotationPolicy, no_limit, policy_from
from dpmiddleware.keys.reading import Reading
from dpmiddleware.keys.ring_policy import RingPolicy, check_for_ring, new_policy
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import hides_locals

__all__ = ["PolicyChange", "planned_policy", "remove_policy", "set_policy"]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """The policy of a ring before and after a change; ``None``: the ring has none."""

    before: RotationPolicy | None
    after: RotationPolicy | None


def planned_policy(reading: Reading, settings: Mapping[str, Any]) -> PolicyChange:
    """What `set_policy` would do with these settings: what they leave open stays as it is, else is the default.

    `ConfigurationError` for a policy that is not possible.
    """
    before = None if reading.policy is None else reading.policy.policy
    return PolicyChange(before, check_for_ring(policy_from(settings, before)))


@hides_locals
def set_policy(manager: KeyManager, settings: Mapping[str, Any]) -> PolicyChange:
    """Store the policy of the ring, instead of the one that it has. Members follow it from their next poll on.

    `ConfigurationError` for a policy that is not possible, and in a signed ring without a signer.
    """
    return manager.retried(partial(_set_once, manager, settings))


def _set_once(manager: KeyManager, settings: Mapping[str, Any]) -> PolicyChange:
    reading = manager.read()
    change = planned_policy(reading, settings)
    if change.after is None or change.before == change.after:
        return change
    date = manager.now()
    if reading.policy is not None and date <= reading.policy.date:  # set by a faster clock
        date = reading.policy.date.next()
    _commit(manager, reading, date, change)
    return change


def _commit(manager: KeyManager, reading: Reading, date: Instant, change: PolicyChange) -> None:
    add = [] if change.after is None else [new_policy(change.after, date=date)]
    manager.commit(add, reading, _stored(reading))
    said = (
        "" if change.after is None else " ".join(f"{n}={no_limit(getattr(change.after, n))}" for n in POLICY_SETTINGS)
    )
    emit("policy_changed", "info", policy=said or "none", location=manager.repository.location)


def _stored(reading: Reading) -> Sequence[StoredDocument]:
    return [stored for stored, item in reading.documents if isinstance(item, RingPolicy)]


@hides_locals
def remove_policy(manager: KeyManager) -> PolicyChange:
    """Remove the policy of the ring: members follow their own settings again."""
    return manager.retried(partial(_remove_once, manager))


def _remove_once(manager: KeyManager) -> PolicyChange:
    reading = manager.read()
    change = PolicyChange(None if reading.policy is None else reading.policy.policy, None)
    if change.before is not None:
        _commit(manager, reading, manager.now(), change)
    return change
