"""``dpm keys copy``, ``export`` and ``import``: copy a ring to another store, or to and from an XML text.

The text has the form of .NET's blob store: ``<repository>`` with every document of the store, byte for byte, including
signatures and wrapped secrets. Names of documents are not kept. ``import`` adds what the target does not have, as
``copy`` does. Either may start a ring in an empty store.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.presence import Needs, refuse_memory, require
from dpmiddleware.cli.ring import open_ring
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.cli.whole_file import write_whole
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import MalformedDocumentError, RepositoryError
from dpmiddleware.keys import maintenance
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.reading import Reading
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE, edit, split

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``copy``, ``export``, ``import``."""
    copy = verbs.add(
        "copy",
        _copy,
        "copy every key and revocation to another store",
        examples=["dpm keys copy --repository redis://localhost/0 --to /var/backups/shop-keys"],
        long=True,
    )
    copy.add_argument("--to", metavar="URL", required=True, help="the other store; all other settings are the same")
    export = verbs.add(
        "export",
        _export,
        "write the whole ring to standard output or a file",
        examples=["dpm keys export --repository redis://localhost/0 --output /var/backups/shop-keys.xml"],
        notes=False,
    )
    text = "also export keys that are not wrapped; anyone who reads the output can use them"
    export.add_argument("--in-clear", action="store_true", help=text)
    text = "replace this file, once the whole ring is written; after an error, it is as it was"
    export.add_argument("--output", metavar="FILE", help=text)
    bring = verbs.add(
        "import",
        _import,
        "add every key and revocation of an exported ring to the store",
        examples=["dpm keys import /var/backups/shop-keys.xml --repository redis://localhost/0"],
        notes=False,
        needs=Needs.ROOM,
        changes=True,
        long=True,
    )
    text = "output of `dpm keys export`, or the blob of a .NET ring; - reads standard input"
    bring.add_argument("file", metavar="FILE", help=text)


def _copy(arguments: argparse.Namespace, console: Console) -> int:
    source, target = open_ring(arguments), open_ring(arguments, repository=arguments.to)
    refuse_memory(target)
    reading = source.manager.survey(console.reading)
    require(source, reading, arguments.needs)
    return _copied(source, target, console, "copied", "to", reading=reading)


def _copied(
    source: DataProtection,
    target: DataProtection,
    console: Console,
    verb: str,
    preposition: str,
    *,
    reading: Reading | None = None,
) -> int:
    """Copy and report. Exit status: 1 if a document was left out, else 0. reading: of the source, if there is one."""
    require(target, target.manager.survey(), Needs.ROOM)
    location = target.repository.location

    def progress(copied: int, everything: int) -> None:
        left = f"{verb} {copied:,} of {everything:,} documents {preposition} {location}"
        console.progress.stopped = f"{left}; run the same command again to go on"
        console.progress.at(copied, everything, f"documents {verb}")

    with console.progress.whole_steps():
        done = maintenance.copy(source.manager, target.manager, reading=reading, progress=progress)
    there = f"{counted(done.there, 'document')} {'was' if done.there == 1 else 'were'} already there"
    line = f"{verb} {counted(done.copied, 'document')} {preposition} {location}; {there}"
    names = [aside.name for aside in done.left_out]
    console.result(
        {"location": location, verb: done.copied, "there": done.there, "left_out": names}, console.escaped([line])
    )
    return console.left_out(done.left_out, verb)


def _export(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    reading = dp.manager.survey(console.reading)
    require(dp, reading, arguments.needs)
    clear = [item for _, item in reading.documents if isinstance(item, Key) and not item.wrapped]
    if clear and not arguments.in_clear:
        text = (
            f"{counted(len(clear), 'key')} in {dp.repository.location} {'is' if len(clear) == 1 else 'are'} not wrapped"
        )
        hint = "wrap the keys with `dpm keys rewrap`, or use --in-clear to export them anyway"
        console.error(f"{text}: nothing was exported", hint)
        return 1
    text = edit(b"", [stored for stored, _ in reading.documents], ()).decode("utf-8")
    if arguments.output is not None:
        return _exported_to(arguments.output, text, dp, reading, console)
    stream: Any = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", newline="\n")  # the declared encoding
    console.result({"documents": len(reading.documents), "repository": text}, [text])
    return console.left_out(reading.set_aside, "exported")


def _exported_to(file: str, text: str, dp: DataProtection, reading: Reading, console: Console) -> int:
    """Write an export to a file. A ring that is not exported completely does not replace yesterday's."""
    location = dp.repository.location
    if reading.set_aside and Path(file).exists():
        console.left_out(reading.set_aside, "exported")
        console.error(f"{file} was not replaced: the export of {location} is not complete", "use another --output")
        return 1
    write_whole(Path(file), f"{text}\n".encode())
    number = len(reading.documents)
    line = f"exported {counted(number, 'document')} of {location} to {file}"
    console.result({"location": location, "documents": number, "file": file}, console.escaped([line]))
    return console.left_out(reading.set_aside, "exported")


def _import(arguments: argparse.Namespace, console: Console) -> int:
    name = "standard input" if arguments.file == "-" else arguments.file
    target = open_ring(arguments)
    try:
        documents = split(_given(arguments.file))
        if not documents:
            raise MalformedDocumentError("it has no documents")
    except MalformedDocumentError as error:
        console.error(f"{name} does not contain a ring: {error}", "import the output of `dpm keys export`")
        return 1
    source = open_ring(arguments, repository=_Text(name, documents))
    return _copied(source, target, console, "imported", "into")


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
