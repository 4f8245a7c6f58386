"""The files on the page about testing, run as a reader would run them: by pytest, with the plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.testing.pytest_runs import PLUGIN, ROOT, pytest_in

PAGE = ROOT.joinpath("docs", "testing.md").read_text("utf-8")
BLOCK = re.compile(r"```python\n# (?P<name>\w+\.py)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
FILES = {block["name"]: block["text"] for block in BLOCK.finditer(PAGE)}
TESTS = [name for name in FILES if name.startswith("test_")]


def test_every_block_of_the_page_is_a_file_with_a_name() -> None:
    assert len(FILES) == PAGE.count("```python\n") > len(TESTS) > 3


@pytest.mark.parametrize("name", TESTS)
def test_a_file_of_the_page_passes(name: str, tmp_path: Path) -> None:
    for each, text in FILES.items():
        if each == name or each not in TESTS:
            tmp_path.joinpath(each).write_text(text, "utf-8")
    done = pytest_in(tmp_path, *PLUGIN, "-W", "error", "--strict-config", name, "--import-mode=prepend")
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "the-real-keys").exists()


def test_the_store_of_the_page_went_through_the_whole_contract(tmp_path: Path) -> None:
    for name in ("shelf.py", "test_shelf.py"):
        tmp_path.joinpath(name).write_text(FILES[name], "utf-8")
    done = pytest_in(tmp_path, *PLUGIN, "--collect-only", "test_shelf.py")
    assert done.stdout.count("::test_of_many_writers_at_one_version_one_wins") == 1
    assert done.stdout.count("TestShelf::") > 25
