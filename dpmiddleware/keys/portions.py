"""Long work on a ring in portions of one commit each: what is done stays done if the work is interrupted.

Each portion reads the ring again, so portions of one size would make the work grow with the square of the ring. A call
to a store is limited in time, so a portion cannot be of any size: it grows as long as its commit is fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["Portions"]

_FAST: Final = 2.0
"""Seconds: after a portion that takes less, the next one is twice as large."""
_SLOW: Final = 4.0
"""Seconds: after a portion that takes more, the next one is half as large."""


class Portions:
    """The size of the next portion. first: of the first one. clock: seconds."""

    def __init__(self, first: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = first
        self._clock = clock

    @contextmanager
    def timed(self) -> Generator[None]:
        """Measure one portion."""
        began = self._clock()
        yield
        seconds = self._clock() - began
        if seconds < _FAST:
            self.size *= 2
        elif seconds > _SLOW:
            self.size = max(1, self.size // 2)
