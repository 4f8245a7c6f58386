"""All that the key lane asks of the world: a store, something to wrap keys with, somebody to sign documents.

These docstrings are the contract. `tests/repositories/contract.py` and `tests/at_rest/contract.py` hold every
adapter to it, and are there for yours.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable
from uuid import UUID

__all__ = [
    "Binding",
    "DocumentSigner",
    "DocumentVerifier",
    "KeyRepository",
    "KeyWrapper",
    "RewrappingService",
    "Snapshot",
    "StoredDocument",
]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One key or revocation document as it lies in a store.

    name: .NET's friendly name, ``key-{id}`` or ``revocation-…``; ``None`` where the store keeps none (Redis, blobs).
    data: the XML text as bytes (UTF-8 unless it says otherwise; a BOM is possible). Empty where ``problem`` is set.
    locator: how the store finds this very document again (file name, row id); opaque to everybody else.
    problem: why the store set the document aside without reading it ("not a regular file", "larger than …"); else "".
    """

    name: str | None
    data: bytes = field(repr=False)
    locator: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All documents of a store at one moment, and the version that it had then."""

    documents: tuple[StoredDocument, ...]
    version: str


class KeyRepository(Protocol):
    """A place where key and revocation documents are kept, shared by all members of a farm.

    All failures are `RepositoryError` with a message that names the store (no password) and a hint. No call may take
    longer than about five seconds. Safe for use by several threads and after ``fork``. Constructing one does no I/O.
    """

    @property
    def location(self) -> str:
        """The store in words that may be logged: a URL without its password."""
        ...

    def read(self) -> Snapshot:
        """All documents, or an error; never some of them.

        The version is asked before and after, and the reading repeated if it moved. An empty or absent store is an
        empty snapshot; one that cannot be reached, or that refuses, is a `RepositoryError`. A document that is too
        large or no document at all (a FIFO, a folder) is returned with its ``problem``, not read and not left out.
        """
        ...

    def version(self) -> str:
        """A short text that differs after every change: a commit of ours, an append, removal or replacement by others.

        One round trip; reads no key.
        """
        ...

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """Add and remove documents in one step, if the store is still at version ``expected``.

        `VersionConflict` if it moved: nothing was written. Documents to remove come from a `read` of the same store.
        A document added under the name of one removed replaces it. An added document whose name is taken is refused.
        """
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """What a wrapped key belongs to; wrappers of our own authenticate it, so a wrapping cannot be moved.

    ring: the ring's name. key_id: the key's. digest: SHA-256 of the canonical ``<key>`` element without its secret and
    signature (32 bytes: id, dates, algorithm).
    """

    ring: str
    key_id: UUID
    digest: bytes


class KeyWrapper(Protocol):
    """Wraps master keys at rest. Works on elements, because .NET's own wrappings do.

    Configured several times over, the first wraps and all unwrap. Constructing one does no I/O.
    """

    @property
    def decryptor_types(self) -> frozenset[str]:
        """The values of ``encryptedSecret/@decryptorType``, without version, that this wrapper unwraps."""
        ...

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """``<masterKey>`` in; the ``decryptorType`` to write and the one child of ``<encryptedSecret>`` out."""
        ...

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """The one child of ``<encryptedSecret>`` in, ``<masterKey>`` out. `KeyUnwrapError`, one for every cause."""
        ...


@runtime_checkable
class RewrappingService(Protocol):
    """Optional for a `KeyWrapper`: its service wraps again under the newest version of its key, without unwrapping."""

    def rewrap(self, encrypted: ET.Element) -> ET.Element | None:
        """The one child of ``<encryptedSecret>`` in, the new one out; ``None`` if there is no newer version."""
        ...


class DocumentVerifier(Protocol):
    """Says whether a stored document may be trusted."""

    def verify(self, element: ET.Element) -> None:
        """Return if ``element`` is signed for this ring by somebody trusted; else `DocumentSignatureError`."""
        ...


class DocumentSigner(Protocol):
    """Signs documents that this process made itself or has verified."""

    def sign(self, element: ET.Element, now: datetime) -> None:
        """Append the signature to ``element`` as its last child, in place of one that is there."""
        ...
