"""Failure stories 2, 4, 14 and 15: writers that lose a race, a key service that is unavailable, unreadable entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from dpmiddleware.errors import KeyManagementError, KeyUnwrapError
from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.repositories.redis import RedisKeyRepository
from dpmiddleware.repositories.sql import SqlKeyRepository
from tests.fakes import (
    BoxWrapper,
    OvertakenRepository,
    StoppedClock,
    WatchedRepository,
    data_protection,
    events,
    key_document,
    manager,
    ring_of,
)
from tests.servers import Server


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyRepository:
    """An empty store that two members share."""
    return MemoryKeyRepository() if request.param == "memory" else FileKeyRepository(tmp_path / "keys")


# --- story 2 ----------------------------------------------------------------------------------------------------------


def test_story_2_both_find_the_store_empty_and_only_one_key_comes_of_it(store: KeyRepository) -> None:
    """Story 2: A and B read "empty", A writes, B tries to write; A opens what B protects without another reading."""
    a = data_protection(store).create_protector("p")
    from_a: list[str] = []
    b = data_protection(OvertakenRepository(store, lambda: from_a.append(a.protect("from A")))).create_protector("p")
    from_b = b.protect("from B")
    assert a.unprotect(from_b) == "from B"
    assert b.unprotect(from_a[0]) == "from A"
    assert len(store.read().documents) == 1


def test_story_2_the_same_at_a_rotation(store: KeyRepository) -> None:
    """Story 2: both find a successor due; one is created."""
    clock = StoppedClock()
    a = data_protection(store, clock)
    b = data_protection(OvertakenRepository(store, a.current), clock)
    b.current()
    clock.advance(days=88)
    assert b.create_protector("p").unprotect(a.create_protector("p").protect("text")) == "text"
    b.current()
    assert len(store.read().documents) == 2


def test_story_15_a_rotation_overtaken_by_something_else_is_begun_again(store: KeyRepository) -> None:
    """Story 15: the operator's revocation comes first; the successor that is due is created anyway, at once."""
    clock = StoppedClock()
    data_protection(store, clock).current()
    clock.advance(days=88)
    other = manager(store, clock)
    dp = data_protection(OvertakenRepository(store, lambda: other.revoke(uuid4(), "at the same time")), clock)
    assert dp.health().status == "ok"
    assert len(dp.current().keys) == 2


# --- story 4 ----------------------------------------------------------------------------------------------------------


def test_story_4_a_running_process_goes_on_while_the_key_service_times_out() -> None:
    """Story 4: at a refresh, at the daily reading, at a rotation, after the expiry: no key is created."""
    clock, kms = StoppedClock(), BoxWrapper()
    store = ring_of(key_document(wrapper=kms))
    dp = data_protection(store, clock, key_wrapper=kms)
    protector = dp.create_protector("p")
    token = protector.protect("text")
    kms.broken = True
    for days in (0, 1, 57, 10):  # the key is valid for 60 days
        clock.advance(days=days, seconds=11)
        assert protector.unprotect(token) == "text"
        assert protector.unprotect(protector.protect("new")) == "new"
    assert len(store.inner.read().documents) == 1
    kms.broken = False
    clock.advance(seconds=61)
    assert protector.unprotect(token) == "text"
    assert dp.health().status == "ok"


def test_story_4_a_process_that_starts_meanwhile_fails_and_makes_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """Story 4: keys exist and cannot be unwrapped. That is an outage, not an empty store."""
    clock, kms = StoppedClock(), BoxWrapper()
    store = ring_of(key_document(wrapper=kms))
    token = data_protection(store, clock, key_wrapper=kms).create_protector("p").protect("text")
    kms.broken = True
    dp = data_protection(store, clock, key_wrapper=kms)
    with pytest.raises(KeyUnwrapError):
        dp.create_protector("p").protect("text")
    assert dp.health().status == "down"
    assert store.commits == 0
    assert events(caplog, "key_unusable")
    kms.broken = False
    clock.advance(seconds=2)
    assert dp.create_protector("p").unprotect(token) == "text"


