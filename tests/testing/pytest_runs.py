"""Runs pytest in a process of its own, with our plugin and no other, wherever this package is installed or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = ("-p", "dpmiddleware.testing.plugin")
SECONDS = 120


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in this folder, without what this run of pytest has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DPM_", "DJANGO_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def pytest_in(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in this folder; name `PLUGIN` to have ours."""
    return run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, **variables)
