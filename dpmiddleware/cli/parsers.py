"""Builds the command line: verbs, groups of verbs, and the options that they share."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from dpmiddleware.cli.option_names import RING_OPTIONS
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.presence import Needs
from dpmiddleware.naming import OPTION

__all__ = ["Parser", "Run", "Verbs", "WrongUsage"]

Run = Callable[[argparse.Namespace, Console], int]

_PROGRESS: Final = "print how far the work has come, also where there is no terminal"


class WrongUsage(Exception):  # noqa: N818 (not an error of the package: `dpmiddleware.cli.usage` explains it)
    """A parser does not understand its part of the command line."""

    def __init__(self, parser: Parser, message: str) -> None:
        super().__init__(message)
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """The parser of ``dpm``, of a group, or of a verb.

    is_verb: whether it is a verb's. has_own_ring: whether the verb works on the ring of an application.
    """

    is_verb = False
    has_own_ring = False

    def error(self, message: str) -> NoReturn:
        """Raise `WrongUsage`."""
        raise WrongUsage(self, message)


class Verbs:
    """The verbs of ``dpm``, or of a group such as ``dpm keys``. all: the parsers of all verbs of ``dpm`` so far.

    root: the parser of the command. If it has its own ring, no help text shows the options that name a ring.
    """

    def __init__(self, parser: Parser, root: Parser | None = None, all_verbs: list[Parser] | None = None) -> None:
        self._root = root or parser
        self._parsers = parser.add_subparsers(metavar="VERB", required=True, parser_class=Parser)
        self.all: list[Parser] = [] if all_verbs is None else all_verbs

    def mention(self, name: str, help_text: str) -> None:
        """Have the help text say that there is this verb or group, without its parsers."""
        self._parsers.add_parser(name, help=help_text, add_help=False)

    def group(self, name: str, help_text: str) -> Verbs:
        """Add a group of verbs."""
        return Verbs(
            self._parsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False),
            self._root,
            self.all,
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
        examples = self._own(examples)
        parser: Parser = self._parsers.add_parser(
            name,
            help=help_text,
            description=help_text,
            epilog="\n".join(["examples:" if len(examples) > 1 else "example:", *(f"  {one}" for one in examples)]),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.is_verb, parser.has_own_ring = True, self._root.has_own_ring
        self.all.append(parser)
        if ring:
            _add_ring_options(parser, own=self._root.has_own_ring, signs=changes)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.set_defaults(run=run, notes=notes, needs=needs, changes=changes, parser=parser, examples=examples)
        parser.set_defaults(progress=False, states_policy=False)
        if long:
            parser.add_argument("--progress", action="store_true", help=_PROGRESS)
        return parser

    def _own(self, examples: Sequence[str]) -> list[str]:
        """The examples as the command of the application has them, if the ring is an application's."""
        if not self._root.has_own_ring:
            return list(examples)
        return list(dict.fromkeys(own_example(one, self._root.prog) for one in examples))


def _add_ring_options(parser: argparse.ArgumentParser, *, own: bool, signs: bool) -> None:
    """Where the ring is an application's own, the options are refused when they are used, so only one is shown."""
    title = (
        "ring (that of the application)" if own else "ring (defaults: the variables DPM_APPLICATION, DPM_REPOSITORY, …)"
    )
    group = parser.add_argument_group(title)

    def add(name: str, metavar: str, text: str, *, hidden: bool = own, **more: Any) -> None:
        group.add_argument(
            OPTION.write(name), metavar=metavar, help=argparse.SUPPRESS if hidden else text, dest=name, **more
        )

    if not own:
        text = "the application whose ring this is: module:name, instead of the options below"
        group.add_argument("--app", metavar="TARGET", dest="application_object", default=argparse.SUPPRESS, help=text)
    add("application", "NAME", "application name that all members of the farm share")
    add("repository", "URL", "store of the keys: a folder, redis://…, postgresql://…")
    add("key_wrapper", "URL", "how keys are wrapped; can be repeated", action="append")
    add("signer", "URL", "signs what this command writes: ed25519:///signer.pem", hidden=own and not signs)
    add("trusted_signers", "PATH", "public key of a trusted signer; can be repeated", action="append")
    add("ring", "NAME", "name of the ring, if it is not the application name")


def own_example(example: str, prog: str) -> str:
    """An example of ``dpm`` without the options that name a ring, for a command that has its own."""
    words, kept = shlex.split(example)[1:], shlex.split(prog)
    options = {OPTION.write(name) for name in RING_OPTIONS if name != "signer"}
    after = iter(words)
    for word in after:
        if word in options:
            next(after)
        else:
            kept.append(word)
    return shlex.join(kept)
