"""All keys of a ring at one moment, immutable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dpmiddleware.errors import NoUsableKeyError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation, apply_revocations
from dpmiddleware.keys.policy import RotationPolicy

__all__ = ["KeyRing"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KeyRing:
    """The keys of a ring.

    name: the ring's name, for messages. default: the key that protects.
    version: the version of the store that the ring was read at.
    good_until: when to read the whole ring again, whether or not the version has changed.
    problem: why a key that is due was not created, or why there is no default key; else "".
    loss: which keys and revocations the store has lost since this process started; else "".
    rotation_due: when the next key is due, as far as is known now; ``None``: unknown.
    policy: what the ring says of its keys and polls, or this process if the ring does not; ``None``: not loaded.
    by_id: the keys by their 16 raw id bytes, as in a payload (GUID byte order).
    """

    name: str
    keys: tuple[Key, ...]
    default: Key | None
    version: str
    good_until: Instant
    problem: str = ""
    rotation_due: Instant | None = None
    loss: str = ""
    policy: RotationPolicy | None = None
    by_id: dict[bytes, Key] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {key.id.bytes_le: key for key in self.keys})

    def find(self, key_id: bytes) -> Key | None:
        """The key with these 16 raw id bytes, in any state; ``None`` if the ring does not have it."""
        return self.by_id.get(key_id)

    def protecting_key(self) -> Key:
        """The default key. `NoUsableKeyError` if there is none."""
        if self.default is None:
            why = f": {self.problem}" if self.problem else ""
            raise NoUsableKeyError(
                f"the ring {self.name!r} has no key to protect with{why}",
                hint="list the keys with `dpm keys list`; create one with `dpm keys create`",
            )
        return self.default

    def with_revocations(self, revocations: Sequence[Revocation]) -> KeyRing:
        """The same ring with more of its keys revoked; a revoked key is not the default."""
        keys = apply_revocations(self.keys, revocations)
        if keys == self.keys:
            return self
        default = next((key for key in keys if self.default is not None and key.id == self.default.id), None)
        if default is not None and default.revocation is not None:
            default = None
        problem = self.problem or "its default key is revoked, and the store cannot be read completely"
        return replace(self, keys=keys, default=default, problem=problem, rotation_due=None)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        default = "none" if self.default is None else self.default.id
        return f"<KeyRing {self.name!r}: {len(self.keys)} keys, default {default}>"
