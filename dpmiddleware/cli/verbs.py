"""How a file adds its verbs to ``dpm``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.ring import ring_options

__all__ = ["Run", "Verbs"]

Run = Callable[[argparse.Namespace, Console], int]


class Verbs:
    """The verbs of ``dpm``, or of a group such as ``dpm keys``."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(metavar="VERB", required=True)

    def group(self, name: str, help_text: str) -> Verbs:
        """Verbs below a word."""
        return Verbs(self._parsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False))

    def add(
        self, name: str, run: Run, help_text: str, *, ring: bool = True, notes: bool = True
    ) -> argparse.ArgumentParser:
        """One verb. ring: it takes the options that name a ring. notes: warnings of the package are shown beside it."""
        parents = [ring_options()] if ring else []
        parser = self._parsers.add_parser(
            name, help=help_text, description=help_text, parents=parents, allow_abbrev=False
        )
        parser.add_argument("--json", action="store_true", help="the answer as JSON")
        parser.set_defaults(run=run, notes=notes)
        return parser
