"""Ticket stores: one contract, every store, the real Redis."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.web.sign_in.ticket_store import (
    MemoryTicketStore,
    RedisTicketStore,
    entry_name,
    new_key,
    ticket_store_from,
)
from tests.servers import Server

HOUR = timedelta(hours=1)
Store = MemoryTicketStore | RedisTicketStore


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryTicketStore()
        return
    prefix = f"test-tickets-{secrets.token_hex(6)}:"
    server: Server = request.getfixturevalue("redis_server")
    made = RedisTicketStore(f"{server.address}?key={prefix}")
    client: Any = made._redis
    yield made
    for name in client.scan_iter(f"{prefix}*"):
        client.delete(name)


def test_what_is_kept_is_found_under_its_name_only(store: Store) -> None:
    store.put("a", b"\0one", HOUR)
    store.put("b", b"two", None)
    assert (store.get("a"), store.get("b"), store.get("c")) == (b"\0one", b"two", None)


def test_a_value_is_replaced_where_one_is(store: Store) -> None:
    store.put("a", b"one", HOUR)
    assert store.replace("a", b"two", HOUR)
    assert store.get("a") == b"two"


def test_what_was_removed_is_not_brought_back(store: Store) -> None:
    store.put("a", b"one", HOUR)
    store.remove("a")
    assert not store.replace("a", b"two", HOUR)
    assert store.get("a") is None


def test_removing_what_is_not_there_is_no_error(store: Store) -> None:
    store.remove("a")
    store.remove("a")


def test_a_value_is_forgotten_when_its_time_is_over(store: Store) -> None:
    store.put("a", b"one", timedelta(milliseconds=1))
    deadline = time.monotonic() + 10
    while store.get("a") is not None:
        assert time.monotonic() < deadline, "still there after ten seconds"
    assert not store.replace("a", b"two", HOUR)


def test_of_many_replacements_and_one_removal_nothing_is_left(store: Store) -> None:
    """A renewal in flight while somebody signs out: whatever the order, the sign-out wins."""
    for _ in range(20):
        store.put("a", b"one", HOUR)
        start = threading.Barrier(4)

        def renew(start: threading.Barrier = start) -> None:
            start.wait()
            store.replace("a", b"two", HOUR)

        def remove(start: threading.Barrier = start) -> None:
            start.wait()
            store.remove("a")

        threads = [threading.Thread(target=work) for work in (renew, renew, renew, remove)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
        assert store.get("a") is None


def test_the_memory_store_forgets_what_has_ended() -> None:
    store = MemoryTicketStore()
    for number in range(2000):
        store.put(str(number), b"", timedelta(microseconds=-1))
    assert len(store) < 300


def test_keys_differ_and_names_do_not_tell_them() -> None:
    key, other = new_key(), new_key()
    assert key != other
    assert len(key) >= 43
    assert key not in entry_name(key)
    assert entry_name(key) == entry_name(key) != entry_name(other)
    assert len(entry_name("\ud800")) == 64


def test_a_redis_that_does_not_answer_is_an_outage_and_not_an_empty_store() -> None:
    store = RedisTicketStore("redis://user:hunter2@127.0.0.1:1/0")
    with pytest.raises(RepositoryError, match=r"127\.0\.0\.1:1") as caught:
        store.get("a")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(RepositoryError):
        store.put("a", b"", HOUR)
    with pytest.raises(RepositoryError):
        store.replace("a", b"", HOUR)
    with pytest.raises(RepositoryError):
        store.remove("a")


@pytest.mark.parametrize(
    ("url", "kind"), [("memory:", MemoryTicketStore), ("redis://127.0.0.1:6379/0", RedisTicketStore)]
)
def test_a_url_names_a_store(url: str, kind: type) -> None:
    assert isinstance(ticket_store_from(url), kind)


def test_a_store_is_taken_as_it_is() -> None:
    store = MemoryTicketStore()
    assert ticket_store_from(store) is store


@pytest.mark.parametrize("url", ["", "postgresql:///x", "redis", "C:\\tickets"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        ticket_store_from(url)
