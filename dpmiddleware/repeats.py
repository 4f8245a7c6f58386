"""Long reasons in log lines: each is written in full once in ten minutes, and then referred to.

One cause has several events, and most of them come again at each try: a wrong certificate is the problem of a key, why
no key is created, why the ring cannot be loaded, and why a request is answered 503. The records keep the full text.
"""

from __future__ import annotations

import threading
from typing import Final

from dpmiddleware.forks import after_fork

__all__ = ["forget", "shortened"]

AS_BEFORE: Final = "(as before)"
_LONG: Final = 60
"""Characters of a text that is worth a reference."""
_SECONDS: Final = 600.0
_REMEMBERED: Final = 64

_lock = threading.Lock()
_written: dict[str, float] = {}
"""Texts, oldest first, and when they were last written in full."""


@after_fork
def _renew_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


def shortened(text: str, now: float) -> str:
    """``text`` with `AS_BEFORE` for each long text in it that was written in full a short time ago.

    now: monotonic seconds.
    """
    if len(text) < _LONG:
        return text
    with _lock:
        recent = [known for known, written in _written.items() if now - written < _SECONDS]
        short = text
        for known in sorted(recent, key=len, reverse=True):
            short = short.replace(known, AS_BEFORE)
        if text not in recent:
            _written.pop(text, None)
            _written[text] = now
        while len(_written) > _REMEMBERED:
            del _written[next(iter(_written))]
    return short


def forget() -> None:
    """Write every text in full again."""
    with _lock:
        _written.clear()
