"""Several calls at a time, for stores where each of them waits for a disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

__all__ = ["side_by_side"]

_THREADS: Final = 16
_FEW: Final = 8
"""So many calls are made one after the other, in the caller's thread."""


def side_by_side(action: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> None:
    """Call ``action`` with each of ``arguments``, many of them in several threads. Return when all calls have ended.

    After the first error no further call begins; it is raised. The threads are daemons, as those of
    `dpmiddleware.repositories.bounded`: a disk that hangs does not keep the process from ending.
    """
    waiting = deque(arguments)
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                one = waiting.popleft()
            except IndexError:  # all are taken
                return
            try:
                action(*one)
            except BaseException as error:  # noqa: BLE001 (raised again below, in the caller's thread)
                errors.append(error)

    threads: list[threading.Thread] = []
    with suppress(RuntimeError):  # there are too many threads, or the interpreter is shutting down
        for _ in range(_THREADS if len(waiting) > _FEW else 0):
            thread = threading.Thread(target=work, name="dpmiddleware-store", daemon=True)
            thread.start()
            threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
