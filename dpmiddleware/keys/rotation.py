"""Which key protects now, and whether a new one is due: pure functions of a moment and the keys.

`resolve` is ASP.NET Core's default key resolver, case for case. `plan` adds its search for a successor, and a rule of
this package for new keys: the successor of a usable default key is created when it is due; a key that would be the
default key at once is created only if every document that may be a key can be read. Unreadable is never absent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.policy import RotationPolicy

__all__ = [
    "NewKey",
    "Plan",
    "Resolution",
    "plan",
    "replacement",
    "replacement_of_all",
    "resolve",
    "rotation_due",
]

_REVOKED_FROM_THE_START: Final = (
    "a revocation of all keys has a date in the future: a new key would be revoked from the start"
)


@dataclass(frozen=True, slots=True)
class Resolution:
    """default: the key that protects. fallback: the best other key if there is no default key.

    preferred: the key that was activated last; it is the default key unless it is revoked, expired or unusable.
    """

    default: Key | None
    fallback: Key | None
    preferred: Key | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """The dates of a key to create."""

    creation: Instant
    activation: Instant
    expiration: Instant


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the keys that there are.

    protect_with: the key to protect with; ``None`` if there is none.
    make: the key to create; ``None`` if none is due or none may be created.
    blocked: why a key that is due is not created; else "".
    """

    protect_with: Key | None
    make: NewKey | None
    blocked: str = ""


