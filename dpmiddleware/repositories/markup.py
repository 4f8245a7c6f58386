"""Documents as pieces of text: for stores that keep elements (Redis, SQL) or all elements in one document (blobs).

One document, as .NET's Azure Blob repository writes it::

    repository := [BOM] [<?xml …?>] <repository> element* </repository>

Elements are cut out and put in by their position; the bytes of every other element, comments included, stay as they
are. What the root is called means nothing, as in .NET. DTDs are refused; processing instructions are passed over.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from dpmiddleware.errors import MalformedDocumentError
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE, parse

__all__ = ["EMPTY_REPOSITORY", "MAX_REPOSITORY_SIZE", "bare", "edit", "split"]

MAX_REPOSITORY_SIZE: Final = 64 * 1024 * 1024
"""Bytes of one ``<repository>``; about 30,000 keys."""
EMPTY_REPOSITORY: Final = b'<?xml version="1.0" encoding="utf-8"?><repository></repository>'

_DECLARED: Final = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_TAG: Final = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
_ENCODINGS: Final = {"utf-8", "ascii", "iso8859-1", "utf-16"}


def bare(data: bytes) -> bytes:
    """The root element alone, as UTF-8: no byte order mark, no declaration. `MalformedDocumentError` if it is none."""
    parse(data)
    text = _utf8(data)
    start, end = _positions(text).root
    return text[start:end]


def split(data: bytes) -> tuple[StoredDocument, ...]:
    """The elements of a ``<repository>``; ``locator`` is an element's position. `MalformedDocumentError`.

    One that is too large is there with its ``problem``. A text of nothing but white space is one problem too.
    """
    if not data.strip():
        return (StoredDocument(None, b"", "0", "empty"),)
    text = _utf8(data)
    return tuple(
        StoredDocument(None, text[start:end], str(number))
        if end - start <= MAX_SIZE
        else StoredDocument(None, b"", str(number), TOO_LARGE)
        for number, (start, end) in enumerate(_positions(text).children)
    )


def edit(data: bytes, add: Sequence[StoredDocument], remove: Sequence[StoredDocument]) -> bytes:
    """``data`` (as `split` read it; may be empty) without the elements ``remove``, with ``add`` at its end; UTF-8."""
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
    return re.sub(_DECLARED, b'<?xml version="1.0" encoding="utf-8"', b"".join(pieces), count=1)


@dataclass(slots=True)
class _Positions:
    """Where in the text the root stands, where its end tag begins, and where each child stands: [start, end)."""

    root: tuple[int, int] = (0, 0)
    root_closes: int = 0
    children: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


def _positions(text: bytes) -> _Positions:
    parser = expat.ParserCreate("utf-8")
    found = _Positions()
    depth = 0
    started = [0, 0]

    def start(_name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        if depth < 2:
            started[depth] = parser.CurrentByteIndex
        if depth == 0 and attributes.get("xmlns"):
            raise MalformedDocumentError("the root has a default namespace: its elements are no key documents")
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
            found.children.append((started[1], stop))
        else:
            found.root, found.root_closes = (started[0], stop), closes

    def doctype(*_: object) -> None:
        raise MalformedDocumentError("a document type declaration")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)  # noqa: FBT003 (expat takes it by position)
    except expat.ExpatError as error:
        raise MalformedDocumentError(f"not well-formed XML (line {error.lineno})") from error
    return found


def _utf8(data: bytes) -> bytes:
    """``data`` as UTF-8 without byte order mark."""
    if data.startswith(codecs.BOM_UTF8):
        return data[3:]
    declared = _DECLARED.match(data)
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    if declared is not None:
        encoding = declared.group(1).decode("ascii")
    try:
        known = codecs.lookup(encoding).name
        if known not in _ENCODINGS:
            raise LookupError
        return data.decode(known).removeprefix("\ufeff").encode("utf-8")
    except (LookupError, UnicodeError) as error:
        raise MalformedDocumentError("text in an encoding that is not read here") from error
