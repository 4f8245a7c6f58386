"""The load of a large farm on its store, counted in virtual time, not measured in seconds."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any, Final

import pytest
import redis

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import RepositoryError
from tests.fakes import StoppedClock, WatchedRepository, data_protection, key_document, put, ring_of
from tests.servers import Server

PROCESSES: Final = 1_000
POLL: Final = 10


def farm_of(store: WatchedRepository, clock: StoppedClock, count: int) -> list[DataProtection]:
    """Warm processes that started one after the other, spread over one poll, as after a rolling start."""
    farm = []
    for _ in range(count):
        farm.append(data_protection(store, clock))
        farm[-1].current()
        clock.advance(seconds=POLL / count)
    return farm


@pytest.mark.usefixtures("exact_polls")
def test_a_thousand_processes_ask_for_the_version_a_hundred_times_a_second_and_read_no_key() -> None:
    """A minute of a farm with ten requests per second and process: at most 100 small questions per second."""
    clock, store = StoppedClock(), ring_of(key_document())
    farm = farm_of(store, clock, PROCESSES)
    reads, chance = store.reads, random.Random(5)
    a_second: Counter[int] = Counter()
    for tick in range(600):
        clock.advance(seconds=0.1)
        versions = store.versions
        for process in chance.sample(farm, PROCESSES):
            process.current()
        a_second[tick // 10] += store.versions - versions
    assert store.reads == reads
    assert sum(a_second.values()) <= 60 * PROCESSES / POLL
    assert sum(a_second.values()) >= 50 * PROCESSES / POLL  # there are questions
    assert max(a_second.values()) <= 1.05 * PROCESSES / POLL  # in each second too


@pytest.mark.usefixtures("exact_polls")
def test_a_thousand_processes_that_start_together_ask_no_more_often() -> None:
    """All processes at the same moment: one question per poll and process; a hundred per second on average."""
    clock, store = StoppedClock(), ring_of(key_document())
    farm = [data_protection(store, clock) for _ in range(PROCESSES)]
    for _ in range(60):
        for process in farm:
            process.current()
        clock.advance(seconds=1)
    assert store.reads == PROCESSES
    assert store.versions <= 60 * PROCESSES / POLL


def test_a_new_key_is_read_once_by_each_of_a_thousand_processes() -> None:
    """The store changes: each process asks for the version once and reads once, within one poll."""
    clock, store = StoppedClock(), ring_of(key_document())
    farm = farm_of(store, clock, PROCESSES)
    reads = store.reads
    put(store.inner, key_document(clock.now(), created=timedelta(0), activated=timedelta(days=2)))
    for _ in range(3):
        clock.advance(seconds=POLL)
        for process in farm:
            process.current()
    assert store.reads - reads == PROCESSES
    assert {process.health().keys for process in farm} == {2}


def test_a_poll_is_one_short_command_on_the_real_thing(own_redis: Server) -> None:
    """Counted by Redis: ten polls of a ring of twenty keys are ten scripts, and no other command."""
    clock = StoppedClock()
    real = DataProtection("shop", repository=f"{own_redis.address}/0").repository
    dp = data_protection(real, clock)
    for _ in range(20):
        dp.manager.create_key()
    dp.current()
    client: Any = redis.Redis.from_url(own_redis.address)
    clock.advance(seconds=POLL)
    dp.current()
    before = client.info("commandstats")
    for _ in range(10):
        clock.advance(seconds=POLL)
        dp.current()
    after = client.info("commandstats")
    asked = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    from_us = {name: count for name, count in asked.items() if count and name != "cmdstat_info"}
    assert from_us.keys() <= {"cmdstat_eval", "cmdstat_llen", "cmdstat_lrange"}  # the last two are inside the script
    assert from_us["cmdstat_eval"] == 10


def test_story_35_300_cold_starts_a_second_read_once_each_and_no_more() -> None:
    """Story 35: three seconds of serverless functions: one read per start while no key is due."""
    clock, store = StoppedClock(), ring_of(key_document())
    token = data_protection(store, clock).create_protector("p").protect("text")
    store.reads = store.versions = store.commits = 0
    for _ in range(900):
        clock.advance(seconds=1 / 300)
        protector = data_protection(store, clock).create_protector("p")
        for _ in range(5):
            assert protector.unprotect(token) == "text"
            assert protector.protect("answer")
    assert (store.reads, store.commits) == (900, 0)
    assert store.versions == 0


def test_story_35_cold_starts_on_an_empty_store_make_one_key() -> None:
    """Story 35: 300 starts in the first second; one creates the key and reads again, all others only read."""
    clock, store = StoppedClock(), WatchedRepository()
    for _ in range(300):
        clock.advance(seconds=1 / 300)
        data_protection(store, clock).create_protector("p").protect("text")
    assert len(store.inner.read().documents) == 1
    assert (store.commits, store.reads, store.versions) == (1, 301, 0)


def test_story_35_cold_starts_while_the_store_is_down_ask_once_a_second_each() -> None:
    """Story 35: a failed start is retried once per second and process, however many requests arrive."""
    clock, store = StoppedClock(), ring_of(key_document())
    store.go_down()
    farm = [data_protection(store, clock) for _ in range(30)]
    for _ in range(50):  # five seconds, ten requests per second
        clock.advance(seconds=0.1)
        for process in farm:
            with pytest.raises(RepositoryError):
                process.current()
    assert store.calls <= 30 * 6
    store.come_back()
    clock.advance(seconds=1)
    for process in farm:
        assert process.current().default is not None
