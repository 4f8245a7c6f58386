"""``dpm demo key-substitution``: tell the four runs, end in a table.

Before: `.story`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dpmiddleware.errors import DataProtectionError
from dpmiddleware.telemetry import LOGGER

from .server import ArchiveFailedError
from .story import RUNS, Outcome, tell

__all__ = ["add_arguments", "main", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this demonstration."""
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")


def run(options: argparse.Namespace) -> int:
    """Exit status 0 if attack and defence came out as expected, else 1."""
    silent = logging.NullHandler()
    LOGGER.addHandler(silent)  # what matters of the warnings is told
    try:
        with tempfile.TemporaryDirectory(prefix="key-substitution-", ignore_cleanup_errors=True) as folder:
            return _tell_all(Path(folder), as_json=options.json)
    except (ArchiveFailedError, DataProtectionError) as error:
        print(f"dpm: error: {error}", file=sys.stderr)
        return 1
    finally:
        LOGGER.removeHandler(silent)


def _tell_all(folder: Path, *, as_json: bool) -> int:
    outcomes = []
    for number, each in enumerate(RUNS, 1):
        if not as_json:
            print(f"\n{number} of {len(RUNS)}: {each.title}", flush=True)
        outcomes.append(tell(each, folder / each.id, _silent if as_json else _say))
    print(_as_json(outcomes) if as_json else "\n" + _table(outcomes))
    return 0 if all(outcome.as_expected for outcome in outcomes) else 1


def _say(line: str) -> None:
    print(f"    {line}", flush=True)


def _silent(line: str) -> None:
    pass


def _table(outcomes: Sequence[Outcome]) -> str:
    """What is to be expected, what happened, and whether that is the same."""
    rows = [("", "to be expected", "what happened", "")]
    rows += [(o.run.title, o.run.expected, o.happened, "same" if o.as_expected else "DIFFERENT") for o in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _as_json(outcomes: Sequence[Outcome]) -> str:
    return json.dumps([{**asdict(outcome), "as_expected": outcome.as_expected} for outcome in outcomes], indent=2)


def main(argv: Sequence[str] | None = None) -> int:
    """The same without ``dpm`` around it."""
    parser = argparse.ArgumentParser(prog="key-substitution", description="A key of an intruder's, and a signature.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
