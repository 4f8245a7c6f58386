"""Keys in one object of S3, or of a store with the same API (extra ``aws``).

The object is one ``<repository>`` of all elements, as .NET's repository for Azure Blob Storage writes it; .NET has no
repository for S3. A write carries ``If-Match`` with the ETag that was read, or ``If-None-Match: *`` if there was no
object. A store that ignores these headers (such as an old MinIO) cannot detect concurrent writes and must not be used.
"""

from __future__ import annotations

from typing import Any, Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.extras import import_extra
from dpmiddleware.printable import printable, without_password
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
from dpmiddleware.urls import ConfigurationURL

__all__ = ["S3KeyRepository"]

_ABSENT: Final = {"NoSuchKey", "404"}
_RIGHTS: Final = (
    "allow s3:GetObject, s3:PutObject and s3:ListBucket; without the last, S3 reports a missing object as forbidden"
)
_HINTS: Final = {
    "NoSuchBucket": "create the bucket; its policy decides who may read the keys",
    "AccessDenied": _RIGHTS,
    "403": _RIGHTS,
    "NotImplemented": "use a store with conditional writes; without them two processes could both create a key",
}


class S3KeyRepository(OneDocumentRepository):
    """A `KeyRepository` in an object of S3.

    Give either ``url``, or ``client`` with ``bucket`` and ``key``.

    url: ``s3://bucket/key``, with the options ``region=`` and ``endpoint=`` if the environment does not set them;
        boto3 finds the credentials.
    client: a ready one of boto3.
    bucket: the bucket's name.
    key: the object's key.
    """

    conflicts = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
    """Another ETag; a concurrent write; the object to replace was deleted."""
    hints = _HINTS
    hint = "check that the store can be reached, and region, endpoint and credentials; loaded keys stay in use"

    def __init__(self, url: str | None = None, *, client: Any = None, bucket: str = "", key: str = "") -> None:
        boto3_error = import_extra("boto3.exceptions", "aws", "a key ring in S3").Boto3Error
        exceptions = import_extra("botocore.exceptions", "aws", "a key ring in S3")
        self.errors = (exceptions.BotoCoreError, exceptions.ClientError, boto3_error, OSError)
        self._options: dict[str, str] = {}
        if url is not None:
            parts = ConfigurationURL.parse(url, "region", "endpoint")
            bucket, key, self._options = parts.host, parts.path.removeprefix("/"), parts.options
            if "@" in bucket:
                raise ConfigurationError(f"{without_password(url)} contains a user", hint="write s3://bucket/key")
        check_one_given("S3", url, client)
        if not bucket or not key:
            raise ConfigurationError(
                f"{without_password(url or 's3:')} does not name an object", hint="write s3://bucket/key"
            )
        super().__init__(without_password(url) if url else f"s3://{printable(bucket)}/{printable(key)}", client)
        self._object = {"Bucket": bucket, "Key": key}

    def etag(self) -> str:
        """Get the object's head."""
        try:
            return str(self._client.head_object(**self._object)["ETag"])
        except self.errors as error:
            if self.code_of(error) not in _ABSENT:
                raise
            # The answer to HEAD has no body, so a missing bucket looks like a missing object.
            return self.get()[1]

    def get(self) -> tuple[bytes, str]:
        """Get the object."""
        try:
            answer = self._client.get_object(**self._object)
        except self.errors as error:
            if self.code_of(error) not in _ABSENT:
                raise
            return b"", ABSENT
        with answer["Body"] as body:
            if answer["ContentLength"] > MAX_REPOSITORY_SIZE:
                raise TooLargeError
            return body.read(), str(answer["ETag"])

    def _write(self, data: bytes, etag: str) -> None:
        condition = {"IfNoneMatch": "*"} if etag == ABSENT else {"IfMatch": etag}
        self._client.put_object(**self._object, **condition, Body=data, ContentType=CONTENT_TYPE)

    def code_of(self, error: BaseException) -> str:
        """Return S3's error code."""
        answer: Any = getattr(error, "response", None)
        return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""

    def _new_client(self) -> Any:
        import boto3
        from botocore.config import Config

        endpoint = self._options.get("endpoint")
        config = Config(
            connect_timeout=SECONDS_TO_CONNECT,
            read_timeout=SECONDS_TO_READ,
            retries={"total_max_attempts": 1},  # the next poll is the retry
            s3={"addressing_style": "path"} if endpoint else None,
        )
        # A session of its own, because boto3's default session is not thread-safe.
        session = boto3.session.Session(region_name=self._options.get("region"))
        return session.client("s3", config=config, endpoint_url=endpoint)

    def _client_for_child(self, client: Any) -> Any:
        client.close()
        return client
