"""What the documents say holds: their Python runs, their links lead somewhere, their help texts are the program's.

A Python block runs in the order of its page, with the names of the blocks before it, in an empty folder. A comment
``<!-- not run: reason -->`` on the line before a block excuses it; it still has to compile.

A console block holds commands (``$ dpm …``) and what they print, exit status in brackets where it is not 0. ``…``
stands for any text of a line, a line of it for any lines; KEY in a command is the id that was printed last.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from dpmiddleware.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("example_apps/**/*.md")])
BLOCK = re.compile(r"(?P<before>[^\n]*\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
EXCUSE = re.compile(r"<!-- not run: (.+) -->")
SITE = ROOT / "docs" / "index.md"
"""The first page of the site, which is made from docs/README.md."""
SECONDS_FOR_A_PAGE = 120


@dataclass(frozen=True)
class Block:
    """A fenced block. line: of its first line of text. excuse: why it is not run, or nothing."""

    page: Path
    line: int
    language: str
    text: str
    excuse: str


def blocks(page: Path) -> Iterator[Block]:
    content = page.read_text("utf-8")
    for match in BLOCK.finditer(content):
        excuse = EXCUSE.search(match["before"] or "")
        line = content.count("\n", 0, match.start("text")) + 1
        yield Block(page, line, match["language"], match["text"], excuse[1] if excuse else "")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


PYTHON = {page: [block for block in blocks(page) if block.language == "python"] for page in PAGES}
HELP = [block for page in PAGES for block in blocks(page) if re.match(r"\$ dpm\b.* --help\n", block.text)]
CONSOLE = {
    page: [block for block in blocks(page) if block.language == "console" and block not in HELP and not block.excuse]
    for page in PAGES
}
COMMAND = re.compile(r"^\$ dpm (?P<arguments>.*)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.MULTILINE)
KEY_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize("page", [page for page, found in PYTHON.items() if found], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """One process a page, line numbers as in the page."""
    parts = [
        f"exec(compile({chr(10) * (block.line - 1) + block.text!r}, {name_of(page)!r}, 'exec'))"
        for block in PYTHON[page]
        if not block.excuse
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DPM_")}
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", "\n".join(parts)],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS_FOR_A_PAGE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "sign_out_by_get" not in result.stderr, "a page teaches what the package warns of"


@pytest.mark.parametrize("page", [page for page, found in PYTHON.items() if found], ids=name_of)
def test_python_that_is_not_run_compiles(page: Path) -> None:
    for block in PYTHON[page]:
        compile(block.text, f"{name_of(page)}:{block.line}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    content = re.sub(r"```.*?^```$|`[^`\n]+`", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for match in LINK.finditer(content):
        target, _, anchor = match["target"].partition("#")
        if ":" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name_of(page)} links to {match['target']}"
        assert ROOT in file.parents, f"{name_of(page)} links out of the project: {match['target']}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name_of(page)} links to {match['target']}"


def anchors(page: Path) -> set[str]:
    """The names that headings get on the usual pages: lower case, no punctuation, hyphens for spaces."""
    headings = HEADING.findall(re.sub(r"```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dpm(arguments: list[str], folder: Path) -> str:
    """What the program prints, both streams as a terminal shows them, and its exit status where it is not 0."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DPM_")}
    done = subprocess.run(
        [sys.executable, "-m", "dpmiddleware", *arguments],
        cwd=folder,
        env=environment
        | {"DPM_APPLICATION": "shop", "DPM_REPOSITORY": "keys", "PYTHONPATH": str(ROOT)}
        | {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHON_COLORS": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_FOR_A_PAGE,
        check=False,
    )
    return done.stdout + (f"[{done.returncode}]\n" if done.returncode else "")


def pattern_of(line: str) -> str:
    return r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"


@pytest.mark.parametrize("page", [page for page, found in CONSOLE.items() if found], ids=name_of)
def test_the_commands_of_a_page_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    """In an empty folder, with the ring *shop* in ``keys``."""
    last_key = "KEY"
    for command in (match for block in CONSOLE[page] for match in COMMAND.finditer(block.text)):
        printed = dpm(shlex.split(command["arguments"].replace("KEY", last_key)), tmp_path)
        last_key = next(iter(reversed(KEY_ID.findall(printed))), last_key)
        pattern = "".join(map(pattern_of, command["shown"].splitlines()))
        assert re.fullmatch(pattern, printed), f"$ dpm {command['arguments']}\n{printed}"


def help_of(verb: tuple[str, ...]) -> str:
    """The help text of a verb, in the width of the documents."""
    printed = io.StringIO()
    with redirect_stdout(printed), mock.patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1"}):
        assert main([*verb, "--help"]) == 0
    return printed.getvalue()


def every_verb(around: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The verbs of ``dpm``, groups before what is in them, as the help texts list them."""
    yield around
    listed = help_of(around).partition("positional arguments:\n  VERB\n")[2].partition("\n\n")[0]
    for name in re.findall(r"^    (\S+)", listed, re.MULTILINE):
        yield from every_verb((*around, name))


@pytest.mark.parametrize("block", HELP, ids=lambda block: block.text.splitlines()[0].removeprefix("$ "))
def test_help_in_the_documents_is_what_the_program_prints(block: Block) -> None:
    """Compared word by word: how argparse breaks lines differs between versions of Python. See `make help-page`."""
    command, _, shown = block.text.partition("\n")
    assert shown.split() == help_of(tuple(command.split()[2:-1])).split()


def test_the_help_of_every_verb_is_in_the_documents() -> None:
    shown = {block.text.partition("\n")[0] for block in HELP}
    assert shown == {f"$ {' '.join(('dpm', *verb))} --help" for verb in every_verb()}


def test_the_commands_that_the_readme_opens_with_are_in_the_makefile() -> None:
    opening = ROOT.joinpath("README.md").read_text("utf-8").partition("\n## ")[0]
    named = re.findall(r"^    make (\w+)", opening, re.MULTILINE)
    targets = re.findall(r"^(\w+):", ROOT.joinpath("Makefile").read_text("utf-8"), re.MULTILINE)
    assert named == ["demo", "test"]
    assert set(named) <= set(targets)


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=name_of)
def test_every_page_is_reached_from_the_index(page: Path) -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / m["target"].partition("#")[0]).resolve() for m in LINK.finditer(index.read_text("utf-8"))}
    assert page in {index, SITE} or page in linked
