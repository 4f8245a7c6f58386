"""The work of an operator on a ring: rotate, copy, prune, wrap again.

Each function works on a ring that is in use: it reads, decides, commits at the version that it read, and is retried if
the store has changed in between. Documents are copied byte for byte, so signatures and wrappings stay valid.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from dpmiddleware.errors import ConfigurationError, DataProtectionError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, xml
from dpmiddleware.keys.interfaces import KeyWrapper, StoredDocument
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.portions import Portions
from dpmiddleware.keys.reading import Reading, SetAside
from dpmiddleware.keys.ring_policy import RingPolicy, newest
from dpmiddleware.keys.rotation import resolve, rotation_due
from dpmiddleware.keys.wrapping import replace_wrapping
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import hides_locals

__all__ = ["Copied", "Pruned", "Rewrapped", "Rotated", "copy", "prune", "rewrap", "rotate_if_due"]

_Item = Key | Revocation | RingPolicy
_Identity = UUID | Revocation | RingPolicy
_FIRST_COPIED: Final = 250
"""Documents in the first portion of a copy: smaller rings are copied in one commit."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """made: the key that was due and has been created, if any. next_due: when the next one is due; ``None``: unknown.

    problem: why a key that is due could not be created; else "".
    """

    made: UUID | None
    next_due: Instant | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Copied:
    """How many documents were copied, how many the target had, and which are not used in the source."""

    copied: int
    there: int
    left_out: tuple[SetAside, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """removed: the keys that were removed, or would be. kept: expired keys that are kept, with the reason."""

    removed: tuple[Key, ...]
    kept: tuple[tuple[Key, str], ...]


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """wrapped: keys that were wrapped again. there: keys that were wrapped so already. failed: keys not usable here.

    left_out: documents that are not used.
    """

    wrapped: tuple[UUID, ...]
    there: tuple[UUID, ...]
    failed: tuple[Key, ...]
    left_out: tuple[SetAside, ...]


@hides_locals
def rotate_if_due(manager: KeyManager) -> Rotated:
    """Create the key that is due, if one is; for a scheduled job. Errors as `KeyManager.load_ring`.

    If a key is due and could not be created, the result has a ``problem``, although the ring is used without it.
    """
    before = {key.id for key in manager.read().keys}
    ring = manager.load_ring(create_keys=True)
    reading = manager.read()
    made = next((key.id for key in reading.keys if key.id not in before), None)
    return Rotated(made, rotation_due(manager.now(), reading.keys, manager.policy_in(reading)), ring.problem)


@hides_locals
def copy(
    source: KeyManager,
    target: KeyManager,
    *,
    reading: Reading | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Copied:
    """Copy every key and revocation of ``source`` that ``target`` does not have, and its policy if it has none.

    reading: a survey of the source, if there is one already.
    progress: called after each commit with the number of documents copied so far, and that of all to copy.

    Both may be in use: what is added to the source in the meantime is copied too. Documents that are not used in the
    source are not copied. A large ring is copied in portions, each in one commit; after an interruption, call it again.
    """
    copied = 0
    portions, place = Portions(_FIRST_COPIED), _Target(target)
    while True:
        reading, before = reading or source.survey(), copied
        left = 1
        while left:
            with portions.timed():
                added, left = target.retried(partial(place.add, reading, portions.size))
            copied += added
            if added:
                progress(copied, copied + left)
        if copied == before or source.repository.version() == reading.version:
            return Copied(copied, max(0, len(reading.documents) - copied), reading.set_aside)
        reading = None


class _Target:
    """Where a copy goes. What it has is read once, and then known from one commit to the next, if the store says so."""

    def __init__(self, manager: KeyManager) -> None:
        self._manager = manager
        self._known: Reading | None = None

    def add(self, reading: Reading, most: int) -> tuple[int, int]:
        """Add some of what the target does not have; how many were added, and how many are left."""
        there, self._known = self._known or self._manager.survey(), None
        missing = _missing(reading, there)
        if missing and there.signed and not reading.signed:
            raise ConfigurationError(
                "the target ring is signed, but the source is not: nothing was written",
                hint="sign the source first, with `dpm keys sign`",
            )
        portion = sorted(missing, key=_order)[:most]
        if portion:
            add = there.with_free_names(_named(*one) for one in portion)
            version = self._manager.repository.commit(add=add, expected=there.version)
            if version is not None:
                added = [(stored, item) for stored, (_, item) in zip(add, portion, strict=True)]
                policy = there.policy or newest(item for _, item in portion if isinstance(item, RingPolicy))
                documents = (*there.documents, *added)
                signed = there.signed or reading.signed
                self._known = replace(there, version=version, documents=documents, signed=signed, policy=policy)
        return len(portion), len(missing) - len(portion)


def _missing(reading: Reading, there: Reading) -> list[tuple[StoredDocument, _Item]]:
    """What a ring has and another one does not: one document for each thing that is said."""
    had = {_identity(item) for _, item in there.documents}
    missing: dict[_Identity, tuple[StoredDocument, _Item]] = {}
    for stored, item in reading.documents:
        is_other_policy = isinstance(item, RingPolicy) and (there.policy is not None or item != reading.policy)
        if not is_other_policy and _identity(item) not in had:
            missing.setdefault(_identity(item), (stored, item))
    return list(missing.values())


def _order(one: tuple[StoredDocument, _Item]) -> int:
    """Revocations first: no key may be there without its revocation. Then keys, beginning with the newest.

    So a member that reads the target between two portions finds the key that protects.
    """
    _, item = one
    return -item.activation_date.ticks if isinstance(item, Key) else -sys.maxsize


def _identity(item: _Item) -> _Identity:
    """Equal for two documents that say the same: the id of a key; key, date and reason of a revocation."""
    return item.id if isinstance(item, Key) else item


def _named(stored: StoredDocument, item: _Item) -> StoredDocument:
    """The document under its name, or if the store has no names, under the name that .NET gives it."""
    if stored.name is not None:
        return StoredDocument(stored.name, stored.data)
    name = f"key-{item.id}" if isinstance(item, Key) else document.friendly_name(xml.parse(stored.data))
    return StoredDocument(name, stored.data)


@hides_locals
def prune(
    manager: KeyManager, *, older_than: timedelta, longest_lifetime: timedelta = timedelta(0), dry_run: bool = False
) -> Pruned:
    """Remove keys that expired more than ``older_than`` ago and whose payloads are no longer valid.

    longest_lifetime: of any payload; a key is kept for that time after its expiration.
    dry_run: whether to return only what would be removed.

    The default key is never removed. A key is revoked in the same step in which it is removed, so that an old copy of
    its document opens nothing if it is put back.
    """
    if older_than < timedelta(0) or longest_lifetime < timedelta(0):
        raise ConfigurationError("the time span is negative", hint="use a positive one: --older-than 180d")
    return manager.retried(lambda: _prune_once(manager, max(older_than, longest_lifetime), dry_run=dry_run))


def _prune_once(manager: KeyManager, age: timedelta, *, dry_run: bool) -> Pruned:
    reading, now = manager.read(), manager.now()
    resolution = resolve(now, reading.keys, manager.policy_in(reading))
    needed = {key.id for key in (resolution.default, resolution.preferred, resolution.fallback) if key is not None}
    lost = {key.id for key in reading.lost}
    expired = [key for key in reading.keys if key.expiration_date <= now and key.id not in lost]
    kept = [(key, "it is the default key or would replace it") for key in expired if key.id in needed]
    kept += [
        (key, "its payloads may still be valid")
        for key in expired
        if key.id not in needed and now.since(key.expiration_date) < age and key.revocation is None
    ]
    staying = {key.id for key, _ in kept}
    removed = tuple(key for key in expired if key.id not in staying)
    if removed and not dry_run:
        revoked = {revocation.key_id for revocation in reading.revocations}
        gone = {key.id for key in removed}
        manager.commit(
            [document.new_revocation(key.id, date=now, reason="pruned") for key in removed if key.id not in revoked],
            reading,
            [stored for stored, item in reading.documents if isinstance(item, Key) and item.id in gone],
        )
        for key in removed:
            emit("key_pruned", "info", key_id=key.id, location=manager.repository.location)
    return Pruned(removed, tuple(kept))


@hides_locals
def rewrap(
    manager: KeyManager,
    wrapper: KeyWrapper,
    *,
    progress: Callable[[UUID], None] = lambda _: None,
    between: Callable[[], None] = lambda: None,
) -> Rewrapped:
    """Wrap every key under ``wrapper``, in portions of one commit each; after an interruption, call it again.

    progress: called with the id of each key that was wrapped again, once it is stored.
    between: called between two portions; may raise an error, to end the work there.

    Keys that ``wrapper`` opens already, and documents that are not used, stay as they are.
    """
    wrapped: list[UUID] = []
    items = [item for _, item in manager.read().documents if isinstance(item, Key)]
    failed = tuple(item for item in items if not item.usable)
    todo = [item.id for item in items if item.usable]
    portions = Portions(first=1)
    done = 0
    while done < len(todo):
        portion = todo[done : done + portions.size]
        with portions.timed():
            again, failure = manager.retried(partial(_rewrap_some, manager, wrapper, portion))
        wrapped += again
        for key_id in again:
            progress(key_id)
        if failure is not None:
            raise failure
        done += len(portion)
        between()
    there = dict.fromkeys(todo)
    for key_id in wrapped:
        del there[key_id]
    return Rewrapped(tuple(wrapped), tuple(there), failed, manager.read().set_aside)


def _rewrap_some(
    manager: KeyManager, wrapper: KeyWrapper, key_ids: Sequence[UUID]
) -> tuple[list[UUID], DataProtectionError | None]:
    """Replace the documents of some keys; those that were replaced, and the error that came before the next one."""
    reading = manager.read()
    stored: dict[UUID, list[StoredDocument]] = {key_id: [] for key_id in key_ids}
    for one, item in reading.documents:
        if isinstance(item, Key) and item.id in stored:
            stored[item.id].append(one)
    elements: dict[UUID, ET.Element] = {}
    failure: DataProtectionError | None = None
    for key_id in (key_id for key_id in stored if stored[key_id]):
        loaded = document.load(stored[key_id][0])
        assert isinstance(loaded, document.KeyDocument)  # noqa: S101 (the reader has found a key in it)
        try:
            if replace_wrapping(loaded, wrapper, manager.wrappers, manager.ring_name):
                elements[key_id] = loaded.element
        except DataProtectionError as error:  # what the key service has wrapped before it failed is kept
            failure = error
            break
    if elements:
        manager.commit([*elements.values()], reading, [one for key_id in elements for one in stored[key_id]])
    for key_id in elements:
        emit("key_rewrapped", "info", key_id=key_id, location=manager.repository.location)
    return [*elements], failure
