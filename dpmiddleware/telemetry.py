"""Events under stable names: as log records with fields, and as counters.

Each event is one record of the logger ``dpmiddleware``. Its text begins with the name of the event, which is also in
``record.event``; ``record.hint`` says what to do (`dpmiddleware.events`), and each field is an attribute. A long reason
is not repeated in the text of the next records (`dpmiddleware.repeats`).

What every request can cause is counted, and logged at most once in ten seconds per reason or code: neither forged
cookies nor an outage can fill a disk. The next line says how many were left out (``suppressed``).
No field contains a payload, a cookie value or key bytes. Foreign text is escaped here.

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
keys_in_memory                   WARNING  why (memory was chosen; empty if it was configured)
keys_not_wrapped                 WARNING  location
unprotect_refused                WARNING  reason, key_id, ring, where, suppressed (lines since the last one)
cookie_header_too_long           -        only counted: a request brought more cookies than are looked at
session_discarded                INFO     reason, suppressed
signed_in                        INFO     scheme, sign_in (a hash of its id; see `dpmiddleware.web.sign_in.records`)
signed_out                       INFO     scheme, sign_in
sign_out_by_get                  WARNING  method (once per process)
sign_in_renewed                  DEBUG    reason, scheme, sign_in
sign_in_ended                    INFO     reason, scheme, sign_in, suppressed
session_change_lost              WARNING  - (it was changed after the response had started, in Flask or Django)
key_pruned                       INFO     key_id, location
key_rewrapped                    INFO     key_id, location
signatures_ignored               WARNING  location
policy_changed                   INFO     policy ("none": it was removed), location
policy_differs                   WARNING  settings (of this process, which the ring's own policy overrides), location
environment_ignored              WARNING  variables (``DPM_…``, which this `DataProtection` does not read)
ring_signed                      WARNING  documents (how many), location
key_blob_unsigned                WARNING  path
key_blob_signed_by_exchange_key  WARNING  path
unavailable                      ERROR    error, code, suppressed (answered 503: there is no key ring)
cross_origin_refused             WARNING  reason, method, site, origin, path, suppressed
cross_origin_disagreement        WARNING  host, origin (once per process: the browser says same-origin)
insecure_origin_trusted          WARNING  origin
===============================  =======  =======================================================================

If OpenTelemetry's API is installed (extra ``otel``), its counter ``dpmiddleware.events`` (attributes event, reason)
counts the same events. Three gauges (attribute ring) show the state of each ring in seconds: ``dpmiddleware.ring.age``
since its store last answered, ``dpmiddleware.key.age`` since its newest key was created, and
``dpmiddleware.rotation.due`` until its next key is due.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from dpmiddleware.errors import DataProtectionError
from dpmiddleware.events import HINTS, HINTS_ON_REFUSALS
from dpmiddleware.forks import after_fork
from dpmiddleware.printable import printable
from dpmiddleware.repeats import shortened

__all__ = ["LOGGER", "Measured", "count", "counts", "emit", "refused", "text_of", "watch"]

LOGGER: Final = logging.getLogger("dpmiddleware")
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECONDS_BETWEEN_LINES: Final = 10.0
_BY_REQUESTS: Final = frozenset({"unavailable", "session_discarded", "cross_origin_refused", "sign_in_ended"})
"""Events that every request can cause, beside refusals."""
_COUNTED_BY_REASON: Final = frozenset({"cross_origin_refused", "sign_in_ended", "sign_in_renewed"})
"""Events with a counter for each reason, all of which are words of this package."""

_REASONS: Final = frozenset({"error", "problem"})
"""Fields with a text that may be long."""

_lock = threading.Lock()
_counts: Counter[tuple[str, str]] = Counter()
_last_line: dict[str, tuple[float, int]] = {}
_watched: weakref.WeakSet[Measured] = weakref.WeakSet()
_open_telemetry: Callable[[str, str], None] | None = None


@after_fork
def _renew_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


def emit(event: str, level: str = "info", message: str = "", *, hint: str = "", **fields: object) -> None:
    """Count and log an event.

    message: for people.
    hint: what to do; by default that of the error among the fields, or else that of the event.
    fields: become attributes of the record.
    """
    count(event, str(fields["reason"]) if event in _COUNTED_BY_REASON else "")
    if not LOGGER.isEnabledFor(_LEVELS[level]):
        return
    error = fields.get("error")
    if not hint and isinstance(error, DataProtectionError):
        hint = error.hint
    shown = {name: value if isinstance(value, int | float) else _shown(name, value) for name, value in fields.items()}
    if event in _BY_REQUESTS:
        suppressed = _suppressed(f"{event} {shown.get('code', shown.get('reason'))}")
        if suppressed is None:
            return
        shown["suppressed"] = suppressed
    _log(_LEVELS[level], event, printable(message, 500), shown, hint or HINTS.get(event, ""))


def refused(reason: str, *, key_id: str | None, ring: str, where: str) -> None:
    """Count a refused payload, and log it unless a line for this reason was logged in the last ten seconds.

    reason: the code of the `UnprotectError`.
    key_id: the id of the payload's key, if it contains one.
    ring: the ring that refused it.
    where: what the payload is for, such as the name of a cookie.
    """
    count("unprotect_refused", reason)
    suppressed = _suppressed(reason)
    if suppressed is None:
        return
    fields = {
        "reason": reason,
        "key_id": key_id or "",
        "ring": printable(ring),
        "where": printable(where, 80),
        "suppressed": suppressed,
    }
    _log(logging.WARNING, "unprotect_refused", "payload refused", fields, HINTS_ON_REFUSALS.get(reason, ""))


def _shown(field: str, value: object) -> str:
    return printable(value, 500 if field in _REASONS else 200)


def _log(level: int, event: str, message: str, fields: Mapping[str, object], hint: str) -> None:
    """One record. fields: made printable already; ``suppressed``, how many lines were left out, may be among them."""
    text = f"{event}: {message}" if message else event
    now = time.monotonic()
    for name, value in fields.items():
        if name != "suppressed" and value not in ("", "None"):
            text += f" {name}={shortened(str(value), now) if name in _REASONS else value}"
    more = f" ({fields['suppressed']} more)" if fields.get("suppressed") else ""
    extra = {"event": event, "hint": printable(hint, 500), **fields}
    LOGGER.log(level, "%s%s", text, more, extra=extra)


def text_of(record: logging.LogRecord) -> str:
    """The text of a record in plain words, for people who do not search the manual for the name of its event."""
    text, event = record.getMessage(), str(vars(record).get("event", ""))
    name, separator, rest = text.partition(": ")
    if separator and name == event:
        return rest
    return event.replace("_", " ") + text.removeprefix(event) if event and text.startswith(event) else text


def _suppressed(kind: str) -> int | None:
    """How many lines of this kind were left out since the last one; ``None`` if this one is left out, too."""
    now = time.monotonic()
    with _lock:
        last, suppressed = _last_line.get(kind, (float("-inf"), 0))
        is_due = now - last >= _SECONDS_BETWEEN_LINES
        _last_line[kind] = (now, 0) if is_due else (last, suppressed + 1)
    return suppressed if is_due else None


def count(event: str, reason: str = "") -> None:
    """Add one to the counter of ``event`` and ``reason``."""
    with _lock:
        _counts[event, reason] += 1
    if _open_telemetry is not None:
        _open_telemetry(event, reason)


def counts() -> dict[tuple[str, str], int]:
    """All counters of this process: (event, reason) → count. The reason is ``""`` for events without one."""
    with _lock:
        return dict(_counts)


# --- OpenTelemetry ------------------------------------------------------------------------------------------


class Measured(Protocol):
    """An object that reports measurements without I/O."""

    def measures(self) -> tuple[str, Mapping[str, float]]:
        """The name of the ring, and the known seconds by the last part of the gauge's name (``ring.age``, …)."""
        ...


def watch(subject: Measured) -> None:
    """Include ``subject`` in the gauges as long as it exists. Connects to OpenTelemetry if that is installed."""
    _watched.add(subject)
    _instrument()


@functools.cache
def _instrument() -> None:
    """Create the instruments, once per process."""
    global _open_telemetry  # noqa: PLW0603 (one counter per process)
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
        "key.age": "Seconds since the newest key was created",
        "rotation.due": "Seconds until the next key is due",
    }
    for name, description in descriptions.items():
        gauge: Any = meter.create_observable_gauge
        gauge(f"dpmiddleware.{name}", [observed(name)], unit="s", description=description)
