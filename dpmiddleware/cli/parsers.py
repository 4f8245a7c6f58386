"""Builds the command line: verbs, groups of verbs, and the options that they share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.presence import Needs

__all__ = ["Parser", "Run", "Verbs", "WrongUsage"]

Run = Callable[[argparse.Namespace, Console], int]


class WrongUsage(Exception):  # noqa: N818 (not an error of the package: `dpmiddleware.cli.usage` explains it)
    """A parser does not understand its part of the command line."""

    def __init__(self, parser: Parser, message: str) -> None:
        super().__init__(message)
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """The parser of ``dpm``, of a group, or of a verb. is_verb: whether it is a verb's."""

    is_verb = False

    def error(self, message: str) -> NoReturn:
        """Raise `WrongUsage`."""
        raise WrongUsage(self, message)


class Verbs:
    """The verbs of ``dpm``, or of a group such as ``dpm keys``. all: the parsers of all verbs of ``dpm`` so far."""

    def __init__(self, parser: Parser, all_verbs: list[Parser] | None = None) -> None:
        self._parsers = parser.add_subparsers(metavar="VERB", required=True, parser_class=Parser)
        self.all: list[Parser] = [] if all_verbs is None else all_verbs

    def group(self, name: str, help_text: str) -> Verbs:
        """Add a group of verbs."""
        return Verbs(
            self._parsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False), self.all
        )

    def add(
        self,
        name: str,
        run: Run,
        help_text: str,
        *,
        examples: Sequence[str],
        ring: bool = True,
        notes: bool = True,
        needs: Needs = Needs.KEYS,
        changes: bool = False,
        long: bool = False,
    ) -> Parser:
        """Add a verb, and return its parser.

        name: the verb.
        run: what runs it; returns the exit status.
        help_text: one line.
        examples: complete commands, for the help text; a test parses each.
        ring: whether the verb takes the options that name a ring.
        notes: whether warnings of the package are printed while the verb runs.
        needs: what the ring must have, for `RingView.of`.
        changes: whether the verb writes to the ring that the options name; that ring must be named then.
        long: whether the verb may take long, and has ``--progress``.
        """
        epilog = "\n".join(["examples:" if len(examples) > 1 else "example:", *(f"  {one}" for one in examples)])
        parser: Parser = self._parsers.add_parser(
            name,
            help=help_text,
            description=help_text,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.is_verb = True
        self.all.append(parser)
        if ring:
            _add_ring_options(parser)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.set_defaults(run=run, notes=notes, needs=needs, changes=changes, parser=parser, examples=examples)
        parser.set_defaults(progress=False)
        if long:
            text = "print how far the work has come, also where there is no terminal"
            parser.add_argument("--progress", action="store_true", help=text)
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
