"""Dates and spans for people: ``2026-11-22 12:00:00Z``, ``in 89 days``, ``expired 3 days ago``."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, KeyState

__all__ = ["distance", "moment", "outlook"]

_UNITS: Final = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def moment(instant: Instant | None) -> str:
    """A date for people: UTC, to the second; ``-`` for ``None``."""
    return "-" if instant is None else f"{str(instant)[:19].replace('T', ' ')}Z"


def distance(instant: Instant, now: Instant) -> str:
    """How far away an instant is: ``in 89 days``, ``47 hours ago``. Two of a unit at least, except minutes."""
    span = instant.since(now) if now <= instant else now.since(instant)
    number, unit = next(((span // size, unit) for unit, size in _UNITS if 2 * size <= span), (0, ""))
    if not unit:
        number, unit = span // timedelta(minutes=1), "minute"
    if number == 0:
        return "in less than a minute" if now <= instant else "just now"
    much = f"{number:,} {unit}{'' if number == 1 else 's'}"
    return f"in {much}" if now <= instant else f"{much} ago"


def outlook(key: Key, now: Instant) -> str:
    """What happens to a key next, or what happened to it last, and when."""
    state = key.state(now)
    if state is KeyState.REVOKED:
        date = None if key.revocation is None else key.revocation.date
        return "revoked" if date is None or now < date else f"revoked {distance(date, now)}"
    if state is KeyState.CREATED:
        return f"active {distance(key.activation_date, now)}"
    passed = key.expiration_date <= now
    return f"{'expired' if passed else 'expires'} {distance(key.expiration_date, now)}"
