"""The work of an operator on a ring: rotate, copy, prune, wrap again.

Each function works on a ring that is in use: it reads, decides, commits at the version that it read, and is retried if
the store has changed in between. Documents are copied byte for byte, so signatures and wrappings stay valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, xml
from dpmiddleware.keys.interfaces import KeyWrapper, StoredDocument
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.reading import Reading, SetAside
from dpmiddleware.keys.ring_policy import RingPolicy
from dpmiddleware.keys.rotation import resolve, rotation_due
from dpmiddleware.keys.wrapping import replace_wrapping
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import hides_locals

__all__ = ["Copied", "Pruned", "Rewrapped", "Rotated", "copy", "prune", "rewrap", "rotate_if_due"]

_Identity = UUID | Revocation | RingPolicy


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
def copy(source: KeyManager, target: KeyManager) -> Copied:
    """Copy every key and revocation of ``source`` that ``target`` does not have, and its policy if it has none.

    Both may be in use: what is added to the source in the meantime is copied too. Documents that are not used in the
    source are not copied.
    """
    copied = 0
    while True:
        reading = source.read()
        added = target.retried(partial(_copy_once, reading, target))
        copied += added
        if added == 0 or source.repository.version() == reading.version:
            return Copied(copied, max(0, len(reading.documents) - copied), reading.set_aside)


def _copy_once(reading: Reading, target: KeyManager) -> int:
    """Add what the target does not have, revocations first: no key may be there without its revocation."""
    there = target.read()
    had = {_identity(item) for _, item in there.documents}
    missing: dict[_Identity, StoredDocument] = {}
    for stored, item in reading.documents:
        is_other_policy = isinstance(item, RingPolicy) and (there.policy is not None or item != reading.policy)
        if not is_other_policy and _identity(item) not in had:
            missing.setdefault(_identity(item), stored)
    if missing and there.signed and not reading.signed:
        raise ConfigurationError(
            "the target ring is signed, but the source is not: nothing was written",
            hint="sign the source first, with `dpm keys sign`",
        )
    if missing:
        in_order = sorted(missing, key=lambda identity: isinstance(identity, UUID))
        add = there.with_free_names(_named(missing[identity]) for identity in in_order)
        target.repository.commit(add=add, expected=there.version)
    return len(missing)


def _identity(item: Key | Revocation | RingPolicy) -> _Identity:
    """Equal for two documents that say the same: the id of a key; key, date and reason of a revocation."""
    return item.id if isinstance(item, Key) else item


def _named(stored: StoredDocument) -> StoredDocument:
    """The document under its name, or if the store has no names, under the name that .NET gives it."""
    if stored.name is not None:
        return StoredDocument(stored.name, stored.data)
    return StoredDocument(document.friendly_name(xml.parse(stored.data)), stored.data)


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
def rewrap(manager: KeyManager, wrapper: KeyWrapper, *, progress: Callable[[UUID], None] = lambda _: None) -> Rewrapped:
    """Wrap every key under ``wrapper``, with one commit per key; after an interruption, call it again.

    progress: called with the id of each key that was wrapped again.

    Keys that ``wrapper`` opens already, and documents that are not used, stay as they are.
    """
    wrapped: list[UUID] = []
    there: list[UUID] = []
    failed: list[Key] = []
    for _, item in manager.read().documents:
        if not isinstance(item, Key):
            continue
        if not item.usable:
            failed.append(item)
        elif manager.retried(partial(_rewrap_once, manager, wrapper, item.id)):
            wrapped.append(item.id)
            progress(item.id)
        else:
            there.append(item.id)
    return Rewrapped(tuple(wrapped), tuple(there), tuple(failed), manager.read().set_aside)


def _rewrap_once(manager: KeyManager, wrapper: KeyWrapper, key_id: UUID) -> bool:
    """Replace the document of one key; ``False`` if there is nothing to do."""
    reading = manager.read()
    pairs = [(stored, item) for stored, item in reading.documents if isinstance(item, Key) and item.id == key_id]
    if not pairs:
        return False
    loaded = document.load(pairs[0][0])
    assert isinstance(loaded, document.KeyDocument)  # noqa: S101 (the reader has found a key in it)
    if not replace_wrapping(loaded, wrapper, manager.wrappers, manager.ring_name):
        return False
    manager.commit([loaded.element], reading, [stored for stored, _ in pairs])
    emit("key_rewrapped", "info", key_id=key_id, location=manager.repository.location)
    return True
