"""How a ring is doing: for readiness probes and gauges, from memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from dpmiddleware.instants import Instant
from dpmiddleware.keys.freshness import MISSED_POLLS, State

__all__ = ["Health", "gauges_of", "health_of"]


@dataclass(frozen=True, slots=True)
class Health:
    """What a readiness probe asks.

    status: ``starting`` (the first load is in progress), ``ok``, ``stale`` (three polls failed, or a refresh
    hangs; the ring is still used), ``down`` (no ring, and the last load failed; or a ring without a key that protects).
    keys: how many. default_key: the key that protects.
    seconds_since_check: since the store last answered; ``None`` if it never did.
    problem: the last error, or which keys and revocations the store has lost since this process started.
    newest_key_age, seconds_to_rotation: age of the newest key, and time until the next one is due; ``None``: unknown.
    """

    status: Literal["starting", "ok", "stale", "down"]
    keys: int
    default_key: UUID | None
    seconds_since_check: float | None
    problem: str
    newest_key_age: float | None = None
    seconds_to_rotation: float | None = None

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self.status in {"ok", "stale"} and self.default_key is not None


def health_of(state: State, seconds: float, now: Instant) -> Health:
    """``seconds``: of the monotonic clock. ``now``: of the wall clock."""
    ring = state.ring
    default = None if ring is None else ring.default
    return Health(
        _status(state),
        0 if ring is None else len(ring),
        None if default is None else default.id,
        state.age(seconds),
        _problem(state),
        *_dates(state, now),
    )


def _status(state: State) -> Literal["starting", "ok", "stale", "down"]:
    if state.ring is None:
        return "starting" if state.failure is None else "down"
    if state.ring.default is None:
        return "down"
    return "stale" if state.missed >= MISSED_POLLS else "ok"


def _problem(state: State) -> str:
    ring = state.ring
    if state.failure is not None:
        return str(state.failure)
    if ring is None:
        return ""
    return ring.loss or ("" if ring.default else ring.problem or "the ring has no key that protects")


def gauges_of(state: State, seconds: float, now: Instant) -> tuple[str, dict[str, float]]:
    """The ring's name, and each gauge that is known; see `dpmiddleware.telemetry`."""
    key_age, rotation = _dates(state, now)
    found = {"ring.age": state.age(seconds), "key.age": key_age, "rotation.due": rotation}
    name = "" if state.ring is None else state.ring.name
    return name, {gauge: value for gauge, value in found.items() if value is not None}


def _dates(state: State, now: Instant) -> tuple[float | None, float | None]:
    """Age of the newest key, and time until the next rotation; in seconds."""
    if state.ring is None:
        return None, None
    newest = max((key.creation_date for key in state.ring.keys), default=None)
    due = state.ring.rotation_due
    return (
        None if newest is None else now.since(newest).total_seconds(),
        None if due is None else due.since(now).total_seconds(),
    )
