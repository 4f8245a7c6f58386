"""Use the ring, check it, wait for it, or fail: decided from what is known and one reading of the clock.

============================================  ===========================  ==========================================
state                                         a request needs the ring     its payload names a key that the ring lacks
============================================  ===========================  ==========================================
no ring                                       ``LOAD``
no ring, last try failed within a second      ``FAIL``
last check within a poll                      ``USE``                      ``WAIT``, once per second; else ``USE``
check due                                     ``CHECK``                    ``WAIT``, once per second; else ``USE``
check due, last good check over 2 polls ago   ``WAIT``                     ``WAIT``, once per second; else ``USE``
beyond ``max_stale``, last try within a poll  ``FAIL``
last refresh failed, or took too long         ``CHECK`` for ``WAIT``       ``CHECK`` for ``WAIT``
============================================  ===========================  ==========================================

The second question comes after the first: a request that looks for a key has a ring. While a refresh is in progress, a
request joins it instead of failing or starting another one, and a missing key waits for it. After a wait the ring is
used as it is then; if there is none, or if it is beyond ``max_stale``, the request fails.
`dpmiddleware.keys.waiting` says how long a request may wait in all.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, replace
from typing import Final

from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.ring import KeyRing

__all__ = ["MISSED_POLLS", "State", "Step", "decide"]

MISSED_POLLS: Final = 3
"""A ring is stale after this many."""
_RETRY: Final = 1.0
"""Seconds between attempts at a first load, and between searches for missing keys."""
_NEVER: Final = float("-inf")


class Step(enum.Enum):
    """What a request does next."""

    USE = enum.auto()
    """Use the ring."""
    CHECK = enum.auto()
    """Begin a refresh, and use the ring meanwhile."""
    WAIT = enum.auto()
    """Begin a refresh or join the one in progress, and wait for it half a second at most."""
    LOAD = enum.auto()
    """Begin the first load or join the one in progress, and wait until it ends."""
    FAIL = enum.auto()
    """Raise the error of the last refresh."""

    @property
    def refreshes(self) -> bool:
        """Whether a refresh starts."""
        return self is not Step.USE and self is not Step.FAIL


@dataclass(frozen=True, slots=True)
class State:
    """What a process knows of its ring. Times are readings of the monotonic clock, in seconds.

    ring: the ring, once it has been loaded. failure: the error of the last refresh, unless it succeeded.
    checked: when the last successful refresh began. missed: polls that failed since then.
    next_check: the ring is used without a check until then. next_try: no check begins before that.
    next_search: no search for a missing key begins before that.
    """

    ring: KeyRing | None = None
    failure: KeyManagementError | None = None
    checked: float | None = None
    missed: int = 0
    next_check: float = _NEVER
    next_try: float = _NEVER
    next_search: float = _NEVER

    def age(self, now: float) -> float | None:
        """Seconds since the store last answered; ``None`` if it never did."""
        return None if self.checked is None else now - self.checked

    def usable_ring(self, now: float, policy: RotationPolicy) -> KeyRing | None:
        """The ring, unless it is older than the policy's ``max_stale``."""
        age, limit = self.age(now), policy.max_stale
        return None if age is not None and limit is not None and age > limit.total_seconds() else self.ring

    def after_search(self, now: float) -> State:
        """The state after a search for a missing key has begun."""
        return replace(self, next_search=now + _RETRY)

    def after_success(self, ring: KeyRing, began: float, now: float, policy: RotationPolicy) -> State:
        """The state after a refresh that began at ``began`` and has succeeded at ``now`` with ``ring``."""
        spread = 1 - random.random() / 10  # noqa: S311 (the members of a farm do not ask all at once, and never late)
        due = now + policy.poll.total_seconds() * spread
        return State(ring, checked=began, next_check=due, next_try=due, next_search=self.next_search)

    def after_abandoning(self, failure: KeyManagementError, now: float, policy: RotationPolicy) -> State:
        """The state after a refresh was abandoned, because it took longer than three polls: the ring is stale."""
        due = now + policy.poll.total_seconds()
        return replace(self, failure=failure, missed=max(self.missed, MISSED_POLLS), next_try=due, next_check=due)

    def after_failure(
        self, failure: KeyManagementError, ring: KeyRing | None, began: float, now: float, policy: RotationPolicy
    ) -> State:
        """The state after a refresh that has failed. A search between two polls does not count as a missed poll.

        failure: the error. ring: the ring from before, with the revocations that could be read.
        began, now: of the refresh. policy: for the next try.
        """
        failed = replace(self, failure=failure, ring=ring)
        if began < self.next_check:
            return failed
        next_try = now + (_RETRY if ring is None else policy.poll.total_seconds())
        is_too_old = ring is not None and self.usable_ring(now, policy) is None
        return replace(failed, missed=self.missed + 1, next_try=next_try, next_check=_NEVER if is_too_old else next_try)


def decide(
    state: State,
    now: float,
    policy: RotationPolicy,
    *,
    in_progress: bool,
    is_slow: bool = False,
    missing_key: bool = False,
) -> Step:
    """What a request does next: see the table above.

    state: what is known.
    now: the reading of the clock.
    policy: the intervals.
    in_progress: whether a refresh is in progress.
    is_slow: whether the refresh in progress, or else the last one, takes longer than a request may wait.
    missing_key: whether this is the second question of the table.
    """
    wait = Step.CHECK if is_slow or state.failure is not None else Step.WAIT
    if missing_key:
        return wait if in_progress or now >= state.next_search else Step.USE
    if state.ring is not None and now < state.next_check:
        return Step.USE
    if not in_progress and now < state.next_try:
        return Step.FAIL if state.usable_ring(now, policy) is None else Step.USE
    if state.ring is None:
        return Step.LOAD
    age = state.age(now)
    return wait if age is None or age > 2 * policy.poll.total_seconds() else Step.CHECK
