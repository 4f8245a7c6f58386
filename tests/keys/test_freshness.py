"""Use, check, wait, load or fail: the table of `dpmiddleware.keys.freshness`, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from dpmiddleware.errors import RepositoryError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.freshness import State, Step, decide
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.ring import KeyRing
from tests.fakes import DAY, NOON

POLICY: Final = RotationPolicy(poll=timedelta(seconds=10), max_stale=timedelta(seconds=60))
RING: Final = KeyRing("shop", (), None, version="1", good_until=Instant.of(NOON) + DAY)
DOWN: Final = RepositoryError("the store does not answer")

EMPTY: Final = State()
LOADED: Final = replace(EMPTY.after_success(RING, 100.0, 100.0, POLICY), next_check=110.0, next_try=110.0)  # no jitter
OUTAGE: Final = LOADED.after_failure(DOWN, RING, 110.0, 110.0, POLICY)
TOO_OLD: Final = LOADED.after_failure(DOWN, RING, 161.0, 161.0, POLICY)
NO_LOAD: Final = EMPTY.after_failure(DOWN, None, 100.0, 100.0, POLICY)

TABLE: Final = {
    "no ring": (EMPTY, 100.0, Step.LOAD, Step.LOAD),
    "no ring, the load has just failed": (NO_LOAD, 100.9, Step.FAIL, Step.LOAD),
    "no ring, the load failed a second ago": (NO_LOAD, 101.0, Step.LOAD, Step.LOAD),
    "checked within one poll": (LOADED, 109.9, Step.USE, Step.USE),
    "check due": (LOADED, 110.0, Step.CHECK, Step.CHECK),
    "two polls old": (LOADED, 120.0, Step.CHECK, Step.CHECK),
    "idle": (LOADED, 120.1, Step.WAIT, Step.WAIT),
    "the last poll has just failed": (OUTAGE, 119.9, Step.USE, Step.USE),
    "the last poll failed a poll ago": (OUTAGE, 120.0, Step.CHECK, Step.CHECK),
    "beyond max_stale, the last poll has just failed": (TOO_OLD, 170.9, Step.FAIL, Step.CHECK),
    "beyond max_stale": (TOO_OLD, 171.0, Step.CHECK, Step.CHECK),
}
"""State, reading of the clock; the step without and with a refresh in progress."""


@pytest.mark.parametrize(("state", "now", "idle", "in_progress"), TABLE.values(), ids=TABLE)
def test_what_a_request_does_that_needs_a_ring(state: State, now: float, idle: Step, in_progress: Step) -> None:
    assert decide(state, now, POLICY, in_progress=False) is idle
    assert decide(state, now, POLICY, in_progress=True) is in_progress


@pytest.mark.parametrize("state", [LOADED, OUTAGE, TOO_OLD], ids=["loaded", "outage", "beyond max_stale"])
def test_a_missing_key_is_searched_for_once_a_second(state: State) -> None:
    """After a refresh that failed it is searched for as well, but nobody waits for that."""
    searched, search = state.after_search(200.0), Step.WAIT if state.failure is None else Step.CHECK
    for now, expected in ((200.0, Step.USE), (200.9, Step.USE), (201.0, search)):
        assert decide(searched, now, POLICY, in_progress=False, missing_key=True) is expected
        assert decide(searched, now, POLICY, in_progress=True, missing_key=True) is search
    assert decide(state, 200.0, POLICY, in_progress=False, missing_key=True) is search


def test_nobody_waits_for_a_refresh_that_takes_too_long() -> None:
    assert decide(LOADED, 120.1, POLICY, in_progress=True, is_slow=True) is Step.CHECK
    assert decide(LOADED, 120.1, POLICY, in_progress=True, is_slow=True, missing_key=True) is Step.CHECK


def test_beyond_max_stale_no_ring_is_usable_and_the_next_success_makes_it_so() -> None:
    assert LOADED.usable_ring(160.0, POLICY) is RING
    assert LOADED.usable_ring(160.1, POLICY) is None
    assert LOADED.usable_ring(1e9, replace(POLICY, max_stale=None)) is RING
    assert TOO_OLD.after_success(RING, 171.0, 171.5, POLICY).usable_ring(172.0, POLICY) is RING


def test_a_failed_search_between_two_polls_is_not_a_missed_poll() -> None:
    searched = LOADED.after_failure(DOWN, RING, 105.0, 105.0, POLICY)
    assert (searched.missed, searched.next_check, searched.next_try) == (0, LOADED.next_check, LOADED.next_try)
    assert searched.failure is DOWN
    assert OUTAGE.missed == 1
    assert OUTAGE.after_success(RING, 120.0, 120.0, POLICY).missed == 0
