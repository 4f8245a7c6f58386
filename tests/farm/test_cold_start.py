"""Story 1: 8 to 20 processes start on an empty store together: one key, and no payload refused by anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked here")
ROOT = Path(__file__).parents[2]


def rounds(folder: Path, count: int, *, processes: int = 20) -> list[dict[str, object]]:
    """What `cold_start.py` reports, round by round."""
    command = [sys.executable, "-m", "tests.farm.cold_start", str(folder), str(processes), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 + 10 * count, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


GOOD = {"keys": 1, "ids": 1, "opened": 20, "problems": []}


def test_story_1_20_processes_start_at_once_on_an_empty_folder(tmp_path: Path) -> None:
    """Five times: one key in the folder, one key id in all payloads, every payload opened by every process."""
    assert rounds(tmp_path, 5) == [GOOD] * 5


@pytest.mark.soak
def test_story_1_a_hundred_times(tmp_path: Path) -> None:
    assert rounds(tmp_path, 100) == [GOOD] * 100
