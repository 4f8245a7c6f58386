"""A call with a time limit that applies wherever the call hangs."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

__all__ = ["Call", "within"]

_T = TypeVar("_T")


class Call:
    """A call in progress. ``connection``: the driver's, once it exists; it is shut when the time is over."""

    connection: Any = None

    def shut(self) -> None:
        """Shut the socket that the driver waits for, if the driver shows it."""
        fileno = getattr(self.connection, "fileno", None)
        if callable(fileno):
            with suppress(Exception), socket.socket(fileno=os.dup(int(str(fileno())))) as shown:
                shown.shutdown(socket.SHUT_RDWR)


class _Outcome(Generic[_T]):
    """What a call returned or raised."""

    result: _T
    error: BaseException | None = None


def within(seconds: float, call: Call, action: Callable[[], _T]) -> _T:
    """Run ``action`` in a thread of its own; ``TimeoutError`` if it takes longer than ``seconds``.

    The action stores its connection in ``call``. The thread is a daemon and does not keep the process from ending.
    """
    outcome = _Outcome[_T]()

    def run() -> None:
        try:
            outcome.result = action()
        except BaseException as error:  # noqa: BLE001 (raised again below, in the caller's thread)
            outcome.error = error

    thread = threading.Thread(target=run, name="dpmiddleware-store", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        call.shut()
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if outcome.error is not None:
        raise outcome.error
    return outcome.result
