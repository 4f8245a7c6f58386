"""Points in time with the precision of .NET: ticks of 100 ns. A ``datetime`` has a precision of 1 µs.

Two keys can be one tick apart, and a revocation of all keys before a date compares strictly. For this reason the dates
of documents are kept in ticks from reading to writing.

The text form is XML Schema's dateTime: ``YYYY-MM-DDThh:mm:ss[.fffffff](Z|±hh:mm)``. It is read as ASP.NET Core 10 reads
it, except for forms that are never written (times without a date, months and days alone).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

__all__ = ["TICKS_PER_SECOND", "Instant", "ticks_of"]

TICKS_PER_SECOND = 10_000_000
_EPOCH = datetime(1, 1, 1, tzinfo=timezone.utc)
_NAIVE_EPOCH = datetime(1, 1, 1)  # noqa: DTZ001 (for times that are known to be UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_TICK = 3_155_378_975_999_999_999

_XSD = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?)?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,7})?Z")


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """A point in time in the years 1 to 9999. ``ticks``: units of 100 ns since 0001-01-01T00:00:00 UTC.

    >>> Instant.parse("2026-01-02T03:04:05.6789001Z") + timedelta(days=90)
    Instant('2026-04-02T03:04:05.6789001Z')
    """

    ticks: int

    def __post_init__(self) -> None:
        if not 0 <= self.ticks <= _LAST_TICK:
            raise ValueError(f"{self.ticks} ticks are outside the years 1 to 9999")

    @classmethod
    def of(cls, moment: datetime) -> Instant:
        """Convert an aware ``datetime``."""
        return cls(ticks_of(moment))

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read an XML Schema date. Without an offset it is local time, as in .NET. ``ValueError`` for other text."""
        if _UTC.fullmatch(text) is not None:  # the usual form, at a fifth of the cost
            span = datetime.fromisoformat(text[:19]) - _NAIVE_EPOCH
            return cls((span.days * 86_400 + span.seconds) * TICKS_PER_SECOND + int(text[20:-1].ljust(7, "0")))
        match = _XSD.fullmatch(text.strip())
        if match is None:
            raise ValueError("not an XML Schema date")
        part = match.groupdict()
        year, month, day = int(part["year"]), int(part["month"] or 1), int(part["day"] or 1)
        hour, minute, second = int(part["hour"] or 0), int(part["minute"] or 0), int(part["second"] or 0)
        local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 (the zone is added below)
        ticks = (local.replace(tzinfo=timezone.utc) - _EPOCH) // timedelta(seconds=1) * TICKS_PER_SECOND
        return cls(ticks + _fraction(part["fraction"]) - _offset(part["zone"], local))

    def to_datetime(self) -> datetime:
        """Convert to an aware ``datetime`` in UTC, truncated to microseconds."""
        return _EPOCH + timedelta(microseconds=self.ticks // 10)

    def __add__(self, span: timedelta) -> Instant:
        """The result is limited to the years 1 to 9999: a key with an extreme date must not cause a failure."""
        return Instant(min(max(self.ticks + span // _MICROSECOND * 10, 0), _LAST_TICK))

    def __sub__(self, span: timedelta) -> Instant:
        return self + -span

    def since(self, earlier: Instant) -> timedelta:
        """The time from ``earlier`` to this instant, truncated to microseconds; negative if ``earlier`` is later."""
        return timedelta(microseconds=(self.ticks - earlier.ticks) // 10)

    def next(self) -> Instant:
        """One tick later: the first instant that a revocation of all keys before this one does not cover."""
        return Instant(min(self.ticks + 1, _LAST_TICK))

    def __str__(self) -> str:
        seconds, fraction = divmod(self.ticks, TICKS_PER_SECOND)
        text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        return text + (f".{fraction:07}".rstrip("0") if fraction else "") + "Z"

    def __repr__(self) -> str:
        return f"Instant('{self}')"


def ticks_of(moment: datetime) -> int:
    """Ticks of an aware ``datetime``; ``ValueError`` if it has no time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    span = moment - _EPOCH
    return (span.days * 86_400 + span.seconds) * TICKS_PER_SECOND + span.microseconds * 10


def _fraction(digits: str | None) -> int:
    """Ticks of a fraction of a second. Digits after the seventh are rounded half up, as in .NET."""
    if not digits:
        return 0
    ticks = int(digits[:7].ljust(7, "0"))
    return ticks + (len(digits) > 7 and digits[7] >= "5")


def _offset(zone: str | None, local: datetime) -> int:
    """Ticks to subtract from a local time to get UTC."""
    if zone in {"Z", "z"}:
        return 0
    if zone is None:
        offset = local.astimezone().utcoffset() or timedelta()
        return offset // _MICROSECOND * 10
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError("a time zone more than 14 hours from UTC")
    ticks = (hours * 60 + minutes) * 60 * TICKS_PER_SECOND
    return -ticks if zone[0] == "-" else ticks
