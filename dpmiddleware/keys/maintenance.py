"""What an operator does with a ring now and then: rotate, copy, prune, wrap anew, sign.

Each works on a ring that is in use: it reads, decides, commits at the version that it read, and begins again if it was
overtaken. Documents are copied byte for byte, so signatures and wrappings stay good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from dpmiddleware.keys.rotation import resolve, rotation_due
from dpmiddleware.keys.wrapping import replace_wrapping
from dpmiddleware.telemetry import emit

__all__ = ["Copied", "Pruned", "Rewrapped", "Rotated", "copy", "prune", "rewrap", "rotate_if_due"]


@dataclass(frozen=True, slots=True)
class Rotated:
    """made: the key that was due and has been made, if any. next_due: when the next will be due; ``None``: unknown.

    problem: why a key that is due could not be made; else "".
    """

    made: UUID | None
    next_due: Instant | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Copied:
    """How many documents were copied, how many the target had, and which ones nobody could vouch for or read."""

    copied: int
    there: int
    left_out: tuple[SetAside, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """removed: the keys taken out (or that would be). kept: expired keys that are kept, and why."""

    removed: tuple[Key, ...]
    kept: tuple[tuple[Key, str], ...]


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """wrapped: keys wrapped anew. there: those that were so already. failed: those that nothing opens."""

    wrapped: tuple[UUID, ...]
    there: tuple[UUID, ...]
    failed: tuple[Key, ...]
    left_out: tuple[SetAside, ...]


def rotate_if_due(manager: KeyManager) -> Rotated:
    """Make the key that is due, if one is; for a CronJob. Errors as `KeyManager.load_ring`.

    A key that is due and could not be made is a ``problem`` here, although the ring goes on with what it has.
    """
    before = {key.id for key in manager.read().keys}
    ring = manager.load_ring(create_keys=True)
    reading = manager.read()
    made = next((key.id for key in reading.keys if key.id not in before), None)
    return Rotated(made, rotation_due(manager.now(), reading.keys, manager.policy), ring.problem)


def copy(source: KeyManager, target: KeyManager) -> Copied:
    """Bring every key and revocation of ``source`` into ``target``: nothing lost, nothing twice.

    Both may be in use: what is added to the source meanwhile is brought over as well. Documents that are set aside in
    the source are not copied.
    """
    copied = 0
    while True:
        reading = source.read()
        added = target.retried(partial(_copy_once, reading, target))
        copied += added
        if added == 0 or source.repository.version() == reading.version:
            return Copied(copied, max(0, len(reading.documents) - copied), reading.set_aside)


def _copy_once(reading: Reading, target: KeyManager) -> int:
    """Add what the target does not have, revocations first: no key may ever stand there without its revocation."""
    there = target.read()
    had = {_identity(item) for _, item in there.documents}
    missing = [(stored, item) for stored, item in _once_each(reading.documents) if _identity(item) not in had]
    missing.sort(key=lambda pair: isinstance(pair[1], Key))
    if missing and there.signed and not reading.signed:
        raise ConfigurationError(
            "the target is a signed ring, and what is to be copied is not signed: nothing was written",
            hint="sign the source first: dpm keys sign",
        )
    if missing:
        add = there.with_free_names(_named(stored) for stored, _ in missing)
        target.repository.commit(add=add, expected=there.version)
    return len(missing)


def _once_each(
    documents: Iterable[tuple[StoredDocument, Key | Revocation]],
) -> Iterator[tuple[StoredDocument, Key | Revocation]]:
    seen: set[object] = set()
    for stored, item in documents:
        if _identity(item) not in seen:
            seen.add(_identity(item))
            yield stored, item


def _identity(item: Key | Revocation) -> object:
    """What makes two documents the same one: a key's id; whom, when and why a revocation revokes."""
    return item.id if isinstance(item, Key) else item


def _named(stored: StoredDocument) -> StoredDocument:
    """A document of a store that keeps no names, under the name that .NET would give it."""
    if stored.name is not None:
        return StoredDocument(stored.name, stored.data)
    return StoredDocument(document.friendly_name(xml.parse(stored.data)), stored.data)


def prune(
    manager: KeyManager, *, older_than: timedelta, longest_lifetime: timedelta = timedelta(0), dry_run: bool = False
) -> Pruned:
    """Take out keys that expired more than ``older_than`` ago and can open nothing that is still good.

    longest_lifetime: how long the longest-lived payload is good; a key is kept as long after its expiration. The
    default key is never taken out. A key that is taken out is revoked in the same step, so that an old copy of its
    document, put back, opens nothing.
    """
    if older_than < timedelta(0) or longest_lifetime < timedelta(0):
        raise ConfigurationError("a negative time span", hint="--older-than 180d")
    return manager.retried(lambda: _prune_once(manager, max(older_than, longest_lifetime), dry_run=dry_run))


def _prune_once(manager: KeyManager, age: timedelta, *, dry_run: bool) -> Pruned:
    reading, now = manager.read(), manager.now()
    resolution = resolve(now, reading.keys, manager.policy)
    needed = {key.id for key in (resolution.default, resolution.preferred, resolution.fallback) if key is not None}
    expired = [key for key in reading.keys if key.expiration_date <= now and key not in reading.lost]
    kept = [(key, "it protects, or would") for key in expired if key.id in needed]
    kept += [
        (key, "its payloads may still be good")
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


def rewrap(manager: KeyManager, wrapper: KeyWrapper, *, progress: Callable[[UUID], None] = lambda _: None) -> Rewrapped:
    """Wrap every key under ``wrapper``, in one commit a key; broken off, it goes on where it stopped.

    Keys that ``wrapper`` opens already are left alone. Documents that are set aside stay as they are.
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
    """Replace one key's document; ``False`` where there is nothing to do."""
    reading = manager.read()
    pairs = [(stored, item) for stored, item in reading.documents if isinstance(item, Key) and item.id == key_id]
    if not pairs:
        return False
    loaded = document.load(pairs[0][0])
    assert isinstance(loaded, document.KeyDocument)  # noqa: S101 (the reader has seen a key in it)
    if not replace_wrapping(loaded, wrapper, manager.wrappers, manager.ring_name):
        return False
    manager.commit([loaded.element], reading, [stored for stored, _ in pairs])
    emit("key_rewrapped", "info", key_id=key_id, location=manager.repository.location)
    return True
