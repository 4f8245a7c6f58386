"""A ring in memory and a clock that stands still."""

from __future__ import annotations

import pytest

from dpmiddleware.data_protection import DataProtection
from tests.clients import Refusals, StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    """A ring that has been loaded."""
    protection = DataProtection("shop", repository="memory:", clock=clock)
    protection.wait(None)
    return protection


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()
