"""Calls to a store or a service with a limit on their whole time, wherever they hang.

Timeouts of client libraries are for connecting and for each receive, so a server that sends a byte per second holds a
call for hours, and a file on a mount that hangs has no timeout at all. So each call runs in a thread of its own. When
its time is over it is abandoned, and its connection is shut, which ends the thread. A thread that cannot be ended stays
until the server or the mount lets it; with `_MOST` of these, further calls fail at once and start no thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

__all__ = ["Bounded", "Call", "current_call", "within"]

_MOST: Final = 2
"""Threads of one store that hang."""
_T = TypeVar("_T")
_here = threading.local()


class Call:
    """A call in progress. ``connection``: the driver's, once it exists; it is shut when the time is over."""

    connection: Any = None

    def shut(self) -> None:
        """Shut the socket that the driver waits for, if the driver shows it."""
        import socket

        owners = (self.connection, getattr(self.connection, "_sock", None), getattr(self.connection, "sock", None))
        fileno = next((found for owner in owners if (found := getattr(owner, "fileno", None))), None)
        if callable(fileno):
            with suppress(Exception), socket.socket(fileno=os.dup(int(str(fileno())))) as shown:
                shown.shutdown(socket.SHUT_RDWR)


class Bounded:
    """The calls to one store or service. ``abandon``: called after a call was abandoned, to shut its connection."""

    def __init__(self, abandon: Callable[[], object] = lambda: None) -> None:
        self._abandon = abandon
        self._hanging: list[threading.Thread] = []

    def run(self, seconds: float, action: Callable[[], _T]) -> _T:
        """As `within`. A call inside of a call is a part of it, and has no limit of its own."""
        if current_call() is not None:
            return action()
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= _MOST:
            raise TimeoutError(f"{len(self._hanging)} earlier calls still hang")
        try:
            return within(seconds, Call(), action, self._hanging)
        except _AbandonedError as error:
            with suppress(Exception):
                self._abandon()
            raise TimeoutError(str(error)) from None


class _AbandonedError(TimeoutError):
    """The time was over; a library's own ``TimeoutError`` is not this."""


class _Outcome(Generic[_T]):
    """What a call returned or raised."""

    result: _T
    error: BaseException | None = None


def current_call() -> Call | None:
    """The call that this thread runs."""
    found: Call | None = getattr(_here, "call", None)
    return found


def within(seconds: float, call: Call, action: Callable[[], _T], hanging: list[threading.Thread] | None = None) -> _T:
    """Run ``action`` in a thread of its own; ``TimeoutError`` if it takes longer than ``seconds``.

    call: the action stores its connection there.
    hanging: gets the thread if it was abandoned.

    The thread is a daemon and does not keep the process from ending.
    """
    outcome = _Outcome[_T]()

    def run() -> None:
        _here.call = call
        try:
            outcome.result = action()
        except BaseException as error:  # noqa: BLE001 (raised again below, in the caller's thread)
            outcome.error = error

    thread = threading.Thread(target=run, name="dpmiddleware-store", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is shutting down, or there are too many threads
        return action()
    thread.join(seconds)
    if thread.is_alive():
        call.shut()
        if hanging is not None:
            hanging.append(thread)
        raise _AbandonedError(f"no answer within {seconds:g} seconds")
    if outcome.error is not None:
        raise outcome.error
    return outcome.result
