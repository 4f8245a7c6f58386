"""Says on standard error how far long work has come, and ends it between two steps when ^C is pressed.

Nothing is printed on anything but a terminal, unless ``--progress`` is given; and nothing in the first second.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TextIO

__all__ = ["Progress"]

_PATIENCE: Final = 1.0
"""Seconds before the first line."""
_PAUSE: Final = 0.5
"""Seconds between two lines."""


class Progress:
    """The progress of one command. out: where it is printed. wanted: whether it is printed although ``out`` is a file.

    stopped: what a ^C leaves behind, for people; "" as long as nothing is done.
    """

    def __init__(self, out: TextIO, *, wanted: bool = False) -> None:
        self.stopped = ""
        self._out = out
        self._on_terminal = out.isatty()
        self._wanted = wanted or self._on_terminal
        self._next = time.monotonic() + _PATIENCE
        self._width = 0
        self._asked = False

    def at(self, done: int, everything: int, things: str) -> None:
        """``1,200 of 10,000 keys``. Between two steps: `KeyboardInterrupt` if ^C was pressed."""
        now = time.monotonic()
        if self._wanted and self._next <= now:
            self._next = now + _PAUSE
            self._show(f"{done:,} of {everything:,} {things}")
        if self._asked:
            raise KeyboardInterrupt

    def _show(self, line: str) -> None:
        if self._on_terminal:
            print(f"\r{line:{self._width}}", end="", file=self._out, flush=True)
            self._width = max(self._width, len(line))
        else:
            print(line, file=self._out, flush=True)

    def clear(self) -> None:
        """Remove the line from the terminal; before anything else is printed there."""
        if self._width:
            print(f"\r{'':{self._width}}\r", end="", file=self._out, flush=True)
            self._width = 0

    @contextmanager
    def whole_steps(self) -> Generator[None]:
        """Let a step that has begun end when ^C is pressed: `at` raises. A second ^C does not wait for that."""

        def ask(_number: int, _frame: FrameType | None) -> None:
            if self._asked:
                done = f"{self.stopped} (the step" if self.stopped else "no step is done (the one"
                self.stopped = f"{done} in progress may be done, too)"
                raise KeyboardInterrupt
            self._asked = True

        if threading.current_thread() is not threading.main_thread():  # only the main thread is told of signals
            yield
            return
        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
