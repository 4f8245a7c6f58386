"""A real ASP.NET Core writes to the same stores: each reads the changes of the other, and both write at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis

from dpmiddleware.errors import VersionConflict
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.repositories.django_database import DjangoKeyRepository
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.redis import RedisKeyRepository
from dpmiddleware.repositories.sql import SqlKeyRepository
from tests.django_databases import django_database
from tests.interop.peer import Peer, PeerRing
from tests.servers import LOOPBACK, Server


@dataclass
class Shared:
    """One place, as it is named to .NET and to us."""

    spec: dict[str, Any]
    open: Callable[[], KeyRepository]


@pytest.fixture
def folder(tmp_path: Path) -> Shared:
    return Shared({"kind": "fs", "path": str(tmp_path)}, lambda: FileKeyRepository(tmp_path))


@pytest.fixture
def redis_list(redis_server: Server) -> Iterator[Shared]:
    key = f"DataProtection-Keys-{uuid4()}"
    address = redis_server.address.removeprefix("redis://")
    yield Shared(
        {"kind": "redis", "url": address, "key": key},
        lambda: RedisKeyRepository(f"{redis_server.address}/0?key={key}"),
    )
    client: Any = redis.Redis.from_url(redis_server.address)
    client.delete(key)


@pytest.fixture
def table(postgres_server: Server) -> Iterator[Shared]:
    name = f"dpm_test_{uuid4().hex[:12]}"
    port = postgres_server.address.rstrip("/").rpartition(":")[2]
    connect = f"host={LOOPBACK} port={port} user=postgres dbname=postgres"
    with psycopg.connect(connect, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield Shared(
        {"kind": "postgres", "connection": f"Host={LOOPBACK};Port={port};Username=postgres;Database={name}"},
        lambda: SqlKeyRepository(f"{postgres_server.address}{name}"),
    )
    with psycopg.connect(connect, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def django_table(table: Shared, postgres_server: Server) -> Iterator[Shared]:
    name = table.spec["connection"].rpartition("=")[2]
    with django_database(f"{postgres_server.address}{name}") as alias:
        yield Shared(table.spec, lambda: DjangoKeyRepository(alias))


@pytest.fixture(params=["folder", "redis_list", "table", "django_table"])
def shared(request: pytest.FixtureRequest) -> Shared:
    found: Shared = request.getfixturevalue(request.param)
    return found


def at_net(peer: Peer, shared: Shared) -> PeerRing:
    """The ring as .NET opens it; if the place is a table, it then exists."""
    ring = peer.open(shared.spec, app="shop", autoGenerate=False)
    if shared.spec["kind"] == "postgres":
        ring.ask("sql.create")
    return ring


def make_key(ring: PeerRing) -> None:
    ring.ask("key.create", activation="2026-01-02T03:04:05Z", expiration="2026-04-02T03:04:05Z")


def as_ours(documents: tuple[StoredDocument, ...], name: str) -> StoredDocument:
    """A key of ours: a copy of what .NET wrote, with another id."""
    theirs = next(each for each in documents if b"<key " in each.data)
    old = theirs.data.partition(b'id="')[2][:36]
    return StoredDocument(f"key-{name}", theirs.data.replace(old, name.encode()))


def test_every_change_by_net_gives_another_version(peer: Peer, shared: Shared) -> None:
    ring = at_net(peer, shared)
    repository = shared.open()
    versions = [repository.version()]
    make_key(ring)
    versions.append(repository.version())
    make_key(ring)
    versions.append(repository.version())
    ring.ask("key.revoke", key=ring.list_keys()[0]["key"], reason="stolen")
    versions.append(repository.version())
    ring.ask("key.revokeAll", date="2026-02-03T04:05:06Z", reason="all")
    versions.append(repository.version())
    assert len(set(versions)) == 5
    assert len(repository.read().documents) == 4


def test_what_we_write_net_reads(peer: Peer, shared: Shared) -> None:
    ring = at_net(peer, shared)
    make_key(ring)
    repository = shared.open()
    snapshot = repository.read()
    identity = str(uuid4())
    repository.commit(add=[as_ours(snapshot.documents, identity)], expected=snapshot.version)
    read = {key["key"] for key in peer.open(shared.spec, app="shop", autoGenerate=False).list_keys()}
    assert identity in read
    assert len(read) == 2


def test_both_write_at_once_and_nothing_is_lost(peer: Peer, shared: Shared) -> None:
    ring = at_net(peer, shared)
    make_key(ring)
    repository = shared.open()
    ours = [str(uuid4()) for _ in range(10)]
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for identity in ours:
                add_patiently(repository, identity)
        except BaseException as error:  # noqa: BLE001 (looked at below)
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(10):
        make_key(ring)
    writer.join(60)
    assert not failures
    read = {key["key"] for key in peer.open(shared.spec, app="shop", autoGenerate=False).list_keys()}
    assert set(ours) <= read
    assert len(read) == 21
    assert len(repository.read().documents) == 21


def add_patiently(repository: KeyRepository, identity: str) -> None:
    for _ in range(1000):
        snapshot = repository.read()
        try:
            repository.commit(add=[as_ours(snapshot.documents, identity)], expected=snapshot.version)
        except VersionConflict:
            continue
        return
    pytest.fail("never got through")
