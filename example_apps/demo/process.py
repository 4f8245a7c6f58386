"""A server in its own process, and its log."""

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

__all__ = ["ServerFailedError", "ServerProcess"]

START_TIMEOUT: Final = 60.0
"""Seconds until the process must listen; a busy machine needs some."""
STOP_TIMEOUT: Final = 10.0
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMPDIR")
"""The environment variables that the process inherits. HOME is not among them."""


class ServerFailedError(Exception):
    """A server process did not start or did not answer. The message ends with its log."""


class ServerProcess:
    """Runs a module that serves; as a context manager it starts and stops it. ``port``: where it listens, once started.

    what: the name of the server in messages.
    module: the full name of the module.
    log_file: where its log is written.
    settings: its environment variables.
    """

    def __init__(self, what: str, module: str, log_file: Path, settings: Mapping[str, str]) -> None:
        self.log_file = log_file
        self.port = 0
        self._what = what
        self._module = module
        self._settings = dict(settings)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server, and wait until it listens. `ServerFailedError` if it does not."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                env=self.environment(),
                stdin=subprocess.PIPE,  # closed when this process ends in any way; then the server ends, too
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self.port = self._announced_port(self._process)
        except ServerFailedError:
            self.stop()
            raise

    def stop(self) -> None:
        """Terminate the process, and kill it if that takes too long. Does nothing if none runs."""
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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """Its settings, and what a process needs to start."""
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {**inherited, "PYTHONPATH": str(Path(dpmiddleware.__file__).parents[1]), **self._settings}

    def log(self) -> str:
        """The whole log."""
        return self.log_file.read_text("utf-8", errors="replace") if self.log_file.exists() else ""

    def _announced_port(self, process: subprocess.Popen[str]) -> int:
        assert process.stdout is not None
        first_line: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda out: first_line.put(out.readline()), args=[process.stdout], daemon=True).start()
        try:
            line = first_line.get(timeout=START_TIMEOUT)
        except queue.Empty:
            line = ""
        if not line.strip().isdecimal():
            raise ServerFailedError(f"{self._what} did not start; its log ends:\n{self.log()[-2000:]}")
        return int(line)
