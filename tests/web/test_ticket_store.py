"""Ticket stores: one contract, every store, the real Redis."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.testing.contracts.store import PASSWORD
from dpmiddleware.testing.contracts.ticket_store import TicketStoreContract
from dpmiddleware.web.sign_in.ticket_store import (
    MemoryTicketStore,
    RedisTicketStore,
    TicketStore,
    entry_name,
    new_key,
    ticket_store_from,
)
from tests.servers import Server


class TestMemory(TicketStoreContract):
    @pytest.fixture
    def store(self) -> TicketStore:
        return MemoryTicketStore()


class TestRedis(TicketStoreContract):
    @pytest.fixture
    def store(self, redis_server: Server) -> Iterator[TicketStore]:
        prefix = f"test-tickets-{secrets.token_hex(6)}:"
        made = RedisTicketStore(f"{redis_server.address}?key={prefix}")
        client: Any = made._redis
        yield made
        for name in client.scan_iter(f"{prefix}*"):
            client.delete(name)

    @pytest.fixture
    def unreachable(self) -> TicketStore:
        return RedisTicketStore(f"redis://user:{PASSWORD}@127.0.0.1:1/0")


class AsyncTicketStore:
    """The methods are coroutine functions, as where an ASGI application brings its own store."""

    def __init__(self) -> None:
        self.inner = MemoryTicketStore()

    async def get(self, name: str) -> bytes | None:
        return self.inner.get(name)

    async def put(self, name: str, value: bytes, lifetime: timedelta | None) -> None:
        self.inner.put(name, value, lifetime)

    async def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool:
        await asyncio.sleep(0)
        return self.inner.replace(name, value, lifetime)

    async def remove(self, name: str) -> None:
        self.inner.remove(name)


class TestCoroutines(TicketStoreContract):
    @pytest.fixture
    def store(self) -> TicketStore:
        return AsyncTicketStore()


class CarelessTicketStore(MemoryTicketStore):
    """A renewal looks first and writes then: what was removed in between comes back."""

    def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool:
        there = self.get(name) is not None
        time.sleep(0.001)
        if there:
            self.put(name, value, lifetime)
        return there


def test_the_contract_finds_a_renewal_that_brings_back_what_was_removed() -> None:
    contract = TestMemory()
    with pytest.raises(AssertionError):
        contract.test_of_many_replacements_and_one_removal_nothing_is_left(CarelessTicketStore(), lambda given: given)


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


def test_a_redis_that_does_not_answer_is_named() -> None:
    with pytest.raises(RepositoryError, match=r"127\.0\.0\.1:1"):
        RedisTicketStore("redis://127.0.0.1:1/0").get("a")


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