def resolve(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Resolution:
    """The default key at ``now``: the key activated last (of several, the smallest id), if it can protect.

    No older key replaces it. The fallback is the newest key that every member must have by now, else the oldest of the
    newer keys.
    """
    preferred = _preferred(now, keys, policy)
    if preferred is not None and _is_good(preferred, now):
        return Resolution(preferred, None, preferred)
    return Resolution(None, _fallback(now - policy.propagation, keys, preferred), preferred)


def _preferred(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Key | None:
    """The key activated last, whether it can protect or not."""
    latest = now + policy.clock_skew
    active = [key for key in keys if key.activation_date <= latest]
    newest = max((key.activation_date.ticks for key in active), default=0)
    return min((key for key in active if key.activation_date.ticks == newest), key=lambda key: key.id, default=None)


def _default(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Key | None:
    """The preferred key, if it can protect then."""
    key = _preferred(now, keys, policy)
    return key if key is not None and _is_good(key, now) else None


def _is_good(key: Key, now: Instant) -> bool:
    return key.usable and not key.revocation and now < key.expiration_date


def _fallback(known_since: Instant, keys: Sequence[Key], preferred: Key | None) -> Key | None:
    """The best of the other keys. Every member must have the keys created before ``known_since`` by now."""
    candidates = [key for key in keys if key.usable and not key.revocation]
    old = [key for key in candidates if key.creation_date <= known_since and key is not preferred]
    young = [key for key in candidates if key.creation_date > known_since]
    if old:
        return max(old, key=lambda key: key.creation_date.ticks)
    return min(young, key=lambda key: key.creation_date.ticks, default=None)


def plan(
    now: Instant,
    keys: Sequence[Key],
    revocations: Sequence[Revocation],
    policy: RotationPolicy,
    *,
    unreadable: str = "",
) -> Plan:
    """Which key protects, and which is to be created.

    revocations: of the ring; a new key must not be revoked by them.
    unreadable: which document may be a key and cannot be read; "" if there is none.
    """
    resolution = resolve(now, keys, policy)
    if resolution.default is not None:
        return _with_default(now, resolution.default, keys, revocations, policy)
    spare = _spare(resolution)
    broken = [key for key in keys if not key.usable and not key.revocation and now < key.expiration_date]
    if unreadable or broken:
        return Plan(spare, None, unreadable or f"key {broken[0].id} cannot be used: {broken[0].problem}")
    born = _birth(now, revocations, policy)
    if born is None:
        return Plan(spare, None, _REVOKED_FROM_THE_START)
    return Plan(spare, _to_be_default(born, resolution.preferred, policy))


def _with_default(
    now: Instant, default: Key, keys: Sequence[Key], revocations: Sequence[Revocation], policy: RotationPolicy
) -> Plan:
    """Find the key that replaces the default key when that expires; if there is none that lasts, one is due."""
    horizon = now + policy.refresh + policy.propagation
    if default.expiration_date >= horizon:
        return Plan(default, None)
    then = resolve(default.expiration_date, keys, policy)
    if then.default is not None and then.default.expiration_date >= horizon:
        return Plan(default, None)
    heir = then.preferred
    if heir is not None and not heir.usable and not heir.revocation and horizon <= heir.expiration_date:
        return Plan(default, None, f"key {heir.id} is the next default key and cannot be used: {heir.problem}")
    born = _birth(now, revocations, policy)
    if born is None:
        return Plan(default, None, _REVOKED_FROM_THE_START)
    return Plan(default, NewKey(born, default.expiration_date, now + policy.lifetime))


def rotation_due(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Instant | None:
    """When the next key is due, with the keys that there are; ``now`` if one is due already, ``None`` if unknown.

    A key is due when the last default key in the sequence expires within ``refresh`` and ``propagation``.
    """
    last = _default(now, keys, policy)
    if last is None:
        return now if not keys or any(key.usable for key in keys) else None
    ordered = sorted(keys, key=lambda key: (key.activation_date, -key.id.int))
    activations = [key.activation_date for key in ordered]
    while True:  # `_default` at the expiration of each key, found by bisection
        place = bisect_right(activations, last.expiration_date + policy.clock_skew)
        successor = ordered[place - 1]
        if not _is_good(successor, last.expiration_date):
            return max(now, last.expiration_date - policy.refresh - policy.propagation)
        last = successor


def replacement(
    now: Instant, keys: Sequence[Key], revoked: UUID, revocations: Sequence[Revocation], policy: RotationPolicy
) -> NewKey | None:
    """The key to create together with the revocation of one key; ``None`` if that key does not protect now.

    keys: of the ring. revoked: the id of the key to revoke. revocations: of the ring; a new key must not be revoked by
    them, so it is ``None`` too if they reach into the future.
    """
    resolution = resolve(now, keys, policy)
    in_use = (resolution.preferred, None if resolution.default else _spare(resolution))
    if not any(key is not None and key.id == revoked for key in in_use):
        return None
    born = _birth(now, revocations, policy)
    return None if born is None else _to_be_default(born, resolution.preferred, policy)


def replacement_of_all(now: Instant, born: Instant, keys: Sequence[Key], policy: RotationPolicy) -> NewKey:
    """The key to create together with a revocation of all keys; ``born``: its creation date."""
    return _to_be_default(born, _preferred(now, keys, policy), policy)


def _spare(resolution: Resolution) -> Key | None:
    """The key that protects while there is no default key: the last one if it has only expired, else the fallback."""
    last = resolution.preferred
    return last if last is not None and last.usable and not last.revocation else resolution.fallback


def _to_be_default(born: Instant, preferred: Key | None, policy: RotationPolicy) -> NewKey:
    """A key that is preferred from now on: activated after the one preferred now, perhaps made by a faster clock."""
    activation = born if preferred is None or preferred.activation_date < born else preferred.activation_date.next()
    return NewKey(born, activation, born + policy.lifetime)


def _birth(now: Instant, revocations: Sequence[Revocation], policy: RotationPolicy) -> Instant | None:
    """The creation date of a key that is created now.

    That is now, or the date of a revocation of all keys if that is in the future by the clock skew at most. ``None`` if
    it is further in the future: the operator has chosen it, and a new key would be revoked from the start.
    """
    dates = [revocation.date for revocation in revocations if revocation.key_id is None and revocation.date is not None]
    born = max([now, *dates])
    return born if born <= now + policy.clock_skew else None
