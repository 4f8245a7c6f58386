"""One refresh at a time, beside the requests. Those who need its result wait for the same one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from dpmiddleware.forks import after_fork
from dpmiddleware.keys.waiting import REFRESH, budget

__all__ = ["Refresh", "Run", "in_thread", "on_event_loop"]

_WAITERS: Final = 8
"""Requests that wait at the same time: worker threads are few."""
_HANGING: Final = 2
"""Refreshes that were abandoned and whose threads still hang: with that many, no further one begins."""


@dataclass(slots=True, eq=False)
class Run:
    """One refresh. ``succeeded`` is set before ``ended``."""

    ended: threading.Event = field(default_factory=threading.Event)
    succeeded: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def is_slow(self) -> bool:
        """Whether it takes longer than a request may wait."""
        return time.monotonic() - self.began > REFRESH


class Refresh:
    """Runs refreshes, one at a time. ``start`` calls what it is given, in a thread or at once."""

    def __init__(self, start: Callable[[Callable[[], None]], None]) -> None:
        self.start = start
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        """In the child of a fork, no thread of the parent runs."""
        self._lock = threading.Lock()
        self.running: Run | None = None
        self.waiting = 0
        self.was_slow = False
        """Whether the last refresh that ended took longer than a request may wait."""
        self._hanging: list[Run] = []

    def begin(self, refresh: Callable[[], bool], is_due: Callable[[], bool]) -> Run | None:
        """Begin a refresh; ``None`` if one is running already, or if none is due.

        refresh: returns whether it succeeded, and raises nothing. is_due: called under the lock.
        """
        with self._lock:
            self._hanging = [run for run in self._hanging if not run.ended.is_set()]
            if self.running is not None or len(self._hanging) >= _HANGING or not is_due():
                return None
            run = self.running = Run()
        try:
            self.start(lambda: self._execute(run, refresh))
        except RuntimeError:  # no thread can be started, or the interpreter is shutting down
            self._end(run)
        return run

    def _execute(self, run: Run, refresh: Callable[[], bool]) -> None:
        try:
            run.succeeded = refresh()
        finally:
            self._end(run)

    def _end(self, run: Run) -> None:
        with self._lock:
            if self.running is run:
                self.running, self.was_slow = None, run.is_slow
        run.ended.set()

    @property
    def is_slow(self) -> bool:
        """Whether the refresh in progress, or else the last one, takes longer than a request may wait."""
        run = self.running
        return self.was_slow if run is None else self.was_slow or run.is_slow

    def abandon(self, seconds: float) -> bool:
        """Give up the refresh in progress if it began more than ``seconds`` ago; whether that was so.

        Its thread may hang forever in a client library. A result that comes later still counts.
        """
        with self._lock:
            run = self.running
            if run is None or time.monotonic() - run.began <= seconds:
                return False
            self.running, self.was_slow = None, True
            self._hanging.append(run)
        return True

    def wait_for(self, run: Run) -> None:
        """Wait for a refresh as long as the request's budget lasts, unless eight requests do so already."""
        with self._lock:
            if self.is_crowded:
                return
            self.waiting += 1
        try:
            budget().wait(run.ended)
        finally:
            with self._lock:
                self.waiting -= 1

    @property
    def is_crowded(self) -> bool:
        """Whether no more requests may wait."""
        return self.waiting >= _WAITERS


def in_thread(job: Callable[[], None]) -> None:
    """Run ``job`` in a new daemon thread."""
    threading.Thread(target=job, name="dpmiddleware-refresh", daemon=True).start()


def on_event_loop() -> bool:
    """Whether an event loop (asyncio, trio) runs in this thread: a wait would delay every other request.

    A library that nobody has imported runs no loop; asyncio takes long to import.
    """
    trio = sys.modules.get("trio")
    running = getattr(sys.modules.get("asyncio"), "get_running_loop", None)
    if running is not None:
        with suppress(RuntimeError):
            running()
            return True
    return trio is not None and bool(trio.lowlevel.in_trio_run())
