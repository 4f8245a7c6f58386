"""The place that a repository is tested on, the documents that the tests put there, and how they look at them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import pytest

from dpmiddleware.errors import RepositoryError
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument

__all__ = ["PASSWORD", "Store", "commit", "contents", "document", "refusal", "stored"]

PASSWORD: Final = "hunter2-must-not-be-shown"
"""Part of the configuration of a store on another machine, and of no message."""


class Store(ABC):
    """An empty place, and another program that writes to it without our code."""

    keeps_names = True
    """Whether the store remembers .NET's friendly names; Redis and blobs do not."""
    one_text = False
    """Whether all documents are one text, so that a malformed one makes all of them unreadable."""

    @abstractmethod
    def open(self) -> KeyRepository:
        """A repository on this place; each call as in another process."""

    @abstractmethod
    def append(self, name: str, data: bytes) -> None:
        """Another program adds a document."""

    @abstractmethod
    def delete(self, data: bytes) -> None:
        """Another program removes the document with these bytes."""

    @abstractmethod
    def replace(self, old: bytes, new: bytes) -> None:
        """Another program writes ``new`` in place of ``old``."""


def document(text: str = "é", *, name: str | None = None) -> StoredDocument:
    """A new key document, as dpmiddleware.keys writes it: compact UTF-8, with its own name."""
    identity = uuid4()
    return StoredDocument(name or f"key-{identity}", f'<key id="{identity}" version="1"><a>{text}</a></key>'.encode())


def contents(repository: KeyRepository) -> list[bytes]:
    """What all documents consist of, sorted."""
    return sorted(stored.data for stored in repository.read().documents)


def commit(repository: KeyRepository, *added: StoredDocument) -> None:
    """Add documents at the version that the store has now."""
    repository.commit(add=added, expected=repository.version())


def stored(repository: KeyRepository, data: bytes) -> StoredDocument:
    """The document with these bytes, as it was read."""
    return next(found for found in repository.read().documents if found.data == data)


@contextmanager
def refusal(repository: KeyRepository) -> Generator[None]:
    """Expect a `RepositoryError` that names the store and has a hint, but no password."""
    with pytest.raises(RepositoryError) as caught:
        yield
    assert repository.location in str(caught.value)
    assert caught.value.hint
    assert PASSWORD not in f"{caught.value} {caught.value.hint} {repository.location} {repository!r}"
