"""From a reading to the ring: whether the reading is complete enough to use, what is planned, and the ring itself."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MalformedDocumentError, NoUsableKeyError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.reading import Reading
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.rotation import Plan, plan, rotation_due

__all__ = ["IncompleteReadingError", "plan_for", "ring_of"]

_LOOK_AGAIN: Final = timedelta(minutes=1)
"""When an incomplete ring is read again, although the store has not changed: a key service may be available again."""


class IncompleteReadingError(MalformedDocumentError):
    """A document that may be a revocation cannot be read, so the ring is not used. ``reading``: what can be read."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(
            f"{reading.lost_revocation}, and it may be a revocation",
            hint="find the document with `dpm keys list`, and repair or remove it; the ring is then used again",
        )
        self.reading = reading


def plan_for(reading: Reading, now: Instant, policy: RotationPolicy) -> Plan:
    """What `rotation.plan` decides for a reading. No key is created while the store has lost keys.

    `IncompleteReadingError` if a revocation may be missing, `ConfigurationError` if no document is accepted.
    """
    if reading.lost_revocation:
        raise IncompleteReadingError(reading)
    if reading.refused and not reading.keys:
        raise ConfigurationError(
            f"no document in {reading.location} is accepted; {reading.refused[0].name}: {reading.refused[0].problem}",
            hint="check trusted_signers=, ring= and key_wrapper=; no key is added to a ring that may be another one",
        )
    unreadable = reading.unreadable
    alive = [key for key in reading.lost if now < key.expiration_date]
    if alive:
        unreadable = f"the store has lost {len(alive)} keys that this process has read before"
    decided = plan(now, reading.keys, reading.revocations, policy, unreadable=unreadable)
    return Plan(decided.protect_with, None, unreadable) if alive and decided.make else decided


def ring_of(name: str, reading: Reading, decided: Plan, now: Instant, policy: RotationPolicy) -> KeyRing:
    """The ring, with what was decided about its keys.

    name: of the ring. decided: by `plan_for`, at ``now`` and under ``policy``.
    `KeyUnwrapError` or `NoUsableKeyError` if no key can be used and none may be created.
    """
    _refuse_useless(reading, decided)
    return KeyRing(
        name,
        reading.keys,
        decided.protect_with,
        version=reading.version,
        good_until=_good_until(reading, decided, now, policy),
        problem=decided.blocked,
        rotation_due=rotation_due(now, reading.keys, policy),
        loss=reading.loss,
        policy=policy,
    )


def _refuse_useless(reading: Reading, decided: Plan) -> None:
    """A ring whose keys are all revoked is used: it refuses payloads."""
    living = [key for key in reading.keys if key.revocation is None]
    all_revoked = bool(reading.keys) and not living and not reading.unreadable
    if not decided.blocked or all_revoked or any(key.usable for key in living):
        return
    broken = [key for key in reading.keys if not key.usable]
    error = KeyUnwrapError if broken else NoUsableKeyError
    cures = dict.fromkeys(key.hint for key in broken if key.hint)
    raise error(
        f"no key in {reading.location} can be used, and none is created: {decided.blocked}",
        hint="; or ".join([*cures][:2]) or "see what is wrong with the keys: `dpm keys list`",
    )


def _good_until(reading: Reading, decided: Plan, now: Instant, policy: RotationPolicy) -> Instant:
    """When to read the whole ring again: soon if something is wrong, else when the next key is due."""
    if decided.blocked or any(key.problem and key.revocation is None for key in reading.keys):
        return now + _LOOK_AGAIN
    until = now + policy.refresh * (1 - random.random() / 5)  # noqa: S311 (spreads the reads of a farm)
    key = decided.protect_with
    if key is None:
        return until
    rotation = key.expiration_date - policy.refresh - policy.propagation
    return min([until, *(moment for moment in (rotation, key.expiration_date) if now < moment)])
