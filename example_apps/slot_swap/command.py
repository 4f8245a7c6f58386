"""``dpm demo slot-swap``: run the four runs and print a table, or serve a farm for the browser."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..demo.process import ServerFailedError
from ..demo.report import tell_all
from .serve import serve
from .story import RUNS, tell

__all__ = ["add_arguments", "main", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this demonstration."""
    parser.add_argument(
        "--serve", action="store_true", help="serve a page with buttons to sign in and to swap, until Ctrl+C"
    )
    parser.add_argument("--port", type=int, default=0, help="port of that page (default: any free port)")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")


def run(options: argparse.Namespace) -> int:
    """Exit status 0 if every run had the documented outcome, else 1."""
    with tempfile.TemporaryDirectory(prefix="slot-swap-", ignore_cleanup_errors=True) as folder:
        try:
            if options.serve:
                return serve(Path(folder), options.port)
            return tell_all(RUNS, tell, Path(folder), heading="the documentation says", as_json=options.json)
        except ServerFailedError as error:
            print(f"dpm: error: {error}", file=sys.stderr)
            return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration without ``dpm``."""
    parser = argparse.ArgumentParser(prog="slot-swap", description="Two deployment slots, a sign-in, a swap.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
