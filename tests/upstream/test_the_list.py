"""The lists of explained differences, and how a run is compared with them; `make test-frameworks` runs the suites."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.upstream import run
from tests.upstream.differences import UNEXPLAINED, compare, judge, listed, updated
from tests.upstream.installation import ROOT, UnavailableError
from tests.upstream.suites import HERE, SUITES, Suite

DOCUMENTS = sorted({suite.list for suite in SUITES})
EACH_SUITE = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)

LISTED = {"a.py::test_always": "why", "a.py::test_once[two]": "why"}
AS_LISTED = {
    "a.py::test_always[one]": "failed",
    "a.py::test_always[two]": "failed",
    "a.py::test_once[one]": "passed",
    "a.py::test_once[two]": "failed",
    "a.py::test_fine": "passed",
}
DOCUMENT = """Text before.

| test | what differs, and why |
| --- | --- |
| `one: a.py::test_always` | why |
| `one: a.py::test_gone` | why |
| `two: a.py::test_gone` | another suite |

Text after.
"""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_row_of_a_list_is_read_and_belongs_to_a_suite_of_this_list(document: Path) -> None:
    text = document.read_text("utf-8")
    found = listed(text)
    assert set(found) <= {suite.name for suite in SUITES if suite.list == document}
    rows = len(re.findall(r"^\| `[^`]+: ", text, re.MULTILINE))
    assert rows == sum(map(len, found.values())), "a row that is not read, or a test that is listed twice"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_row_of_a_list_has_a_reason(document: Path) -> None:
    reasons = [reason for rows in listed(document.read_text("utf-8")).values() for reason in rows.values()]
    assert UNEXPLAINED not in reasons
    assert all(len(reason) > 5 for reason in reasons)


def test_every_list_belongs_to_a_suite() -> None:
    assert {path for path in DOCUMENTS if path.parent == HERE / "differences"} == set(HERE.glob("differences/*.md"))


@EACH_SUITE
def test_the_pins_name_the_suite_and_what_this_package_needs_exactly(suite: Suite) -> None:
    pins = suite.pins.read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert {"cryptography", "itsdangerous", "pytest", "starlette", "werkzeug"} <= {
        pin.partition("==")[0].lower() for pin in pins
    }
    assert suite.version


@EACH_SUITE
def test_a_suite_that_comes_from_a_repository_has_the_tag_of_its_version(suite: Suite) -> None:
    assert bool(suite.repository) == bool(suite.tag)
    assert not suite.tag or suite.tag.removeprefix("v") == suite.version


@EACH_SUITE
def test_the_two_runs_of_a_suite_differ_in_what_is_in_place_and_in_nothing_else(suite: Suite) -> None:
    differing = (set(suite.ours) ^ set(suite.theirs)) - {"-p"}
    assert {word for word in differing if "ours_in_" in word}
    assert all("_in_django" in word or "ours_in_" in word for word in differing)


def test_every_file_of_pins_is_used() -> None:
    assert {suite.pins for suite in SUITES} == set(HERE.glob("pins/*.txt"))


def test_what_is_as_listed_is_no_problem() -> None:
    assert not list(judge(AS_LISTED, LISTED))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"a.py::test_fine": "failed"}, "failed, and is not listed: a.py::test_fine", id="fails unlisted"),
        pytest.param(
            {"a.py::test_once[one]": "failed"}, "failed, and is not listed: a.py::test_once[one]", id="fails as well"
        ),
        pytest.param(
            {"a.py::test_always[one]": "passed"}, "listed, and did not fail: a.py::test_always", id="passes once"
        ),
        pytest.param(
            {"a.py::test_once[two]": "passed"}, "listed, and did not fail: a.py::test_once[two]", id="passes now"
        ),
        pytest.param(
            {"a.py::test_once[two]": "skipped"}, "listed, and did not fail: a.py::test_once[two]", id="is skipped"
        ),
        pytest.param(
            {"a.py::test_once[two]": "failed before"},
            "listed, and did not fail: a.py::test_once[two]",
            id="fails with theirs too",
        ),
    ],
)
def test_what_is_not_as_listed_is_named(change: dict[str, str], problem: str) -> None:
    assert list(judge(AS_LISTED | change, LISTED)) == [problem]


def test_a_listed_test_that_is_not_there_any_more_is_named() -> None:
    remaining = {test: outcome for test, outcome in AS_LISTED.items() if "[two]" not in test}
    assert list(judge(remaining, LISTED)) == ["listed, and there is no such test: a.py::test_once[two]"]


@pytest.mark.parametrize(
    ("theirs", "ours", "outcome"),
    [
        ("passed", "passed", "passed"),
        ("passed", "failed", "failed"),
        ("passed", "skipped", "skipped"),
        ("failed", "failed", "failed before"),
        ("failed", "passed", "passed"),
        ("skipped", "failed", "failed"),
    ],
)
def test_a_difference_is_what_passes_with_theirs_and_fails_with_ours(theirs: str, ours: str, outcome: str) -> None:
    assert compare({"a.py::test": theirs}, {"a.py::test": ours}) == {"a.py::test": outcome}


def test_a_test_that_was_not_run_with_ours_has_failed_unless_only_its_parameters_have_other_names() -> None:
    theirs = {"a.py::test_lost[x]": "passed", "a.py::test_skipped": "skipped", "a.py::test_named[Theirs]": "passed"}
    ours = {"a.py::test_named[Ours]": "passed"}
    assert compare(theirs, ours) == {"a.py::test_lost[x]": "failed", "a.py::test_named[Ours]": "passed"}


def test_an_update_keeps_reasons_removes_what_passes_and_adds_what_has_to_be_explained() -> None:
    outcomes = {**AS_LISTED, "a.py::test_gone": "passed"}
    text = updated(DOCUMENT, "one", outcomes)
    assert text == DOCUMENT.replace("| `one: a.py::test_gone` | why |\n", "").replace(
        "another suite |\n", f"another suite |\n| `one: a.py::test_once[two]` | {UNEXPLAINED} |\n"
    )
    assert not list(judge(outcomes, listed(text)["one"]))
    assert updated(text, "one", outcomes) == text


def test_an_update_keeps_rows_that_list_each_parameter() -> None:
    text = "".join(f"| `one: a.py::test_always[{parameter}]` | why |\n" for parameter in ("one", "two"))
    assert updated(text, "one", {test: AS_LISTED[test] for test in AS_LISTED if "always" in test}) == text


def test_an_update_fills_an_empty_list() -> None:
    empty = "| test | what differs, and why |\n| --- | --- |\n"
    assert updated(empty, "one", {"a.py::test": "failed"}) == f"{empty}| `one: a.py::test` | {UNEXPLAINED} |\n"


@pytest.mark.parametrize(
    ("found", "status"),
    [
        pytest.param({}, 0, id="all as listed"),
        pytest.param({"flask": False}, 1, id="one is not"),
        pytest.param({"channels": UnavailableError("tag 1")}, 2, id="one was not run"),
        pytest.param({"flask": False, "channels": UnavailableError("tag 1")}, 1, id="one is not, one was not run"),
    ],
)
def test_the_exit_status_says_whether_all_suites_ran_and_are_as_listed(
    found: dict[str, bool | UnavailableError],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run_suite(suite: Suite, *, update: bool) -> bool:
        outcome = found.get(suite.name, True)
        if isinstance(outcome, UnavailableError):
            raise outcome
        return outcome

    monkeypatch.setattr(run, "run", run_suite)
    assert run.main([]) == status
    not_run = "channels: NOT RUN, because tag 1 could not be downloaded\n"
    assert capsys.readouterr().out == (not_run if "channels" in found else "")


def test_only_the_suites_that_are_named_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def run_suite(suite: Suite, *, update: bool) -> bool:
        seen.append((suite.name, update))
        return True

    monkeypatch.setattr(run, "run", run_suite)
    assert run.main(["channels", "flask-wtf", "--update"]) == 0
    assert seen == [("flask-wtf", True), ("channels", True)]


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(SystemExit, match="unknown suite: flask-logon; the suites are starlette, flask, "):
        run.main(["flask-logon"])


def test_a_session_that_suites_get_from_a_plugin_has_its_content() -> None:
    """In a process of its own: the plugin replaces Starlette's classes."""
    program = "from ours_in_starlette import session_of; print(dict(session_of({'cart': 3})))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [HERE, ROOT]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{'cart': 3}\n", done.stderr
