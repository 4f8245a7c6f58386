"""Where the time comes from: the interface of a clock, and the system's clock."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """A source of time. Tests and the simulated farm have their own."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC: for comparisons with the dates of keys and payloads."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards: for measuring waits and poll intervals."""
        ...


class SystemClock:
    """The clock of the operating system. Reads ``time.time()``, which tests replace (freezegun, Django's own)."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC."""
        return datetime.fromtimestamp(time.time(), timezone.utc)

    monotonic = staticmethod(time.monotonic)  # without a frame of Python: called on every request
