"""Keys in one blob, as ASP.NET Core's ``PersistKeysToAzureBlobStorage`` stores them (extra ``azure``).

The blob is one ``<repository>`` of all elements; the container must exist. A write carries ``If-Match`` with the ETag
that was read, or ``If-None-Match: *`` if there was no blob.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.extras import import_extra
from dpmiddleware.printable import without_password
from dpmiddleware.repositories.base import check_one_given
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
from dpmiddleware.urls import ConfigurationURL

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

__all__ = ["AzureBlobKeyRepository"]

_NEEDED_FOR: Final = "a key ring in Azure Blob Storage"
_OPTIONS: Final[dict[str, Any]] = {
    "connection_timeout": SECONDS_TO_CONNECT,
    "read_timeout": SECONDS_TO_READ,
    "retry_total": 0,  # the next poll is the retry
}
_HINTS: Final = {
    "ContainerNotFound": "create the container; its access policy decides who may read the keys",
    "AuthorizationPermissionMismatch": "give this identity the role Storage Blob Data Contributor (readers: Reader)",
    "AuthenticationFailed": "check the account key, SAS or connection string; it may have expired",
    "LeaseIdMissing": "break the lease on the blob",
}


class AzureBlobKeyRepository(OneDocumentRepository):
    """A `KeyRepository` in a blob.

    Give either ``url`` or ``client``.

    url: ``azblob://account/container/blob``, with two options. ``endpoint=``: the account's address, if it is not
        ``https://account.blob.core.windows.net``. ``password=env:NAME`` or ``password=/path``: where an account key,
        a SAS or a connection string is.
    client: a ready one.
    credential: for ``url``: a token credential, an account key or a SAS; by default azure-identity's
        ``DefaultAzureCredential``.
    """

    conflicts = frozenset({"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists"})
    hints = _HINTS
    hint = "check that the account can be reached, and this identity's rights on the blob; loaded keys stay in use"

    def __init__(self, url: str | None = None, *, client: Any = None, credential: Any = None) -> None:
        check_one_given("Azure Blob Storage", url, client)
        exceptions: Any = import_extra("azure.core", "azure", _NEEDED_FOR).exceptions
        self.errors = (exceptions.AzureError, OSError, ValueError)
        self._missing: type[BaseException] = exceptions.ResourceNotFoundError
        super().__init__(without_password(url or client.url.partition("?")[0]), client)
        if client is not None:
            return
        parts = ConfigurationURL.parse(url or "", "endpoint", "password")
        self._container, _, self._blob = parts.path.removeprefix("/").partition("/")
        if not (parts.host and self._container and self._blob) or {"@", ":"} & set(parts.host):
            problem = f"{without_password(url or '')} is not a URL of a blob"
            raise ConfigurationError(problem, hint="write azblob://account/container/blob")
        self._account = parts.options.get("endpoint", f"https://{parts.host.lower()}.blob.core.windows.net")
        self._password = parts.options.get("password")
        if self._password is None and credential is None:
            credential = import_extra("azure.identity", "azure", _NEEDED_FOR).DefaultAzureCredential()
        self._credential = credential

    @classmethod
    def from_connection_string(cls, connection_string: str, container: str, blob: str) -> Self:
        """Open a blob of the account that a connection string names."""
        library = import_extra("azure.storage.blob", "azure", _NEEDED_FOR)
        try:
            return cls(client=library.BlobClient.from_connection_string(connection_string, container, blob, **_OPTIONS))
        except ValueError:
            raise ConfigurationError(
                "the connection string is not one of a storage account", hint="copy it from the account's access keys"
            ) from None

    def etag(self) -> str:
        """Get the blob's properties."""
        try:
            return str(self._client.get_blob_properties().etag)
        except self._missing as error:
            return self._absent(error)

    def get(self) -> tuple[bytes, str]:
        """Download the blob."""
        try:
            download = self._client.download_blob()
        except self._missing as error:
            return b"", self._absent(error)
        if download.size > MAX_REPOSITORY_SIZE:
            raise TooLargeError
        return download.readall(), str(download.properties.etag)

    def _write(self, data: bytes, etag: str) -> None:
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings

        condition: dict[str, Any] = {"overwrite": False}
        if etag != ABSENT:
            condition = {"overwrite": True, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        settings = ContentSettings(content_type=CONTENT_TYPE)
        self._client.upload_blob(data, content_settings=settings, **condition)

    def code_of(self, error: BaseException) -> str:
        """Return Azure's error code."""
        code = getattr(error, "error_code", "") or ""
        return str(getattr(code, "value", code))

    def _absent(self, error: BaseException) -> str:
        """Raise ``error`` for a missing container, which is not an empty store."""
        if self.code_of(error) == "ContainerNotFound":
            raise error
        return ABSENT

    def _new_client(self) -> BlobClient:
        from azure.storage.blob import BlobClient

        credential = self._credential
        if self._password is not None:
            credential = password_text(self._password)
            if "AccountName=" in credential or "BlobEndpoint=" in credential:
                return BlobClient.from_connection_string(credential, self._container, self._blob, **_OPTIONS)
        return BlobClient(self._account, self._container, self._blob, credential=credential, **_OPTIONS)

    def _client_for_child(self, client: BlobClient) -> BlobClient:
        return type(client).from_blob_url(client.url, credential=client.credential, **_OPTIONS)
