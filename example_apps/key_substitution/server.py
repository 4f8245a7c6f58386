"""The server process of the archive, and its log.

Before: `.archive`. After: `.on_the_ring`.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import dpmiddleware

__all__ = ["ArchiveFailedError", "ArchiveServer"]

START_TIMEOUT: Final = 60.0
"""Seconds that the process may take until it listens; a busy machine needs some."""
STOP_TIMEOUT: Final = 10.0
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMPDIR")


class ArchiveFailedError(Exception):
    """The server did not come up, or did not answer; the message ends with its log."""


class ArchiveServer:
    """Runs `.archive` with ``settings`` while its context is open. log_file: where its log goes."""

    def __init__(self, log_file: Path, settings: Mapping[str, str]) -> None:
        self._log_file = log_file
        self._settings = dict(settings)
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = str(Path(dpmiddleware.__file__).parents[1])
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__name__.rpartition('.')[0]}.archive"],
                env=environment | self._settings,
                stdin=subprocess.PIPE,  # closed when this process ends, however it ends: then the server ends too
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self.port = self._announced_port(self._process)
        except ArchiveFailedError:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _announced_port(self, process: subprocess.Popen[str]) -> int:
        """The server prints its port as its first line."""
        assert process.stdout is not None
        first_line: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda out: first_line.put(out.readline()), args=[process.stdout], daemon=True).start()
        try:
            line = first_line.get(timeout=START_TIMEOUT)
        except queue.Empty:
            line = ""
        if not line.strip().isdecimal():
            raise ArchiveFailedError(f"the archive did not start; its log ends:\n{self.log()[-2000:]}")
        return int(line)

    def log(self) -> str:
        """All that it has logged."""
        return self._log_file.read_text("utf-8", errors="replace") if self._log_file.exists() else ""

    def lines_about(self, words: str) -> list[str]:
        """What the log says in lines that hold ``words``, from those words on."""
        return [line[line.index(words) :] for line in self.log().splitlines() if words in line]

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
