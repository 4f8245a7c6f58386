"""Transcripts: commands, and what ``dpm`` prints for them, line by line.

They are in ``tests/cli/*.txt``. A line ``$ command`` is run. The lines up to the next command are its output, standard
output and messages together; ``[1]`` at the end is an exit status other than 0. Text before the first command is for
readers, and so are lines that begin with ``# ``.

``dpm`` runs in this process, in an empty folder that is also the home folder. Other commands (``echo x > file``) run in
a shell there, and ``command | dpm …`` passes the output of the one to the other. ``NAME=value dpm …`` sets a variable
for one command, ``export NAME=value`` for all that follow. What differs between runs is replaced: ids by ``{key-1}``,
``{key-2}``, … in order of appearance, and their first eight characters by ``{short1}``, ``{short2}``, …; dates by
``{date}``, digests by ``{digest}``, and the folder by ``{folder}``. Commands may use these names, and ``{python}``.

After an intended change, rewrite them and review the difference: ``python -m tests.cli.test_transcripts FILE…``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from dpmiddleware import default_location
from dpmiddleware.cli import main

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.txt"))
KEY_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
VARIABLE = re.compile(r"[A-Z_]+=")


class Session:
    """A transcript that is being run. folder: where, empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ids: dict[str, str] = {}
        self._environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parents[1])}

    def run(self, command: str) -> str:
        """The output of a command, with what differs between runs replaced."""
        short = {_short(name): key_id[:8] for name, key_id in self._ids.items()}
        names = {**self._ids, **short, "{folder}": str(self.folder), "{python}": sys.executable}
        for name, text in names.items():
            command = command.replace(name, text)
        before, pipe, last = command.rpartition("| dpm ")
        if pipe:
            return self._dpm(shlex.split(f"dpm {last}"), self._shell(before))
        words = shlex.split(command)
        if words[0] == "export":
            self._environment.update(map(_assignment, words[1:]))
            return ""
        if "dpm" in words and all(VARIABLE.match(word) for word in words[: words.index("dpm")]):
            return self._dpm(words, "")
        return self._normal(self._shell(command))

    def _shell(self, command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=self._environment, text=True, capture_output=True, check=True
        )
        return done.stdout

    def _dpm(self, words: list[str], standard_input: str) -> str:
        at = words.index("dpm")
        environment = self._environment | dict(map(_assignment, words[:at]))
        printed = io.StringIO()
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(standard_input)),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            status = main(words[at + 1 :])
        return self._normal(printed.getvalue()) + (f"[{status}]\n" if status else "")

    def _normal(self, text: str) -> str:
        text = text.replace(str(self.folder), "{folder}")
        for key_id in KEY_ID.findall(text):
            if key_id not in self._ids.values():
                self._ids[f"{{key-{len(self._ids) + 1}}}"] = key_id
        for name, key_id in self._ids.items():
            text = text.replace(key_id, name).replace(key_id[:8], _short(name))
        return DIGEST.sub("{digest}", DATE.sub("{date}", text))


def _short(name: str) -> str:
    return name.replace("key-", "short")


def _assignment(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a transcript, each with its output; first an empty command with the text before."""
    command, shown = "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith(("$ ", "# ")):
            yield command, shown
            command, shown = line.strip(), ""
        else:
            shown += line
    yield command, shown


def replay(text: str, folder: Path) -> str:
    """The transcript with the current output."""
    session, out = Session(folder), ""
    for command, shown in blocks(text):
        if not command:
            out += shown
            continue
        out += f"{command}\n{session.run(command[2:]) if command.startswith('$') else ''}"
        if shown.endswith("\n\n") or shown == "\n":
            out += "\n"
    return out


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_comes_out_as_written(file: Path, tmp_path: Path) -> None:
    text = file.read_text("utf-8")
    assert replay(text, tmp_path) == text


def test_there_are_transcripts() -> None:
    assert len(FILES) > 4


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(default_location, "_PROC", Path(folder) / "proc"),
        ):
            written = replay(Path(argument).read_text("utf-8"), Path(folder).resolve())
        Path(argument).write_text(written, "utf-8")
