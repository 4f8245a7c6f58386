"""`Unprotected`: cookies that an application set before they were sealed, accepted until a date.

A value of the name counts as unprotected only if the request has no payload and no chunk marker under that name. Thus
an attacker who can plant a cookie in a browser cannot replace a sealed one with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from dpmiddleware import telemetry
from dpmiddleware.clock import Clock
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.protected import START

__all__ = ["Unprotected"]

_LONGEST: Final = timedelta(days=400)
"""How long browsers keep a cookie at most (RFC 6265bis, 5.5)."""


class Unprotected:
    """Until when unprotected cookies are accepted, and whether they are still written.

    until: aware; at most 400 days from now. ``None``: never.
    clock: says whether that time has come.
    writes: whether cookies stay unprotected in responses until then, for members of the farm that open no sealed ones.
    """

    def __init__(self, until: datetime | None, clock: Clock, *, writes: bool) -> None:
        if until is None and writes:
            raise ConfigurationError(
                "writes_unprotected=True without accept_unprotected_until=",
                hint="say until when cookies stay unprotected",
            )
        self._until = None if until is None else _checked(until, datetime.now(timezone.utc))
        self._clock, self._writes = clock, writes

    def is_one(self, values: Sequence[str]) -> bool:
        """Whether these values of a name, all that a request has, count as unprotected."""
        return self._until is not None and not any(map(chunks.is_ours, values))

    def accepts(self, part: bytes, values: Iterable[Sequence[str]]) -> bool:
        """Whether a part of a Cookie header reaches the application as it is. Counts ``unprotected_cookie``.

        part: what stands between two semicolons; it may be malformed.
        values: the well-formed values of each name that a parser could read in it.
        """
        if self._until is None or part.find(START) >= 0 or not all(map(self.is_one, values)):
            return False
        in_time = self._clock.now() < self._until
        telemetry.count("unprotected_cookie", "accepted" if in_time else "after_until")
        return in_time

    @property
    def is_written(self) -> bool:
        """Whether a response leaves its cookies unprotected."""
        return self._writes and self._until is not None and self._clock.now() < self._until


def _checked(until: datetime, now: datetime) -> datetime:
    if until.tzinfo is None:
        raise ConfigurationError(
            f"accept_unprotected_until={until} has no time zone", hint="pass datetime(…, tzinfo=timezone.utc)"
        )
    if until - now > _LONGEST:
        raise ConfigurationError(
            f"accept_unprotected_until={until} is more than {_LONGEST.days} days from now",
            hint="pass a fixed date, by which the old cookies have ended; browsers keep none longer than that",
        )
    return until
