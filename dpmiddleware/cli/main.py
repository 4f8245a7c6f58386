"""Parses the command line of ``dpm``, runs the verb, and turns errors into exit statuses."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from dpmiddleware import __version__, repeats
from dpmiddleware.cli import check, demo, init, inspection, key_blob, keys
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Parser, Verbs
from dpmiddleware.cli.usage import UsageError, parse
from dpmiddleware.compiled import describe
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.telemetry import LOGGER, text_of

__all__ = ["command_line", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit status."""
    parser, verbs = command_line()
    try:
        arguments = parse(parser, [verb.prog for verb in verbs.all], sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        Console().failure(error)
        return 2
    except SystemExit as end:  # after --help and --version
        return end.code if isinstance(end.code, int) else 2
    console = Console(as_json=arguments.json, progress=arguments.progress)
    handler = _Notes(console, logging.WARNING if arguments.notes else logging.CRITICAL + 1)
    LOGGER.addHandler(handler)
    repeats.forget()  # a command writes its reasons in full, whatever this process did before
    try:
        return _run(arguments, console)
    finally:
        LOGGER.removeHandler(handler)


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


def command_line() -> tuple[Parser, Verbs]:
    """The parser, and its verbs."""
    parser = Parser(prog="dpm", description="Manages the key rings of dpmiddleware.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"dpm {__version__} ({describe()})")
    verbs = Verbs(parser)
    for file in (init, keys, inspection, check, key_blob, demo):
        file.add_to(verbs)
    return parser, verbs
