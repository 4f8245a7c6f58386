"""The plugin for pytest, which finds it by itself where this package is installed.

It has two fixtures, and lets Django's settings give a ring in memory (see `dpmiddleware.under_test`). It imports
neither a framework nor cryptography before a test asks for a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dpmiddleware import under_test
from dpmiddleware.testing.clock import StoppedClock

if TYPE_CHECKING:
    from dpmiddleware.ring_in_memory import RingInMemory

__all__ = ["ring_in_memory", "stopped_clock"]

pytest.register_assert_rewrite("dpmiddleware.testing.contracts")

_BEGUN = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django imports the project, whose start may use the ring."""
    _begin(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """For a plugin that a conftest has named."""
    _begin(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The session ends."""
    if config.stash.get(_BEGUN, False):
        del config.stash[_BEGUN]
        under_test.end()


def _begin(config: pytest.Config) -> None:
    if not config.stash.get(_BEGUN, False):
        config.stash[_BEGUN] = True
        under_test.begin()


@pytest.fixture
def stopped_clock() -> StoppedClock:
    """A clock that shows the time at which the test began until the test moves it."""
    return StoppedClock()


@pytest.fixture
def ring_in_memory(stopped_clock: StoppedClock) -> RingInMemory:
    """A key ring in memory on the stopped clock, to be passed as ``data_protection=``."""
    from dpmiddleware.ring_in_memory import RingInMemory

    return RingInMemory(clock=stopped_clock)
