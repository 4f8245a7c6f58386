"""Every failure story that this package has to survive is named by a test: "Story 7: …" in its docstring.

The stories are what users of comparable systems have suffered; each line says which in a few words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
STORIES: Final = {
    1: "many processes start on an empty store together",
    2: "two find the store empty, both write, the first never reads again",
    3: "all sleep over the rotation and wake with an expired key",
    4: "the key service times out while keys exist",
    5: "the store fails during a refresh and recovers",
    6: "a reader starts before the writer, and its key expires",
    7: "a key is published after a refresh; forged ids flood the store",
    8: "slots are swapped and swapped back",
    9: "path, trailing slash, case or host name change",
    10: "two applications share a store",
    11: "a container restarts without its volume",
    12: "gunicorn forks before or after the ring is loaded",
    13: "Redis is restarted, flushed or evicts",
    14: "an entry is empty, cut off, foreign, or begins with a byte order mark",
    15: "two writers meet at one version",
    16: "a key that never expires, one that begins later, clocks that differ or jump",
    17: "what keys are wrapped with is renewed",
    18: "key protection comes later; a machine is cloned without its secret",
    19: "a bit is flipped",
    20: "a released version's payloads",
    21: "purposes at the borders of their encoding",
    22: "everything is revoked",
    23: "old secrets in any order, or none at all",
    24: "the ring rotates in the middle of a session",
    25: "an old server gets a cookie in the new format",
    26: "garbage, empty, over-long or duplicate cookies",
    27: "a slow response comes after a sign-in",
    28: "nested edits and every other way to change a session",
    29: "the borders of chunks, growing and shrinking",
    30: "a deletion has the attributes of what it deletes",
    31: "what caches are told",
    32: "the types that Flask keeps in a session",
    33: "a Django login lives through a rotation",
    34: "an old cookie comes back after signing out",
    35: "hundreds of cold starts a second",
    36: "constructing does no I/O; the configured store is the one that is used",
}
NAMED: Final = re.compile(r"\bstory (\d+)\b", re.IGNORECASE)


def named_in(path: Path) -> Iterator[int]:
    """The stories that a test in this file names: in its name, its docstring, or that of its module."""
    module = ast.parse(path.read_text("utf-8"))
    tests = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    texts = [ast.get_docstring(test) or "" for test in tests] + [test.name.replace("_", " ") for test in tests]
    for text in [*texts, (ast.get_docstring(module) or "") if tests else ""]:
        yield from map(int, NAMED.findall(text))


@pytest.fixture(scope="module")
def named() -> dict[int, list[Path]]:
    """Which files have a test of which story."""
    found: dict[int, list[Path]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if path != Path(__file__):
            for number in named_in(path):
                found.setdefault(number, []).append(path.relative_to(TESTS))
    return found


@pytest.mark.parametrize("number", STORIES, ids=lambda number: f"{number}: {STORIES[number]}")
def test_a_story_has_a_test_that_names_it(number: int, named: dict[int, list[Path]]) -> None:
    assert named.get(number), f"no test names story {number}: {STORIES[number]}"


def test_a_name_in_a_comment_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text('"""Nothing."""\n# story 1\n\ndef test_story_2() -> None:\n    """Story 3: text."""\n', "utf-8")
    assert sorted(named_in(file)) == [2, 3]
