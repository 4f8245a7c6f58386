"""What happened, under names that last: log records with fields, and counters.

Each event is one record of the logger ``dpmiddleware`` with ``record.event`` (its name) and one attribute a field;
refusals are counted by reason and logged once in ten seconds a reason, so that forged cookies cannot fill a disk.
No field ever holds a payload, a cookie value or key bytes; texts from elsewhere are escaped here.

===============================  =======  =======================================================================
event                            level    fields
===============================  =======  =======================================================================
key_created                      INFO     key_id, location
key_revoked                      WARNING  key_id ("*": all before a date), location
ring_refreshed                   INFO     keys, default_key_id, location
refresh_failed                   ERROR    error, code, location
ring_shrank                      ERROR    missing (ids), location
ring_stale                       ERROR    seconds, location
document_set_aside               ERROR    document, problem, location
document_refused                 ERROR    document, problem, location
key_unusable                     ERROR    key_id, problem, location
making_blocked                   ERROR    problem, location
no_default_key                   ERROR    location
keys_in_memory                   WARNING  why (memory was taken; empty where it was asked for)
keys_not_wrapped                 WARNING  location
unprotect_refused                WARNING  reason, key_id, ring, where, suppressed (lines left out since the last one)
session_discarded                INFO     reason
key_pruned                       INFO     key_id, location
key_rewrapped                    INFO     key_id, location
signatures_ignored               WARNING  location
ring_signed                      WARNING  documents (how many), location
key_blob_unsigned                WARNING  path
key_blob_signed_by_exchange_key  WARNING  path
unavailable                      ERROR    error, code (a request was answered 503: there is no key ring)
===============================  =======  =======================================================================

Where OpenTelemetry's API is installed (extra ``otel``) the same are counted by its counter ``dpmiddleware.events``
(attributes event, reason), and three gauges tell how each ring is, in seconds (attribute ring):
``dpmiddleware.ring.age`` since its store last answered, ``dpmiddleware.key.age`` since its newest key was made,
``dpmiddleware.rotation.due`` until its next key is to be made.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from dpmiddleware.printable import printable

__all__ = ["LOGGER", "Measured", "count", "counts", "emit", "refused", "watch"]

LOGGER: Final = logging.getLogger("dpmiddleware")
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECONDS_BETWEEN_LINES: Final = 10.0

_lock = threading.Lock()


def _after_fork() -> None:
    """Another thread of the parent may have held the lock; in the child nobody would release it."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
_counts: Counter[tuple[str, str]] = Counter()
_last_line: dict[str, tuple[float, int]] = {}
_watched: weakref.WeakSet[Measured] = weakref.WeakSet()
_open_telemetry: Callable[[str, str], None] | None = None


def emit(event: str, level: str = "info", message: str = "", **fields: object) -> None:
    """Log one event. ``message`` is for people; ``fields`` are for machines and become attributes of the record."""
    count(event)
    shown = {name: value if isinstance(value, int | float) else printable(value) for name, value in fields.items()}
    text = message or event.replace("_", " ")
    details = "".join(f" {name}={value}" for name, value in shown.items() if value not in ("", "None"))
    LOGGER.log(_LEVELS[level], "%s%s", printable(text, 500), details, extra={"event": event, **shown})


def refused(reason: str, *, key_id: str | None, ring: str, where: str) -> None:
    """Count a payload that was not opened, and log it if the last line of this reason is ten seconds old.

    reason: the code of the `UnprotectError`. ring: which ring refused it. where: the cookie's name or the like.
    """
    count("unprotect_refused", reason)
    now = time.monotonic()
    with _lock:
        last, suppressed = _last_line.get(reason, (float("-inf"), 0))
        if now - last < _SECONDS_BETWEEN_LINES:
            _last_line[reason] = (last, suppressed + 1)
            return
        _last_line[reason] = (now, 0)
    shown = {"reason": reason, "key_id": key_id or "", "ring": printable(ring), "where": printable(where, 80)}
    details = "".join(f" {name}={value}" for name, value in shown.items() if value)
    extra = {"event": "unprotect_refused", "suppressed": suppressed, **shown}
    LOGGER.warning("payload refused%s%s", details, f" ({suppressed} more)" if suppressed else "", extra=extra)


def count(event: str, reason: str = "") -> None:
    """Add one to the counter of ``event`` (and ``reason``)."""
    with _lock:
        _counts[event, reason] += 1
    if _open_telemetry is not None:
        _open_telemetry(event, reason)


def counts() -> dict[tuple[str, str], int]:
    """All counters of this process: (event, reason) → how often; reason is "" where there is none."""
    with _lock:
        return dict(_counts)


# --- OpenTelemetry ------------------------------------------------------------------------------------------


class Measured(Protocol):
    """Something that can say how it is, from memory."""

    def measures(self) -> tuple[str, Mapping[str, float]]:
        """Its ring's name, and seconds by the end of a gauge's name (``ring.age`` …); what is not known is left out."""
        ...


def watch(subject: Measured) -> None:
    """Show ``subject`` in the gauges while it lives; begins to count with OpenTelemetry where it is installed."""
    _watched.add(subject)
    _instrument()


@functools.cache
def _instrument() -> None:
    """Make the instruments, once."""
    global _open_telemetry  # noqa: PLW0603 (one counter for all)
    try:
        from opentelemetry.metrics import CallbackOptions, Observation, get_meter
    except ImportError:
        return
    meter = get_meter("dpmiddleware")
    events = meter.create_counter("dpmiddleware.events", description="What happened, by event and reason")
    _open_telemetry = lambda event, reason: events.add(1, {"event": event, "reason": reason})  # noqa: E731

    def observed(name: str) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for subject in list(_watched):
                ring, measures = subject.measures()
                if name in measures:
                    yield Observation(measures[name], {"ring": ring})

        return observe

    descriptions = {
        "ring.age": "Seconds since the store last answered",
        "key.age": "Seconds since the newest key was made",
        "rotation.due": "Seconds until the next key is to be made",
    }
    for name, description in descriptions.items():
        gauge: Any = meter.create_observable_gauge
        gauge(f"dpmiddleware.{name}", [observed(name)], unit="s", description=description)
