"""A key and a revocation in memory, which keys a revocation applies to, and what revoking all did."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import RevocationDocument

__all__ = ["Key", "KeyState", "Revocation", "RevokedAll", "apply_revocations"]


class KeyState(enum.Enum):
    """What a key can be used for at one moment. The first state that applies counts, in this order."""

    REVOKED = "revoked"
    """Nothing: its payloads are refused."""
    UNUSABLE = "unusable"
    """Nothing: it could not be unwrapped or read."""
    EXPIRED = "expired"
    """Unprotects, no longer protects."""
    CREATED = "created"
    """Not active yet: unprotects, does not protect yet."""
    ACTIVE = "active"
    """Unprotects, and protects if it is the default key."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Revokes the key ``key_id``, or if that is ``None``, every key created strictly before ``date``."""

    key_id: UUID | None
    date: Instant | None
    reason: str

    @classmethod
    def of(cls, document: RevocationDocument) -> Revocation:
        """The revocation in a document."""
        return cls(document.key_id, document.date, document.reason)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. If ``encryptor`` is ``None``, ``problem`` says why the key cannot be used, and ``hint`` what to do.

    Without either, the key is `untried`. A key may have both: this process has unwrapped it before, and it can no
    longer be unwrapped.
    """

    id: UUID
    creation_date: Instant
    activation_date: Instant
    expiration_date: Instant
    encryptor: AuthenticatedEncryptor | None
    problem: str = ""
    revocation: Revocation | None = None
    wrapped: bool = False
    hint: str = ""

    @property
    def usable(self) -> bool:
        """Whether its master key is available. Also for a revoked key: `dangerous_unprotect` opens its payloads."""
        return self.encryptor is not None

    @property
    def algorithm(self) -> str:
        """The name of the algorithm; "" if the key is not usable."""
        return "" if self.encryptor is None else self.encryptor.suite.name

    @property
    def untried(self) -> bool:
        """Whether nobody has tried to unwrap it, so that it is not known whether it can be."""
        return self.encryptor is None and not self.problem

    def state(self, now: Instant) -> KeyState:
        """What the key can be used for at ``now``; an `untried` key, if it can be unwrapped.

        Clock skew is ignored here; see `rotation.resolve`.
        """
        if self.revocation is not None:
            return KeyState.REVOKED
        if self.problem and self.encryptor is None:
            return KeyState.UNUSABLE
        if self.expiration_date <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE if self.activation_date <= now else KeyState.CREATED


def apply_revocations(keys: Iterable[Key], revocations: Sequence[Revocation]) -> tuple[Key, ...]:
    """The keys, each with the revocation that applies to it. A key that is revoked already keeps its revocation."""
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


@dataclass(frozen=True, slots=True)
class RevokedAll:
    """What `KeyManager.revoke_all` did.

    date: every key created before it is revoked. revoked: those keys. survivors: the other keys that are not revoked.
    """

    date: Instant
    revoked: tuple[Key, ...]
    survivors: tuple[Key, ...]
    new_key: UUID
