"""The current ring of a process: refreshed beside the requests, and used while the store does not answer.

A warm request compares one clock reading and takes the ring. When a check is due, one refresh at a time runs in its own
thread: it asks the store for its version, and reads the ring only if the version has changed or the ring is a day old.
`dpmiddleware.keys.freshness` decides who waits for it.

On an event loop nothing waits except for the first load. The ASGI shell asks `KeyRingProvider.wait_is_due` first and
runs `KeyRingProvider.wait` in a worker thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from dpmiddleware.clock import Clock
from dpmiddleware.errors import DataProtectionError, KeyManagementError, RepositoryError
from dpmiddleware.forks import after_fork
from dpmiddleware.instants import Instant
from dpmiddleware.keys.freshness import MISSED_POLLS, State, Step, decide
from dpmiddleware.keys.health import Health, gauges_of, health_of
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.refresh import Refresh, Run, in_thread, on_event_loop
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.waiting import FIRST_LOAD, budget
from dpmiddleware.telemetry import emit, watch

__all__ = ["KeyRingProvider"]

_REMEMBERED_IDS: Final = 4096
_STORE_LIMIT: Final = 10.0
"""Seconds that a refresh may take whatever the poll: each call of a store is bounded to about five."""


class KeyRingProvider:
    """Keeps the ring of one `KeyManager` current. Safe for threads, event loops and ``fork``; does no I/O when created.

    manager: the manager, or a function that creates it at the first use. clock, policy: by default the manager's.
    start: calls what it is given, by default in a new daemon thread, in the simulated farm at once.
    """

    def __init__(
        self,
        manager: KeyManager | Callable[[], KeyManager],
        *,
        clock: Clock | None = None,
        policy: RotationPolicy | None = None,
        start: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._renew_lock()
        after_fork(self._renew_lock)
        self._manager = manager
        self._clock = clock or self.manager.clock
        self._own_policy = policy or self.manager.policy
        self._monotonic = self._clock.monotonic
        self._refresh = Refresh(start)
        self._state = State()
        """Replaced only by the refresh in progress, or under the lock of `Refresh` when one begins."""
        self._absent: dict[bytes, None] = {}
        """Ids that the store did not have, so that forged ids cost it next to nothing."""
        watch(self)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    @property
    def _policy(self) -> RotationPolicy:
        """The ring's own policy, once there is a ring that has one."""
        ring = self._state.ring
        return self._own_policy if ring is None or ring.policy is None else ring.policy

    @property
    def _patience(self) -> float:
        """Seconds after which a refresh in progress is given up, once there is a ring."""
        return max(_STORE_LIMIT, MISSED_POLLS * self._policy.poll.total_seconds())

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
        """The ring. `KeyManagementError` if there is none, or if it is older than ``max_stale``."""
        state = self._state
        if state.ring is not None and self._monotonic() < state.next_check:
            return state.ring
        return self._checked_ring()

    def find(self, key_id: bytes) -> Key | None:
        """The key with these 16 raw id bytes; ``None`` if the ring does not have it, even after a refresh.

        `KeyManagementError` as `current`.
        """
        key = self.current().find(key_id)
        if key is None and key_id not in self._absent:
            return self._searched(key_id)
        return key

    def now(self) -> datetime:
        """The clock's time, aware, UTC."""
        return self._clock.now()

    def wait_is_due(self, key_id: bytes | None) -> bool:
        """Whether opening a payload of this key would wait or fail; from memory, for the ASGI shell."""
        state, now = self._state, self._monotonic()
        if state.ring is None:
            return True
        known = key_id is None or key_id in state.ring.by_id
        if (known and now < state.next_check) or self._refresh.is_crowded:
            return False
        if self._decide(now) in {Step.WAIT, Step.FAIL}:
            return True
        return not known and key_id not in self._absent and self._decide(now, missing_key=True) is Step.WAIT

    def wait(self, key_id: bytes | None) -> None:
        """Do that waiting, in a worker thread. `KeyManagementError` as `current`."""
        self.current()
        if key_id is not None:
            self.find(key_id)

    def start(self) -> None:
        """Begin the first load, or the check that is due, and return at once."""
        self._begin(self._check_is_due)

    def health(self) -> Health:
        """From memory. Begins a check that is due, so that a probe keeps an idle process current."""
        self.start()
        return health_of(self._state, self._monotonic(), Instant.of(self.now()))

    def measures(self) -> tuple[str, dict[str, float]]:
        """For gauges: see `dpmiddleware.telemetry`. From memory."""
        return gauges_of(self._state, self._monotonic(), Instant.of(self.now()))

    # --- waiting --------------------------------------------------------------------------------------------

    def _decide(self, now: float, *, missing_key: bool = False) -> Step:
        in_progress = self._refresh.running is not None
        is_slow = self._refresh.is_slow
        return decide(self._state, now, self._policy, in_progress=in_progress, is_slow=is_slow, missing_key=missing_key)

    def _begin(self, is_due: Callable[[], bool]) -> Run | None:
        """Begin a refresh if one is due; first give up one that has been in progress for too long."""
        if self._refresh.running is not None:
            patience = FIRST_LOAD if self._state.ring is None else self._patience
            if self._refresh.abandon(patience):
                self._abandoned(patience)
        return self._refresh.begin(self._check, is_due)

    def _check_is_due(self) -> bool:
        return self._decide(self._monotonic()).refreshes

    def _search_is_due(self) -> bool:
        """Called under the lock of `Refresh`: if the answer is yes, the search begins."""
        now = self._monotonic()
        is_due = self._decide(now, missing_key=True).refreshes
        if is_due:
            self._state = self._state.after_search(now)
        return is_due

    def _checked_ring(self) -> KeyRing:
        """The ring, after the check that is due."""
        step = self._decide(self._monotonic())
        if step.refreshes:
            self._wait_for(self._begin(self._check_is_due), step)
        state = self._state
        ring = state.usable_ring(self._monotonic(), self._policy)
        if ring is None:
            failure = state.failure or RepositoryError(
                f"{self._location()} has not answered yet", hint="wait for the first load, which is in progress"
            )
            raise failure.with_traceback(None)  # the same error for all requests until the next try: it must not grow
        return ring

    def _searched(self, key_id: bytes) -> Key | None:
        """Search the store for a key that the ring lacks: another process may have just created it."""
        step = self._decide(self._monotonic(), missing_key=True)
        if not step.refreshes:
            return None
        run = self._begin(self._search_is_due)
        self._wait_for(run, step)
        ring = self._state.ring
        key = None if ring is None else ring.find(key_id)
        if (
            key is None and run is not None and run.succeeded
        ):  # a refresh that was running already may have read too early
            self._remember_absent(key_id)
        return key

    def _wait_for(self, run: Run | None, step: Step) -> None:
        """Wait, as ``step`` says, for the refresh that this request has started, or else for the one in progress."""
        run = run or self._refresh.running
        if run is None:
            return
        if step is Step.LOAD:
            budget().wait_for_first_load(run.ended)
        elif step is Step.WAIT and not on_event_loop():
            self._refresh.wait_for(run)

    def _remember_absent(self, key_id: bytes) -> None:
        with self._lock:
            if len(self._absent) >= _REMEMBERED_IDS:
                del self._absent[next(iter(self._absent))]
            self._absent[key_id] = None

    # --- the refresh ----------------------------------------------------------------------------------------

    def _check(self) -> bool:
        """One refresh: whether it succeeded. Runs beside the requests, so errors are kept and reported, not raised."""
        began = self._monotonic()
        try:
            ring = self._fresh_ring()
        except Exception as error:  # noqa: BLE001 (a client library may raise anything)
            self._failed(error, began)
            return False
        state = self._state
        if state.checked is None or state.checked <= began:  # else a later refresh has succeeded meanwhile
            self._state = state.after_success(ring, began, self._monotonic(), ring.policy or self._own_policy)
        return True

    def _abandoned(self, seconds: float) -> None:
        """A refresh has not ended in time: report it, and go on using the ring."""
        before, location, now = self._state, self._location(), self._monotonic()
        problem = f"{location} has not answered for {seconds:g} seconds"
        failure = RepositoryError(problem, hint="check the store and the network")
        self._state = before.after_abandoning(failure, now, self._policy)
        self._report(failure, failure.code, before, now)

    def _fresh_ring(self) -> KeyRing:
        """The ring that there is, if the store has not changed; else the ring as it is in the store now."""
        ring, manager = self._state.ring, self.manager
        if ring is not None and manager.now() < ring.good_until and manager.repository.version() == ring.version:
            return ring
        new = manager.load_ring()
        if ring is None or new.version != ring.version:
            self._absent = {}
        default = None if new.default is None else new.default.id
        emit("ring_refreshed", "info", keys=len(new), default_key_id=default, location=manager.repository.location)
        return new

    def _failed(self, error: Exception, began: float) -> None:
        """Keep the ring, with every revocation that could be read."""
        before, location, now = self._state, self._location(), self._monotonic()
        ring = None if before.ring is None else before.ring.with_revocations(self.manager.revocations)
        failure = _as_key_management_error(error, location)
        self._state = before.after_failure(failure, ring, began, now, self._policy)
        code = error.code if isinstance(error, DataProtectionError) else type(error).__name__
        self._report(error, code, before, now)

    def _report(self, error: Exception, code: str, before: State, now: float) -> None:
        location = self._location()
        emit("refresh_failed", "error", "the ring could not be refreshed", error=error, code=code, location=location)
        age = before.age(now)
        if age is not None and before.missed < MISSED_POLLS <= self._state.missed:
            emit("ring_stale", "error", "the ring is stale", seconds=round(age), location=location)

    def _location(self) -> str:
        """The store, for messages; unknown if the manager could not be created."""
        return self._manager.repository.location if isinstance(self._manager, KeyManager) else "the key store"


def _as_key_management_error(error: Exception, location: str) -> KeyManagementError:
    """What requests get while there is no ring: one family of errors, whatever the cause."""
    if isinstance(error, KeyManagementError):
        return error
    hint = error.hint if isinstance(error, DataProtectionError) else "see the log for the cause"
    wrapped = RepositoryError(f"the ring of {location} could not be loaded: {error}", hint=hint)
    wrapped.__cause__ = error
    return wrapped
