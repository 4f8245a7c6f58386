"""What an import and a command load: nothing that is slow to import, and that they do not use.

A start in a fraction of a second is a matter of what is not imported, so modules are counted here, and no seconds.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from typing import Final, NamedTuple

import pytest

from dpmiddleware.cli.main import command_line, main
from dpmiddleware.cli.verbs import ABOUT

SLOW: Final = frozenset(
    {
        "asyncio",
        "concurrent.futures",
        "difflib",
        "email",
        "http",
        "multiprocessing",
        "socket",
        "sqlite3",
        "ssl",
        "tomllib",
    }
    | {"cryptography.x509", "cryptography.hazmat.primitives.serialization", "ctypes", "urllib.request", "xml.sax"}
    | {"django", "flask", "itsdangerous", "redis", "sqlalchemy", "starlette", "werkzeug"}
)
"""Each takes as long as all of this package, or brings in something that does."""
LIBRARIES: Final = frozenset({"cryptography", "dataclasses", "inspect", "json", "logging", "uuid", "xml"})
RING: Final = "import dpmiddleware; dpmiddleware.DataProtection('shop', repository='/tmp/nowhere').manager"
PARSED: Final = "from dpmiddleware.cli.main import main; main({words!r})"


class Start(NamedTuple):
    """code: what runs in a new process. avoids: what it must not import."""

    code: str
    avoids: frozenset[str]


STARTS: Final = {
    "the package": Start("import dpmiddleware", SLOW | LIBRARIES),
    "its main class": Start("from dpmiddleware import DataProtection", SLOW),
    "a ring": Start(
        "import dpmiddleware; dpmiddleware.DataProtection('shop', repository='/tmp/nowhere').manager", SLOW
    ),
    "the help text of dpm": Start(PARSED.format(words=["--help"]), SLOW | {"cryptography", "uuid", "xml"}),
    "the version of dpm": Start(PARSED.format(words=["--version"]), SLOW | {"cryptography", "uuid", "xml"}),
    "the help text of a verb": Start(PARSED.format(words=["keys", "list", "--help"]), SLOW),
}


def imported_by(code: str) -> set[str]:
    """The modules that ``code`` adds to those that Python itself starts with."""
    program = (
        f"import sys\nbefore = set(sys.modules)\n{code}\n"
        "new = sorted(set(sys.modules) - before)\nimport json\nprint(json.dumps(new))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(told.stdout.splitlines()[-1]))


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_start_imports_nothing_slow_that_it_does_not_use(start: Start) -> None:
    found = imported_by(start.code)
    assert "dpmiddleware" in found
    assert not found & start.avoids


def test_the_help_text_of_dpm_imports_the_file_of_no_verb() -> None:
    files = {"check", "demo", "init", "inspection", "key_blob", "keys"}
    assert not {f"dpmiddleware.cli.{file}" for file in files} & imported_by(PARSED.format(words=["--help"]))


def test_a_verb_imports_the_file_of_no_other_verb() -> None:
    found = imported_by(PARSED.format(words=["inspect", "--help"]))
    assert "dpmiddleware.cli.inspection" in found
    assert not {"dpmiddleware.cli.check", "dpmiddleware.cli.demo", "dpmiddleware.cli.keys"} & found


def test_the_help_text_of_dpm_is_the_same_with_the_parsers_of_all_verbs() -> None:
    everything = command_line()[0]
    assert command_line(words=["--help"])[0].format_help() == everything.format_help()
    assert command_line(words=["check"])[0].format_help() == everything.format_help()


@pytest.mark.parametrize("name", ABOUT)
def test_a_word_of_the_command_line_brings_the_parsers_of_its_verb(name: str) -> None:
    _, verbs = command_line(words=["--app", "shop:dp", name])
    assert {verb.prog.split()[1] for verb in verbs.all} == {name}


def test_after_a_command_the_garbage_collector_looks_at_everything_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A command may run inside of an application, or of tests."""
    assert main(["inspect", "chunks-1"]) == 1
    assert "number of chunks" in capsys.readouterr().err
    assert gc.get_freeze_count() == 0
