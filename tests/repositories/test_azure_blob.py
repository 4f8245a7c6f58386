"""Keys in a blob: the contract against Azurite, and what is specific to Azure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobClient, BlobServiceClient

from dpmiddleware.errors import ConfigurationError, MissingExtraError, RepositoryError, VersionConflict
from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.azure_blob import AzureBlobKeyRepository
from dpmiddleware.testing.contracts.remote_repository import RemoteRepositoryContract
from dpmiddleware.testing.contracts.store import PASSWORD, Store, commit, contents, document, refusal
from dpmiddleware.testing.contracts.together import in_a_fork
from tests.repositories.one_text import END, START, OneText
from tests.servers import AZURITE_KEY, LOOPBACK, Server

ACCOUNT = "devstoreaccount1"


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_ACCOUNT_KEY", AZURITE_KEY)
    monkeypatch.setenv("KEYS_SAS", f"sv=2024-01-01&sig={PASSWORD}")


class Blob(OneText):
    """A blob in a container of its own, and Azure's own client."""

    def __init__(self, server: Server) -> None:
        self.container = f"keys-{uuid4()}"
        self.endpoint = f"{server.address}/{ACCOUNT}"
        self.service = BlobServiceClient(self.endpoint, credential=AZURITE_KEY)
        self.service.create_container(self.container)
        self.raw = self.service.get_blob_client(self.container, "shop/keys.xml")

    def url(self, container: str = "") -> str:
        place = f"azblob://{ACCOUNT}/{container or self.container}/shop/keys.xml"
        return f"{place}?endpoint={self.endpoint}&password=env:KEYS_ACCOUNT_KEY"

    def open(self) -> AzureBlobKeyRepository:
        return AzureBlobKeyRepository.from_url(self.url())

    def load(self) -> bytes | None:
        try:
            return self.raw.download_blob().readall()
        except ResourceNotFoundError:
            return None

    def save(self, data: bytes) -> None:
        self.raw.upload_blob(data, overwrite=True)


@pytest.fixture
def blob(azurite_server: Server) -> Iterator[Blob]:
    blob = Blob(azurite_server)
    yield blob
    blob.service.delete_container(blob.container)
    blob.service.close()


class TestAzureBlob(RemoteRepositoryContract):
    drips = b"HTTP/1.1 200 OK\r\nX: "

    @pytest.fixture
    def store(self, blob: Blob) -> Store:
        return blob

    def at(self, port: int) -> KeyRepository:
        endpoint = f"http://{LOOPBACK}:{port}/account"
        return AzureBlobKeyRepository.from_url(
            f"azblob://account/keys/keys.xml?endpoint={endpoint}&password=env:KEYS_SAS"
        )


# --- the blob ---------------------------------------------------------------------------------------------------------


def test_the_blob_is_what_net_writes(blob: Blob) -> None:
    added = document()
    commit(blob.open(), added)
    assert blob.load() == START + added.data + END
    assert blob.raw.get_blob_properties().content_settings.content_type == "application/xml; charset=utf-8"


def test_a_blob_that_net_wrote_with_a_byte_order_mark_is_read_and_edited(blob: Blob) -> None:
    theirs = "<key id='1'><!-- é --></key>".encode()
    blob.save(b"\xef\xbb\xbf" + START + theirs + END)
    ours = document()
    commit(blob.open(), ours)
    assert contents(blob.open()) == sorted([theirs, ours.data])


def test_a_blob_of_no_bytes_is_named_and_then_written(blob: Blob) -> None:
    blob.save(b"")
    repository = blob.open()
    assert [each.problem for each in repository.read().documents] == ["empty"]
    added = document()
    commit(repository, added)
    assert contents(repository) == [added.data]


@pytest.mark.parametrize(
    "text", [START + b"<key>", b"no XML", b"<!DOCTYPE r><repository />"], ids=["cut", "text", "DTD"]
)
def test_a_blob_that_cannot_be_read_whole_is_an_error_and_is_not_written_over(text: bytes, blob: Blob) -> None:
    blob.save(text)
    repository = blob.open()
    with refusal(repository):
        repository.read()
    with refusal(repository):
        commit(repository, document())
    assert blob.load() == text


def test_a_container_that_is_not_there_is_an_error_and_not_an_empty_store(blob: Blob) -> None:
    repository = AzureBlobKeyRepository.from_url(blob.url(container="nowhere"))
    for action in (repository.read, repository.version):
        with pytest.raises(RepositoryError) as caught:
            action()
        assert "container" in caught.value.hint


