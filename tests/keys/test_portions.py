"""Long work in portions: how many calls of a store it takes, and what an interruption leaves."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.maintenance import copy, rewrap
from dpmiddleware.keys.portions import Portions
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import DAY, BoxWrapper, WatchedRepository, id_of, key_document, manager, put, revocation_document

LATER = datetime.now(timezone.utc)


def documents(number: int, wrapper: BoxWrapper | None = None) -> list[StoredDocument]:
    """Keys, the oldest first, and a revocation of each tenth."""
    keys = [key_document(LATER, created=(n - number) * DAY, wrapper=wrapper) for n in range(number)]
    return [*keys, *(revocation_document(id_of(key)) for key in keys[::10])]


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    {
        "fast": (0.5, [4, 8, 16, 32]),
        "neither": (3.0, [4, 4, 4, 4]),
        "slow": (8.0, [4, 2, 1, 1]),
    }.values(),
    ids=["fast", "neither", "slow"],
)
def test_a_portion_is_as_large_as_the_store_is_fast(seconds: float, sizes: list[int]) -> None:
    times = itertools.count()
    portions = Portions(4, clock=lambda: next(times) * seconds)
    found: list[int] = []
    for _ in sizes:
        found.append(portions.size)
        with portions.timed():
            pass
    assert found == sizes


@pytest.mark.parametrize(("number", "commits"), [(200, 1), (400, 2), (1_500, 3)])
def test_a_copy_takes_a_commit_each_time_the_ring_doubles(
    number: int, commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dpmiddleware.keys.maintenance.Portions", always_fast)
    source, target = MemoryKeyRepository([]), WatchedRepository()
    put(source, *documents(number))
    assert copy(manager(source), manager(target)).copied == number + number // 10
    assert target.commits == commits
    assert target.reads == commits, "one reading before each commit"


class StoreThatCounts(MemoryKeyRepository):
    """Counts readings. tells: whether a commit returns the version after it."""

    def __init__(self, *, tells: bool) -> None:
        super().__init__()
        self.reads = 0
        self._tells = tells

    def read(self) -> Snapshot:
        self.reads += 1
        return super().read()

    def commit(self, **change: Any) -> Any:
        version = super().commit(**change)
        return version if self._tells else None


@pytest.mark.parametrize(("tells", "reads"), [(True, 1), (False, 4)], ids=["told", "not told"])
def test_a_target_that_tells_its_version_is_read_once(tells: bool, reads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmiddleware.keys.maintenance.Portions", lambda _first: always_fast(8))
    source, target = MemoryKeyRepository([]), StoreThatCounts(tells=tells)
    put(source, *documents(100))
    assert copy(manager(source), manager(target)).copied == 110
    assert target.reads == reads
    assert len(target.read().documents) == 110


def test_a_target_that_another_process_changes_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmiddleware.keys.maintenance.Portions", lambda _first: always_fast(8))
    source, target = MemoryKeyRepository([]), StoreThatCounts(tells=True)
    stored = documents(100)
    put(source, *stored)
    late = [stored[0], stored[1]]  # of those that come last, written by another copy

    def another(_done: int, _all: int) -> None:
        while late:
            put(target, late.pop())

    assert copy(manager(source), manager(target), progress=another).copied == 108
    assert sorted(one.data for one in target.read().documents) == sorted(one.data for one in stored)


def test_a_survey_of_the_source_is_not_made_twice() -> None:
    source = StoreThatCounts(tells=True)
    put(source, *documents(10))
    managing = manager(source)
    source.reads = 0
    reading = managing.survey()
    assert copy(managing, manager(MemoryKeyRepository([])), reading=reading).copied == 11
    assert source.reads == 1


def always_fast(first: int) -> Portions:
    return Portions(first, clock=lambda: 0.0)


def test_a_rewrap_takes_a_commit_each_time_the_ring_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmiddleware.keys.maintenance.Portions", always_fast)
    old, new = BoxWrapper("Old"), BoxWrapper("New")
    store = WatchedRepository()
    put(store.inner, *documents(100, old))
    assert len(rewrap(manager(store, wrappers=[new, old]), new).wrapped) == 100
    assert store.commits == 7, "1, 2, 4, 8, 16, 32, and the rest"
    assert store.reads == 9, "one before each, one for the keys, and one for what is left out"


def test_a_copy_that_is_interrupted_has_the_revocations_and_the_newest_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmiddleware.keys.maintenance.Portions", lambda _first: always_fast(8))
    source, target = MemoryKeyRepository([]), MemoryKeyRepository([])
    stored = documents(50)
    put(source, *stored)

    def stop(_done: int, _everything: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(manager(source), manager(target), progress=stop)
    newest = [stored[n].name for n in (47, 48, 49)]
    revocations = [one.name for one in stored[50:]]
    assert sorted(str(one.name) for one in target.read().documents) == sorted(map(str, [*newest, *revocations]))
    seen: list[tuple[int, int]] = []
    done = copy(manager(source), manager(target), progress=lambda *counts: seen.append(counts))
    assert (done.copied, done.there) == (47, 8)
    assert seen == [(8, 47), (24, 47), (47, 47)]


def test_a_copy_unwraps_no_key() -> None:
    """The key service may be far away, and may be asked 10,000 times."""
    old = BoxWrapper("Old")
    source, target = MemoryKeyRepository([]), MemoryKeyRepository([])
    put(source, *documents(3, old))
    old.broken = True
    done = copy(manager(source, wrappers=[old]), manager(target, wrappers=[old]))
    assert (done.copied, done.left_out) == (4, ())
    assert copy(manager(source, wrappers=[old]), manager(target, wrappers=[old])).copied == 0


def counted(name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The calls of a function of `os` from now on, in a list that grows."""
    real: Callable[..., object] = getattr(os, name)
    calls: list[int] = []

    def call(*arguments: object, **named: object) -> object:
        calls.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(os, name, call)
    return calls


def test_a_commit_of_many_documents_syncs_each_and_the_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileKeyRepository(tmp_path / "keys")
    put(store, key_document())
    syncs = counted("fsync", monkeypatch)
    put(store, *documents(200))
    assert len(syncs) == 220 + 1
    assert len(store.read().documents) == 221


def test_of_many_documents_one_that_cannot_be_written_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileKeyRepository(tmp_path / "keys")
    put(store, key_document())
    before = sorted(path.name for path in store.folder.iterdir())
    real, number = os.fsync, itertools.count()

    def fails_once(descriptor: int) -> None:
        if next(number) == 50:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails_once)
    with pytest.raises(Exception, match="No space left on device"):
        put(store, *documents(100))
    assert sorted(path.name for path in store.folder.iterdir()) == before
