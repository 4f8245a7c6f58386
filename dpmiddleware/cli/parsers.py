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
        """Add a group of verbs."""
        return Verbs(self._parsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False))

    def add(
        self, name: str, run: Run, help_text: str, *, ring: bool = True, notes: bool = True
    ) -> argparse.ArgumentParser:
        """Add a verb, and return its parser.

        name: the verb.
        run: what runs it; returns the exit status.
        help_text: one line.
        ring: whether the verb takes the options that name a ring.
        notes: whether warnings of the package are printed while the verb runs.
        """
        parser = self._parsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        if ring:
            _add_ring_options(parser)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.set_defaults(run=run, notes=notes)
        return parser


def _add_ring_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("ring (defaults: the variables DPM_APPLICATION, DPM_REPOSITORY, …)")
    group.add_argument("--application", metavar="NAME", help="application name that all members of the farm share")
    group.add_argument("--repository", metavar="URL", help="store of the keys: a folder, redis://…, postgresql://…")
    group.add_argument("--key-wrapper", metavar="URL", action="append", help="how keys are wrapped; can be repeated")
    group.add_argument("--signer", metavar="URL", help="signs what this command writes: ed25519:///signer.pem")
    trusted = "public key of a trusted signer; can be repeated"
    group.add_argument("--trusted-signer", metavar="PATH", action="append", dest="trusted_signers", help=trusted)
    group.add_argument("--ring", metavar="NAME", help="name of the ring, if it is not the application name")
