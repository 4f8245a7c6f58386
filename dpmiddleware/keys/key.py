"""A key of the ring, and how revocations apply to it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import RevocationDocument

__all__ = ["Key", "KeyState", "Revocation", "apply_revocations"]


class KeyState(enum.Enum):
    """What a key is good for at one moment; the first that applies, in this order."""

    REVOKED = "revoked"
    """Nothing: payloads under it are refused."""
    UNUSABLE = "unusable"
    """Nothing: it could not be unwrapped or read."""
    EXPIRED = "expired"
    """Unprotects, no longer protects."""
    CREATED = "created"
    """Not yet active: unprotects, does not protect yet."""
    ACTIVE = "active"
    """Unprotects, and protects if it is the default."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Why a key is revoked. ``key_id`` ``None``: every key created strictly before ``date``."""

    key_id: UUID | None
    date: Instant | None
    reason: str

    @classmethod
    def of(cls, document: RevocationDocument) -> Revocation:
        """What a stored revocation says, without the document."""
        return cls(document.key_id, document.date, document.reason)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Where ``encryptor`` is ``None``, ``problem`` says why the key cannot be used.

    A key may have both: this process opened it before, and its document no longer opens.
    """

    id: UUID
    creation_date: Instant
    activation_date: Instant
    expiration_date: Instant
    encryptor: AuthenticatedEncryptor | None
    problem: str = ""
    revocation: Revocation | None = None
    wrapped: bool = False

    @property
    def usable(self) -> bool:
        """Whether its master key is at hand; also of a revoked key, whose payloads `dangerous_unprotect` then opens."""
        return self.encryptor is not None

    @property
    def algorithm(self) -> str:
        """The algorithm's name, or "" of an unusable key."""
        return "" if self.encryptor is None else self.encryptor.suite.name

    def state(self, now: Instant) -> KeyState:
        """What the key is good for at ``now`` (clock skew is `rotation.resolve`'s business)."""
        if self.revocation is not None:
            return KeyState.REVOKED
        if self.encryptor is None:
            return KeyState.UNUSABLE
        if self.expiration_date <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE if self.activation_date <= now else KeyState.CREATED


def apply_revocations(keys: Iterable[Key], revocations: Sequence[Revocation]) -> tuple[Key, ...]:
    """The keys, with their revocation where one applies. A key that is revoked already stays so."""
    if not revocations:
        return tuple(keys)
    single = {revocation.key_id: revocation for revocation in revocations if revocation.key_id is not None}
    of_all = [revocation for revocation in revocations if revocation.key_id is None and revocation.date is not None]
    last = max(of_all, key=lambda revocation: revocation.date or Instant(0), default=None)

    def applied(key: Key) -> Key:
        if key.revocation is not None:
            return key
        revocation = single.get(key.id)
        if revocation is None and last is not None and last.date is not None and key.creation_date < last.date:
            revocation = last
        return key if revocation is None else replace(key, revocation=revocation)

    return tuple(applied(key) for key in keys)
