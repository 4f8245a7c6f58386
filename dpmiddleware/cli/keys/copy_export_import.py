"""``dpm keys copy``, ``export`` and ``import``: copy a ring to another store, or to and from an XML text.

The text has the form of .NET's blob store: ``<repository>`` with every document of the store, byte for byte, including
signatures and wrapped secrets. Names of documents are not kept. ``import`` adds what the target does not have, as
``copy`` does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import UsageError, open_ring
from dpmiddleware.errors import MalformedDocumentError, RepositoryError
from dpmiddleware.keys import maintenance
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE, edit, split

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``copy``, ``export``, ``import``."""
    copy = verbs.add("copy", _copy, "copy every key and revocation to another store")
    copy.add_argument("--to", metavar="URL", required=True, help="the other store; all other settings are the same")
    export = verbs.add("export", _export, "write the whole ring to standard output", notes=False)
    text = "also export keys that are not wrapped; anyone who reads the output can use them"
    export.add_argument("--in-clear", action="store_true", help=text)
    bring = verbs.add("import", _import, "add every key and revocation of an exported ring to the store", notes=False)
    text = "output of `dpm keys export`, or the blob of a .NET ring; - reads standard input"
    bring.add_argument("file", metavar="FILE", help=text)


def _copy(arguments: argparse.Namespace, console: Console) -> int:
    source, target = open_ring(arguments), open_ring(arguments, repository=arguments.to)
    return _copied(source.manager, target.manager, console, "copied", "to")


def _copied(source: KeyManager, target: KeyManager, console: Console, verb: str, preposition: str) -> int:
    """Copy and report. Exit status: 1 if a document was left out, else 0."""
    done = maintenance.copy(source, target)
    there = f"{counted(done.there, 'document')} {'was' if done.there == 1 else 'were'} already there"
    line = f"{verb} {counted(done.copied, 'document')} {preposition} {target.repository.location}; {there}"
    data = {verb: done.copied, "there": done.there, "left_out": [aside.name for aside in done.left_out]}
    console.result(data, console.escaped([line]))
    return console.left_out(done.left_out, verb)


def _export(arguments: argparse.Namespace, console: Console) -> int:
    reading = open_ring(arguments).manager.read()
    clear = [item for _, item in reading.documents if isinstance(item, Key) and not item.wrapped]
    if clear and not arguments.in_clear:
        text = f"{counted(len(clear), 'key')} in the store {'is' if len(clear) == 1 else 'are'} not wrapped"
        hint = "wrap the keys with `dpm keys rewrap`, or use --in-clear to export them anyway"
        console.error(f"{text}: nothing was exported", hint)
        return 1
    text = edit(b"", [stored for stored, _ in reading.documents], ()).decode("utf-8")
    stream: Any = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", newline="\n")  # the declared encoding
    console.result({"documents": len(reading.documents), "repository": text}, [text])
    return console.left_out(reading.set_aside, "exported")


def _import(arguments: argparse.Namespace, console: Console) -> int:
    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        documents = split(_given(arguments.file))
    except MalformedDocumentError as error:
        console.error(f"{name} does not contain a ring: {error}", "import the output of `dpm keys export`")
        return 1
    source = open_ring(arguments, repository=_Text(name, documents))
    return _copied(source.manager, open_ring(arguments).manager, console, "imported", "into")


class _Text:
    """A read-only `KeyRepository` with the documents of a text."""

    def __init__(self, name: str, documents: Sequence[StoredDocument]) -> None:
        self._name = name
        self._documents = tuple(
            StoredDocument(None, one.data, f"document {number}", one.problem)
            for number, one in enumerate(documents, start=1)
        )

    @property
    def location(self) -> str:
        """The source of the text."""
        return self._name

    def read(self) -> Snapshot:
        """All documents."""
        return Snapshot(self._documents, self.version())

    def version(self) -> str:
        """The text does not change."""
        return "text"

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """Not supported."""
        raise RepositoryError(f"{self._name} is read-only", hint="use `dpm keys export` to write a ring")


def _given(file: str) -> bytes:
    """The content of a file, or of standard input for ``-``. `UsageError` if the file cannot be read."""
    if file != "-":
        try:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_REPOSITORY_SIZE + 1)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}", hint="use - to read standard input") from error
    else:
        raw: Any = getattr(sys.stdin, "buffer", None)
        data = sys.stdin.read().encode("utf-8") if raw is None else raw.read(MAX_REPOSITORY_SIZE + 1)
    if len(data) > MAX_REPOSITORY_SIZE:
        raise MalformedDocumentError(f"the text is larger than {MAX_REPOSITORY_SIZE // 2**20} MB")
    return data
