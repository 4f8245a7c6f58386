"""What ``dpm`` says: results on standard output, as text or as JSON; messages and questions on standard error.

Text from stores and clients is escaped here, cell by cell, so that a revocation's reason cannot rewrite a terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from dpmiddleware.errors import DataProtectionError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.reader import SetAside
from dpmiddleware.printable import printable, without_password

__all__ = ["Console", "counted", "moment", "table", "without_secrets"]

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]*")


def moment(instant: Instant | None) -> str:
    """A date for people: UTC, to the second; ``-`` for none."""
    return "-" if instant is None else f"{str(instant)[:19].replace('T', ' ')}Z"


def counted(number: int, thing: str) -> str:
    """``no keys``, ``1 key``, ``2 keys``."""
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def without_secrets(text: str) -> str:
    """``text`` with the password taken out of each URL in it."""
    return _URL.sub(lambda match: without_password(match[0]), text)


class Console:
    """Where one command writes. ``as_json``: results are one JSON document instead of text."""

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None, messages: TextIO | None = None) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout
        self._messages = messages or sys.stderr

    def result(self, data: object, lines: Iterable[str]) -> None:
        """The answer of a command: ``data`` where JSON was asked for, else ``lines``."""
        if self.as_json:
            lines = [json.dumps(data, indent=2, ensure_ascii=True)]
        for line in lines:
            print(line, file=self._out)

    def escaped(self, lines: Iterable[str]) -> list[str]:
        """Lines with text from elsewhere in them, made fit for a terminal; passwords of URLs left out."""
        return [printable(without_secrets(line), 2000) for line in lines]

    def message(self, line: str) -> None:
        """A line that belongs to a question, not to the answer."""
        print(line, file=self._messages)

    def note(self, text: str) -> None:
        """Something that the reader should know and that is not the answer."""
        print(f"dpm: note: {printable(without_secrets(text), 2000)}", file=self._messages)

    def error(self, text: str, hint: str = "") -> None:
        """Why the command did not do what was asked, and what to do about it."""
        print(f"dpm: error: {printable(without_secrets(text), 2000)}", file=self._messages)
        if hint:
            print(f"dpm: hint: {printable(without_secrets(hint), 2000)}", file=self._messages)

    def failure(self, error: DataProtectionError) -> None:
        """An error of this package, with its hint."""
        self.error(str(error) or error.code, error.hint)

    def left_out(self, documents: Sequence[SetAside], verb: str) -> int:
        """Whatever was not done is named; exit status 1 if there is anything."""
        for aside in documents:
            self.error(f"{aside.name} was not {verb}: {aside.problem}")
        return 1 if documents else 0

    def confirmed(self, question: str, *, yes: bool) -> bool:
        """Ask before something that cannot be undone. Where nobody can answer, the answer is no."""
        if yes:
            return True
        if not sys.stdin.isatty():
            self.error(f"{question}: nobody is here to answer", "--yes answers")
            return False
        print(f"{printable(question, 500)} [y/N] ", end="", file=self._messages, flush=True)
        answer = sys.stdin.readline().strip().lower()
        if answer in {"y", "yes"}:
            return True
        self.error("nothing was done")
        return False


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows in columns, as wide as they need to be; no trailing blanks."""
    cells = [list(headings), *[[printable(cell, 120) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
