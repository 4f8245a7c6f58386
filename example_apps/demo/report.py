"""Prints the runs of a demonstration, and a table of the outcomes; or the outcomes as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["Outcome", "Run", "tell_all"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a demonstration. expected: the expected outcome, in words."""

    id: str
    title: str
    expected: str


_R = TypeVar("_R", bound=Run)


@dataclass(slots=True)
class Outcome(Generic[_R]):
    """The outcome of one run, in words. Subclasses add details for programs."""

    run: _R
    happened: str = field(default="", kw_only=True)

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the expected one."""
        return self.happened == self.run.expected


def tell_all(
    runs: Sequence[_R],
    tell: Callable[[_R, Path, Callable[[str], None]], Outcome[_R]],
    folder: Path,
    *,
    heading: str,
    as_json: bool,
) -> int:
    """Carry out all runs. Exit status 0 if each has the expected outcome, else 1.

    runs: the runs, in order.
    tell: carries out one run in a folder of its own, and prints its steps with a given function.
    folder: an empty folder for all runs.
    heading: the heading of the column with the expected outcomes.
    as_json: print only the outcomes, as JSON.
    """
    outcomes = []
    for number, run in enumerate(runs, 1):
        if not as_json:
            print(f"\n{number} of {len(runs)}: {run.title}", flush=True)
        outcomes.append(tell(run, folder / run.id, _silent if as_json else _say))
    print(_as_json(outcomes) if as_json else "\n" + _table(outcomes, heading))
    return 0 if all(outcome.as_expected for outcome in outcomes) else 1


def _say(line: str) -> None:
    print(f"    {line}", flush=True)


def _silent(line: str) -> None:
    pass


def _table(outcomes: Sequence[Outcome[_R]], heading: str) -> str:
    """What was expected, what happened, and whether it is the same."""
    rows = [("", heading, "what happened", "")]
    rows += [(o.run.title, o.run.expected, o.happened, "same" if o.as_expected else "DIFFERENT") for o in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _as_json(outcomes: Sequence[Outcome[_R]]) -> str:
    return json.dumps([{**asdict(outcome), "as_expected": outcome.as_expected} for outcome in outcomes], indent=2)
