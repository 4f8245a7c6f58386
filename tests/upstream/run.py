"""``python tests/upstream/run.py [suite …]``: the frameworks' own tests, with ours in their place.

The tests are those of the installed versions, from their source distributions on PyPI; they are kept below
``.servers/upstream`` and belong to their projects. What may differ is listed by name, with its reason, in
``docs/compatibility.md``; a test that fails and is not listed is an error, and so is one that is listed and passes.

Exit status 0: as the list says; 1: otherwise.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["SUITES", "Suite", "differences", "judge", "main"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".servers" / "upstream"
LIST = ROOT / "docs" / "compatibility.md"
SECTION = re.compile(r"^## The frameworks' own tests\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| `(?P<suite>\w+): (?P<test>[^`]+)` \| (?P<reason>.+?) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Suite:
    """Tests of one project. folder: where they are run from; command: what to run there, after ``python``."""

    name: str
    folder: str
    command: tuple[str, ...]


def _pytest(plugin: str, *selected: str) -> tuple[str, ...]:
    alone = ("-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull, "--rootdir", ".")
    return ("-m", "pytest", "-q", "--tb=short", *alone, "-p", "recording", "-p", plugin, *selected)


SUITES = (
    Suite("starlette", ".", _pytest("ours_in_starlette", "tests/middleware/test_session.py")),
    Suite(
        "flask",
        ".",
        _pytest(
            "ours_in_flask",
            *(
                "tests/test_basic.py",
                "tests/test_session_interface.py",
                "tests/test_reqctx.py",
                "tests/test_testing.py",
            ),
            *("-k", "session or cookie or test_reqctx"),
        ),
    ),
    Suite(
        "django",
        "tests",
        (
            *("runtests.py", "--settings=ours_in_django", "--parallel=1"),
            *("sessions_tests", "signing", "signed_cookies_tests", "messages_tests"),
        ),
    ),
    Suite(
        "itsdangerous",
        ".",
        _pytest(
            "ours_in_itsdangerous",
            "tests/test_itsdangerous/test_serializer.py",
            "tests/test_itsdangerous/test_timed.py::TestTimedSerializer",
        ),
    ),
)


def differences(text: str) -> dict[str, dict[str, str]]:
    """The list in the document: suite → test → reason."""
    section = SECTION.search(text)
    found: dict[str, dict[str, str]] = {suite.name: {} for suite in SUITES}
    for row in ROW.finditer(section[1] if section else ""):
        found[row["suite"]][row["test"]] = row["reason"]
    return found


def judge(outcomes: Mapping[str, str], listed: Mapping[str, str]) -> Iterator[str]:
    """What is not as the list says. A test listed without parameters stands for all that it is run with."""
    by_name: dict[str, set[str]] = {}
    for test, outcome in outcomes.items():
        for name in {test, test.partition("[")[0]}:
            by_name.setdefault(name, set()).add(outcome)
        if outcome == "failed" and test not in listed and test.partition("[")[0] not in listed:
            yield f"failed, and is not listed: {test}"
    for name in listed:
        if name not in by_name:
            yield f"listed, and there is no such test: {name}"
        elif by_name[name] != {"failed"}:
            yield f"listed, and did not fail: {name}"


def main(names: list[str]) -> int:
    """Run these suites, or all."""
    listed = differences(LIST.read_text("utf-8"))
    wrong = 0
    for suite in SUITES:
        if names and suite.name not in names:
            continue
        outcomes, output = _run(suite)
        problems = list(judge(outcomes, listed[suite.name]))
        count = {outcome: list(outcomes.values()).count(outcome) for outcome in ("passed", "failed", "skipped")}
        print(
            f"{suite.name} {version(suite.name)}: {count['passed']} passed, {count['failed']} differ "
            f"({len(listed[suite.name])} names listed), {count['skipped']} skipped",
            flush=True,
        )
        if problems or not count["passed"]:
            wrong += 1
            print(output, *problems, sep="\n", flush=True)
    return 1 if wrong else 0


def _run(suite: Suite) -> tuple[dict[str, str], str]:
    """What became of each test, and what was printed."""
    folder = _source(suite.name) / suite.folder
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.json"
        path = os.pathsep.join(map(str, [HERE, ROOT]))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DPM_", "PYTEST"))}
        done = subprocess.run(
            [sys.executable, *suite.command],
            cwd=folder,
            env={**environment, "PYTHONPATH": path, "DPM_RESULTS": str(results)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outcomes: dict[str, str] = json.loads(results.read_text("utf-8")) if results.exists() else {}
        return outcomes, done.stdout


def _source(name: str) -> Path:
    """The unpacked source distribution of the installed version."""
    folder = CACHE / f"{name}-{version(name)}"
    if not folder.exists():
        _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(CACHE), f"{name}=={version(name)}")
        with tarfile.open(CACHE / f"{folder.name}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    return folder


def _pip(*arguments: str) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, check=False).returncode:
        sys.exit("the frameworks' source distributions come from PyPI, and pip could not get them (see above)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
