"""Dates in HTTP (RFC 9110, IMF-fixdate): ``Thu, 01 Jan 2026 00:00:00 GMT``, in English for every locale."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

__all__ = ["http_date", "read_http_date"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def http_date(moment: datetime) -> str:
    """Write an aware date, truncated to seconds. ``ValueError`` if it has no time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    since = moment - _EPOCH
    return _of_second(since.days * 86_400 + since.seconds)


@lru_cache(maxsize=64)  # as in servers: many responses in one second contain the same date
def _of_second(number: int) -> str:
    return _written(_EPOCH + timedelta(seconds=number))


def _written(utc: datetime) -> str:
    iso = utc.isoformat()
    return f"{_DAYS[utc.weekday()]}, {iso[8:10]} {_MONTHS[utc.month - 1]} {iso[:4]} {iso[11:19]} GMT"


@lru_cache(maxsize=1024)  # the same ticket comes with each request of its user
def read_http_date(text: str | None) -> datetime | None:
    """Read a date in exactly the form that `http_date` writes; ``None`` for other text."""
    if text is None or len(text) != 29 or not text.isascii():
        return None
    try:
        day = int(text[12:16]), _MONTHS.index(text[8:11]) + 1, int(text[5:7])
        moment = datetime(*day, int(text[17:19]), int(text[20:22]), int(text[23:25]), tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment if _written(moment) == text else None
