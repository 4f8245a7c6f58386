"""``python -m tests.upstream.run [--update] [suite …]``: test suites of other projects, with ours in place of theirs.

Each suite runs twice: with what the project comes with (remembered until the suite, its pins or Python change), and
with ours in place. A test that passes in the first run and fails in the second is a difference. The list of each suite
names all differences with their reasons; see README.md in this folder.

--update: change the lists to what this run found; a person then explains the new rows

Exit status 0: all as listed; 1: something is not; 2: as listed, but something could not be downloaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.upstream.differences import compare, judge, listed, updated
from tests.upstream.installation import CACHE, ROOT, UnavailableError, digest, prepare_environment, prepare_tests
from tests.upstream.suites import HERE, SUITES, Suite

__all__ = ["main", "run"]

Outcomes = dict[str, str]
UNCHANGED = ("recording.py", "recording_runner.py", "theirs_in_django.py", "signed_cookies_in_django_projects.py")
"""The files of this folder that the first run of a suite uses."""


def main(arguments: list[str]) -> int:
    """Run the suites that are named, or all."""
    names = [argument for argument in arguments if argument != "--update"]
    known = [suite.name for suite in SUITES]
    if unknown := set(names) - set(known):
        sys.exit(f"unknown suite: {', '.join(sorted(unknown))}; the suites are {', '.join(known)}")
    wrong, missing = 0, []
    for suite in SUITES:
        if not names or suite.name in names:
            try:
                wrong += not run(suite, update="--update" in arguments)
            except UnavailableError as error:
                missing.append(f"{suite.name}: NOT RUN, because {error} could not be downloaded")
    if missing:
        print(*missing, sep="\n", flush=True)
    return 1 if wrong else 2 if missing else 0


def run(suite: Suite, *, update: bool = False) -> bool:
    """Run one suite twice and print what it found. Returns whether all was as listed."""
    python = prepare_environment(suite.pins)
    folder = prepare_tests(suite, python) / suite.folder
    theirs = _remembered(suite, python, folder)
    if not theirs:
        return False
    started = time.monotonic()
    ours, output = _run(python, suite.ours, folder)
    outcomes = compare(theirs, ours)
    text = suite.list.read_text("utf-8")
    problems = list(judge(outcomes, listed(text).get(suite.name, {})))
    print(
        f"{suite.name} {suite.version}: with theirs {_counts(theirs.values())}; with ours {_counts(ours.values())} "
        f"in {time.monotonic() - started:.0f} s; {list(outcomes.values()).count('failed')} differ",
        flush=True,
    )
    if not problems:
        return True
    printed = CACHE / "outcomes" / f"{suite.name}.txt"
    printed.write_text(output, "utf-8")
    print(*problems, f"what pytest printed is in {printed}", sep="\n", flush=True)
    if update:
        suite.list.write_text(updated(text, suite.name, outcomes), "utf-8")
        print(f"{suite.list} has the differences of this run: explain the new rows", flush=True)
    return False


def _remembered(suite: Suite, python: Path, folder: Path) -> Outcomes:
    """The outcomes with what the project comes with: of an earlier run if nothing that matters has changed since."""
    files = [HERE / name for name in UNCHANGED]
    key = digest(
        repr((suite.version, suite.folder, suite.theirs)).encode(),
        suite.pins.read_bytes(),
        *(path.read_bytes() for path in files),
    )
    memory = CACHE / "outcomes" / f"{suite.name}-{key}.json"
    if not memory.exists():
        outcomes, output = _run(python, suite.theirs, folder)
        if "passed" not in outcomes.values():
            print(f"{output}\n{suite.name}: no test passed with what the project comes with", flush=True)
            return {}
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(outcomes), "utf-8")
    found: Outcomes = json.loads(memory.read_text("utf-8"))
    return found


def _run(python: Path, arguments: Iterable[str], folder: Path) -> tuple[Outcomes, str]:
    """Run tests. Returns the outcome of each, and what was printed."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.json"
        done = subprocess.run(
            [str(python), *arguments],
            cwd=folder,
            env=_environment(UPSTREAM_RESULTS=str(results), PYTHONPATH=os.pathsep.join(map(str, [HERE, ROOT]))),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outcomes: Outcomes = json.loads(results.read_text("utf-8")) if results.exists() else {}
        return outcomes, done.stdout


def _environment(**added: str) -> Mapping[str, str]:
    """The variables of this process without those that change what is tested."""
    changing = ("DPM_", "PYTEST", "DJANGO_", "FLASK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(changing)} | added


def _counts(outcomes: Iterable[str]) -> str:
    counted = list(outcomes)
    return ", ".join(f"{counted.count(word)} {word}" for word in ("passed", "failed", "skipped") if word in counted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
