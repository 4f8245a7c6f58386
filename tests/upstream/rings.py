"""The ring under the frameworks' tests: a new one for each test, on the clock that the test may have moved."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from dpmiddleware.data_protection import DataProtection

__all__ = ["new_ring"]


class TestedClock:
    """Asks ``time.time``, which both Django's tests and freezegun replace."""

    __test__ = False  # not a test, in spite of its name

    def now(self) -> datetime:
        """Return an aware time in UTC."""
        return datetime.fromtimestamp(time.time(), timezone.utc)

    def monotonic(self) -> float:
        """Return seconds."""
        return time.monotonic()


def new_ring() -> DataProtection:
    """Create an empty ring in memory."""
    return DataProtection("upstream", repository="memory:", key_wrapper="plain:", clock=TestedClock())
