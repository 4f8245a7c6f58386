"""Story 1: 8 to 20 processes start on an empty store at the same time: one key, and no payload is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.farm.places import STORES, place

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked here")
ROOT = Path(__file__).parents[2]


def rounds(url: str, count: int = 1, *, processes: int = 20) -> list[dict[str, object]]:
    """What `cold_start.py` reports, round by round."""
    command = [sys.executable, "-m", "tests.farm.cold_start", url, str(processes), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120 + 10 * count, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def good(processes: int = 20) -> dict[str, object]:
    """One key, one id in all payloads, and every process opens every payload."""
    return {"keys": 1, "ids": 1, "opened": processes, "problems": []}


def test_story_1_20_processes_start_at_once_on_an_empty_folder(tmp_path: Path) -> None:
    """Stories 1 and 15: of 20 commits at one version one succeeds, the others read again. Three times."""
    assert rounds(f"{tmp_path}/round-{{round}}", 3) == [good()] * 3


@pytest.mark.soak
@pytest.mark.parametrize("store", STORES)
def test_story_1_50_processes_start_at_once_on_an_empty_store(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Forked from a parent that is connected; `tests/repositories/test_cold_start.py` tests the other case."""
    with place(store, request, tmp_path) as url:
        assert rounds(url, processes=50) == [good(50)]


@pytest.mark.soak
def test_story_1_a_hundred_times(tmp_path: Path) -> None:
    assert rounds(f"{tmp_path}/round-{{round}}", 100) == [good()] * 100
