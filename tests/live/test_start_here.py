"""docs/start-here.md, followed word by word: in one shell, with a real Redis, and the server that it starts.

A ``sh`` block is run; the ``text`` block after it is what it prints (``…``: any text of a line; a line of
it: any lines). KEY is the first id that was listed last.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.servers import Server, free_port
from tests.test_documents_run import ROOT, Block, blocks, pattern_of

PAGE = ROOT / "docs" / "start-here.md"
END = "the end of a block"

SHELL = r"""
dpm() { "$PYTHON" -m dpmiddleware "$@"; }
flask() {
    stop
    "$PYTHON" -m flask "$@" >> server.log 2>&1 &
    server=$!
    for try in $(seq 900); do curl -s -o first localhost:$PORT/login && return; sleep 0.1; done
    cat server.log
}
stop() { [ -z "$server" ] || { kill "$server"; wait "$server" 2> ended; }; }
trap stop EXIT
"""
"""The server of the tutorial has a terminal of its own; here it goes to the background, and replaces the one before."""


class Shell:
    """One bash, as the reader has it open."""

    def __init__(self, folder: Path, port: int) -> None:
        needed = {"PATH": "/usr/bin:/bin:/usr/sbin:/usr/local/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=needed | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "PORT": str(port), "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.run(SHELL)

    def run(self, commands: str) -> str:
        """What they print, both streams."""
        self._in.write(f"{commands}\necho '{END}'\n")
        self._in.flush()
        printed = ""
        while (line := self._out.readline()) not in {"", f"{END}\n"}:
            printed += line
        return printed

    def close(self) -> None:
        self._in.close()
        self._out.read()
        self._process.wait(60)

    @property
    def _in(self) -> IO[str]:
        assert self._process.stdin
        return self._process.stdin

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout
        return self._process.stdout


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def shell(tmp_path: Path, port: int) -> Iterator[Shell]:
    missing = [program for program in ("bash", "curl", "openssl") if not shutil.which(program)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    opened = Shell(tmp_path, port)
    yield opened
    opened.close()


@pytest.mark.timeout(420)
def test_the_tutorial_goes_as_it_is_written(shell: Shell, lasting_redis: Server, tmp_path: Path, port: int) -> None:
    def here(text: str) -> str:
        return text.replace("redis://localhost:6379", lasting_redis.address).replace("5000", str(port))

    [module] = [block for block in blocks(PAGE) if block.language == "python"]
    tmp_path.joinpath("shop.py").write_text(module.text, "utf-8")
    steps = [block for block in blocks(PAGE) if block.language in {"sh", "text"} and not block.excuse]
    key = "KEY"
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        if step.language == "sh":
            printed = shell.run(here(step.text).replace("KEY", key) if "revoke KEY" in step.text else here(step.text))
            key = next(iter(re.findall(r"^([0-9a-f]{8})  active", printed, re.MULTILINE)), key)
            assert_printed(printed, here(after.text) if after and after.language == "text" else "", step)


def assert_printed(printed: str, expected: str, step: Block) -> None:
    pattern = "".join(map(pattern_of, expected.splitlines()))
    assert re.fullmatch(pattern, printed), f"docs/start-here.md:{step.line}\n{step.text}\n{printed}"


def test_the_tutorial_has_the_six_steps() -> None:
    steps = re.findall(r"^## \d\. (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert steps == ["An application", "Redis", "A certificate", "A signed ring", "Rotate", "Revoke"]
