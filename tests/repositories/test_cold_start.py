"""Story 1 on every real store: fifty processes start at the same time on an empty store."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
import sqlalchemy
from azure.storage.blob import BlobServiceClient

from dpmiddleware import DataProtection
from dpmiddleware.components import repository_from
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.s3 import S3KeyRepository
from tests.django_databases import django_database, migrated
from tests.servers import AZURITE_KEY, Server

# Python 3.12 and later warn about what is tested here: forking a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
PROCESSES = 50
SECONDS = 60


@pytest.fixture
def django_alias(own_postgres: Server) -> Iterator[str]:
    with django_database(f"{own_postgres.address}postgres") as alias:
        yield migrated(alias)


@pytest.fixture(params=["redis", "postgresql", "django", "mariadb", "sqlite", "azurite", "s3"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRepository:
    """An empty store, created before the processes are forked, as gunicorn does with --preload."""
    name = f"cold-{uuid4().hex[:12]}"

    def server(fixture: str) -> Server:
        found: Server = request.getfixturevalue(fixture)
        return found

    urls: dict[str, Callable[[], str]] = {
        "redis": lambda: f"{server('own_redis').address}/0",
        "postgresql": lambda: f"{server('own_postgres').address}postgres",
        "django": lambda: f"django:{request.getfixturevalue('django_alias')}",
        "mariadb": lambda: mariadb_database(server("mariadb_server"), name.replace("-", "_"), request),
        "sqlite": lambda: f"sqlite:///{tmp_path}/keys.db",
    }
    if request.param in urls:
        return repository_from(urls[request.param]())
    if request.param == "azurite":
        monkeypatch.setenv("KEYS_ACCOUNT_KEY", AZURITE_KEY)
        endpoint = f"{server('azurite_server').address}/devstoreaccount1"
        with BlobServiceClient(endpoint, credential=AZURITE_KEY) as service:
            service.create_container(name)
        return repository_from(
            f"azblob://devstoreaccount1/{name}/keys.xml?endpoint={endpoint}&password=env:KEYS_ACCOUNT_KEY"
        )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=server("moto_server").address)
    client.create_bucket(Bucket=name)
    return S3KeyRepository(client=client, bucket=name, key="keys.xml")


def mariadb_database(server: Server, name: str, request: pytest.FixtureRequest) -> str:
    admin = sqlalchemy.create_engine(server.address, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.pool.NullPool)

    def sql(statement: str) -> None:
        with admin.connect() as connection:
            connection.exec_driver_sql(statement)

    sql(f"CREATE DATABASE {name}")
    request.addfinalizer(lambda: sql(f"DROP DATABASE {name}"))
    return f"{server.address}{name}"


def process(number: int, repository: KeyRepository, barrier: Barrier, pipe: Connection) -> None:
    """A member of the farm: when all are ready, it protects a payload, and then opens those of all others."""
    try:
        protector = DataProtection("shop", repository=repository).create_protector("farm")
        barrier.wait(SECONDS)
        pipe.send(protected(protector, f"{number}"))
        pipe.send([protector.unprotect(token) for token in pipe.recv()])
    except Exception as error:  # noqa: BLE001 (whatever it was, the test has to see it)
        pipe.send(error)


def protected(protector: DataProtector, text: str) -> str:
    """With fifty requests at once, a store may be too slow for one of them; a client would retry after the 503."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return protector.protect(text)
        except KeyManagementError:
            if time.monotonic() > deadline:
                raise


def received(pipe: Connection) -> object:
    assert pipe.poll(SECONDS), "a process does not answer"
    answer: object = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_story_1_one_key_is_made_and_every_payload_is_opened_by_all(empty_store: KeyRepository) -> None:
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(PROCESSES)
    pipes = [fork.Pipe() for _ in range(PROCESSES)]
    farm = [
        fork.Process(target=process, args=(number, empty_store, barrier, child), daemon=True)
        for number, (_, child) in enumerate(pipes)
    ]
    for each in farm:
        each.start()
    try:
        tokens = [received(parent) for parent, _ in pipes]
        for parent, _ in pipes:
            parent.send(tokens)
        expected = [f"{number}" for number in range(PROCESSES)]
        assert all(received(parent) == expected for parent, _ in pipes)
    finally:
        for each in farm:
            each.kill()
            each.join(SECONDS)
    assert len(empty_store.read().documents) == 1
