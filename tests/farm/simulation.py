"""A farm on one thread: the real manager, provider and rotation code; virtual clocks, one virtual store, and faults.

A run is a function of its seed. In each step some time passes, a fault may begin or end, and one node does
what a request does: it protects something, or opens something that another node protected. Between any two calls of the
store another node may run, so races happen at every possible place. `Farm.step` checks the invariants.
"""

from __future__ import annotations

import contextlib
import random
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Final
from uuid import UUID

from dpmiddleware.errors import (
    KeyManagementError,
    KeyUnwrapError,
    RepositoryError,
    RevokedKeyError,
    UnknownKeyError,
    UnusableKeyError,
)
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import KeyDocument, RevocationDocument, load
from dpmiddleware.keys.interfaces import Binding, Snapshot, StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository

POLICY: Final = RotationPolicy()
BEGIN: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
REMEMBERED_PAYLOADS: Final = 40


class InvariantBroken(BaseException):
    """The farm broke an invariant; the message has the seed and the virtual time. No error handler may catch it."""


@dataclass
class World:
    """Time, randomness, and the one store."""

    seed: int
    seconds: float = 0.0
    store: MemoryKeyRepository = field(default_factory=MemoryKeyRepository)
    made: dict[UUID, float] = field(default_factory=dict)
    created: dict[UUID, Instant] = field(default_factory=dict)
    at_once: set[UUID] = field(default_factory=set)
    revoked: dict[UUID, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def now(self) -> datetime:
        """True time."""
        return BEGIN + timedelta(seconds=self.seconds)


class NodeClock:
    """A clock that is off by a fixed time, within the limit."""

    def __init__(self, world: World, offset: float) -> None:
        self._world, self._offset = world, offset

    def now(self) -> datetime:
        return self._world.now() + timedelta(seconds=self._offset)

    def monotonic(self) -> float:
        return self._world.seconds


class KmsWrapper:
    """A key service: it opens everything while it is available, and nothing otherwise."""

    decryptor_types = frozenset({"Simulated.Kms"})

    def __init__(self, node: Node) -> None:
        self._node = node

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        self._answer()
        wrapped = ET.Element("wrapped", {"key": str(binding.key_id)})
        wrapped.append(secret)
        return "Simulated.Kms", wrapped

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        self._answer()
        assert encrypted.get("key") == str(binding.key_id)
        return encrypted[0]

    def _answer(self) -> None:
        if self._node.kms_down:
            raise KeyUnwrapError("the KMS does not answer")


class NodeRepository:
    """The store as one node sees it: sometimes unavailable, changed in between, or silent after a commit."""

    location = "simulated:"

    def __init__(self, farm: Farm, node: Node) -> None:
        self._farm, self._node = farm, node

    def read(self) -> Snapshot:
        self._reach()
        return self._farm.world.store.read()

    def version(self) -> str:
        self._reach()
        return self._farm.world.store.version()

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        self._reach()
        self._farm.world.store.commit(add=add, remove=remove, expected=expected)
        self._farm.note_commit(self._node, add)
        if self._farm.world.chance.random() < 0.1:
            raise RepositoryError("the reply to a commit was lost")

    def _reach(self) -> None:
        self._farm.perhaps_somebody_else(self._node)
        if self._node.partitioned:
            raise RepositoryError("the network is down")


class Node:
    """One process of the farm."""

    def __init__(self, farm: Farm, number: int) -> None:
        self.farm, self.number = farm, number
        self.partitioned = False
        self.kms_down = False
        self.well_since = 0.0
        self.frozen_until = 0.0
        offset = POLICY.clock_skew.total_seconds() / 2
        self.clock = NodeClock(farm.world, farm.world.chance.uniform(-offset, offset))
        self.restart()

    def restart(self) -> None:
        """A new process: it knows nothing."""
        self.manager = KeyManager(
            NodeRepository(self.farm, self), self.clock, ring="farm", policy=POLICY, wrappers=[KmsWrapper(self)]
        )
        self.provider = KeyRingProvider(self.manager, start=lambda job: job())
        self.protector = DataProtector(self.provider, ("farm", "test"))
        self.well_since = max(self.well_since, self.farm.world.seconds)

    @property
    def healthy(self) -> bool:
        """Whether this node reaches the store and the key service."""
        return not self.partitioned and not self.kms_down


class Farm:
    """Some nodes and a store. ``step`` advances everything by a little and checks the invariants."""

    def __init__(self, seed: int, nodes: int = 5) -> None:
        self.world = World(seed)
        self.payloads: list[tuple[bytes, float]] = []
        self._depth = 0
        self.refusals = self.opened = 0
        self.nodes = [Node(self, number) for number in range(nodes)]

    # --- what happens ---------------------------------------------------------------------------------------

    def run(self, days: float) -> None:
        """Let virtual days pass."""
        while self.world.seconds < days * 86_400:
            self.step()

    def step(self) -> None:
        """Time passes, faults begin and end, and one node serves a request."""
        chance = self.world.chance
        self.world.seconds += chance.choice((0.3, 4.0, 15.0, 600.0, 7_200.0, 30_000.0)) * chance.random()
        self._break_something()
        self._turn(chance.choice(self.nodes))

    def _turn(self, node: Node) -> None:
        if node.frozen_until > self.world.seconds:
            return
        if self.world.chance.random() < 0.35 or not self.payloads:
            self._protect(node)
        else:
            self._unprotect(node, *self.world.chance.choice(self.payloads))

    def perhaps_somebody_else(self, node: Node) -> None:
        """Another node runs in the middle of this one."""
        if self._depth or self.world.chance.random() > 0.15:
            return
        self._depth += 1
        try:
            self._turn(self.world.chance.choice([other for other in self.nodes if other is not node]))
        finally:
            self._depth -= 1

    def _break_something(self) -> None:
        chance, now = self.world.chance, self.world.seconds
        node = chance.choice(self.nodes)
        event = chance.random()
        if event < 0.004:
            node.partitioned = True
        elif event < 0.012 and node.partitioned:
            node.partitioned, node.well_since = False, now
        elif event < 0.014:
            node.frozen_until = now + chance.uniform(60, 5 * 86_400)
        elif event < 0.018:
            node.restart()
        elif event < 0.021:
            node.kms_down = True
        elif event < 0.030 and node.kms_down:
            node.kms_down, node.well_since = False, now
        elif event < 0.0304:
            self._revoke(node)

    def _revoke(self, node: Node) -> None:
        """The operator revokes the default key, or everything."""
        if not node.healthy:
            return
        with contextlib.suppress(KeyManagementError):  # a lost reply; the commit was recorded before
            if self.world.chance.random() < 0.5:
                default = node.provider.current().default
                if default is not None:
                    node.manager.revoke(default.id, "drill")
            else:
                node.manager.revoke_all(reason="drill")

    def note_commit(self, node: Node, added: Sequence[StoredDocument]) -> None:
        """Record when each key was stored, whether it is the default at once, and revocations."""
        documents = [load(stored) for stored in added]
        for revocation in (one for one in documents if isinstance(one, RevocationDocument)):
            for key_id, created in self.world.created.items():
                of_all = revocation.key_id is None and revocation.date is not None and created < revocation.date
                if of_all or revocation.key_id == key_id:
                    self.world.revoked.setdefault(key_id, self.world.seconds)
        for key in (one for one in documents if isinstance(one, KeyDocument)):
            self.world.made[key.id] = self.world.seconds
            self.world.created[key.id] = key.creation_date
            if key.activation_date <= Instant.of(node.clock.now()) + POLICY.clock_skew:
                self.world.at_once.add(key.id)
        self._check_one_key_a_rotation()

    # --- what requests do -----------------------------------------------------------------------------------

    def _protect(self, node: Node) -> None:
        try:
            payload = node.protector.protect(b"something")
        except KeyManagementError:
            if node.healthy and self._time_well(node) > 120:
                self._broken(f"node {node.number} is healthy and cannot protect")
            return
        self._check_others_could_know(payload)
        self.payloads.append((payload, self.world.seconds))
        if len(self.payloads) > REMEMBERED_PAYLOADS:
            self.payloads.pop(self.world.chance.randrange(REMEMBERED_PAYLOADS))

    def _unprotect(self, node: Node, payload: bytes, protected_at: float) -> None:
        key_id = _key_of(payload)
        revoked_at = self.world.revoked.get(key_id)
        settled = self._time_well(node)
        try:
            node.protector.unprotect(payload)
        except RevokedKeyError:
            if revoked_at is None:
                self._broken(f"{key_id} counts as revoked and was not")
        except UnknownKeyError:
            self.refusals += 1
            if node.healthy and settled > 2 * POLICY.poll.total_seconds() and revoked_at is None:
                self._broken(f"node {node.number} refuses {key_id}, made {self.world.seconds - protected_at:.0f} s ago")
        except (KeyManagementError, UnusableKeyError):
            self.refusals += 1
            if node.healthy and settled > 120:
                self._broken(f"node {node.number} is healthy and cannot open")
        else:
            self.opened += 1
            held = POLICY.poll.total_seconds()
            if revoked_at is not None and not node.partitioned:
                known = min(self.world.seconds - revoked_at, self.world.seconds - node.well_since)
                if known > held:
                    self._broken(f"node {node.number} opens {key_id}, revoked {known:.0f} s ago")

    def _time_well(self, node: Node) -> float:
        return self.world.seconds - node.well_since

    # --- invariants -----------------------------------------------------------------------------------------

    def _check_others_could_know(self, payload: bytes) -> None:
        """A key is used only when every node has had time to read it, except for keys that had to be active at once."""
        key_id = _key_of(payload)
        age = self.world.seconds - self.world.made[key_id]
        least = (POLICY.propagation - 2 * POLICY.clock_skew).total_seconds()
        if key_id not in self.world.at_once and age < least:
            self._broken(f"{key_id} is used {age:.0f} s after it was made")

    def _check_one_key_a_rotation(self) -> None:
        """There is a rotation between two keys of one kind, unless something was revoked in between."""
        quiet = (POLICY.lifetime - POLICY.refresh - POLICY.propagation - timedelta(days=6)).total_seconds()
        by_time = sorted((time, key_id) for key_id, time in self.world.made.items())
        for (before, old), (after, new) in pairwise(by_time):
            revoked = any(before <= time <= after for time in self.world.revoked.values())
            if after - before < quiet and not revoked and not self._is_catching_up(old, new):
                self._broken(f"{new} was made {after - before:.0f} s after {old}")

    def _is_catching_up(self, old: UUID, new: UUID) -> bool:
        """A farm that was idle over a rotation creates a key at once, and soon after that its planned successor."""
        return (old in self.world.at_once) != (new in self.world.at_once)

    def _broken(self, what: str) -> None:
        raise InvariantBroken(f"seed {self.world.seed}, {self.world.now():%Y-%m-%d %H:%M:%S}: {what}")


def _key_of(payload: bytes) -> UUID:
    raw = peek_key_id(payload)
    assert raw is not None
    return UUID(bytes_le=raw)