# --- story 14 ---------------------------------------------------------------------------------------------------------


def in_a_folder(folder: Path, entries: dict[str, bytes]) -> FileKeyRepository:
    folder.mkdir()
    for name, data in entries.items():
        (folder / f"{name}.xml").write_bytes(data)
    return FileKeyRepository(folder)


def in_redis(server: Server, entries: dict[str, bytes]) -> RedisKeyRepository:
    client: Any = redis.Redis.from_url(server.address)
    for data in entries.values():
        client.rpush("DataProtection-Keys", data)
    return RedisKeyRepository.from_url(f"{server.address}/0")


def in_sqlite(file: Path, entries: dict[str, bytes]) -> SqlKeyRepository:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE DataProtectionKeys (Id INTEGER PRIMARY KEY, FriendlyName TEXT, Xml TEXT)")
    rows = [(name, data.decode("utf-8", "replace")) for name, data in entries.items()]
    connection.executemany("INSERT INTO DataProtectionKeys (FriendlyName, Xml) VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    return SqlKeyRepository.from_url(f"sqlite:///{file}")


@pytest.mark.parametrize("kind", ["folder", "redis", "sqlite"])
def test_story_14_what_nobody_can_read_is_set_aside_and_the_others_load(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Story 14: an empty entry, a truncated one, a foreign one, and a valid one that begins with a byte order mark."""
    good, marked, cut = key_document(), key_document(), key_document()
    assert good.name is not None
    assert marked.name is not None
    entries = {
        good.name: good.data,
        marked.name: b"\xef\xbb\xbf" + marked.data,
        f"key-{uuid4()}": b"",
        str(cut.name): cut.data[: len(cut.data) // 2],
        "settings": b"<settings><theme>dark</theme></settings>",
        "notes": b"do not delete these files",
    }
    if kind == "redis":
        store: KeyRepository = in_redis(request.getfixturevalue("own_redis"), entries)
    else:
        store = in_a_folder(tmp_path / "keys", entries) if kind == "folder" else in_sqlite(tmp_path / "db", entries)
    dp = data_protection(WatchedRepository(store))
    protector = dp.create_protector("p")
    assert protector.unprotect(protector.protect("text")) == "text"
    reading = dp.manager.read()
    assert {f"key-{key.id}" for key in reading.keys if key.usable} == {good.name, marked.name}
    assert len(reading.set_aside) == 4
    assert len(events(caplog, "document_set_aside")) == 4  # each is reported once
    assert len(store.read().documents) == 6  # and none is overwritten or removed


# --- story 15 ---------------------------------------------------------------------------------------------------------


def changes(store: KeyRepository) -> dict[str, Callable[[], object]]:
    """What an operator may do at the same moment."""
    other = manager(store)
    return {
        "a key": other.create_key,
        "a revocation": lambda: other.revoke(uuid4(), "at the same time"),
        "everything": lambda: other.revoke_all(reason="at the same time"),
    }


@pytest.mark.parametrize("theirs", ["a key", "a revocation", "everything"])
@pytest.mark.parametrize("ours", ["a key", "a revocation"])
def test_story_15_two_writers_at_one_version_the_loser_retries_and_nothing_is_lost(
    ours: str, theirs: str, store: KeyRepository
) -> None:
    """Story 15: both documents are in the store, in any order."""
    manager(store).create_key()
    before = len(store.read().documents)
    overtaken = manager(OvertakenRepository(store, changes(store)[theirs]))
    if ours == "a key":
        overtaken.create_key()
    else:
        assert overtaken.revoke(uuid4(), "mine") is True
    assert len(store.read().documents) == before + 1 + (2 if theirs == "everything" else 1)


def test_story_15_a_loser_who_always_loses_says_so() -> None:
    """Story 15: a bounded number of attempts, then an error; changes of others are never overwritten."""
    store = MemoryKeyRepository()
    other = manager(store)
    with pytest.raises(KeyManagementError) as caught:
        manager(OvertakenRepository(store, other.create_key, times=10_000)).create_key()
    assert "faster" in str(caught.value)
    assert len(store.read().documents) == 20
