"""Prints results on standard output, as text or JSON, and messages and questions on standard error.

Text from stores and clients is escaped, so that the reason of a revocation cannot send control sequences to a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from dpmiddleware.cli.option_names import as_options
from dpmiddleware.cli.progress import Progress
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.printable import printable, without_secrets

if TYPE_CHECKING:
    from dpmiddleware.keys.reading import SetAside

__all__ = ["Console", "counted", "entries", "table", "without_secrets"]


def counted(number: int, thing: str) -> str:
    """``no keys``, ``1 key``, ``2 keys``."""
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


class Console:
    """The output of one command. as_json: results are printed as one JSON document instead of text.

    progress: whether progress is printed although there is no terminal.
    name: what messages begin with. written: writes the names of settings and verbs as the reader types them.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        out: TextIO | None = None,
        messages: TextIO | None = None,
        progress: bool = False,
        name: str = "dpm",
        written: Callable[[str], str] = as_options,
    ) -> None:
        self.as_json = as_json
        self.written = written
        self._name = name
        self._out = out or sys.stdout
        self._messages = messages or sys.stderr
        self.progress = Progress(self._messages, wanted=progress)

    def result(self, data: object, lines: Iterable[str]) -> None:
        """Print the result of a command: ``data`` as JSON if that was requested, else ``lines``."""
        self.progress.clear()
        if self.as_json:
            lines = [json.dumps(data, indent=2, ensure_ascii=True)]
        for line in lines:
            print(line, file=self._out)

    def escaped(self, lines: Iterable[str]) -> list[str]:
        """Lines that contain text from elsewhere: control characters are escaped, passwords of URLs are removed.

        Settings are written as options, as in every message, or as in the application whose ring it is.
        """
        return [self._shown(line) for line in lines]

    def message(self, line: str) -> None:
        """Print a line that is not part of the result."""
        self.progress.clear()
        print(line, file=self._messages)

    def reading(self, done: int, everything: int) -> None:
        """Report how much of a ring has been read."""
        self.progress.at(done, everything, "documents read")

    def note(self, text: str) -> None:
        """Print something that the operator should know."""
        self._say("note", text)

    def error(self, text: str, hint: str = "") -> None:
        """Print why the command failed, and what to do about it."""
        self._say("error", text)
        if hint:
            self._say("hint", hint)

    def _say(self, kind: str, text: str) -> None:
        self.message(f"{self._name}: {kind}: {self._shown(text)}")

    def failure(self, error: DataProtectionError) -> None:
        """Print an error of this package, with its hint."""
        self.error(str(error) or error.code, error.hint)

    def stopped(self, *, changes: bool) -> None:
        """Print what a ^C leaves behind. changes: whether the verb changes something."""
        left = "`dpm keys list` shows whether the change was made" if changes else "nothing was changed"
        self.message(f"{self._name}: stopped by ^C: {self._shown(self.progress.stopped or left)}")

    def left_out(self, documents: Sequence[SetAside], verb: str) -> int:
        """Report documents that were left out. Exit status: 1 if there are any, else 0."""
        for aside in documents:
            self.error(f"{aside.name} was not {verb}: {aside.problem}")
        return 1 if documents else 0

    def confirmed(self, action: str, consequence: str, *, yes: bool) -> bool:
        """Ask before an action that cannot be undone. ``False`` if standard input is not a terminal.

        action: what is done, to what, and where. consequence: for users, or for trust; "" if there is none.
        """
        if yes:
            return True
        question = f"{action}: {consequence}" if consequence else action
        if not sys.stdin.isatty():
            self.error(f"{question}; not confirmed, because standard input is not a terminal", "use --yes to confirm")
            return False
        self.progress.clear()
        print(f"{self._shown(question)} [y/N] ", end="", file=self._messages, flush=True)
        answer = sys.stdin.readline().strip().lower()
        if answer in {"y", "yes"}:
            return True
        self.error("not confirmed: nothing was changed")
        return False

    def _shown(self, text: str) -> str:
        return _safe(self.written(text))


def _safe(text: str) -> str:
    return printable(without_secrets(text), 2000)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, longest: int = 120) -> list[str]:
    """Rows in aligned columns, without trailing spaces. longest: cell that is not cut."""
    cells = [list(headings), *[[printable(cell, longest) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def entries(heading: str, found: Iterable[tuple[object, str]], written: Callable[[str], str] = as_options) -> list[str]:
    """Names, each with a sentence below it. Neither is cut: what is wrong may end with the name of what is missing.

    written: that of the console.
    """
    lines = [heading]
    for name, text in found:
        lines += [f"  {_safe(str(name))}", *(f"    {_safe(written(line))}" for line in text.splitlines())]
    return lines
