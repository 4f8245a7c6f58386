"""The member in ASP.NET Core, a program outside this package (see tests/interop/aspnet_peer/README.md)."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path

from example_apps.shared_login import APPLICATION

__all__ = ["serve_aspnet"]

_START_WITHIN = 60.0
_STOP_WITHIN = 20.0


@contextlib.contextmanager
def serve_aspnet(program: str, keys: Path) -> Generator[int]:
    """Run the program with the ring in a folder while the context is open. The value of the context is the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    ring = {"store": {"kind": "fs", "path": str(keys)}, "app": APPLICATION}
    process = subprocess.Popen(
        [program, "serve", f"http://127.0.0.1:{port}", json.dumps(ring), "{}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/bare", timeout=5).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("ASP.NET Core did not start") from error
            time.sleep(0.05)
