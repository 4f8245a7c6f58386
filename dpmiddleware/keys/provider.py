"""The current ring: checked beside the requests, stale rather than absent, healed when a payload names a key it lacks.

A warm request compares one clock reading and takes the ring. When a check is due, one refresh at a time runs in a
thread of its own: it asks the store for its version, and reads the ring only if that moved or the ring is old. A
request waits in three cases only, always for the refresh that is under way:

* there is no ring yet: until the first load has ended;
* the last successful check is older than two polls (an idle process): half a second at most;
* its payload names an unknown key: half a second at most; such a check is made once a second at the most, and ids that
  it did not find are remembered, so that forged ids cost the store next to nothing.

On an event loop nothing waits but for a first load: the ASGI shell asks `KeyRingProvider.wait_is_due` first and sends
`KeyRingProvider.wait` to a worker thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from dpmiddleware.errors import DataProtectionError, KeyManagementError, RepositoryError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.interfaces import Clock
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.rotation import RotationPolicy
from dpmiddleware.telemetry import emit, watch

__all__ = ["Health", "KeyRingProvider"]

_FIRST_LOAD_WAIT: Final = 30.0
_WAIT: Final = 0.5
_WAITERS: Final = 8
_SECONDS_BETWEEN_ATTEMPTS: Final = 1.0
"""Of a first load that failed, and of checks that unknown ids cause."""
_REMEMBERED_IDS: Final = 4096
_MISSED_POLLS: Final = 3


@dataclass(frozen=True, slots=True)
class Health:
    """What a readiness probe wants to know, from memory.

    status: ``starting`` (first load under way), ``ok``, ``stale`` (three checks failed; the ring goes on serving),
    ``down`` (no ring, and the last load failed). keys: how many. default_key: the one that protects.
    seconds_since_check: since the store last answered; ``None`` if it never did. problem: the last error.
    newest_key_age, seconds_to_rotation: of the newest key, and until the next is to be made; ``None`` where unknown.
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


@dataclass(slots=True, eq=False)
class _Flight:
    """One refresh under way. ``succeeded`` is set before ``landed``."""

    landed: threading.Event = field(default_factory=threading.Event)
    succeeded: bool = False


def _in_thread(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="dpmiddleware-refresh", daemon=True).start()


_providers: weakref.WeakSet[KeyRingProvider] = weakref.WeakSet()


