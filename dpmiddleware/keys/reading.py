"""What one reading of a store gives: keys, revocations, a policy, and the documents that are not used, with reasons."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.ring_policy import RingPolicy

__all__ = ["Reading", "Reason", "SetAside"]


class Reason(enum.Enum):
    """Why a document is not used."""

    UNREADABLE = enum.auto()
    NOT_TRUSTED = enum.auto()
    """It has no signature of a trusted signer."""
    NOT_WRAPPED = enum.auto()
    """It is an unencrypted key, and only wrapped keys are accepted."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A document that is not used. ``problem``: what is wrong with it, in words. ``hint``: what to do, if known."""

    stored: StoredDocument
    problem: str
    reason: Reason = Reason.UNREADABLE
    hint: str = ""

    @property
    def refused(self) -> bool:
        """Whether the document can be read, but is not accepted."""
        return self.reason is not Reason.UNREADABLE

    @property
    def name(self) -> str:
        """Its stored name, or its place in the store."""
        return self.stored.name or self.stored.locator or "(a document without a name)"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of a store gave.

    version, location: of the store; the location without a password.
    keys: with their revocations applied, and the keys that the store has lost.
    revocations: all that apply. set_aside: documents that are not used. signed: whether any document in use is signed.
    lost: keys that this process has read before, that were not revoked, and that are no longer in the store.
    lost_revocation, unreadable: a document that cannot be read and may be a revocation, or a key; "" if there is none.
    documents: the documents in use, and what each says (keys without revocations applied).
    policy: that of the ring, if it has one.
    lost_revocations: revocations that this process has read before and that are no longer in the store, with their
    documents. They still apply in this process, but a process that starts now accepts the payloads of these keys.
    """

    version: str
    location: str
    keys: tuple[Key, ...]
    revocations: tuple[Revocation, ...]
    set_aside: tuple[SetAside, ...] = ()
    signed: bool = False
    lost: tuple[Key, ...] = ()
    lost_revocation: str = ""
    unreadable: str = ""
    documents: tuple[tuple[StoredDocument, Key | Revocation | RingPolicy], ...] = ()
    lost_revocations: tuple[tuple[StoredDocument, Revocation], ...] = ()
    policy: RingPolicy | None = None

    @property
    def loss(self) -> str:
        """What the store has lost since this process started, for people; "" if nothing."""
        parts: list[str] = []
        if self.lost:
            parts.append(f"{len(self.lost)} keys that this process has read before")
        if self.lost_revocations:
            named = sorted(str(item.key_id or "all keys") for _, item in self.lost_revocations)
            shown = ", ".join(named[:5]) + (" …" if len(named) > 5 else "")
            parts.append(f"the revocation of {shown}, which a process that starts now does not know")
        return f"the store has lost {' and '.join(parts)}" if parts else ""

    @property
    def refused(self) -> tuple[SetAside, ...]:
        """The documents that can be read, but are not accepted."""
        return tuple(aside for aside in self.set_aside if aside.refused)

    def with_free_names(
        self, add: Iterable[StoredDocument], remove: Iterable[StoredDocument] = ()
    ) -> list[StoredDocument]:
        """``add``, with a number appended to each name that is taken.

        A second revocation of a key has the name of the first, which may be a document that is not used. The names of
        documents to ``remove`` are free.
        """
        gone = {document.locator for document in remove}
        stored = [one for one, _ in self.documents] + [aside.stored for aside in self.set_aside]
        taken = {one.name for one in stored if one.locator not in gone}
        named: list[StoredDocument] = []
        for document in add:
            numbered = (f"{document.name}-{number}" for number in itertools.count(2))
            name = document.name if document.name not in taken else next(name for name in numbered if name not in taken)
            taken.add(name)
            named.append(StoredDocument(name, document.data))
        return named
