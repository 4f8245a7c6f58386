"""A reading for people who look at a ring: of a large one, only some keys are unwrapped.

To unwrap a key takes half a millisecond with a certificate, and a request with a key service. Of 10,000 keys, nearly
all have expired long ago. Nothing is claimed about a key that was not tried (`Key.untried`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.reading import Reading
from dpmiddleware.keys.rotation import resolve

__all__ = ["MOST", "glance", "worth_unwrapping"]

MOST: Final = 100
"""Keys that are unwrapped: four per year are 25 years, one per day is a season."""


def glance(manager: KeyManager, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Reading:
    """Read a ring as `KeyManager.read` does, and unwrap at most `MOST` keys, and the one that protects."""
    return manager.read(progress, lambda keys: worth_unwrapping(keys, manager.now(), manager.policy))


def worth_unwrapping(keys: Sequence[Key], now: Instant, policy: RotationPolicy) -> set[UUID]:
    """The ids of the keys to unwrap: those that have not expired come first, and of these, those activated last."""
    first = sorted(keys, key=lambda key: (key.expiration_date <= now, -key.activation_date.ticks))[:MOST]
    preferred = resolve(now, keys, policy).preferred
    return {key.id for key in first} | ({preferred.id} if preferred is not None else set())
