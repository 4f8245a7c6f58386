"""Durations as text: ``30d``, ``10s``, ``1h30m``. The only parser of them in this package. ::

    duration := part+            units in this order, each once at most
    part     := number unit      number: digits, perhaps with a fraction (0.5s)
    unit     := w | d | h | m | s | ms

A number without a unit is refused: one reader takes ``90`` for seconds, another for days.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

__all__ = ["EXAMPLES", "duration", "in_short"]

EXAMPLES: Final = "30d, 12h, 1h30m or 10s"
"""For hints."""
_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_WRITTEN: Final = ("d", "h", "m", "s", "ms")
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>{_NUMBER})\s*{unit}(?![a-z])\s*)?" for unit in _UNITS))


def duration(text: str) -> timedelta:
    """The time span that a text describes. ``ValueError`` for other text, and for more than 999,999,999 days.

    >>> duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    parts = {} if match is None else {unit: number for unit, number in match.groupdict().items() if number}
    if not parts:
        raise ValueError("not a duration")
    try:
        return sum((_UNITS[unit] * float(number) for unit, number in parts.items()), timedelta())
    except OverflowError:
        raise ValueError("a duration that is too long") from None


def in_short(span: timedelta) -> str:
    """The text of a time span, to the microsecond; `duration` reads it, unless the span is negative.

    >>> in_short(timedelta(days=1, seconds=5400))
    '1d1h30m'
    """
    if span < timedelta():
        return f"-{in_short(-span)}"
    text = ""
    for unit in _WRITTEN[:-1]:
        number, span = divmod(span, _UNITS[unit])
        text += f"{number}{unit}" if number else ""
    rest = span / _UNITS["ms"]
    return text + (f"{rest:.3f}".rstrip("0").rstrip(".") + "ms" if rest else "") or "0s"
