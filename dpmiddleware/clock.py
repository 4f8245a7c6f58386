"""The system's clock, as everything here takes one: see `dpmiddleware.keys.interfaces.Clock`."""

from __future__ import annotations

import time
from datetime import datetime, timezone

__all__ = ["SystemClock"]


class SystemClock:
    """Wall-clock time in UTC, and seconds that never go back."""

    def now(self) -> datetime:
        """Aware, UTC."""
        return datetime.now(timezone.utc)

    monotonic = staticmethod(time.monotonic)
    """Seconds since some moment; asked on every request."""
