"""An empty place in each real store, as a URL for the processes of a farm; removed at the end.

`STORES` names them; `place` gives one::

    with place("redis", request, tmp_path) as url: ...

Variables that a URL refers to (``password=env:…``) are set in this process, so that programs started from it have them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock
from uuid import uuid4

import pytest

from tests.repositories.test_sql import database
from tests.servers import AZURITE_KEY, Server

__all__ = ["STORES", "place"]

STORES: Final = ("folder", "redis", "postgres", "mariadb", "sqlite", "azurite", "moto")


@contextmanager
def place(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """An empty place in ``store``. Skips if there is no such server."""
    if store == "folder":
        yield str(tmp_path / "keys")
    elif store == "sqlite":
        yield f"sqlite:///{tmp_path}/keys.db"
    else:
        make: dict[str, Callable[[Server], Iterator[str]]] = {
            "redis": _redis_list,
            "postgres": database,
            "mariadb": database,
            "azurite": _blob,
            "moto": _object,
        }
        server: Server = request.getfixturevalue(f"{store}_server")
        with contextmanager(make[store])(server) as url:
            yield url


def _redis_list(server: Server) -> Iterator[str]:
    import redis

    key = f"dpm-farm-{uuid4()}"
    yield f"{server.address}/0?key={key}"
    client: Any = redis.Redis.from_url(server.address)
    client.delete(key)
    client.close()


def _blob(server: Server) -> Iterator[str]:
    from azure.storage.blob import BlobServiceClient

    container, endpoint = f"farm-{uuid4()}", f"{server.address}/devstoreaccount1"
    with (
        BlobServiceClient(endpoint, credential=AZURITE_KEY) as service,
        mock.patch.dict(os.environ, DPM_FARM_ACCOUNT_KEY=AZURITE_KEY),
    ):
        service.create_container(container)
        place = f"azblob://devstoreaccount1/{container}/keys.xml"
        yield f"{place}?endpoint={endpoint}&password=env:DPM_FARM_ACCOUNT_KEY"
        service.delete_container(container)


def _object(server: Server) -> Iterator[str]:
    import boto3

    names = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    with mock.patch.dict(os.environ, names):
        client: Any = boto3.client("s3", endpoint_url=server.address)
        bucket = f"farm-{uuid4()}"
        client.create_bucket(Bucket=bucket)
        yield f"s3://{bucket}/keys.xml?endpoint={server.address}"
        client.close()
