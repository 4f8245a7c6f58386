"""Keys in S3: the contract against moto's server, and what is specific to S3."""

from __future__ import annotations

import sys
from typing import Any, Self
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from dpmiddleware.errors import ConfigurationError, MissingExtraError, RepositoryError, VersionConflict
from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.s3 import S3KeyRepository
from dpmiddleware.testing.contracts.remote_repository import RemoteRepositoryContract
from dpmiddleware.testing.contracts.store import Store, commit, contents, document, refusal
from tests.repositories.one_text import END, START, OneText
from tests.servers import LOOPBACK, Server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


class Bucket(OneText):
    """An object in a bucket of its own, and boto3."""

    def __init__(self, server: Server) -> None:
        self.endpoint = server.address
        self.bucket = f"keys-{uuid4()}"
        self.raw: Any = boto3.client("s3", endpoint_url=server.address)
        self.raw.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def open(self) -> S3KeyRepository:
        return S3KeyRepository.from_url(f"s3://{self.bucket}/shop/keys.xml?endpoint={self.endpoint}")

    def load(self) -> bytes | None:
        try:
            data: bytes = self.raw.get_object(Bucket=self.bucket, Key="shop/keys.xml")["Body"].read()
        except ClientError:
            return None
        return data

    def save(self, data: bytes) -> None:
        self.raw.put_object(Bucket=self.bucket, Key="shop/keys.xml", Body=data)


@pytest.fixture
def bucket(moto_server: Server) -> Bucket:
    return Bucket(moto_server)


class TestS3(RemoteRepositoryContract):
    drips = b"HTTP/1.1 200 OK\r\nX: "

    @pytest.fixture
    def store(self, bucket: Bucket) -> Store:
        return bucket

    def at(self, port: int) -> KeyRepository:
        return S3KeyRepository.from_url(f"s3://keys/keys.xml?endpoint=http://{LOOPBACK}:{port}&region=eu-central-1")


# --- the object -------------------------------------------------------------------------------------------------------


def test_the_object_is_what_net_writes_into_a_blob(bucket: Bucket) -> None:
    added = document()
    commit(bucket.open(), added)
    assert bucket.load() == START + added.data + END
    head = bucket.raw.head_object(Bucket=bucket.bucket, Key="shop/keys.xml")
    assert head["ContentType"] == "application/xml; charset=utf-8"


@pytest.mark.parametrize("text", [START + b"<key>", b"no XML"], ids=["cut", "text"])
def test_an_object_that_cannot_be_read_whole_is_an_error_and_is_not_written_over(text: bytes, bucket: Bucket) -> None:
    bucket.save(text)
    repository = bucket.open()
    with refusal(repository):
        repository.read()
    with refusal(repository):
        commit(repository, document())
    assert bucket.load() == text


def test_a_bucket_that_is_not_there_is_an_error_and_not_an_empty_store(moto_server: Server) -> None:
    repository = S3KeyRepository.from_url(f"s3://nowhere-{uuid4()}/keys.xml?endpoint={moto_server.address}")
    for action in (repository.read, repository.version):
        with pytest.raises(RepositoryError) as caught:
            action()
        assert "bucket" in caught.value.hint


def test_two_writers_at_the_moment_of_writing_one_wins(bucket: Bucket) -> None:
    """Both have read the same object; the ETag decides, on the first write and on later ones."""
    first, second = bucket.open(), bucket.open()
    assert contents(first) == contents(second) == []
    for winner, loser in ((first, second), (second, first)):
        _, etag = winner.get()
        assert winner.put(START + document().data + END, etag)
        assert not loser.put(START + END, etag)
        assert len(contents(loser)) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(412, "PreconditionFailed", id="another ETag"),
        pytest.param(409, "ConditionalRequestConflict", id="two writes met"),
        pytest.param(404, "NoSuchKey", id="deleted meanwhile"),
    ],
)
def test_each_way_to_lose_a_race_is_a_conflict(status: int, code: str) -> None:
    """Real S3 has more of them than moto's server, so the answers are stubbed."""
    client: Any = boto3.client("s3")
    with Stubber(client) as stub:
        repository = S3KeyRepository(client=client, bucket="keys", key="keys.xml")
        stub.add_response("head_object", {"ETag": '"1"'})
        body: Any = _Body(START + END)
        stub.add_response("get_object", {"ETag": '"1"', "Body": body, "ContentLength": 10})
        stub.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(VersionConflict):
            commit(repository, document())


def test_what_may_not_be_seen_is_an_error_and_not_absent() -> None:
    client: Any = boto3.client("s3")
    with Stubber(client) as stub:
        repository = S3KeyRepository(client=client, bucket="keys", key="keys.xml")
        stub.add_client_error("head_object", "403", http_status_code=403)
        with pytest.raises(RepositoryError) as caught:
            repository.version()
        assert "s3:ListBucket" in caught.value.hint


def test_a_version_is_one_request_without_content_and_a_read_is_one(bucket: Bucket) -> None:
    repository = bucket.open()
    commit(repository, document())
    methods: list[str] = []
    events: Any = repository._client.meta.events
    events.register("before-send.s3", lambda request, **_: methods.append(request.method))
    for call, expected in (
        (repository.version, ["HEAD"]),
        (repository.read, ["GET"]),
        (lambda: commit(repository, document()), ["HEAD", "GET", "PUT"]),
    ):
        methods.clear()
        call()
        assert methods == expected


# --- ways to name it --------------------------------------------------------------------------------------------------


def test_a_ready_client_is_used_as_it_is(bucket: Bucket) -> None:
    added = document()
    commit(bucket.open(), added)
    repository = S3KeyRepository(client=bucket.raw, bucket=bucket.bucket, key="shop/keys.xml")
    assert contents(repository) == [added.data]
    assert repository.location == f"s3://{bucket.bucket}/shop/keys.xml"


def test_region_and_endpoint_are_taken_from_the_url() -> None:
    made = S3KeyRepository.from_url("s3://keys/a%20b?region=us-west-2&endpoint=http://127.0.0.1:9")
    client = made._new_client()
    assert client.meta.region_name == "us-west-2"
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    assert made._object == {"Bucket": "keys", "Key": "a b"}


@pytest.mark.parametrize("url", ["s3://keys", "s3:///keys.xml", "s3://user@keys/keys.xml", "s3://keys/a?acl=public"])
def test_a_url_that_names_no_object_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        S3KeyRepository.from_url(url)
    assert caught.value.hint


def test_one_of_url_and_client_is_needed() -> None:
    with pytest.raises(ConfigurationError):
        S3KeyRepository()
    with pytest.raises(ConfigurationError):
        S3KeyRepository(client=object())


def test_without_boto3_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3.exceptions", None)
    with pytest.raises(MissingExtraError) as caught:
        S3KeyRepository.from_url("s3://keys/keys.xml")
    assert "dpmiddleware[aws]" in caught.value.hint


class _Body:
    """The body of a stubbed answer."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self) -> bytes:
        return self.data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
