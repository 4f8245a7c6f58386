"""Which key protects now, and whether one is to be made: pure functions of a moment and the keys.

`resolve` is ASP.NET Core's default key resolver, case for case. `plan` adds its look ahead for a successor, and our
rule for making keys: a successor to a usable default is made when it is due; a key that would be the default at once
is made only if nothing that may be a key is unreadable. Unreadable is never absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation

__all__ = ["NewKey", "Plan", "Resolution", "RotationPolicy", "plan", "resolve", "rotation_due"]


@dataclass(frozen=True, kw_only=True)
class RotationPolicy:
    """How keys live, and how soon a change is seen.

    lifetime: from making to expiration of a key; at least 7 days. Expired keys go on unprotecting.
    propagation: how long before its first use a successor is made, so that every member of the farm has it by then.
    refresh: at the latest after this time the whole ring is read again, changed or not.
    clock_skew: how far the clocks of the farm may lie apart.
    poll: how often the store's version is asked for; a revocation holds everywhere after this time.
    max_stale: how old the last successful check may become before requests are answered 503, at least two polls;
    ``None``: any age.
    """

    lifetime: timedelta = timedelta(days=90)
    propagation: timedelta = timedelta(days=2)
    refresh: timedelta = timedelta(hours=24)
    clock_skew: timedelta = timedelta(minutes=5)
    poll: timedelta = timedelta(seconds=10)
    max_stale: timedelta | None = None

    def __post_init__(self) -> None:
        if self.lifetime < timedelta(days=7):
            raise ConfigurationError("a key lifetime under 7 days", hint="lifetime=timedelta(days=90) is the default")
        if self.propagation + self.refresh >= self.lifetime:
            raise ConfigurationError("propagation and refresh together are longer than a key lives")
        if min(self.propagation, self.clock_skew) < timedelta(0) or min(self.refresh, self.poll) <= timedelta(0):
            raise ConfigurationError("a negative time span in the rotation policy")
        if self.max_stale is not None and self.max_stale < 2 * self.poll:
            raise ConfigurationError(
                "max_stale under two polls: a ring would count as stale while its next check is under way",
                hint="max_stale=timedelta(minutes=5), or leave it out",
            )


@dataclass(frozen=True, slots=True)
class Resolution:
    """default: the key that protects. fallback: the best other one where there is no default.

    preferred: the key that was activated last; it is the default unless revoked, expired or unusable.
    """

    default: Key | None
    fallback: Key | None
    preferred: Key | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """The dates of a key that is to be made."""

    creation: Instant
    activation: Instant
    expiration: Instant


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the keys at hand.

    protect_with: the key to protect with, ``None`` where there is none.
    make: the key to make, ``None`` where none is due or none may be made.
    blocked: why a key that is due is not made; else "".
    """

    protect_with: Key | None
    make: NewKey | None
    blocked: str = ""


def resolve(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Resolution:
    """The default key at ``now``: the one activated last (ties: the smallest id), if it is good.

    No older key takes its place. The fallback is the newest key that every member must know by now, else the oldest of
    the young ones.
    """
    preferred = _preferred(now, keys, policy)
    if preferred is not None and _is_good(preferred, now):
        return Resolution(preferred, None, preferred)
    return Resolution(None, _fallback(now - policy.propagation, keys, preferred), preferred)


def _preferred(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Key | None:
    """The key activated last, good or not."""
    latest = now + policy.clock_skew
    active = [key for key in keys if key.activation_date <= latest]
    newest = max((key.activation_date.ticks for key in active), default=0)
    return min((key for key in active if key.activation_date.ticks == newest), key=lambda key: key.id, default=None)


def _default(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Key | None:
    """The preferred key, if it is good then."""
    key = _preferred(now, keys, policy)
    return key if key is not None and _is_good(key, now) else None


def _is_good(key: Key, now: Instant) -> bool:
    return key.usable and not key.revocation and now < key.expiration_date


def _fallback(known_since: Instant, keys: Sequence[Key], preferred: Key | None) -> Key | None:
    """The best of the other keys; ``known_since``: when a key was made that every member must know by now."""
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
    """Which key protects, which is to be made. ``unreadable``: what in the store may be a key and cannot be read."""
    resolution = resolve(now, keys, policy)
    if resolution.default is not None:
        return _with_default(now, resolution.default, keys, revocations, policy)
    spare = _spare(resolution)
    broken = [key for key in keys if not key.usable and not key.revocation and now < key.expiration_date]
    if unreadable or broken:
        return Plan(spare, None, unreadable or f"key {broken[0].id} cannot be used: {broken[0].problem}")
    born = _birth(now, revocations, policy)
    if born is None:
        return Plan(spare, None, "a revocation of all keys is dated ahead: a key made now would be revoked at birth")
    return Plan(spare, _to_be_default(born, resolution.preferred, policy))


def _with_default(
    now: Instant, default: Key, keys: Sequence[Key], revocations: Sequence[Revocation], policy: RotationPolicy
) -> Plan:
    """Look for the key that takes over when the default expires; make one if there is none or it does not last."""
    horizon = now + policy.refresh + policy.propagation
    if default.expiration_date >= horizon:
        return Plan(default, None)
    then = resolve(default.expiration_date, keys, policy)
    if then.default is not None and then.default.expiration_date >= horizon:
        return Plan(default, None)
    heir = then.preferred
    if heir is not None and not heir.usable and not heir.revocation and horizon <= heir.expiration_date:
        return Plan(default, None, f"key {heir.id} takes over soon and cannot be used: {heir.problem}")
    born = _birth(now, revocations, policy)
    if born is None:
        return Plan(default, None, "a revocation of all keys is dated ahead: a successor would be revoked at birth")
    return Plan(default, NewKey(born, default.expiration_date, now + policy.lifetime))


def rotation_due(now: Instant, keys: Sequence[Key], policy: RotationPolicy) -> Instant | None:
    """When the next key is to be made, as things stand; ``now`` where one is due, ``None`` where none can be said.

    That is when the last key in the row has only ``refresh`` and ``propagation`` left to live.
    """
    last = _default(now, keys, policy)
    if last is None:
        return now if not keys or any(key.usable for key in keys) else None
    while (successor := _default(last.expiration_date, keys, policy)) is not None:
        last = successor
    return max(now, last.expiration_date - policy.refresh - policy.propagation)


def _spare(resolution: Resolution) -> Key | None:
    """What protects while there is no default: the last default if it has merely expired, else the fallback."""
    last = resolution.preferred
    return last if last is not None and last.usable and not last.revocation else resolution.fallback


def _to_be_default(born: Instant, preferred: Key | None, policy: RotationPolicy) -> NewKey:
    """A key that is preferred from now on: activated later than any that stands in its way within the clock skew."""
    activation = born if preferred is None or preferred.activation_date < born else preferred.activation_date.next()
    return NewKey(born, activation, born + policy.lifetime)


def _birth(now: Instant, revocations: Sequence[Revocation], policy: RotationPolicy) -> Instant | None:
    """When a key that is made now counts as created.

    That is now, or the date of a revocation of all that a faster clock has dated a little ahead; ``None`` where that
    lies further ahead than clocks may: then somebody meant it, and a key made now would be revoked at birth.
    """
    dates = [revocation.date for revocation in revocations if revocation.key_id is None and revocation.date is not None]
    born = max([now, *dates])
    return born if born <= now + policy.clock_skew else None
