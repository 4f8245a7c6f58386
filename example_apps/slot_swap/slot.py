"""One deployment slot: a folder, the environment that App Service gives a slot, a server process and its log.

Before: nothing. After: `.front`, which a slot's address is given to.
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

__all__ = ["Slot", "SlotFailedError"]

START_TIMEOUT: Final = 60.0
"""Seconds that a server process may take until it listens; a busy machine needs some."""
STOP_TIMEOUT: Final = 10.0
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMPDIR")
"""All that a slot inherits from this process; its HOME, above all, is its own."""


class SlotFailedError(Exception):
    """A server process did not come up, or failed to answer; the message ends with its log."""


class Slot:
    """A slot of the App Service *plants*. As a context manager it ends its process, if one was started.

    name: ``production`` or ``staging``, the slot that it is when it is made; a swap moves the name *production*, not
    the slot. version: of the application in it. settings: application settings, as environment variables.
    """

    def __init__(self, name: str, version: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.version = version
        self.home = folder / name
        self.log_file = self.home / "LogFiles" / "application.log"
        self._settings = dict(settings)
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def own_keys(self) -> Path:
        """Where the documentation says that the keys of this slot live when nobody names a place."""
        return self.home / "ASP.NET" / "DataProtection-Keys"

    def environment(self) -> dict[str, str]:
        """What App Service sets in a slot, the application settings, and what a process needs to start."""
        installed_in = str(Path(dpmiddleware.__file__).parents[1])
        return {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "PYTHONPATH": installed_in,
            "HOME": str(self.home),
            "WEBSITE_SITE_NAME": "plants",
            "WEBSITE_SLOT_NAME": self.name,
            "WEBSITE_INSTANCE_ID": f"{self.name}-0",
            "WEBSITE_HOSTNAME": f"plants-{self.name}.example",
            "PLANTS_VERSION": self.version,
            **self._settings,
        }

    def start(self) -> None:
        """Start the server, and wait until it listens; `SlotFailedError` where it does not."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        package = __name__.rpartition(".")[0]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{package}.shop"],
                env=self.environment(),
                stdin=subprocess.PIPE,  # closed when this process ends, however it ends: then the server ends too
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = self._announced_port(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

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
            raise SlotFailedError(f"slot {self.name} did not start; its log ends:\n{self.log()[-2000:]}")
        return int(line)

    def log(self) -> str:
        """All that the application has logged."""
        return self.log_file.read_text("utf-8", errors="replace") if self.log_file.exists() else ""

    def refusals(self) -> list[str]:
        """The lines of the log that say why a payload was not opened."""
        return [line for line in self.log().splitlines() if "payload refused" in line]

    def stop(self) -> None:
        """End the process, politely first."""
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
