"""A call that is let go when it takes too long, whatever it hangs in."""

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
    """One call under way. ``connection``: the driver's, once there is one; it is shut when the call is let go."""

    connection: Any = None

    def shut(self) -> None:
        """Close the connection's socket under the driver that waits for it, where the driver shows it."""
        fileno = getattr(self.connection, "fileno", None)
        if callable(fileno):
            with suppress(Exception), socket.socket(fileno=os.dup(int(str(fileno())))) as shown:
                shown.shutdown(socket.SHUT_RDWR)


class _Outcome(Generic[_T]):
    """What a call came to: ``result``, or ``error``."""

    result: _T
    error: BaseException | None = None


def within(seconds: float, call: Call, action: Callable[[], _T]) -> _T:
    """``action()`` in a thread of its own; ``TimeoutError`` if it takes longer than ``seconds``.

    ``call`` is where the action says what it waits with. The thread is a daemon: it keeps no process from ending.
    """
    outcome = _Outcome[_T]()

    def run() -> None:
        try:
            outcome.result = action()
        except BaseException as error:  # noqa: BLE001 (raised again below, in the thread that asked)
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
