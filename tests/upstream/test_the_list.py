"""The list of what differs in the frameworks' own tests, and how it is judged; `make test-frameworks` runs them."""

from __future__ import annotations

import pytest

from tests.upstream.run import LIST, SUITES, differences, judge

LISTED = {"a.py::test_always": "why", "a.py::test_once[two]": "why"}
AS_LISTED = {
    "a.py::test_always[one]": "failed",
    "a.py::test_always[two]": "failed",
    "a.py::test_once[one]": "passed",
    "a.py::test_once[two]": "failed",
    "a.py::test_fine": "passed",
}


def test_the_document_lists_each_difference_with_its_reason() -> None:
    listed = differences(LIST.read_text("utf-8"))
    assert set(listed) == {suite.name for suite in SUITES}
    assert all(listed.values())
    assert all(len(reason) > 5 for reasons in listed.values() for reason in reasons.values())
    rows = LIST.read_text("utf-8").partition("## The frameworks' own tests")[2].partition("\n## ")[0].count("\n| `")
    assert rows == sum(map(len, listed.values())), "a row that is not read, or a test that is listed twice"


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
    ],
)
def test_what_is_not_as_listed_is_named(change: dict[str, str], problem: str) -> None:
    assert list(judge(AS_LISTED | change, LISTED)) == [problem]


def test_a_listed_test_that_is_not_there_any_more_is_named() -> None:
    remaining = {test: outcome for test, outcome in AS_LISTED.items() if "[two]" not in test}
    assert list(judge(remaining, LISTED)) == ["listed, and there is no such test: a.py::test_once[two]"]
