"""A ring with a policy beside a real ASP.NET Core: it skips the document, and nothing else changes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from dpmiddleware import DataProtection
from dpmiddleware.keys.policy_change import set_policy
from tests.interop.peer import ABSENT, Peer, find_peer
from tests.servers import Server

SETTINGS = {"lifetime": "30d", "poll": "5s"}


def with_policy(repository: str) -> DataProtection:
    """A ring with one key and a policy."""
    dp = DataProtection("shop", repository=repository)
    dp.create_protector("p").protect("x")
    set_policy(dp.manager, SETTINGS)
    return dp


@pytest.fixture
def redis_list(redis_server: Server) -> Iterator[tuple[str, dict[str, Any]]]:
    key = f"DataProtection-Keys-{uuid4()}"
    address = redis_server.address.removeprefix("redis://")
    yield f"{redis_server.address}/0?key={key}", {"kind": "redis", "url": address, "key": key}
    client: Any = redis.Redis.from_url(redis_server.address)
    client.delete(key)


def serves_both(peer: Peer, repository: str, store: dict[str, Any]) -> None:
    dp = with_policy(repository)
    theirs = peer.open(store, app="shop", autoGenerate=False)
    protector = dp.create_protector("p")
    assert theirs.unprotect(protector.protect(b"ours"), "p") == b"ours"
    assert protector.unprotect(theirs.protect(b"theirs", "p")) == b"theirs"
    assert [key["key"] for key in theirs.list_keys()] == [str(key.id) for key in dp.manager.read().keys]


def test_a_folder_with_a_policy_serves_both(peer: Peer, tmp_path: Path) -> None:
    serves_both(peer, str(tmp_path), {"kind": "fs", "path": str(tmp_path)})


def test_a_list_in_redis_with_a_policy_serves_both(peer: Peer, redis_list: tuple[str, dict[str, Any]]) -> None:
    serves_both(peer, *redis_list)


def test_the_policy_survives_what_net_writes(peer: Peer, tmp_path: Path) -> None:
    """.NET adds a key and a revocation to the ring; the policy stays, and we follow it."""
    with_policy(str(tmp_path))
    theirs = peer.folder(tmp_path, "shop", autoGenerate=False)
    made = theirs.ask("key.create", activation="2026-01-01T00:00:00Z", expiration="2999-01-01T00:00:00Z")
    theirs.ask("key.revoke", key=made["key"], reason="x")
    dp = DataProtection("shop", repository=str(tmp_path))
    assert dp.current().policy == dp.manager.policy_in(dp.manager.read())
    assert dp.manager.policy_in(dp.manager.read()).lifetime == timedelta(days=30)
    assert len(dp.current().keys) == 2


@pytest.mark.skipif(find_peer() is None, reason=ABSENT)
def test_net_warns_of_it_at_each_reading_and_of_nothing_else(tmp_path: Path) -> None:
    """The price of a policy, as docs/operations.md states it."""
    with_policy(str(tmp_path / ".aspnet" / "DataProtection-Keys"))
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": cache}
    done = subprocess.run(
        [str(find_peer()), "hosting"], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["keys"] == 1
    warnings = {line for line in answer["log"] if not line.startswith("Information")}
    assert warnings == {
        "Warning 15: Unknown element with name '{urn:dpmiddleware:2026:keys}policy' found in keyring, skipping."
    }
