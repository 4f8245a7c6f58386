"""Keys in one blob, as ASP.NET Core's ``PersistKeysToAzureBlobStorage`` keeps them (extra ``azure``).

The blob is one ``<repository>`` of all elements; the container must exist. A write carries ``If-Match`` with the ETag
that was read, or ``If-None-Match: *`` where there was no blob.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from dpmiddleware.errors import ConfigurationError, MissingExtraError
from dpmiddleware.printable import without_password
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE
from dpmiddleware.repositories.one_document import (
    ABSENT,
    CONTENT_TYPE,
    SECONDS_TO_CONNECT,
    SECONDS_TO_READ,
    OneDocumentRepository,
    TooLargeError,
)
from dpmiddleware.secret_sources import password_text
from dpmiddleware.urls import take_options

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

__all__ = ["AzureBlobKeyRepository"]

_CONFLICTS: Final = {"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists"}
_OPTIONS: Final[dict[str, Any]] = {
    "connection_timeout": SECONDS_TO_CONNECT,
    "read_timeout": SECONDS_TO_READ,
    "retry_total": 0,  # a later poll is the retry
}
_HINTS: Final = {
    "ContainerNotFound": "make the container; who may read the keys is its access policy",
    "AuthorizationPermissionMismatch": "give this identity the role Storage Blob Data Contributor (readers: Reader)",
    "AuthenticationFailed": "is the account key, SAS or connection string right, and not expired?",
    "LeaseIdMissing": "somebody holds a lease on the blob: break it",
}
_HINT: Final = "is the account reachable, and may this identity read and write the blob? the ring in memory stays"


class AzureBlobKeyRepository(OneDocumentRepository):
    """A `KeyRepository` in a blob.

    Give ``azblob://account/container/blob`` and, if it is not azure-identity's ``DefaultAzureCredential``, a
    ``credential`` (a token credential, an account key, a SAS); or a ready ``client``. ``endpoint=`` in the URL is the
    address of the account where it is not ``https://account.blob.core.windows.net``; ``password=env:NAME`` (or a
    file) holds an account key, a SAS or a connection string.
    """

    def __init__(self, url: str | None = None, *, client: BlobClient | None = None, credential: Any = None) -> None:
        if (url is None) == (client is None):
            raise ConfigurationError("Azure Blob Storage takes a URL or a client, one of them")
        try:
            from azure.core import exceptions
        except ImportError:
            raise MissingExtraError("azure", "a key ring in Azure Blob Storage") from None
        self.errors = (exceptions.AzureError, OSError, ValueError)
        self._exceptions = exceptions
        self._client: Any = client
        self._process = os.getpid()
        self._credential = credential
        self._password: str | None = None
        if client is not None:
            super().__init__(without_password(client.url.partition("?")[0]))
            return
        plain, own = take_options(url or "", "endpoint", "password")
        parts = urlsplit(plain)
        self._container, _, self._blob = unquote(parts.path).removeprefix("/").partition("/")
        if parts.query or not (parts.hostname and self._container and self._blob):
            raise ConfigurationError(
                f"{without_password(plain)} is no address of a blob", hint="azblob://account/container/blob"
            )
        self._account = own.get("endpoint", f"https://{parts.hostname}.blob.core.windows.net")
        if "password" in own:
            self._password = own["password"]
        elif credential is None:
            _needs_identity()
        super().__init__(without_password(url or ""))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """``azblob://account/container/blob[?endpoint=…&password=env:NAME]``."""
        return cls(url)

    @classmethod
    def from_connection_string(cls, connection_string: str, container: str, blob: str) -> Self:
        """A blob of the account that a connection string names."""
        try:
            from azure.storage.blob import BlobClient
        except ImportError:
            raise MissingExtraError("azure", "a key ring in Azure Blob Storage") from None
        try:
            return cls(client=BlobClient.from_connection_string(connection_string, container, blob, **_OPTIONS))
        except ValueError:
            raise ConfigurationError("this is no connection string of a storage account") from None

    def connect(self) -> None:
        """Make the client; in a forked child make it anew, for its connections are the parent's."""
        from azure.storage.blob import BlobClient

        if self._client is None:
            self._client = self._made()
        elif self._process != os.getpid():
            self._client = BlobClient.from_blob_url(self._client.url, credential=self._client.credential, **_OPTIONS)
        self._process = os.getpid()

    def etag(self) -> str:
        """Ask for the blob's properties."""
        try:
            return str(self._client.get_blob_properties().etag)
        except self._exceptions.ResourceNotFoundError as error:
            return _absent(error)

    def get(self) -> tuple[bytes, str]:
        """Download the blob."""
        try:
            download = self._client.download_blob()
        except self._exceptions.ResourceNotFoundError as error:
            return b"", _absent(error)
        if download.size > MAX_REPOSITORY_SIZE:
            raise TooLargeError
        return download.readall(), str(download.properties.etag)

    def put(self, data: bytes, etag: str) -> bool:
        """Upload the blob under its condition."""
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings

        condition: dict[str, Any] = {"overwrite": False}
        if etag != ABSENT:
            condition = {"overwrite": True, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        try:
            settings = ContentSettings(content_type=CONTENT_TYPE)
            self._client.upload_blob(data, content_settings=settings, **condition)
        except self._exceptions.HttpResponseError as error:
            if _code(error) in _CONFLICTS:
                return False
            raise
        return True

    def hint_for(self, error: BaseException) -> str:
        """By Azure's own error code."""
        return _HINTS.get(_code(error), _HINT)

    def _made(self) -> BlobClient:
        from azure.storage.blob import BlobClient

        credential = self._credential
        if self._password is not None:
            credential = password_text(self._password)
            if "AccountName=" in credential or "BlobEndpoint=" in credential:
                return BlobClient.from_connection_string(credential, self._container, self._blob, **_OPTIONS)
        elif credential is None:
            credential = _needs_identity()()
        return BlobClient(self._account, self._container, self._blob, credential=credential, **_OPTIONS)


def _needs_identity() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise MissingExtraError("azure", "a key ring in Azure Blob Storage without a credential") from None
    return DefaultAzureCredential


def _absent(error: BaseException) -> str:
    """A container that is not there is not an empty store."""
    if _code(error) == "ContainerNotFound":
        raise error
    return ABSENT


def _code(error: BaseException) -> str:
    code = getattr(error, "error_code", "") or ""
    return str(getattr(code, "value", code))
