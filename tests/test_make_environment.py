"""How the Makefile installs: with uv where it can be had, configured as pip is, and otherwise with pip."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from make_environment import create, install, python_of, uv_options

CONFIGURATIONS: dict[str, tuple[list[str], list[str]]] = {
    "none": ([], []),
    "a mirror": (["global.index-url='https://mirror/simple'"], ["--default-index", "https://mirror/simple"]),
    "two more indexes": (
        ["global.extra-index-url='file:///a file:///b'"],
        ["--extra-index-url", "file:///a", "--extra-index-url", "file:///b", "--index-strategy", "unsafe-best-match"],
    ),
    "a variable": ([":env:.find-links='/opt/wheels'"], ["--find-links", "/opt/wheels"]),
    "what uv does not have": ([":env:.disable-pip-version-check='1'", "global.timeout='9'"], []),
    "a constraint": (["install.constraint='/etc/pip/a=b.txt'"], ["--constraint", "/etc/pip/a=b.txt"]),
    "no configuration": (["WARNING: the directory is not owned by the current user"], []),
}


@pytest.mark.parametrize(("lines", "options"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_uv_gets_the_configuration_of_pip(lines: list[str], options: list[str]) -> None:
    assert uv_options(lines) == options


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What a machine does on which the commands that contain these words fail: the list of all commands."""

    def of(failing: str) -> list[str]:
        commands: list[str] = []

        def run(command: Sequence[object], **_: Any) -> subprocess.CompletedProcess[str]:
            commands.append(" ".join(map(str, command)))
            return subprocess.CompletedProcess([], int(bool(failing) and failing in commands[-1]), stdout="")

        monkeypatch.setattr("make_environment.subprocess.run", run)
        return commands

    return of


def test_an_environment_begins_with_uv_and_without_a_pip_of_its_own(machine: Callable[[str], list[str]]) -> None:
    commands = machine("")
    create(Path("new"))
    assert [command.split()[2:4] for command in commands] == [["venv", "--without-pip"], ["pip", "--python"]]
    assert commands[-1].endswith(" uv")


def test_where_uv_cannot_be_had_an_environment_has_pip(machine: Callable[[str], list[str]]) -> None:
    commands = machine(" uv")
    create(Path("new"))
    assert commands[-1] == f"{sys.executable} -m venv new"


def test_uv_installs_what_was_asked_for_and_pip(machine: Callable[[str], list[str]]) -> None:
    commands = machine("")
    assert install(Path("new"), ["--editable", ".[test]"]) == 0
    python = python_of(Path("new"))
    assert commands[-1] == f"{python} -m uv pip install --quiet --python {python} pip --editable .[test]"


@pytest.mark.parametrize("failing", ["uv --version", "uv pip install"])
def test_without_uv_and_where_it_fails_pip_installs(failing: str, machine: Callable[[str], list[str]]) -> None:
    commands = machine(failing)
    assert install(Path("new"), ["--editable", "."]) == 0
    assert commands[-1].startswith(f"{python_of(Path('new'))} -m pip install ")
    assert commands[-1].endswith(" --editable .")


def test_a_failure_of_pip_is_the_exit_status(machine: Callable[[str], list[str]]) -> None:
    machine("install")
    assert install(Path("new"), ["--editable", "."]) == 1
