"""Documents as pieces of XML text: for stores of single elements (Redis, SQL) or of all elements in one text (blobs).

All elements in one text, as .NET's Azure Blob repository writes them::

    repository := [BOM] [<?xml …?>] <repository> element* </repository>

Elements are cut out and inserted by position; the bytes of all other elements, comments included, are unchanged. The
name of the root element is ignored, as in .NET. DTDs are refused; processing instructions are ignored.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from dpmiddleware.errors import MalformedDocumentError
from dpmiddleware.keys.interfaces import MAX_DOCUMENTS, StoredDocument
from dpmiddleware.keys.xml import WIDE_ENCODINGS, declared_encoding, parse
from dpmiddleware.repositories.documents import stored_document

__all__ = ["EMPTY_REPOSITORY", "MAX_REPOSITORY_SIZE", "bare", "edit", "split"]

MAX_REPOSITORY_SIZE: Final = 64 * 1024 * 1024
"""Bytes of one ``<repository>``; about 30,000 keys."""
_DECLARATION: Final = b'<?xml version="1.0" encoding="utf-8"?>'
EMPTY_REPOSITORY: Final = _DECLARATION + b"<repository></repository>"

_TAG: Final = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
_ENCODINGS: Final = {"utf-8", "ascii", "iso8859-1"}


def bare(data: bytes) -> bytes:
    """Return the root element as UTF-8, without byte order mark and declaration. `MalformedDocumentError`."""
    parse(data)
    text = _utf8(data)
    start, end = _positions(text, is_document=True).root
    return text[start:end]


def split(data: bytes) -> tuple[StoredDocument, ...]:
    """Return the elements of a ``<repository>``; ``locator`` is an element's position. `MalformedDocumentError`.

    One that is too large has a ``problem``. A text of only white space is one document with a problem.
    """
    if not data.strip():
        return (stored_document(None, b"", "0"),)
    text = _utf8(data)
    places = enumerate(_positions(text).children)
    return tuple(stored_document(None, text[start:end], str(number)) for number, (start, end) in places)


def edit(data: bytes, add: Sequence[StoredDocument], remove: Sequence[StoredDocument]) -> bytes:
    """Return ``data`` (which `split` read; may be empty) without ``remove`` and with ``add`` at its end, as UTF-8."""
    added = b"".join(bare(document.data) for document in add)
    text = _utf8(data) if data.strip() else EMPTY_REPOSITORY
    found = _positions(text)
    if not found.children:
        text = EMPTY_REPOSITORY
        found = _positions(text)
    gone = {document.locator for document in remove}
    pieces: list[bytes] = []
    position = 0
    for number, (start, end) in enumerate(found.children):
        if str(number) in gone:
            pieces.append(text[position:start])
            position = end
    pieces += [text[position : found.root_closes], added, text[found.root_closes :]]
    edited = b"".join(pieces)
    encoding, end = declared_encoding(edited)
    return edited if encoding in {"", "utf-8"} else _DECLARATION + edited[end:]


@dataclass(slots=True)
class _Positions:
    """Where in the text the root is, where its end tag begins, and where each child is: [start, end)."""

    root: tuple[int, int] = (0, 0)
    root_closes: int = 0
    children: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def add_child(self, start: int, end: int) -> None:
        """Add one; `MalformedDocumentError` if there are too many, which would take much more memory than the text."""
        if len(self.children) == MAX_DOCUMENTS:
            raise MalformedDocumentError(f"more than {MAX_DOCUMENTS:,} documents")
        self.children.append((start, end))


def _positions(text: bytes, *, is_document: bool = False) -> _Positions:
    """is_document: whether the text is one document, and not all of them in one."""
    parser = expat.ParserCreate("utf-8")
    found = _Positions()
    depth = 0
    started = [0, 0]

    def start(_name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        if depth < 2:
            started[depth] = parser.CurrentByteIndex
        if depth == 0 and not is_document and attributes.get("xmlns"):
            raise MalformedDocumentError("has a default namespace at its root, so its elements are not key documents")
        depth += 1

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth > 1:
            return
        closes = parser.CurrentByteIndex
        tag = _TAG.match(text, started[depth])
        if tag is not None and tag.group().endswith(b"/>"):
            closes = stop = tag.end()
        else:
            stop = text.index(b">", closes) + 1
        if depth == 1:
            found.add_child(started[1], stop)
        else:
            found.root, found.root_closes = (started[0], stop), closes

    def doctype(*_: object) -> None:
        raise MalformedDocumentError("has a document type declaration")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)  # noqa: FBT003 (expat takes it by position)
    except expat.ExpatError as error:
        raise MalformedDocumentError(f"not well-formed XML (line {error.lineno})") from error
    return found


def _utf8(data: bytes) -> bytes:
    """Decode ``data`` and encode it as UTF-8 without byte order mark.

    Bytes that begin with an XML declaration in ASCII are not UTF-16, even if they declare it: they are UTF-8.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data[3:]
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16").encode("utf-8")
        declared = declared_encoding(data)[0]
        known = codecs.lookup("utf-8" if not declared or declared.startswith(WIDE_ENCODINGS) else declared).name
        if known not in _ENCODINGS:
            raise LookupError
        return data.decode(known).encode("utf-8")
    except (LookupError, UnicodeError) as error:
        raise MalformedDocumentError("has an encoding that is not supported") from error