def test_two_writers_at_the_moment_of_writing_one_wins(blob: Blob) -> None:
    """Both have read the same blob; the ETag decides, on the first write and on later ones."""
    first, second = blob.open(), blob.open()
    assert contents(first) == contents(second) == []
    for winner, loser in ((first, second), (second, first)):
        _, etag = winner.get()
        assert winner.put(START + document().data + END, etag)
        assert not loser.put(START + END, etag)
        assert len(contents(loser)) == 1


def test_a_blob_with_a_lease_is_an_error_and_no_conflict(blob: Blob) -> None:
    commit(blob.open(), document())
    blob.raw.acquire_lease()
    with pytest.raises(RepositoryError) as caught:
        commit(blob.open(), document())
    assert not isinstance(caught.value, VersionConflict)
    assert "lease" in caught.value.hint


class CountingTransport(RequestsTransport):  # type: ignore[misc]  # handed out by a function, so without a type
    """Azure's own transport, with a list of its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.methods: list[str] = []

    def send(self, request: Any, **options: Any) -> Any:
        self.methods.append(request.method)
        return super().send(request, **options)


def test_a_version_is_one_request_without_content_and_a_read_is_one(blob: Blob) -> None:
    transport = CountingTransport()
    client = BlobClient(blob.endpoint, blob.container, "keys", credential=AZURITE_KEY, transport=transport)
    repository = AzureBlobKeyRepository(client=client)
    calls = [
        (repository.version, ["HEAD"]),
        (repository.read, ["GET"]),
        (lambda: commit(repository, document()), ["HEAD", "GET", "PUT"]),
    ]
    for _ in range(2):  # without and with a blob
        for call, methods in calls:
            transport.methods.clear()
            call()
            assert transport.methods == methods


# --- ways to name it --------------------------------------------------------------------------------------------------


def test_a_client_a_credential_and_a_connection_string_lead_to_the_same_blob(
    blob: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = document()
    commit(blob.open(), added)
    string = (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint={blob.endpoint};"
    )
    monkeypatch.setenv("KEYS_STRING", string)
    place = f"azblob://{ACCOUNT}/{blob.container}/shop/keys.xml"
    for repository in (
        AzureBlobKeyRepository(client=blob.raw),
        AzureBlobKeyRepository(f"{place}?endpoint={blob.endpoint}", credential=AZURITE_KEY),
        AzureBlobKeyRepository.from_connection_string(string, blob.container, "shop/keys.xml"),
        AzureBlobKeyRepository.from_url(f"{place}?password=env:KEYS_STRING"),
    ):
        assert contents(repository) == [added.data]
        assert AZURITE_KEY not in f"{repository!r}{repository.location}"


def test_a_shared_access_signature_is_never_shown() -> None:
    client = BlobClient.from_blob_url(f"https://shop.blob.core.windows.net/keys/keys.xml?sv=1&sig={PASSWORD}")
    repository = AzureBlobKeyRepository(client=client)
    assert repository.location == "https://shop.blob.core.windows.net/keys/keys.xml"


def test_by_default_the_account_is_that_of_the_public_cloud_and_the_credential_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = AzureBlobKeyRepository.from_url("azblob://shop/keys/a%20b/keys.xml")._new_client()
    assert client.url == "https://shop.blob.core.windows.net/keys/a%20b/keys.xml"
    assert isinstance(client.credential, DefaultAzureCredential)


def test_a_password_that_is_nowhere_is_an_error_when_it_is_needed() -> None:
    with pytest.raises(RepositoryError, match="NOT_SET"):
        AzureBlobKeyRepository.from_url("azblob://shop/keys/keys.xml?password=env:NOT_SET").read()


@pytest.mark.parametrize(
    "url", ["azblob://shop", "azblob://shop/keys", "azblob:///keys/keys.xml", "azblob://s/k/b?sig=1"]
)
def test_a_url_that_names_no_blob_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        AzureBlobKeyRepository.from_url(url)


def test_a_text_that_is_no_connection_string_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureBlobKeyRepository.from_connection_string(PASSWORD, "keys", "keys.xml")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("module", ["azure.core", "azure.identity"])
def test_without_the_library_the_error_names_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        AzureBlobKeyRepository.from_url("azblob://shop/keys/keys.xml")
    assert "dpmiddleware[azure]" in caught.value.hint


def test_one_of_url_and_client_is_needed() -> None:
    with pytest.raises(ConfigurationError):
        AzureBlobKeyRepository()


def test_a_given_client_works_in_a_forked_child_too(blob: Blob) -> None:
    repository = AzureBlobKeyRepository(client=blob.raw)
    before, by_child, by_parent = document(), document(), document()
    commit(repository, before)
    in_a_fork(lambda: commit(repository, by_child))
    commit(repository, by_parent)
    assert contents(repository) == sorted(each.data for each in (before, by_child, by_parent))
