"""The words that CONTRIBUTING.md asks to avoid stand nowhere in the package, its documentation or its examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
SEARCHED_NAMES = (
    *("*.md", "docs/*.md", "hatch_build.py", "benchmarks/*.py"),
    *("dpmiddleware/**/*.py", "dpmiddleware/**/*.c", "dpmiddleware/**/*.pyi"),
    *("example_apps/**/*.py", "example_apps/**/*.md", "example_apps/**/*.html"),
)
SEARCHED = sorted(path for pattern in SEARCHED_NAMES for path in ROOT.glob(pattern) if path != PAGE)

PEOPLE = ("user", "users", "anyone", "everyone", "someone", "person", "attacker", "visitor", "customer")
NEGATED = {"is no", "are no", "was no", "were no", "be no"}
"""Plain English in *there is no …* and *is no longer*."""


def forms() -> list[str]:
    """The left column of the table *Words*."""
    table = PAGE.read_text("utf-8").partition("### Words")[2]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return [form for row in rows for form in re.findall("`([^`]+)`", row.split("|")[1])]


def pattern_of(form: str) -> re.Pattern[str]:
    """What finds a form. *There is no …* and *is no longer* are plain English."""
    words = r"\s+(?:#\s*|>\s*)?".join(map(re.escape, form.split()))
    pattern = rf"\b{words}\b"
    if form in NEGATED:
        pattern = rf"(?<!there )(?<!there\n){pattern}(?!\s+(?:longer|more|later|earlier|fewer|less|one)\b)"
    if form.startswith("who "):
        pattern = "".join(f"(?<!{person} )" for person in PEOPLE) + pattern
    return re.compile(pattern, re.IGNORECASE)


def test_the_table_is_there() -> None:
    assert len(forms()) > 30


@pytest.mark.parametrize("form", forms())
def test_a_form_to_avoid_stands_nowhere(form: str) -> None:
    pattern = pattern_of(form)
    found = []
    for path in SEARCHED:
        text = path.read_text("utf-8")
        found += [
            f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
            for match in pattern.finditer(text)
        ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        ("the key is no certificate", "is no", True),
        ("there is no key", "is no", False),
        ("it is no longer there", "is no", False),
        ("a user who is not signed in", "who is not", False),
        ("send who is not signed in away", "who is not", True),
        ("stored in\n# clear", "in clear", True),
        ("unclear", "in clear", False),
    ],
)
def test_the_search_finds_what_it_should(text: str, form: str, found: bool) -> None:
    assert bool(pattern_of(form).search(text)) is found
