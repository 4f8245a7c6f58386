"""The lists of explained differences: reading them, comparing them with a run, and bringing them up to date.

A row of a list: ``| `suite: test` | reason |``. A test that is listed without parameters stands for all parameters
that it is run with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["UNEXPLAINED", "compare", "judge", "listed", "updated"]

UNEXPLAINED = "TO EXPLAIN"
"""The reason in a row that a person has to complete."""

_ROW = re.compile(r"^\| `(?P<suite>[\w-]+): (?P<test>[^`]+)` \| (?P<reason>.+?) \|\n", re.MULTILINE)


def listed(text: str) -> dict[str, dict[str, str]]:
    """The rows of a document: suite → test → reason."""
    found: dict[str, dict[str, str]] = {}
    for row in _ROW.finditer(text):
        found.setdefault(row["suite"], {})[row["test"]] = row["reason"]
    return found


def compare(theirs: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The outcomes with ours, where a test that fails with theirs too counts as ``failed before``.

    A test that passes with theirs and is not run with ours, whatever its parameters, has failed: its module could not
    be imported.
    """
    names = set(map(_without_parameters, ours))
    missing = {test for test in theirs if theirs[test] == "passed" and _without_parameters(test) not in names}
    outcomes = dict(ours) | dict.fromkeys(missing, "failed")
    return {
        test: "failed before" if outcome == "failed" and theirs.get(test) == "failed" else outcome
        for test, outcome in outcomes.items()
    }


def judge(outcomes: Mapping[str, str], reasons: Mapping[str, str]) -> Iterator[str]:
    """Each way in which the outcomes are not as the list says."""
    by_name: dict[str, set[str]] = {}
    for test, outcome in outcomes.items():
        for name in {test, _without_parameters(test)}:
            by_name.setdefault(name, set()).add(outcome)
        if outcome == "failed" and test not in reasons and _without_parameters(test) not in reasons:
            yield f"failed, and is not listed: {test}"
    for name in reasons:
        if name not in by_name:
            yield f"listed, and there is no such test: {name}"
        elif by_name[name] != {"failed"}:
            yield f"listed, and did not fail: {name}"


def updated(text: str, suite: str, outcomes: Mapping[str, str]) -> str:
    """The document with exactly the rows that the outcomes call for.

    A row keeps its reason and its place. A new row has the reason `UNEXPLAINED` and comes last.
    """
    known = listed(text).get(suite, {})
    needed = _names(outcomes, known)
    kept = _ROW.sub(lambda row: row[0] if row["suite"] != suite or row["test"] in needed else "", text)
    new = "".join(f"| `{suite}: {name}` | {UNEXPLAINED} |\n" for name in needed if name not in known)
    last = max((row.end() for row in _ROW.finditer(kept)), default=len(kept))
    return kept[:last] + new + kept[last:]


def _names(outcomes: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """The names to list: without parameters where all parameters fail, unless the list has them one by one."""
    parameters: dict[str, list[str]] = {}
    for test in outcomes:
        parameters.setdefault(_without_parameters(test), []).append(test)
    names: list[str] = []
    for name, tests in parameters.items():
        failed = [test for test in tests if outcomes[test] == "failed"]
        one_by_one = any(test in known for test in failed if test != name)
        names += [name] if failed == tests and not one_by_one else failed
    return names


def _without_parameters(test: str) -> str:
    return test.partition("[")[0]
