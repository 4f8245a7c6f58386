"""Whether a Redis keeps a ring: what ``dpm check`` says of real servers that were started with different settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
import redis.sentinel
import valkey

from dpmiddleware.cli import main
from dpmiddleware.errors import RepositoryError
from dpmiddleware.repositories.redis import DEFAULT_KEY, RedisKeyRepository
from dpmiddleware.testing.contracts.store import commit, document
from tests import servers
from tests.conftest import missing
from tests.servers import LOOPBACK, Server, free_port, wait_for

Found = set[tuple[str, str]]
"""Code and level of each finding."""
SAFE = ("--appendonly", "yes")
LIMITED = ("--maxmemory", "50mb")
EVICTS, LOST = ("redis_evicts", "problem"), ("redis_not_persistent", "problem")


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts a Redis with these options."""
    started: list[Server] = []

    def own_redis(*options: str) -> Server:
        try:
            started.append(servers.own_redis(*options))
        except servers.Unavailable as error:
            missing(str(error))
        return started[-1]

    yield own_redis
    for server in started:
        server.close()


def found_by(repository: RedisKeyRepository) -> Found:
    return {(finding.code, finding.level) for finding in repository.findings()}


SETTINGS: dict[str, tuple[tuple[str, ...], Found]] = {
    "nothing is kept": ((), {LOST}),
    "a cache": ((*LIMITED, "--maxmemory-policy", "allkeys-lru"), {EVICTS, LOST}),
    "an append-only file": (SAFE, set()),
    "an append-only file and snapshots": ((*SAFE, "--save", "3600 1 300 100"), set()),
    "snapshots": (("--save", "3600 1 300 100"), {("redis_snapshots_only", "note")}),
    "allkeys-lfu": ((*SAFE, *LIMITED, "--maxmemory-policy", "allkeys-lfu"), {EVICTS}),
    "allkeys-random": ((*SAFE, *LIMITED, "--maxmemory-policy", "allkeys-random"), {EVICTS}),
    "allkeys-lru without a limit": ((*SAFE, "--maxmemory-policy", "allkeys-lru"), {("redis_evicts", "note")}),
    "noeviction": ((*SAFE, *LIMITED, "--maxmemory-policy", "noeviction"), set()),
    "volatile-lru": ((*SAFE, *LIMITED, "--maxmemory-policy", "volatile-lru"), set()),
    "volatile-ttl": ((*SAFE, *LIMITED, "--maxmemory-policy", "volatile-ttl"), set()),
    "CONFIG is refused, an append-only file": ((*SAFE, "--rename-command", "CONFIG", ""), set()),
    "CONFIG is refused": (("--rename-command", "CONFIG", ""), {("redis_not_seen", "note")}),
    "CONFIG is refused, a cache": (
        (*LIMITED, "--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", ""),
        {EVICTS, ("redis_not_seen", "note")},
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_what_may_lose_the_ring_is_found(case: str, start: Callable[..., Server]) -> None:
    options, expected = SETTINGS[case]
    repository = RedisKeyRepository(start(*options).address)
    assert found_by(repository) == expected, "before there is a ring"
    commit(repository, document())
    assert found_by(repository) == expected


def test_each_finding_says_what_happens_and_what_to_set(start: Callable[..., Server]) -> None:
    repository = RedisKeyRepository(start(*LIMITED, "--maxmemory-policy", "allkeys-lru").address)
    said = {finding.code: (finding.text, finding.hint) for finding in repository.findings()}
    assert said["redis_evicts"] == (
        f"{repository.location} deletes any key, the ring too, when its memory is full (maxmemory-policy allkeys-lru)",
        "set maxmemory-policy noeviction, or volatile-lru if other data there has an expiry",
    )
    assert said["redis_not_persistent"] == (
        f"{repository.location} has no append-only file and no snapshots: a restart loses the ring",
        "set appendonly yes",
    )


def test_a_list_that_expires_is_found(start: Callable[..., Server]) -> None:
    """Then a volatile policy deletes it, too."""
    server = start(*SAFE)
    repository, raw = RedisKeyRepository(server.address), _raw(server)
    commit(repository, document())
    assert found_by(repository) == set()
    raw.expire(DEFAULT_KEY, 1000)
    assert found_by(repository) == {("redis_list_expires", "problem")}
    raw.persist(DEFAULT_KEY)
    assert found_by(repository) == set()


def test_a_disk_that_takes_no_snapshot_is_found(start: Callable[..., Server]) -> None:
    server = start("--save", "3600 1")
    assert server.folder is not None
    (server.folder / "dump.rdb").mkdir()  # in the way of the file
    raw = _raw(server)
    raw.bgsave()
    wait_for("the snapshot to fail", lambda: raw.info("persistence")["rdb_last_bgsave_status"] == "err")
    assert ("redis_save_failed", "problem") in found_by(RedisKeyRepository(server.address))


# --- users with few permissions ---------------------------------------------------------------------------------------

DOCUMENTED = ("+eval", "+llen", "+lrange", "+rpush", "+lset", "+lrem")
NOT_SEEN, EXPIRES = ("redis_not_seen", "note"), ("redis_list_expires", "problem")
PERMISSIONS: dict[str, tuple[tuple[str, ...], Found]] = {
    "as documented": (DOCUMENTED, {NOT_SEEN}),
    "and INFO": ((*DOCUMENTED, "+info"), {EVICTS, NOT_SEEN}),
    "and CONFIG GET": ((*DOCUMENTED, "+config|get"), {NOT_SEEN}),
    "and both": ((*DOCUMENTED, "+info", "+config|get"), {EVICTS, LOST}),
    "as documented for the check": ((*DOCUMENTED, "+info", "+ttl", "+config|get"), {EVICTS, LOST, EXPIRES}),
}


@pytest.mark.parametrize("case", PERMISSIONS)
def test_what_a_user_may_not_ask_is_a_note(case: str, start: Callable[..., Server]) -> None:
    permissions, expected = PERMISSIONS[case]
    server = start(*LIMITED, "--maxmemory-policy", "allkeys-lru")
    _raw(server).execute_command("ACL", "SETUSER", "shop", "on", ">pw", f"~{DEFAULT_KEY}", *permissions)
    repository = RedisKeyRepository(server.address.replace("//", "//shop:pw@"))
    commit(repository, document())
    _raw(server).expire(DEFAULT_KEY, 1000)
    assert found_by(repository) == expected
    texts = "".join(finding.text for finding in repository.findings())
    assert all(word in texts for word in {"as documented": ("INFO", "CONFIG"), "and INFO": ("CONFIG",)}.get(case, ()))


def test_check_does_not_fail_because_a_user_may_not_ask(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start()
    _raw(server).execute_command("ACL", "SETUSER", "shop", "on", ">pw", f"~{DEFAULT_KEY}", *DOCUMENTED)
    said = checked(server.address.replace("//", "//shop:pw@"), monkeypatch, capsys)
    assert said["fit"]
    assert [each["level"] for each in said["findings"] if each["code"] == "redis_not_seen"] == ["note", "note"]


# --- kinds of clients -------------------------------------------------------------------------------------------------


def _raw(server: Server) -> Any:
    return redis.Redis.from_url(server.address)


CLIENTS: dict[str, Callable[[str], Any]] = {
    "redis": redis.Redis.from_url,
    "redis that decodes": lambda url: redis.Redis.from_url(url, decode_responses=True),
    "redis with RESP3": lambda url: redis.Redis.from_url(url, protocol=3),
    "valkey": lambda url: valkey.Valkey.from_url(url.replace("redis:", "valkey:")),
}
_valkey_cluster: Any = valkey.ValkeyCluster  # it has no types
CLUSTER_CLIENTS: dict[str, Callable[[str], Any]] = {
    "redis": redis.RedisCluster.from_url,
    "valkey": lambda url: _valkey_cluster.from_url(url.replace("redis:", "valkey:")),
}


@contextmanager
def as_a_cache(raw: Any) -> Generator[None]:
    before = {name: raw.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
    raw.config_set("maxmemory", "200mb")
    raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        yield
    finally:
        for name, value in before.items():
            raw.config_set(name, value)


@pytest.mark.parametrize("kind", CLIENTS)
def test_every_client_sees_the_same(kind: str, own_redis: Server) -> None:
    repository = RedisKeyRepository(client=CLIENTS[kind](own_redis.address))
    assert found_by(repository) == {LOST}
    with as_a_cache(_raw(own_redis)):
        assert found_by(repository) == {EVICTS, LOST}


@pytest.mark.parametrize("kind", CLUSTER_CLIENTS)
def test_of_a_cluster_the_server_that_has_the_list_is_asked(kind: str, redis_cluster_server: Server) -> None:
    repository = RedisKeyRepository(client=CLUSTER_CLIENTS[kind](redis_cluster_server.address))
    assert found_by(repository) == {LOST}
    with as_a_cache(_raw(redis_cluster_server)):
        assert found_by(repository) == {EVICTS, LOST}


@pytest.mark.parametrize("kind", CLUSTER_CLIENTS)
def test_other_servers_of_a_cluster_do_not_count(kind: str, start: Callable[..., Server]) -> None:
    """One server has the slot of the list, and snapshots; the other one has all other slots, and is a cache."""
    cache, lasting = (
        start("--cluster-enabled", "yes", "--cluster-port", str(free_port()), *options)
        for options in ((), ("--save", "3600 1"))
    )
    raws = _raw(cache), _raw(lasting)
    slot = raws[0].execute_command("CLUSTER KEYSLOT", DEFAULT_KEY)
    raws[0].execute_command("CLUSTER ADDSLOTSRANGE", 0, slot - 1, slot + 1, 16383)
    raws[1].execute_command("CLUSTER ADDSLOTS", slot)
    port, bus = (raws[1].config_get(name)[name] for name in ("port", "cluster-port"))
    raws[0].execute_command("CLUSTER MEET", LOOPBACK, port, bus)
    wait_for("the cluster", lambda: all(raw.cluster("info")["cluster_state"] == "ok" for raw in raws))
    repository = RedisKeyRepository(client=CLUSTER_CLIENTS[kind](cache.address))
    with as_a_cache(raws[0]):
        assert found_by(repository) == {("redis_snapshots_only", "note")}
    raws[0].config_set("save", "3600 1")
    raws[1].config_set("save", "")
    assert found_by(repository) == {LOST}


def test_the_primary_that_a_sentinel_names_is_asked(redis_sentinel_server: Server, own_redis: Server) -> None:
    host, _, port = redis_sentinel_server.address.rpartition(":")
    make: Any = redis.sentinel.Sentinel  # it has no types
    repository = RedisKeyRepository(client=make([(host, int(port))]).master_for("keys"))
    assert found_by(repository) == {LOST}
    with as_a_cache(_raw(own_redis)):
        assert found_by(repository) == {EVICTS, LOST}


# --- dpm check --------------------------------------------------------------------------------------------------------


def checked(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What ``dpm check`` says of a ring that is in order but for its store."""
    monkeypatch.setenv("RING_SECRET", "11" * 32)
    place = ["--application", "shop", "--repository", url, "--key-wrapper", "secret:env:RING_SECRET"]
    assert main(["keys", "create", *place]) == 0
    capsys.readouterr()
    status = main(["check", "--json", *place])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == (0 if said["fit"] else 1)
    return said


@pytest.mark.parametrize(
    ("options", "fit"), [(SAFE, True), (("--save", "3600 1"), True), ((), False)], ids=["file", "snapshots", "nothing"]
)
def test_the_exit_status_says_whether_a_restart_loses_the_ring(
    options: tuple[str, ...],
    fit: bool,
    start: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert checked(start(*options).address, monkeypatch, capsys)["fit"] is fit


def test_a_server_that_cannot_be_reached_is_one_problem(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"redis://{LOOPBACK}:{free_port()}/0"
    with pytest.raises(RepositoryError):
        RedisKeyRepository(url).findings()
    assert main(["check", "--json", "--application", "shop", "--repository", url]) == 1
    levels = [each["level"] for each in json.loads(capsys.readouterr().out)["findings"]]
    assert levels.count("problem") == 1
