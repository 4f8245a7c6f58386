"""``dpm keys copy``, ``export`` and ``import``: a ring in another store, or as one text.

The text is what .NET's blob store holds: ``<repository>``, every document in it as it stands in the store, byte by
byte, its signature and wrapping included; names are not kept. Importing is copying: nothing lost, nothing twice.
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
    copy = verbs.add("copy", _copy, "bring every key and revocation into another store")
    copy.add_argument(
        "--to", metavar="URL", required=True, help="that store; application, wrappers and ring are the same"
    )
    export = verbs.add("export", _export, "the whole ring as one text, on standard output", notes=False)
    export.add_argument(
        "--in-clear", action="store_true", help="also keys that are not wrapped: whoever reads has them"
    )
    bring = verbs.add("import", _import, "bring every key and revocation of such a text into the store", notes=False)
    bring.add_argument(
        "file", metavar="FILE", help="what `dpm keys export` wrote, or a blob of .NET's; - is standard input"
    )


def _copy(arguments: argparse.Namespace, console: Console) -> int:
    source, target = open_ring(arguments), open_ring(arguments, repository=arguments.to)
    return _copied(source.manager, target.manager, console, "copied", "to")


def _copied(source: KeyManager, target: KeyManager, console: Console, verb: str, preposition: str) -> int:
    """Copy, and report it; exit status 1 where a document was left out."""
    done = maintenance.copy(source, target)
    there = f"{counted(done.there, 'document')} {'was' if done.there == 1 else 'were'} there"
    line = f"{verb} {counted(done.copied, 'document')} {preposition} {target.repository.location}; {there}"
    data = {verb: done.copied, "there": done.there, "left_out": [aside.name for aside in done.left_out]}
    console.result(data, console.escaped([line]))
    return console.left_out(done.left_out, verb)


def _export(arguments: argparse.Namespace, console: Console) -> int:
    reading = open_ring(arguments).manager.read()
    clear = [item for _, item in reading.documents if isinstance(item, Key) and not item.wrapped]
    if clear and not arguments.in_clear:
        text = f"{counted(len(clear), 'key')} in the store {'is' if len(clear) == 1 else 'are'} not wrapped"
        console.error(f"{text}: nothing was written", "--in-clear means it; `dpm keys rewrap` wraps them")
        return 1
    text = edit(b"", [stored for stored, _ in reading.documents], ()).decode("utf-8")
    stream: Any = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", newline="\n")  # the bytes that the text says it is
    console.result({"documents": len(reading.documents), "repository": text}, [text])
    return console.left_out(reading.set_aside, "exported")


def _import(arguments: argparse.Namespace, console: Console) -> int:
    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        documents = split(_given(arguments.file))
    except MalformedDocumentError as error:
        console.error(f"{name} holds no ring: {error}", "it takes what `dpm keys export` writes")
        return 1
    source = open_ring(arguments, repository=_Text(name, documents))
    return _copied(source.manager, open_ring(arguments).manager, console, "imported", "into")


class _Text:
    """A `KeyRepository` of the documents of one text, which is read and not written."""

    def __init__(self, name: str, documents: Sequence[StoredDocument]) -> None:
        self._name = name
        self._documents = tuple(
            StoredDocument(None, one.data, f"document {number}", one.problem)
            for number, one in enumerate(documents, start=1)
        )

    @property
    def location(self) -> str:
        """Where the text came from."""
        return self._name

    def read(self) -> Snapshot:
        """All of them."""
        return Snapshot(self._documents, self.version())

    def version(self) -> str:
        """Always the same."""
        return "text"

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """Refused."""
        raise RepositoryError(f"{self._name} is not written", hint="`dpm keys export` writes such a text")


def _given(file: str) -> bytes:
    """The text, no more of it than a store may hold. `UsageError` where the file cannot be read."""
    if file != "-":
        try:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_REPOSITORY_SIZE + 1)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}", hint="- is standard input") from error
    else:
        raw: Any = getattr(sys.stdin, "buffer", None)
        data = sys.stdin.read().encode("utf-8") if raw is None else raw.read(MAX_REPOSITORY_SIZE + 1)
    if len(data) > MAX_REPOSITORY_SIZE:
        raise MalformedDocumentError(f"larger than {MAX_REPOSITORY_SIZE // 2**20} MB")
    return data
