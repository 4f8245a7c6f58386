"""Rules for documents that all stores follow: names, order of writing, size."""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid4

from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE, declared_encoding

__all__ = ["is_revocation", "safe_name", "stored_document", "text_of"]

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")


def safe_name(document: StoredDocument) -> str:
    """Return the document's friendly name if it is safe in a file name, as .NET decides it; else a random name."""
    return document.name if document.name and _SAFE_NAME.fullmatch(document.name) else str(uuid4())


def is_revocation(name: str) -> bool:
    """Whether a document is a revocation: these are written before keys and removed after them."""
    return name.startswith("revocation-")


def stored_document(name: str | None, data: bytes, locator: str) -> StoredDocument:
    """A document as a store returns it: one that is empty or too large has a problem and no data."""
    problem = "empty" if not data else TOO_LARGE if len(data) > MAX_SIZE else ""
    return StoredDocument(name, b"" if problem else data, locator, problem)


def text_of(data: bytes) -> bytes:
    """A document of a store of texts, as UTF-8. As in .NET, the encoding that an XML declaration names is ignored.

    .NET's XmlWriter declares UTF-16 in a string, whatever the string is stored as.
    """
    encoding, end = declared_encoding(data)
    return data if encoding in {"", "utf-8"} else data[end:]
