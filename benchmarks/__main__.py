"""``python -m benchmarks [WORD …]``: runs the cases whose names contain one of the words, and prints a table.

The exit status is 0; with ``--strict`` it is 1 if a goal was missed in this run.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Iterator

from benchmarks import cross_origin, frameworks, middleware, payloads, peer, rings, verbs
from benchmarks.harness import Case, compare
from dpmiddleware.compiled import describe


def all_cases() -> Iterator[Case]:
    """All cases."""
    yield from payloads.cases()
    yield from middleware.cases()
    yield from frameworks.cases()


def main(argv: list[str]) -> int:
    """Run and print."""
    logging.disable(logging.CRITICAL)
    strict = "--strict" in argv
    words = [word for word in argv if not word.startswith("--")]
    print(f"{platform.python_implementation()} {platform.python_version()}; {describe()}")
    print(f"{'case':34} {'peer':24} {'ratio':>6} {'10-90 %':>13} {'goal':>5}  {'µs':>7} {'peer µs':>8}")
    reached = True
    for case in all_cases():
        if words and not any(word in case.name for word in words):
            continue
        result = compare(case)
        reached &= result.holds
        spread = f"{result.low:.2f}-{result.high:.2f}"
        mark = " " if result.holds else "!"
        print(
            f"{case.name:34} {case.peer:24} {result.ratio:6.2f} {spread:>13} {case.goal:5.2f} {mark}"
            f" {result.ours_us:7.1f} {result.theirs_us:8.1f}",
            flush=True,
        )
    for part in (cross_origin, rings, verbs, peer):
        if not words or any(word in part.__name__ for word in words):
            text, held = part.report()
            print(text, flush=True)
            reached &= held
    return 1 if strict and not reached else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
