"""``dpm demo slot-swap``: tell the four runs, end in a table; or keep a farm running and show it in the browser.

Before: `.story`, `.serve`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .serve import serve
from .slot import SlotFailedError
from .story import RUNS, Outcome, tell

__all__ = ["add_arguments", "main", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this demonstration."""
    parser.add_argument("--serve", action="store_true", help="keep running, with a page in the browser")
    parser.add_argument("--port", type=int, default=0, help="of that page (default: any that is free)")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")


def run(options: argparse.Namespace) -> int:
    """Exit status 0 if everything came out as documented, else 1."""
    with tempfile.TemporaryDirectory(prefix="slot-swap-", ignore_cleanup_errors=True) as folder:
        try:
            if options.serve:
                return serve(Path(folder), options.port)
            return _tell_all(Path(folder), as_json=options.json)
        except SlotFailedError as error:
            print(f"dpm: error: {error}", file=sys.stderr)
            return 1


def _tell_all(folder: Path, *, as_json: bool) -> int:
    outcomes = []
    for number, each in enumerate(RUNS, 1):
        if not as_json:
            print(f"\n{number} of {len(RUNS)}: {each.title}", flush=True)
        outcomes.append(tell(each, folder / each.id, _silent if as_json else _say))
    print(_as_json(outcomes) if as_json else "\n" + _table(outcomes))
    return 0 if all(outcome.as_documented for outcome in outcomes) else 1


def _say(line: str) -> None:
    print(f"    {line}", flush=True)


def _silent(line: str) -> None:
    pass


def _table(outcomes: Sequence[Outcome]) -> str:
    """What the documentation says, what happened, and whether that is the same."""
    rows = [("", "the documentation says", "what happened", "")]
    rows += [(o.run.title, o.run.documented, o.happened, "same" if o.as_documented else "DIFFERENT") for o in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _as_json(outcomes: Sequence[Outcome]) -> str:
    return json.dumps([{**asdict(outcome), "as_documented": outcome.as_documented} for outcome in outcomes], indent=2)


def main(argv: Sequence[str] | None = None) -> int:
    """The same without ``dpm`` around it."""
    parser = argparse.ArgumentParser(prog="slot-swap", description="Two deployment slots, a sign-in, a swap.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
