"""Dates in HTTP (RFC 9110, IMF-fixdate): ``Thu, 01 Jan 2026 00:00:00 GMT``, in English for every locale."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from dpmiddleware.arguments import explain

__all__ = ["http_date", "read_http_date"]

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def http_date(moment: datetime) -> str:
    """Write an aware date, truncated to seconds. ``ValueError`` if it has no time zone."""
    try:
        if moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone")
    except AttributeError as error:
        raise explain(http_date, error, moment=moment) from None
    since = moment - _EPOCH
    return _of_second(since.days * 86_400 + since.seconds)


@lru_cache(maxsize=64)  # as in servers: many responses in one second contain the same date
def _of_second(number: int) -> str:
    return format_datetime(_EPOCH + timedelta(seconds=number), usegmt=True)


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
    return moment if format_datetime(moment, usegmt=True) == text else None
