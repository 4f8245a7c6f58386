"""Runs the frameworks' own tests with ours in the place of their sessions, serializers and signed values.

``make test-frameworks``. The tests come from the source distributions of the installed versions, downloaded from PyPI
into a folder of its own (first argument, by default a temporary one); nothing of them is kept here. Prints how many of
each passed; ends with 1 where the tests that fail are not exactly those of `differences`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.frameworks.upstream.differences import DIFFERENCES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DJANGO_LINE = re.compile(r"^(\w+) \(([\w.]+)\)(?:\n.*?)? \.\.\. (.*)$", re.MULTILINE)
PASSED_IN_DJANGO = {"ok", "expected failure"}


@dataclass(frozen=True)
class Suite:
    """The tests of one package. run: (where it was unpacked) → (passed, failed) names."""

    package: str
    run: Callable[[Path], tuple[set[str], set[str]]]


def with_pytest(plugin: str, *files: str) -> Callable[[Path], tuple[set[str], set[str]]]:
    """Tests that pytest runs, with a plugin of ours."""

    def run(folder: Path) -> tuple[set[str], set[str]]:
        report = folder / "report.xml"
        options = ["-q", "-p", plugin, "-p", "no:cacheprovider", "-W", "ignore", f"--junitxml={report}"]
        _python(folder, ["-m", "pytest", *options, *files], [HERE, folder / "src"])
        passed: set[str] = set()
        failed: set[str] = set()
        for case in ET.parse(report).iter("testcase"):
            name = f"{case.get('classname')}::{str(case.get('name')).partition('[')[0]}"
            if case.find("skipped") is None:
                bad = case.find("failure") is not None or case.find("error") is not None
                (failed if bad else passed).add(name)
        return passed - failed, failed

    return run


def with_django(*labels: str) -> Callable[[Path], tuple[set[str], set[str]]]:
    """Tests that Django's runner runs, with settings of ours."""

    def run(folder: Path) -> tuple[set[str], set[str]]:
        tests = folder / "tests"
        command = [
            str(HERE / "run_django.py"),
            "runtests.py",
            "--settings",
            "ours_in_django",
            "--parallel",
            "1",
            "-v",
            "2",
        ]
        output = _python(tests, [*command, *labels], [HERE, tests])
        passed: set[str] = set()
        failed: set[str] = set()
        for _, name, outcome in DJANGO_LINE.findall(output):
            if not outcome.startswith("skipped"):
                (passed if outcome in PASSED_IN_DJANGO else failed).add(name)
        return passed - failed, failed

    return run


SUITES = (
    Suite("starlette", with_pytest("ours_in_starlette", "tests/middleware/test_session.py")),
    Suite(
        "flask",
        with_pytest(
            "ours_in_flask",
            "tests/test_basic.py",
            "tests/test_session_interface.py",
            "tests/test_reqctx.py",
            "tests/test_testing.py",
        ),
    ),
    Suite("django", with_django("sessions_tests", "signing", "signed_cookies_tests", "messages_tests")),
    Suite(
        "itsdangerous",
        with_pytest(
            "ours_in_itsdangerous",
            "tests/test_itsdangerous/test_serializer.py",
            "tests/test_itsdangerous/test_timed.py",
        ),
    ),
)


def _python(folder: Path, arguments: Sequence[str], paths: Sequence[Path]) -> str:
    """What a Python says that runs in ``folder`` with these on its path."""
    path = os.pathsep.join(str(each) for each in (ROOT, *paths))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=600,
        check=False,
    )
    return done.stdout


def unpacked(package: str, folder: Path) -> Path:
    """The source distribution of the installed version."""
    release = f"{package}-{version(package)}"
    if not (folder / release).is_dir():
        wanted = f"{package}=={version(package)}"
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
        with tarfile.open(folder / f"{release}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return folder / release


def judged(suite: Suite, folder: Path) -> bool:
    """Run one suite, print what came of it, and say whether that is what was expected."""
    passed, failed = suite.run(unpacked(suite.package, folder))
    expected = set(DIFFERENCES[suite.package])
    print(f"{suite.package} {version(suite.package)}: {len(passed)} passed, {len(failed)} differ")
    for name in sorted(failed - expected):
        print(f"  fails, and is not listed: {name}")
    for name in sorted(expected - failed):
        print(f"  is listed, and {'passes' if name in passed else 'was not run'}: {name}")
    return bool(passed) and failed == expected


def main() -> int:
    """All suites."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        verdicts = [judged(suite, folder) for suite in SUITES]
        return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
