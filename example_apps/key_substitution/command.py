"""``dpm demo key-substitution``: run the four runs, and print a table of the outcomes."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dpmiddleware.errors import DataProtectionError
from dpmiddleware.telemetry import LOGGER

from ..demo.process import ServerFailedError
from ..demo.report import tell_all
from .story import RUNS, tell

__all__ = ["add_arguments", "main", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this demonstration."""
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")


def run(options: argparse.Namespace) -> int:
    """Exit status 0 if every run had the expected outcome, else 1."""
    silent = logging.NullHandler()
    LOGGER.addHandler(silent)  # the report contains what matters of the warnings
    try:
        with tempfile.TemporaryDirectory(prefix="key-substitution-", ignore_cleanup_errors=True) as folder:
            return tell_all(RUNS, tell, Path(folder), heading="expected", as_json=options.json)
    except (ServerFailedError, DataProtectionError) as error:
        print(f"dpm: error: {error}", file=sys.stderr)
        return 1
    finally:
        LOGGER.removeHandler(silent)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration without ``dpm``."""
    parser = argparse.ArgumentParser(prog="key-substitution", description="An attacker replaces a key with their own.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
