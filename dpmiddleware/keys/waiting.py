"""How long one request may wait for key rings: one budget per request, whatever the number of its cookies.

The first part of a request begins it (`dpmiddleware.web.parts.join`), and the first wait of a request makes its budget,
under a key of the request: all its threads, and all middleware around an application, share it. Outside of requests
each wait has a budget of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final

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


_BUDGET: Final = "dpmiddleware.budget"
_request: ContextVar[MutableMapping[str, Any] | None] = ContextVar("dpmiddleware_request", default=None)

begin: Final = _request.set
"""A request begins in this context: give it a budget of its own. Takes its environ, scope or META."""


def end() -> None:
    """The request has been served: what its thread does next has nothing to do with it. For the outermost shell."""
    _request.set(None)


def budget() -> Budget:
    """The budget of this request."""
    request = _request.get()
    found: Budget = Budget() if request is None else request.setdefault(_BUDGET, Budget())
    return found
