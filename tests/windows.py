"""Runs programs in a CPython for Windows, through Wine or natively, with a registry of its own.

It is found through the environment variable ``DPM_WINDOWS_PYTHON`` (a program that takes Python's arguments), otherwise
as ``run`` in a sibling folder ``shared/windows-python`` of the checkout. On Windows it is the Python that runs the
tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

__all__ = ["WindowsPython", "find_windows_python"]

CHECKOUT = Path(__file__).resolve().parents[1]
_WITHIN = 120  # seconds; the first start creates Wine's prefix
ABSENT = "no Python for Windows: set DPM_WINDOWS_PYTHON, or put it in a sibling folder shared/windows-python"


def find_windows_python() -> list[str]:
    """Return the command; skip the test with a reason if there is none."""
    if sys.platform == "win32":
        return [sys.executable]
    named = os.environ.get("DPM_WINDOWS_PYTHON")
    if named:
        return [named]
    sibling = CHECKOUT.parent / "shared" / "windows-python" / "run"
    if not os.access(sibling, os.X_OK):
        pytest.skip(ABSENT)
    if not any(shutil.which(name) for name in ("wine64", "wine", "/usr/lib/wine/wine64")):
        pytest.skip("no Python for Windows: Wine is not installed")
    return [str(sibling)]


class WindowsPython:
    """A Python for Windows. prefix: a folder for a registry of its own (Wine)."""

    def __init__(self, prefix: Path) -> None:
        self._command = find_windows_python()
        self._environment = {**os.environ, "WINDOWS_PYTHON_PREFIX": str(prefix)}

    def ask(self, script: Path, question: Any, **environment: str) -> Any:
        """Run ``script`` with a JSON question as its standard input; return its answer, also JSON."""
        done = subprocess.run(
            [*self._command, str(script)],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_WITHIN,
            env={**self._environment, **environment},
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{script.name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout)