class KeyRingProvider:
    """Keeps the ring of one `KeyManager` current. Safe for threads, event loops and ``fork``; does no I/O when made.

    manager: the manager, or a function that makes it when it is first needed; then ``clock`` and ``policy`` are given.
    start: runs a refresh; by default in a new daemon thread, in the simulated farm at once.
    """

    def __init__(
        self,
        manager: KeyManager | Callable[[], KeyManager],
        *,
        clock: Clock | None = None,
        policy: RotationPolicy | None = None,
        start: Callable[[Callable[[], None]], None] = _in_thread,
    ) -> None:
        self._forget_threads()
        self._manager = manager
        self._clock = clock or self.manager.clock
        self._policy = policy or self.manager.policy
        self._monotonic = self._clock.monotonic
        self._start = start
        self._poll = self._policy.poll.total_seconds()
        self._ring: KeyRing | None = None
        self._failure: KeyManagementError | None = None
        self._missed = 0
        self._checked: float | None = None
        self._next_check = float("-inf")
        self._next_attempt = float("-inf")
        self._next_heal = float("-inf")
        self._absent: dict[bytes, None] = {}
        _providers.add(self)
        watch(self)

    def _forget_threads(self) -> None:
        """Nobody waits, nothing is under way."""
        self._lock = threading.Lock()
        self._flight: _Flight | None = None
        self._waiting = 0

    def after_fork(self) -> None:
        """In the child: the ring is good, whatever had to do with threads is not."""
        self._forget_threads()
        if isinstance(self._manager, KeyManager):
            self._manager.forget_threads()

    @property
    def manager(self) -> KeyManager:
        """What reads and changes the ring."""
        if not isinstance(self._manager, KeyManager):
            with self._lock:
                if not isinstance(self._manager, KeyManager):
                    self._manager = self._manager()
        return self._manager

    # --- what requests ask ----------------------------------------------------------------------------------

    def current(self) -> KeyRing:
        """The ring. `KeyManagementError` where there is none, or where it is older than ``max_stale`` allows."""
        ring = self._ring
        if ring is not None and self._monotonic() < self._next_check:
            return ring
        return self._checked_ring()

    def find(self, key_id: bytes) -> Key | None:
        """The key with these 16 raw id bytes; ``None`` where the ring, checked again if need be, has none.

        `KeyManagementError` as `current`.
        """
        ring = self._ring
        if ring is None or self._monotonic() >= self._next_check:
            ring = self._checked_ring()
        key = ring.find(key_id)
        if key is None and key_id not in self._absent:
            return self._healed(key_id)
        return key

    def now(self) -> datetime:
        """The clock's time, aware, UTC."""
        return self._clock.now()

    def wait_is_due(self, key_id: bytes | None) -> bool:
        """Whether opening a payload of this key would wait; from memory, for the ASGI shell."""
        ring = self._ring
        if ring is None:
            return True
        known = key_id is None or key_id in ring.by_id
        if known and self._monotonic() < self._next_check:
            return False
        if self._waiting >= _WAITERS:
            return False
        if self._is_idle() and self._monotonic() >= self._next_check:
            return True
        unknown = not known and key_id not in self._absent
        return unknown and (self._flight is not None or self._monotonic() >= self._next_heal)

    def wait(self, key_id: bytes | None) -> None:
        """Do that waiting, in a worker thread. `KeyManagementError` as `current`."""
        self.current()
        if key_id is not None:
            self.find(key_id)

    def start(self) -> None:
        """Begin the first load, or the check that is due, and return at once."""
        if self._monotonic() >= self._next_check:
            self._take_off()

    def health(self) -> Health:
        """From memory; begins a load or check that is due, so that a probe keeps an idle process current."""
        self.start()
        ring, failure, checked = self._ring, self._failure, self._checked
        if ring is None:
            status: Literal["starting", "ok", "stale", "down"] = "starting" if failure is None else "down"
        else:
            status = "stale" if self._missed >= _MISSED_POLLS else "ok"
        default = None if ring is None or ring.default is None else ring.default.id
        age = None if checked is None else self._monotonic() - checked
        problem = "" if failure is None else str(failure)
        return Health(status, 0 if ring is None else len(ring), default, age, problem, *self._dates(ring))

    def _dates(self, ring: KeyRing | None) -> tuple[float | None, float | None]:
        """How old the newest key is, and how long it is to the next rotation; seconds."""
        now = Instant.of(self.now())
        newest = None if ring is None else max((key.creation_date for key in ring.keys), default=None)
        due = None if ring is None else ring.rotation_due
        age = None if newest is None else now.since(newest).total_seconds()
        return age, None if due is None else due.since(now).total_seconds()

    def measures(self) -> tuple[str, dict[str, float]]:
        """For gauges: see `dpmiddleware.telemetry`. From memory."""
        ring, checked = self._ring, self._checked
        key_age, rotation = self._dates(ring)
        age = None if checked is None else self._monotonic() - checked
        found = {"ring.age": age, "key.age": key_age, "rotation.due": rotation}
        return "" if ring is None else ring.name, {name: value for name, value in found.items() if value is not None}

    # --- waiting --------------------------------------------------------------------------------------------

    def _checked_ring(self) -> KeyRing:
        """A check is due, or there is no ring."""
        flight = self._take_off()
        if self._ring is None:
            if flight is not None:
                flight.landed.wait(_FIRST_LOAD_WAIT)
        elif flight is not None and self._is_idle() and not _on_event_loop():
            self._join(flight)
        if self._ring is None or self._is_too_old():
            failure = self._failure or RepositoryError(
                f"{self._location()} has not answered yet", hint="the first load is under way"
            )
            raise failure.with_traceback(None)  # one error for all requests until the next try: it must not grow
        return self._ring

    def _healed(self, key_id: bytes) -> Key | None:
        """Look once more whether somebody has just made the key that a payload names."""
        asked, flight = self._ask_again()
        if flight is not None and not _on_event_loop():
            self._join(flight)
        ring = self._ring
        key = None if ring is None else ring.find(key_id)
        if key is None and asked and flight is not None and flight.succeeded:
            self._remember_absent(key_id)
        return key

    def _ask_again(self) -> tuple[bool, _Flight | None]:
        """(True, the check begun now), (False, one that began before), or (False, None): the budget is used up."""
        with self._lock:
            if self._flight is not None:
                return False, self._flight
            if self._monotonic() < self._next_heal:
                return False, None
            self._next_heal = self._monotonic() + _SECONDS_BETWEEN_ATTEMPTS
        return True, self._take_off(at_once=True)

    def _remember_absent(self, key_id: bytes) -> None:
        with self._lock:
            if len(self._absent) >= _REMEMBERED_IDS:
                del self._absent[next(iter(self._absent))]
            self._absent[key_id] = None

    def _join(self, flight: _Flight) -> None:
        """Wait half a second for a refresh, if not too many do."""
        with self._lock:
            if self._waiting >= _WAITERS:
                return
            self._waiting += 1
        try:
            flight.landed.wait(_WAIT)
        finally:
            with self._lock:
                self._waiting -= 1

    def _is_idle(self) -> bool:
        return self._checked is None or self._monotonic() - self._checked > 2 * self._poll

    def _is_too_old(self) -> bool:
        limit = self._policy.max_stale
        return (
            limit is not None
            and self._checked is not None
            and self._monotonic() - self._checked > limit.total_seconds()
        )

    # --- the refresh ----------------------------------------------------------------------------------------

    def _take_off(self, *, at_once: bool = False) -> _Flight | None:
        """The refresh under way, or a new one; ``None`` where the last one failed only a moment ago."""
        with self._lock:
            if self._flight is not None:
                return self._flight
            if not at_once and self._monotonic() < self._next_attempt:
                return None
            flight = self._flight = _Flight()
        try:
            self._start(lambda: self._fly(flight))
        except RuntimeError:  # no thread to be had, or the interpreter is shutting down: the ring goes on serving
            self._land(flight)
        return flight

    def _fly(self, flight: _Flight) -> None:
        """Runs beside the requests. What goes wrong is kept and reported; nothing is raised into a thread's void."""
        began = self._monotonic()
        was_due = began >= self._next_check
        try:
            self._refresh()
        except Exception as error:  # noqa: BLE001 (a client library may raise anything)
            self._failed(error, was_due=was_due)
        else:
            self._failure, self._missed, self._checked = None, 0, began
            self._next_check = self._next_attempt = self._monotonic() + self._poll
            flight.succeeded = True
        finally:
            self._land(flight)

    def _refresh(self) -> None:
        ring = self._ring
        fresh = ring is not None and self.manager.now() < ring.good_until
        if ring is not None and fresh and self.manager.repository.version() == ring.version:
            return
        new = self.manager.load_ring()
        self._ring = new
        if ring is None or new.version != ring.version:
            self._absent = {}
        default = None if new.default is None else new.default.id
        location = self.manager.repository.location
        emit("ring_refreshed", "info", keys=len(new), default_key_id=default, location=location)

    def _failed(self, error: Exception, *, was_due: bool) -> None:
        """Keep the ring that there is, with every revocation that could be read.

        A check that an unknown id caused, between two polls, is no missed poll.
        """
        if self._ring is not None:
            self._ring = self._ring.with_revocations(self.manager.revocations)
        location = self._location()
        self._failure = _as_key_management_error(error, location)
        code = error.code if isinstance(error, DataProtectionError) else type(error).__name__
        emit("refresh_failed", "error", "the ring could not be refreshed", error=error, code=code, location=location)
        if not was_due:
            return
        self._missed += 1
        if self._missed == _MISSED_POLLS and self._checked is not None:
            seconds = round(self._monotonic() - self._checked)
            emit("ring_stale", "error", "the ring is stale", seconds=seconds, location=location)
        pause = _SECONDS_BETWEEN_ATTEMPTS if self._ring is None else self._poll
        self._next_attempt = self._monotonic() + pause
        self._next_check = float("-inf") if self._is_too_old() else self._next_attempt

    def _location(self) -> str:
        """Where the ring is, for messages; also where there is no manager, because its parts could not be had."""
        return self._manager.repository.location if isinstance(self._manager, KeyManager) else "the key store"

    def _land(self, flight: _Flight) -> None:
        with self._lock:
            if self._flight is flight:
                self._flight = None
        flight.landed.set()


def _as_key_management_error(error: Exception, location: str) -> KeyManagementError:
    """What requests get while there is no ring: one family, whoever is to blame."""
    if isinstance(error, KeyManagementError):
        return error
    wrapped = RepositoryError(f"the ring of {location} could not be loaded: {error}")
    wrapped.hint = error.hint if isinstance(error, DataProtectionError) else "see the log for what happened"
    wrapped.__cause__ = error
    return wrapped


def _on_event_loop() -> bool:
    """Whether an event loop (asyncio, trio) runs in this thread: then a wait would hold up every other request."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        return trio is not None and bool(trio.lowlevel.in_trio_run())
    return True


def _after_fork() -> None:
    for provider in list(_providers):
        provider.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
