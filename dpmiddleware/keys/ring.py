"""All keys at one moment, as nobody can change them."""

from __future__ import annotations

from collections.abc import Sequence

from dpmiddleware.errors import NoUsableKeyError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation, apply_revocations

__all__ = ["KeyRing"]


class KeyRing:
    """The keys of a ring, found by the 16 raw id bytes of a payload (GUID byte order).

    name: the ring's name, for messages. version: the store's version that it was read at. default: the key that
    protects. good_until: when another key becomes due, so that the whole is looked at again. problem: why a key that is
    due was not made, or why there is no default; "" where all is well. rotation_due: when the next key is to be made,
    as things stand; ``None``: unknown.
    """

    __slots__ = (
        "by_id",
        "default",
        "good_until",
        "keys",
        "name",
        "problem",
        "rotation_due",
        "version",
    )

    def __init__(
        self,
        name: str,
        keys: Sequence[Key],
        default: Key | None,
        *,
        version: str,
        good_until: Instant,
        problem: str = "",
        rotation_due: Instant | None = None,
    ) -> None:
        self.name = name
        self.keys = tuple(keys)
        self.default = default
        self.version = version
        self.good_until = good_until
        self.problem = problem
        self.rotation_due = rotation_due
        self.by_id = {key.id.bytes_le: key for key in self.keys}
        """What `find` looks into."""

    def find(self, key_id: bytes) -> Key | None:
        """The key with these 16 raw id bytes, in whatever state; ``None`` if this ring has none."""
        return self.by_id.get(key_id)

    def protecting_key(self) -> Key:
        """The default key. `NoUsableKeyError` where there is none."""
        if self.default is None:
            why = f": {self.problem}" if self.problem else ""
            raise NoUsableKeyError(
                f"the ring {self.name!r} has no key to protect with{why}",
                hint="`dpm keys list` shows the keys; `dpm keys create` makes one",
            )
        return self.default

    def with_revocations(self, revocations: Sequence[Revocation]) -> KeyRing:
        """The same ring with more of its keys revoked; a revoked default protects no longer."""
        keys = apply_revocations(self.keys, revocations)
        if keys == self.keys:
            return self
        default = next((key for key in keys if self.default is not None and key.id == self.default.id), None)
        return KeyRing(
            self.name,
            keys,
            None if default is None or default.revocation is not None else default,
            version=self.version,
            good_until=self.good_until,
            problem=self.problem or "its default key is revoked, and the store cannot be read whole",
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        default = "none" if self.default is None else self.default.id
        return f"<KeyRing {self.name!r}: {len(self.keys)} keys, default {default}>"
