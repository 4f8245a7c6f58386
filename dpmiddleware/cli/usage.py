"""Parses a command line, and says what is wrong with one that is not understood: the nearest verb or option is named.

No word of the command line is repeated unless it looks like the name of an option, because it may contain a password.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Final

from dpmiddleware.cli.parsers import Parser, WrongUsage
from dpmiddleware.errors import ConfigurationError

__all__ = ["UsageError", "parse"]

_OPTION: Final = re.compile(r"--[a-z-]+")
_LIKE: Final = 0.65
"""How like each other two names must be; `difflib.SequenceMatcher.ratio`."""
_CHOICE: Final = re.compile(r"invalid choice: '([a-z-]{1,20})'")


class UsageError(ConfigurationError):
    """The command line or a ``DPM_*`` variable is not valid: exit status 2."""


def parse(parser: Parser, paths: Sequence[str], words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command. `UsageError` if there is no such verb, or its arguments are wrong.

    paths: every verb, as it is typed (``dpm keys list``).
    """
    try:
        arguments, rest = parser.parse_known_args(words)
    except WrongUsage as wrong:
        raise _explained(wrong, paths, words, len(parser.prog.split())) from None
    if rest:
        at: Parser = arguments.parser
        misplaced = any(word.startswith("-") for word in rest)
        other = UsageError("an option is before the verb", hint="put options after the verb") if misplaced else None
        raise _unknown_option(at, rest) or other or UsageError("too many arguments", hint=_help(at))
    return arguments


def _explained(wrong: WrongUsage, paths: Sequence[str], words: Sequence[str], begun: int) -> UsageError:
    """An unknown option is the reason, if there is one: its value may have been taken for a verb.

    begun: words that the command itself has, before its first verb.
    """
    at, message = wrong.parser, str(wrong)
    after = list(words)
    for name in at.prog.split()[begun:]:
        after = after[after.index(name) + 1 :]
    if not at.is_verb:
        after = after[:1]
    unknown = _unknown_option(at, after)
    if unknown is not None:
        return unknown
    if "invalid choice" not in message:
        return UsageError(_without_words(message), hint=_help(at))
    typed = _CHOICE.search(message)
    return UsageError("unknown verb", hint=_nearest_verb(typed[1], at, paths) if typed else _help(at))


def _without_words(message: str) -> str:
    """A message of argparse, without the word that it repeats."""
    message = re.sub(r"invalid \w+ value: .*", "must be a number", message)
    return re.sub(r"ignored explicit argument .*", "takes no value", message)


def _nearest_verb(typed: str, at: Parser, paths: Sequence[str]) -> str:
    """A verb or group that could be here if one is near, otherwise a verb of any group."""
    depth = len(at.prog.split())
    here = {path.split()[depth]: " ".join(path.split()[: depth + 1]) for path in paths if path.startswith(at.prog)}
    anywhere = {path.rpartition(" ")[2]: path for path in reversed(paths)}
    for by_name in (here, anywhere):
        near = _nearest(typed, by_name)
        if near:
            return f"did you mean `{by_name[near]}`?"
    return _help(at)


def _unknown_option(at: Parser, words: Iterable[str]) -> UsageError | None:
    known = {*_OPTION.findall(at.format_usage()), "--help"}
    for word in words:
        name = word.partition("=")[0]
        if word == "--":
            return None
        if not word.startswith("-") or word == "-" or name in known or word == "-h":
            continue
        shown = name if _OPTION.fullmatch(name) else "-…"
        near = _nearest(name, sorted(known))
        if near:
            return UsageError(f"unknown option {shown}", hint=f"did you mean {near}?")
        return UsageError(f"unknown option {shown}", hint=_help(at) if at.is_verb else "put options after the verb")
    return None


def _nearest(typed: str, known: Iterable[str]) -> str:
    """The known name that begins with what was typed, or is most like it; "" if none is."""
    import difflib

    names = list(known)
    begun = [typed] * (typed in names) + [one for one in names if one.startswith(typed) and len(typed) > len("--x")]
    return next(iter(begun or difflib.get_close_matches(typed, names, 1, _LIKE)), "")


def _help(at: Parser) -> str:
    return f"run `{at.prog} --help`"
