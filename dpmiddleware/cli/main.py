"""Parses the command line of ``dpm``, runs the verb, and turns errors into exit statuses."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO, TypedDict

from dpmiddleware import __version__, repeats
from dpmiddleware.cli.command import Application, Command
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Parser, Verbs
from dpmiddleware.cli.usage import UsageError, parse
from dpmiddleware.cli.verbs import ABOUT, add_verb
from dpmiddleware.compiled import describe
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.telemetry import LOGGER, text_of

__all__ = ["command_line", "main"]


def main(
    argv: Sequence[str] | None = None,
    command: Command | None = None,
    *,
    out: TextIO | None = None,
    messages: TextIO | None = None,
) -> int:
    """Run one command, and return the exit status.

    argv: the words after the command's name. command: that of an application, instead of ``dpm``.
    """
    command = command or Command()
    streams: _Streams = {"out": out, "messages": messages, "name": command.prog}
    try:
        arguments = _parsed(command, sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        Console(**streams).failure(error)
        return 2
    except SystemExit as end:  # after --help and --version
        return end.code if isinstance(end.code, int) else 2
    target: str | None = getattr(arguments, "application_object", None)
    if target is not None:
        command = Command(f"dpm --app {shlex.quote(target)}", lambda: _loaded(target))
    arguments.command = command
    console = Console(as_json=arguments.json, progress=arguments.progress, written=arguments.command.written, **streams)
    handler = _Notes(console, logging.WARNING if arguments.notes else logging.CRITICAL + 1)
    LOGGER.addHandler(handler)
    repeats.forget()  # a command writes its reasons in full, whatever this process did before
    gc.freeze()  # what was imported stays: it need not be looked through while a large ring is read
    try:
        return _run(arguments, console)
    finally:
        gc.unfreeze()
        LOGGER.removeHandler(handler)


def _parsed(command: Command, words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command. Only a mistake needs the parsers of all verbs, to name the nearest one."""
    with suppress(UsageError):
        parser, verbs = command_line(command, words)
        return parse(parser, [verb.prog for verb in verbs.all], words)
    parser, verbs = command_line(command)
    return parse(parser, [verb.prog for verb in verbs.all], words)


def _loaded(target: str) -> Application:
    from dpmiddleware.cli.application import load  # the web part of the package, which most commands do not need

    return load(target)


class _Streams(TypedDict):
    out: TextIO | None
    messages: TextIO | None
    name: str


def _run(arguments: argparse.Namespace, console: Console) -> int:
    try:
        status: int = arguments.run(arguments, console)
    except UsageError as error:
        console.failure(error)
        return 2
    except DataProtectionError as error:
        console.failure(error)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        console.stopped(changes=arguments.changes)
        return 130
    return status


class _Notes(logging.Handler):
    """Prints warnings of the package as notes. Without a handler, `logging` would print them in its own form."""

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.note(text_of(record))


def command_line(command: Command | None = None, words: Sequence[str] = tuple(ABOUT)) -> tuple[Parser, Verbs]:
    """The parser of a command, by default that of ``dpm``, and its verbs: the same for all commands.

    words: what is to be parsed; of verbs and groups that are not among them, only the names are there.
    """
    command = command or Command()
    about = "the key ring of this application" if command.has_own_ring else "the key rings of dpmiddleware"
    parser = Parser(prog=command.prog, description=f"Manages {about}.", allow_abbrev=False)
    parser.has_own_ring = command.has_own_ring
    parser.add_argument("--version", action="version", version=f"dpm {__version__} ({describe()})")
    if not command.has_own_ring:
        text = (
            "use the ring of an application: module:name of its DataProtection, of the application, or of a factory()"
        )
        parser.add_argument("--app", metavar="TARGET", dest="application_object", help=text)
    verbs = Verbs(parser)
    for name, about in ABOUT.items():
        if name in words:
            add_verb(name, verbs)
        else:
            verbs.mention(name, about)
    return parser, verbs
