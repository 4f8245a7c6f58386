"""Key documents as XML: strict and bounded parsing, compact writing, and the canonical form that is signed.

A document must not have a DTD (so it has no entities) or a processing instruction, and at most 64 KB, 32 levels, and 64
attributes and namespace declarations per element. The names of its elements and attributes, each with its namespace,
may have 64 K characters in all, and a namespace 1,000: ElementTree writes the namespace into every name. Comments are
dropped, and the text around them is joined. Everything that is wrong with a document is a `MalformedDocumentError`.

A document that declares UTF-16 in bytes that are not UTF-16 is UTF-8: .NET's XmlWriter writes that declaration into
strings, and .NET ignores it when it reads a string.

The output is that of ASP.NET Core without indentation: a namespace is declared where it begins, and the prefix of an
attribute is ``p`` and its depth.

The canonical form is defined by this package. White space around text, prefixes, the order of attributes, and comments
do not change it::

    element   := 01 ‖ text(expanded name) ‖ BE32(number of attributes) ‖ attribute*
                 ‖ text(own text, stripped) ‖ element* ‖ 02
    attribute := text(expanded name) ‖ text(value)                       sorted by name
    text(s)   := BE32(length in bytes) ‖ UTF-8

An expanded name is ``{namespace}local`` or ``local``. Text between and after child elements must be blank.
ElementTree's C14N is not used: it is quadratic in depth, and white space changes it.
"""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Final, NoReturn

from dpmiddleware.errors import MalformedDocumentError

__all__ = [
    "ENCRYPTED_SECRET",
    "MAX_ATTRIBUTES",
    "MAX_DEPTH",
    "MAX_SIZE",
    "NAMESPACE",
    "REQUIRES_ENCRYPTION",
    "SIGNATURE",
    "TOO_LARGE",
    "WHITE_SPACE",
    "WIDE_ENCODINGS",
    "canonical",
    "declared_encoding",
    "dump",
    "parse",
    "split_name",
]

NAMESPACE: Final = "urn:dpmiddleware:2026:keys"
"""Of the elements that this package adds to a document; .NET ignores them."""
SIGNATURE: Final = f"{{{NAMESPACE}}}signature"
_DOTNET: Final = "http://schemas.asp.net/2015/03/dataProtection"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
ENCRYPTED_SECRET: Final = f"{{{_DOTNET}}}encryptedSecret"
REQUIRES_ENCRYPTION: Final = f"{{{_DOTNET}}}requiresEncryption"

MAX_SIZE: Final = 64 * 1024
"""Of one document, in bytes."""
TOO_LARGE: Final = f"larger than {MAX_SIZE // 1024} KB"
MAX_DEPTH: Final = 32
MAX_ATTRIBUTES: Final = 64
_MAX_NAMESPACE: Final = 1000
"""Characters: expat writes the namespace into all names of an element before the element can be refused."""
WHITE_SPACE: Final = " \t\r\n"
"""Of XML. `str.strip` without an argument also strips characters that are text in XML, and not base64."""
WIDE_ENCODINGS: Final = ("utf-16", "utf16", "utf-32", "utf32", "ucs", "iso-10646", "unicode")
"""Of more than one byte per character: a document in one of them does not begin with the bytes ``<?xml``."""
_DECLARATION: Final = re.compile(rb'(?:\xef\xbb\xbf)?(?:<\?xml version="1\.0" encoding="utf-8"\?>)?')
_NO_COMMENT: Final = re.compile(rb"<!(?!--)")


