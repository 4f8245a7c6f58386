"""How long one request may wait for key rings: one budget per request, whatever the number of its cookies.

The first part of a request begins it (`dpmiddleware.web.parts.join`); on an event loop, where nothing waits but the
worker threads that it asks to, the first of these waits does. Outside of requests each wait has a budget of its own.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from typing import Final

__all__ = ["FIRST_LOAD", "REFRESH", "Budget", "begin", "budget", "end"]

REFRESH: Final = 0.5
"""Seconds for refreshes of a ring that there is."""
FIRST_LOAD: Final = 30.0
"""Seconds for the first load: the time that a store may take."""


class Budget:
    """What is left of the seconds that a request may wait."""

    refresh = REFRESH
    first_load = FIRST_LOAD

    def wait(self, ended: threading.Event) -> None:
        """Wait for the end of a refresh, and spend that time."""
        self.refresh -= _waited(ended, self.refresh)

    def wait_for_first_load(self, ended: threading.Event) -> None:
        """Wait for the end of the first load, and spend that time."""
        self.first_load -= _waited(ended, self.first_load)


def _waited(ended: threading.Event, limit: float) -> float:
    began = time.monotonic()
    if limit > 0:
        ended.wait(limit)
    return time.monotonic() - began


_of_request: ContextVar[Budget | None] = ContextVar("dpmiddleware_waiting", default=None)


def begin() -> None:
    """A request begins in this context: give it a budget of its own."""
    _of_request.set(Budget())


def begin_if_none() -> None:
    """A request waits for the first time on an event loop. The threads that do its waits share the budget."""
    if _of_request.get() is None:
        begin()


def end() -> None:
    """The request has been served: what its thread or task does next has nothing to do with it."""
    if _of_request.get() is not None:
        _of_request.set(None)


def budget() -> Budget:
    """The budget of this request."""
    return _of_request.get() or Budget()
