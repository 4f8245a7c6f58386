"""What a key ring needs from outside: a store, something to wrap keys with, and something to sign documents with.

The docstrings are the contract. The suites in `dpmiddleware.testing.contracts` test every adapter for it; use them for
your own adapters.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, runtime_checkable
from uuid import UUID

from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.errors import RepositoryError

__all__ = [
    "MAX_DOCUMENTS",
    "MAX_TOTAL_SIZE",
    "Binding",
    "DocumentSigner",
    "DocumentVerifier",
    "KeyRepository",
    "KeyWrapper",
    "RewrappingService",
    "Snapshot",
    "StoredDocument",
    "check_size",
]


@dataclass(frozen=True, slots=True)
class StoredDocument(Unpicklable):
    """One key or revocation document in a store. It may hold a key that is not wrapped, so it cannot be pickled.

    name: .NET's friendly name, ``key-{id}`` or ``revocation-…``; ``None`` if the store has no names (Redis, blobs).
    data: the XML text as bytes (UTF-8, unless it declares another encoding; perhaps with a BOM). Empty if not read.
    locator: how the store finds this document again (file name, row id); has a meaning for the store only.
    problem: why the store did not read the document ("not a regular file", "larger than …"); else "".
    """

    name: str | None
    data: bytes = field(repr=False)
    locator: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All documents of a store at one moment, and its version at that moment."""

    documents: tuple[StoredDocument, ...]
    version: str


MAX_DOCUMENTS: Final = 50_000
"""Of one store, used or not."""
MAX_TOTAL_SIZE: Final = 64 * 1024 * 1024
"""Of all documents of one store, in bytes; about 30,000 keys."""


def check_size(number: int, size: int, location: str) -> None:
    """`RepositoryError` if a store has more documents, or larger ones in all, than any ring needs."""
    if number <= MAX_DOCUMENTS and size <= MAX_TOTAL_SIZE:
        return
    what = f"more than {MAX_DOCUMENTS:,} documents" if number > MAX_DOCUMENTS else "documents"
    much = f" of more than {MAX_TOTAL_SIZE // 2**20} MB in all" if size > MAX_TOTAL_SIZE else ""
    raise RepositoryError(
        f"{location} has {what}{much}: this is not a key ring",
        hint="find out what writes there; remove what is not yours, and old keys with `dpm keys prune`",
    )


class KeyRepository(Protocol):
    """A store of key and revocation documents, shared by all members of a farm.

    All failures are `RepositoryError` with a message that names the store (no password) and a hint. No call may take
    longer than about five seconds in all, a commit ten, whatever the store does. Safe for threads and after ``fork``.
    The constructor does no I/O.
    """

    @property
    def location(self) -> str:
        """The store for log messages: a URL without its password."""
        ...

    def read(self) -> Snapshot:
        """All documents, or an error; never only some of them.

        The version is read before and after the documents, and the reading is repeated if it has changed. An empty or
        missing store gives an empty snapshot. A store that cannot be reached, or that refuses, is a `RepositoryError`.
        Something that is too large or not a document (a FIFO, a folder) is returned with its ``problem`` and not read.
        """
        ...

    def version(self) -> str:
        """A short text that is different after every change, by this package or by anyone else.

        Takes one round trip and reads no key.
        """
        ...

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> str | None:
        """Add and remove documents in one step, if the store still has the version ``expected``.

        Returns the version of the store with exactly this change, so that nobody has to read it again to know it; or
        ``None``, if it is not known.

        `VersionConflict` if it has changed; nothing is written then. Documents to remove come from a `read` of the same
        store. A document added under the name of a removed one replaces it. A name that is taken otherwise is refused.
        """
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """What a wrapped key belongs to. This package's own wrappers authenticate it, so that a wrapping cannot be moved.

    ring: the ring's name. key_id: the key's id.
    digest: SHA-256 of the canonical ``<key>`` (id, dates, algorithm) without its secret and signature; 32 bytes.
    """

    ring: str
    key_id: UUID
    digest: bytes


class KeyWrapper(Protocol):
    """Wraps master keys at rest. Works on elements, because the wrappings of .NET do.

    If several are configured, the first one wraps and all of them unwrap. The constructor does no I/O.
    """

    @property
    def decryptor_types(self) -> frozenset[str]:
        """The values of ``encryptedSecret/@decryptorType``, without version, that this wrapper unwraps."""
        ...

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """``<masterKey>`` in; the ``decryptorType`` to write and the one child of ``<encryptedSecret>`` out."""
        ...

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """The one child of ``<encryptedSecret>`` in, ``<masterKey>`` out. `KeyUnwrapError`, whatever the cause."""
        ...


@runtime_checkable
class RewrappingService(Protocol):
    """Optional for a `KeyWrapper`: its service wraps again under the newest version of its key, without unwrapping."""

    def rewrap(self, encrypted: ET.Element) -> ET.Element | None:
        """The one child of ``<encryptedSecret>`` in, the new one out; ``None`` if there is no newer version."""
        ...


class DocumentVerifier(Protocol):
    """Decides whether a stored document can be trusted."""

    def verify(self, element: ET.Element) -> None:
        """Return if a trusted signer has signed ``element`` for this ring; else raise `DocumentSignatureError`."""
        ...


class DocumentSigner(Protocol):
    """Signs documents that this process has created or verified."""

    def sign(self, element: ET.Element, now: datetime) -> None:
        """Append the signature to ``element`` as its last child; it replaces an existing one."""
        ...
