"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from dpmiddleware.errors import ConfigurationError

__all__ = ["StoppedClock"]


class StoppedClock:
    """A `Clock` for tests. It shows ``now``, by default the time at which it was created.

    moment: the wall-clock time. seconds: the monotonic time.
    """

    def __init__(self, now: datetime | None = None) -> None:
        if now is not None and now.tzinfo is None:
            raise ConfigurationError(
                f"now={now} has no time zone", hint="add one: datetime(2030, 1, 1, tzinfo=timezone.utc)"
            )
        self.moment = datetime.now(timezone.utc) if now is None else now
        self.seconds = 1_000.0

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return self.moment

    def monotonic(self) -> float:
        """Return the monotonic time."""
        return self.seconds

    def advance(self, **span: float) -> None:
        """Let time pass: ``advance(days=1)``, with the arguments of `timedelta`."""
        passed = timedelta(**span)
        self.moment += passed
        self.seconds += passed.total_seconds()

    def jump(self, **span: float) -> None:
        """Set the wall clock; no time passes."""
        self.moment += timedelta(**span)
