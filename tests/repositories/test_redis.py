"""Keys in Redis: the contract through each kind of client, and what is specific to a list."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio
import redis.sentinel
import valkey

from dpmiddleware.errors import ConfigurationError, MalformedDocumentError, MissingExtraError, RepositoryError
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.repositories.redis import RedisKeyRepository
from dpmiddleware.testing.contracts.remote_repository import RemoteRepositoryContract
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import PASSWORD, Store, commit, contents, document, refusal
from dpmiddleware.web.sign_in.ticket_store import RedisTicketStore
from tests.servers import LOOPBACK, Server, wait_for

MakeRepository = Callable[[Server, str], KeyRepository]


class RedisList(Store):
    """A list of its own, and redis-cli."""

    keeps_names = False

    def __init__(self, server: Server, make: MakeRepository) -> None:
        self.server = server
        self.make = make
        self.key = f"DataProtection-Keys-{uuid4()}"
        self.raw: Any = redis.Redis.from_url(server.address)

    def open(self) -> KeyRepository:
        return self.make(self.server, self.key)

    def append(self, name: str, data: bytes) -> None:
        self.raw.rpush(self.key, data)

    def delete(self, data: bytes) -> None:
        assert self.raw.lrem(self.key, 1, data) == 1

    def replace(self, old: bytes, new: bytes) -> None:
        self.raw.lset(self.key, self.raw.lpos(self.key, old), new)

    def close(self) -> None:
        self.raw.delete(self.key)
        self.raw.close()


def given_list(server: Server, make: MakeRepository) -> Iterator[RedisList]:
    store = RedisList(server, make)
    yield store
    store.close()


def from_url(server: Server, key: str) -> KeyRepository:
    return RedisKeyRepository.from_url(f"{server.address}/0?key={key}")


class TestRedisByURL(RemoteRepositoryContract):
    drips = b"+"

    @pytest.fixture
    def store(self, redis_server: Server) -> Iterator[Store]:
        yield from given_list(redis_server, from_url)

    def at(self, port: int) -> KeyRepository:
        return RedisKeyRepository.from_url(f"redis://user:{PASSWORD}@{LOOPBACK}:{port}/0")


class TestRedisByClient(RepositoryContract):
    """Clients of the application, of all kinds."""

    @pytest.fixture(params=["redis", "decoding redis", "valkey"])
    def store(self, request: pytest.FixtureRequest, redis_server: Server) -> Iterator[Store]:
        clients: dict[str, Callable[[], Any]] = {
            "redis": lambda: redis.Redis.from_url(redis_server.address),
            "decoding redis": lambda: redis.Redis.from_url(redis_server.address, decode_responses=True, protocol=3),
            "valkey": lambda: valkey.Valkey.from_url(redis_server.address.replace("redis:", "valkey:")),
        }
        yield from given_list(redis_server, lambda _, key: RedisKeyRepository(client=clients[request.param](), key=key))


class TestRedisCluster(RepositoryContract):
    @pytest.fixture
    def store(self, redis_cluster_server: Server) -> Iterator[Store]:
        yield from given_list(
            redis_cluster_server,
            lambda server, key: RedisKeyRepository(client=redis.RedisCluster.from_url(server.address), key=key),
        )


def test_the_master_that_a_sentinel_names_is_a_client(redis_sentinel_server: Server) -> None:
    host, _, port = redis_sentinel_server.address.rpartition(":")
    make: Any = redis.sentinel.Sentinel  # it has no types
    sentinel = make([(host, int(port))])
    repository = RedisKeyRepository(client=sentinel.master_for("keys"))
    added = document()
    commit(repository, added)
    assert contents(repository) == [added.data]
    assert "keys" in repository.location


# --- the list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def list_of_keys(redis_server: Server) -> Iterator[RedisList]:
    yield from given_list(redis_server, from_url)


def test_elements_are_what_net_reads(list_of_keys: RedisList) -> None:
    """No byte order mark and no declaration: .NET parses each element as text."""
    net = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<key id="1">\r\n  <a />\r\n</key>\r\n'
    commit(list_of_keys.open(), StoredDocument("key-1", net))
    assert list_of_keys.raw.lrange(list_of_keys.key, 0, -1) == [b'<key id="1">\r\n  <a />\r\n</key>']


def test_what_net_could_not_read_is_never_written(list_of_keys: RedisList) -> None:
    with pytest.raises(MalformedDocumentError):
        commit(list_of_keys.open(), StoredDocument("key-1", b"<key>"))
    assert list_of_keys.raw.exists(list_of_keys.key) == 0


@pytest.mark.parametrize("limit", ["MAX_DOCUMENTS", "MAX_TOTAL_SIZE"])
def test_a_list_that_is_too_large_is_an_error_that_says_so_and_is_not_transferred(
    limit: str, list_of_keys: RedisList, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(list_of_keys.open(), document("one"), document("two"), document("three"))
    for module in ("dpmiddleware.keys.interfaces", "dpmiddleware.repositories.redis"):
        monkeypatch.setattr(f"{module}.{limit}", 2)
    with pytest.raises(RepositoryError, match="not a key ring"):
        list_of_keys.open().read()


def test_the_default_list_is_that_of_net(redis_server: Server) -> None:
    repository = RedisKeyRepository(client=redis.Redis.from_url(redis_server.address))
    assert "DataProtection-Keys" in repository.location


def test_many_elements_are_read_and_told_apart(list_of_keys: RedisList) -> None:
    repository = list_of_keys.open()
    commit(repository, *(document(str(number)) for number in range(250)))
    before = repository.read()
    assert len(before.documents) == 250
    list_of_keys.replace(before.documents[123].data, b"<key />")
    assert repository.version() != before.version
    snapshot = repository.read()
    repository.commit(remove=snapshot.documents[100:200], expected=snapshot.version)
    assert contents(repository) == sorted(each.data for each in snapshot.documents[:100] + snapshot.documents[200:])


def test_two_equal_elements_are_two_documents(list_of_keys: RedisList) -> None:
    repository = list_of_keys.open()
    for _ in range(2):
        list_of_keys.append("", b"<key />")
    snapshot = repository.read()
    repository.commit(remove=snapshot.documents[1:], expected=snapshot.version)
    assert contents(repository) == [b"<key />"]


def test_a_key_of_another_kind_is_an_error(list_of_keys: RedisList) -> None:
    list_of_keys.raw.set(list_of_keys.key, "no list")
    repository = list_of_keys.open()
    for action in (repository.read, repository.version, lambda: repository.commit(add=[document()], expected="0")):
        with refusal(repository):
            action()


def test_each_call_is_one_round_trip(own_redis: Server) -> None:
    repository = RedisKeyRepository(own_redis.address)
    raw: Any = redis.Redis.from_url(own_redis.address)
    commit(repository, document())
    snapshot = repository.read()
    calls: list[tuple[str, Callable[[], object]]] = [
        ("version", repository.version),
        ("read", repository.read),
        ("commit", lambda: repository.commit(remove=snapshot.documents, expected=snapshot.version)),
    ]
    for name, call in calls:
        raw.config_resetstat()
        call()
        asked = {command: entry["calls"] for command, entry in raw.info("commandstats").items()}
        assert asked.pop("cmdstat_eval") == 1, name
        assert not asked.keys() - {f"cmdstat_{c}" for c in ("llen", "lrange", "lset", "lrem", "config|resetstat")}, name


def test_the_answer_to_version_is_short(own_redis: Server) -> None:
    repository = RedisKeyRepository(own_redis.address)
    commit(repository, *(document("x" * 5000) for _ in range(20)))
    raw: Any = redis.Redis.from_url(own_redis.address)
    sent = [raw.info("stats")["total_net_output_bytes"], raw.info("stats")["total_net_output_bytes"]]
    repository.version()
    sent.append(raw.info("stats")["total_net_output_bytes"])
    by_asking, with_a_version = sent[1] - sent[0], sent[2] - sent[1]
    assert with_a_version - by_asking < 200


def test_a_server_that_was_restarted_is_found_again(own_redis: Server) -> None:
    repository = RedisKeyRepository(own_redis.address)
    commit(repository, document())
    own_redis.kill()
    with refusal(repository):
        repository.version()
    own_redis.start()
    assert contents(repository) == []  # it stores nothing on disk
    commit(repository, document())


def test_a_paused_server_is_an_error_and_the_same_repository_goes_on(own_redis: Server) -> None:
    repository = RedisKeyRepository(own_redis.address)
    added = document()
    commit(repository, added)
    with own_redis.paused(), refusal(repository):
        repository.version()
    assert contents(repository) == [added.data]


def test_a_server_out_of_memory_writes_nothing(own_redis: Server) -> None:
    repository = RedisKeyRepository(own_redis.address)
    first = document()
    commit(repository, first)
    raw: Any = redis.Redis.from_url(own_redis.address)
    raw.config_set("maxmemory", "1")
    snapshot = repository.read()
    with refusal(repository):
        repository.commit(add=[document()], remove=snapshot.documents, expected=snapshot.version)
    raw.config_set("maxmemory", "0")
    assert contents(repository) == [first.data]


# --- URLs and passwords -----------------------------------------------------------------------------------------------


def test_a_password_from_a_variable_or_a_file(
    own_redis: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw: Any = redis.Redis.from_url(own_redis.address)
    raw.execute_command("ACL", "SETUSER", "keys", "on", f">{PASSWORD}", "~*", "+@all")
    monkeypatch.setenv("KEYS_PASSWORD", PASSWORD)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    host = own_redis.address.removeprefix("redis://")
    for reference in ("env:KEYS_PASSWORD", str(tmp_path / "password")):
        repository = RedisKeyRepository.from_url(f"redis://keys@{host}/0?password={reference}&key=other")
        assert repository.read().documents == ()
        assert PASSWORD not in repository.location
    raw.config_set("requirepass", PASSWORD)
    assert RedisKeyRepository.from_url(f"redis://{host}?password=env:KEYS_PASSWORD").read().documents == ()
    wrong = RedisKeyRepository(f"redis://keys:{PASSWORD}x@{host}/0")
    with refusal(wrong):
        wrong.read()


def test_a_password_that_is_nowhere_is_an_error_when_it_is_needed(redis_server: Server) -> None:
    repository = RedisKeyRepository.from_url(f"{redis_server.address}/0?password=env:NOT_SET")
    with pytest.raises(RepositoryError, match="NOT_SET"):
        repository.read()


def test_parameters_of_the_client_stay_in_the_url(redis_server: Server) -> None:
    url = f"{redis_server.address}/0?key=a%2Fb&socket_timeout=1.5&client_name=keys"
    options = RedisKeyRepository.from_url(url)._client.connection_pool.connection_kwargs
    assert options["socket_timeout"] == 1.5
    assert options["client_name"] == "keys"
    assert "key" not in options


def test_a_parameter_that_the_client_does_not_know_is_an_error_of_the_store(redis_server: Server) -> None:
    repository = RedisKeyRepository.from_url(f"{redis_server.address}/0?passwrd=x")
    with refusal(repository):
        repository.read()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://localhost/0", id="another scheme"),
        pytest.param("redis://localhost/0?no_such_option=1x&socket_timeout=soon", id="an option that cannot be read"),
        pytest.param("redis://localhost/0?key=a&key=b", id="the list twice"),
        pytest.param("redis://localhost/0?key=", id="an empty list name"),
    ],
)
def test_a_url_that_cannot_be_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RedisKeyRepository.from_url(url)


def test_one_of_url_and_client_is_needed_and_it_must_be_a_plain_client(redis_server: Server) -> None:
    with pytest.raises(ConfigurationError):
        RedisKeyRepository()
    with pytest.raises(ConfigurationError):
        RedisKeyRepository(redis_server.address, client=redis.Redis())
    with pytest.raises(ConfigurationError, match="asyncio"):
        RedisKeyRepository(client=redis.asyncio.Redis())


def test_rediss_speaks_tls() -> None:
    client = RedisKeyRepository.from_url("rediss://localhost/0")._client
    assert client.connection_pool.connection_class is redis.SSLConnection


def test_a_unix_socket_is_a_place_too(own_redis: Server, tmp_path: Path) -> None:
    assert own_redis.folder is not None
    path = own_redis.folder / "s"
    own_redis.kill()
    own_redis.command += ["--unixsocket", str(path)]
    own_redis.start()
    wait_for("the socket", path.exists)
    repository = RedisKeyRepository.from_url(f"unix://{path}?db=0&key=keys")
    added = document()
    commit(repository, added)
    assert contents(repository) == [added.data]


def test_without_redis_py_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError) as caught:
        RedisKeyRepository.from_url("redis://localhost/0")
    assert "dpmiddleware[redis]" in caught.value.hint


@pytest.mark.parametrize("make", [RedisKeyRepository, RedisTicketStore])
@pytest.mark.parametrize(
    "url", ["redis:///u:secret@127.0.0.1:9/0", "redis:///127.0.0.1:9/0", "redis://127.0.0.1:9/shop", "rediss://h:9/0/x"]
)
def test_a_url_whose_path_is_not_a_number_does_not_mean_database_0_of_this_machine(
    make: Callable[[str], object], url: str
) -> None:
    """redis-py passes over such a path. A mistyped URL made its key in the wrong Redis."""
    with pytest.raises(ConfigurationError, match="its path is not the number of a database") as caught:
        make(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://h:9", "redis://h:9/", "redis://h:9/3", "redis:///3", "unix:///run/redis.sock"]
)
def test_a_number_no_path_and_a_socket_are_understood(url: str) -> None:
    RedisKeyRepository(url)
    RedisTicketStore(url)
