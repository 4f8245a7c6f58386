"""A ring in memory and a clock that stands still."""

from __future__ import annotations

import pytest

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from tests.clients import StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    """A loaded ring; polls are so far apart that a clock that jumps days causes no refresh on the way."""
    protection = DataProtection("shop", repository="memory:", clock=clock)
    protection.wait(None)
    return protection


class Refusals:
    """How many payloads were refused since the test began, by reason."""

    def __init__(self) -> None:
        self._before = telemetry.counts()

    def __call__(self) -> dict[str, int]:
        now = telemetry.counts()
        new = {
            reason: count - self._before.get((event, reason), 0)
            for (event, reason), count in now.items()
            if event == "unprotect_refused"
        }
        return {reason: count for reason, count in new.items() if count}


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()
