"""docs/troubleshooting.md has a row for every error, event and reason, in the section of those who must act."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import dpmiddleware
from dpmiddleware import errors
from dpmiddleware.errors import ConfigurationError, DocumentSignatureError, KeyManagementError, UnprotectError
from dpmiddleware.events import HINTS, HINTS_ON_REFUSALS, NOTHING
from tests.every_error import ERRORS
from tests.test_telemetry import documented, emitted

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
BRANCHES = {"The developer": ConfigurationError, "The operator": KeyManagementError, "Nobody": UnprotectError}


@dataclass(frozen=True)
class Row:
    """A row of a table. kind: the heading of its first column."""

    section: str
    kind: str
    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.cells[0].strip("`")


def rows(kind: str) -> list[Row]:
    """The rows of all tables whose first column has this heading."""
    found: list[Row] = []
    for part in PAGE.split("\n## "):
        section, heading = part.partition("\n")[0], ""
        for line in part.splitlines():
            cells = tuple(cell.strip() for cell in line.strip("|").split(" | ")) if line.startswith("|") else ()
            if not cells:
                heading = ""
            elif not heading:
                heading = cells[0].strip("| ")
            elif heading == kind and not line.startswith("| ---"):
                found.append(Row(section, kind, cells))
    return found


def counted() -> set[str]:
    """The events that the package's source counts or emits under a name in the call."""
    found = set(emitted())
    for path in Path(dpmiddleware.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=called, args=[ast.Constant(value=str(name)), *_]):
                    found |= {name} if ast.unparse(called) in {"count", "telemetry.count"} else set()
                case _:
                    pass
    return found


def test_every_error_has_one_row_with_its_code() -> None:
    """A new class without a row fails here, and so does a row whose class or code has gone."""
    listed = [(row.name, row.cells[1].strip("`")) for row in rows("error")]
    assert sorted(listed) == sorted((name, kind.code) for name, kind in ERRORS.items())


@pytest.mark.parametrize("section", BRANCHES)
def test_an_error_is_in_the_section_of_who_must_act(section: str) -> None:
    listed = {row.name for row in rows("error") if row.section == section}
    assert listed == {name for name, kind in ERRORS.items() if issubclass(kind, BRANCHES[section])}


def test_every_event_has_one_row() -> None:
    events = counted() | set(documented())
    assert len(events) > 20
    assert sorted(row.name for row in rows("event")) == sorted(events)


def test_an_event_that_asks_for_something_is_in_the_section_of_those_who_can_do_it() -> None:
    by_nobody = {row.name for row in rows("event") if row.section == "Nobody"}
    asking = {event for event, hint in HINTS.items() if hint != NOTHING}
    assert by_nobody & asking == {"ring_signed"}  # it reports what an operator has just done
    assert counted() - set(documented()) <= by_nobody


def test_every_reason_has_a_row() -> None:
    of_signatures = set(re.findall(r"- ``([a-z_]+)``", DocumentSignatureError.__doc__ or ""))
    codes = {kind.code for kind in ERRORS.values()}
    listed = [row.name for row in rows("reason")]
    assert sorted(listed) == sorted(of_signatures | (set(HINTS_ON_REFUSALS) - codes))


@pytest.mark.parametrize(
    "row", [*rows("error"), *rows("event"), *rows("reason"), *rows("message")], ids=lambda r: r.name
)
def test_a_row_says_what_it_means_and_what_to_do(row: Row) -> None:
    assert len(row.cells) == (4 if row.kind == "error" else 3)
    assert all(cell.strip(" -") for cell in row.cells)


def test_the_messages_of_stores_are_in_the_code() -> None:
    texts = " ".join(path.read_text("utf-8") for path in Path(dpmiddleware.__file__).parent.rglob("*.py"))
    spoken = re.sub(r"\{[^{}]*\}", "…", texts)
    for row in rows("message"):
        for message in re.findall(r"\*([^*]+)\*", row.cells[0]):
            words = [part.strip() for part in message.split("…") if part.strip()]
            assert all(part in spoken or part in {"cannot read", "cannot write"} for part in words), message


def test_the_page_is_reached_from_the_others() -> None:
    for page in ("README.md", "operations.md"):
        assert "](troubleshooting.md)" in (ROOT / "docs" / page).read_text("utf-8")
    assert "docs/troubleshooting.md" in (errors.__doc__ or "")
