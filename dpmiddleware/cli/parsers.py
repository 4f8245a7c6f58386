"""Builds the command line: verbs, groups of verbs, and the options that they share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from dpmiddleware.cli.output import Console

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
        parser = self._parsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        if ring:
            _add_ring_options(parser)
        parser.add_argument("--json", action="store_true", help="the answer as JSON")
        parser.set_defaults(run=run, notes=notes)
        return parser


def _add_ring_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which ring (else the variables DPM_APPLICATION, DPM_REPOSITORY …)")
    group.add_argument("--application", metavar="NAME", help="the application name of the farm")
    group.add_argument("--repository", metavar="URL", help="where the keys are: a folder, redis://…, postgresql://…")
    group.add_argument("--key-wrapper", metavar="URL", action="append", help="what keys are wrapped with; repeatable")
    group.add_argument("--signer", metavar="URL", help="who signs what this command writes: ed25519:///signer.pem")
    group.add_argument(
        "--trusted-signer",
        metavar="PATH",
        action="append",
        dest="trusted_signers",
        help="whose documents count; repeatable",
    )
    group.add_argument("--ring", metavar="NAME", help="the ring's name, where it is not the application's")