class _BoundedBuilder(ET.TreeBuilder):
    """A tree builder that raises an error at the first thing that a key document must not have."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._declarations = 0
        self._names = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MalformedDocumentError(f"more than {MAX_DEPTH} levels deep")
        if len(attrs) + self._declarations > MAX_ATTRIBUTES:
            raise MalformedDocumentError(f"an element has more than {MAX_ATTRIBUTES} attributes")
        self._declarations = 0
        self._names += len(tag) + sum(map(len, attrs))
        if self._names > MAX_SIZE:
            raise MalformedDocumentError("the names of its elements, with their namespaces, are too long")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)

    def start_ns(self, prefix: str, uri: str) -> None:
        self._declarations += 1
        if len(uri) > _MAX_NAMESPACE:
            raise MalformedDocumentError(f"a namespace has more than {_MAX_NAMESPACE} characters")

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise MalformedDocumentError("has a document type declaration")

    def pi(self, target: str, text: str | None = None, /) -> NoReturn:
        raise MalformedDocumentError("has a processing instruction")


def parse(data: bytes) -> ET.Element:
    """The root element of a document, or `MalformedDocumentError`."""
    if len(data) > MAX_SIZE:
        raise MalformedDocumentError(TOO_LARGE)
    encoding, end = declared_encoding(data)
    if encoding.startswith(WIDE_ENCODINGS):
        data = data[end:]
    parser = ET.XMLParser(target=None if _is_plainly_bounded(data) else _BoundedBuilder())
    try:
        parser.feed(data)
        root: ET.Element = parser.close()
    except (
        ET.ParseError,
        ValueError,
        LookupError,
    ) as error:  # ValueError, LookupError: encodings that expat does not have
        raise MalformedDocumentError("not well-formed XML") from error
    return root


def declared_encoding(data: bytes) -> tuple[str, int]:
    """The encoding that a document declares, in lower case, and where its declaration ends; "" if there is none."""
    start = 3 if data.startswith(codecs.BOM_UTF8) else 0
    end = data.find(b"?>", start) if data.startswith(b"<?xml", start) else -1
    if end < 0:
        return "", start
    value = data[start:end].partition(b"encoding")[2].lstrip(b" \t\r\n=")
    return value[1:].partition(value[:1])[0].decode("ascii", "replace").lower() if value else "", end + 2


def _is_plainly_bounded(data: bytes) -> bool:
    """Whether a count of characters shows that a document is bounded; ten times as fast as the builder.

    A level takes two "<" (the innermost one), an attribute or declaration one "=". NUL bytes mean UTF-16. Each name may
    have the longest namespace; after ``xmlns``, that is what is in quotation marks.
    """
    start = _DECLARATION.match(data).end()  # type: ignore[union-attr]  # always matches, at least the empty text
    tags, equals = data.count(b"<", start), data.count(b"=", start)
    if tags >= 2 * MAX_DEPTH or equals > MAX_ATTRIBUTES or b"\0" in data or b"'" in data:
        return False
    namespaces = [part.split(b'"', 2)[1:2] for part in data.split(b"xmlns")[1:]]
    longest = max([len(namespace) for found in namespaces for namespace in found], default=0)
    fits = longest <= _MAX_NAMESPACE and (tags + equals) * longest <= MAX_SIZE
    if not fits or data.find(b"<?", start) >= 0:
        return False
    return data.find(b"<!", start) < 0 or _NO_COMMENT.search(data, start) is None


def dump(root: ET.Element) -> bytes:
    """``root`` as compact UTF-8 without declaration. The same tree gives the same bytes."""
    out: list[str] = []
    _write(root, "", 1, out)
    return "".join(out).encode("utf-8")


def _write(element: ET.Element, default: str, depth: int, out: list[str]) -> None:
    """Append the text of ``element`` to ``out``. Recurses at most MAX_DEPTH times.

    default: the default namespace of the parent. depth: of the element, 1 for the root.
    """
    if element.tag is ET.Comment:  # type: ignore[comparison-overlap]  # ElementTree marks a comment by its tag
        out.append(f"<!--{element.text}-->")
        return
    namespace, name = split_name(element.tag)
    out.append(f"<{name}")
    prefixes = {_XML: "xml"}
    for attribute, value in element.attrib.items():
        uri, local = split_name(attribute)
        if uri and uri not in prefixes:
            number = f"_{len(prefixes)}" if len(prefixes) > 1 else ""
            prefixes[uri] = f"p{depth}{number}"
            out.append(f" {prefixes[uri]}:{local}={_quoted(value)} xmlns:{prefixes[uri]}={_quoted(uri)}")
        else:
            out.append(f" {prefixes[uri]}:{local}={_quoted(value)}" if uri else f" {local}={_quoted(value)}")
    if namespace != default:
        out.append(f" xmlns={_quoted(namespace)}")
    if not element.text and not len(element):
        out.append(" />")
        return
    out.append(">")
    out.append(_escaped(element.text))
    for child in element:
        _write(child, namespace, depth + 1, out)
        out.append(_escaped(child.tail))
    out.append(f"</{name}>")


_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
"""A parser turns a carriage return into a line feed, but not a reference to one."""
_VALUE: Final = _TEXT | str.maketrans({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _escaped(text: str | None) -> str:
    return (text or "").translate(_TEXT)


def _quoted(value: str) -> str:
    return f'"{value.translate(_VALUE)}"'


def split_name(expanded: str) -> tuple[str, str]:
    """``{namespace}local`` as (namespace, local); the namespace may be empty."""
    if expanded.startswith("{"):
        namespace, _, local = expanded[1:].partition("}")
        return namespace, local
    return "", expanded


def canonical(root: ET.Element, leave_out: frozenset[str] = frozenset()) -> bytes:
    """The canonical form of ``root``, without the elements with the expanded names in ``leave_out``, at any depth.

    `MalformedDocumentError` if there is text between elements.
    """
    return b"".join(_canonical_parts(root, leave_out))


def _canonical_parts(root: ET.Element, leave_out: frozenset[str]) -> Iterator[bytes]:
    """Iterative, so that depth needs no stack."""
    open_elements: list[Iterator[ET.Element]] = []
    yield from _opening(root)
    open_elements.append(iter(root))
    while open_elements:
        child = next(open_elements[-1], None)
        if child is None:
            open_elements.pop()
            yield b"\x02"
            continue
        if (child.tail or "").strip(WHITE_SPACE):
            raise MalformedDocumentError("has text between elements")
        if isinstance(child.tag, str) and child.tag not in leave_out:
            yield from _opening(child)
            open_elements.append(iter(child))


def _opening(element: ET.Element) -> Iterator[bytes]:
    yield b"\x01" + _text(element.tag) + len(element.attrib).to_bytes(4, "big")
    for name in sorted(element.attrib):
        yield _text(name) + _text(element.attrib[name])
    yield _text((element.text or "").strip(WHITE_SPACE))


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return len(raw).to_bytes(4, "big") + raw
