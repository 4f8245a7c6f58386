"""Several threads at once, and a forked process: what the contracts run adapters in."""

from __future__ import annotations

import os
import threading
import traceback
import warnings
from collections.abc import Callable

__all__ = ["at_once", "in_a_fork"]


def at_once(count: int, action: Callable[[int], object], seconds: float = 60) -> list[BaseException | None]:
    """Run ``action(0…count-1)`` in threads that start together; return what each raised, or ``None``."""
    start = threading.Barrier(count)
    outcomes: list[BaseException | None] = [None] * count

    def run(number: int) -> None:
        start.wait(timeout=30)
        try:
            action(number)
        except BaseException as error:  # noqa: BLE001 (handed to the test, which looks at it)
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=seconds)
        assert not thread.is_alive(), "a writer never came back"
    return outcomes


def in_a_fork(action: Callable[[], object]) -> None:
    """Run ``action`` in a forked child; the test fails if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is what is tested
        child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:  # noqa: BLE001 (a child must not go on with the parent's tests)
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the forked child failed; see its traceback above"
