"""Rules for documents that all stores follow: names, order of writing, size."""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid4

from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE

__all__ = ["is_revocation", "safe_name", "stored_document"]

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
