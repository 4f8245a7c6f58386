"""Keys in one object of S3, or of a store that speaks its language (extra ``aws``).

The object is one ``<repository>`` of all elements, as .NET's repository for Azure Blob Storage writes it; .NET has none
for S3 of its own. A write carries ``If-Match`` with the ETag that was read, or ``If-None-Match: *`` where there was no
object: a store that passes over these (an old MinIO, say) cannot keep two writers apart and must not be used.
"""

from __future__ import annotations

import os
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from dpmiddleware.errors import ConfigurationError, MissingExtraError
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.markup import MAX_REPOSITORY_SIZE
from dpmiddleware.repositories.one_document import (
    ABSENT,
    CONTENT_TYPE,
    SECONDS_TO_CONNECT,
    SECONDS_TO_READ,
    OneDocumentRepository,
    TooLargeError,
)
from dpmiddleware.urls import take_options

__all__ = ["S3KeyRepository"]

_CONFLICTS: Final = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}
"""Answers to a write: another ETag; two writes met; the object to replace has gone."""
_ABSENT: Final = {"NoSuchKey", "404"}
_RIGHTS: Final = "allow s3:GetObject, s3:PutObject, and s3:ListBucket: without the last, absent looks forbidden"
_HINTS: Final = {
    "NoSuchBucket": "make the bucket; who may read the keys is its policy",
    "AccessDenied": _RIGHTS,
    "403": _RIGHTS,
    "NotImplemented": "this store does not know conditional writes: two processes could both make a key",
}
_HINT: Final = "is the store reachable, are region, endpoint and credentials right? the ring in memory stays"


class S3KeyRepository(OneDocumentRepository):
    """A `KeyRepository` in an object of S3.

    Give ``s3://bucket/key``, with ``?region=`` and ``&endpoint=`` where the environment does not say them;
    credentials come from where boto3 finds them. Or give ``bucket``, ``key`` and a ready ``client`` of boto3.
    """

    def __init__(self, url: str | None = None, *, client: Any = None, bucket: str = "", key: str = "") -> None:
        try:
            from boto3.exceptions import Boto3Error
            from botocore import exceptions
        except ImportError:
            raise MissingExtraError("aws", "a key ring in S3") from None
        self.errors = (exceptions.BotoCoreError, exceptions.ClientError, Boto3Error, OSError)
        self._client_error: Any = exceptions.ClientError
        self._options: dict[str, str] = {}
        if url is not None:
            plain, self._options = take_options(url, "region", "endpoint")
            parts = urlsplit(plain)
            bucket, key = parts.netloc, unquote(parts.path).removeprefix("/")
            if parts.query or "@" in bucket or client is not None:
                raise ConfigurationError(f"{without_password(url)} says too much", hint="s3://bucket/key, nothing else")
        elif client is None:
            raise ConfigurationError("S3 takes a URL, or a client with bucket and key")
        if not bucket or not key:
            raise ConfigurationError(f"{without_password(url or 's3:')} names no object", hint="s3://bucket/key")
        super().__init__(without_password(url) if url else f"s3://{printable(bucket)}/{printable(key)}")
        self._object = {"Bucket": bucket, "Key": key}
        self._client: Any = client
        self._process = os.getpid()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """``s3://bucket/key[?region=…&endpoint=…]``."""
        return cls(url)

    def connect(self) -> None:
        """Make the client; in a forked child close its connections, which are the parent's."""
        if self._client is None:
            self._client = self._made()
        elif self._process != os.getpid():
            self._client.close()
        self._process = os.getpid()

    def etag(self) -> str:
        """Ask for the object's head."""
        try:
            return str(self._client.head_object(**self._object)["ETag"])
        except self._client_error as error:
            if _code(error) not in _ABSENT:
                raise
            # Without an answer's body a bucket that is not there looks like an object that is not there.
            return self.get()[1]

    def get(self) -> tuple[bytes, str]:
        """Get the object."""
        try:
            answer = self._client.get_object(**self._object)
        except self._client_error as error:
            if _code(error) not in _ABSENT:
                raise
            return b"", ABSENT
        with answer["Body"] as body:
            if answer["ContentLength"] > MAX_REPOSITORY_SIZE:
                raise TooLargeError
            return body.read(), str(answer["ETag"])

    def put(self, data: bytes, etag: str) -> bool:
        """Put the object under its condition."""
        condition = {"IfNoneMatch": "*"} if etag == ABSENT else {"IfMatch": etag}
        try:
            self._client.put_object(**self._object, **condition, Body=data, ContentType=CONTENT_TYPE)
        except self._client_error as error:
            if _code(error) in _CONFLICTS:
                return False
            raise
        return True

    def hint_for(self, error: BaseException) -> str:
        """By S3's own error code."""
        return _HINTS.get(_code(error), _HINT)

    def _made(self) -> Any:
        import boto3
        from botocore.config import Config

        endpoint = self._options.get("endpoint")
        config = Config(
            connect_timeout=SECONDS_TO_CONNECT,
            read_timeout=SECONDS_TO_READ,
            retries={"total_max_attempts": 1},  # a later poll is the retry
            s3={"addressing_style": "path"} if endpoint else None,
        )
        # A session of its own: the default one is not made for several threads.
        session = boto3.session.Session(region_name=self._options.get("region"))
        return session.client("s3", config=config, endpoint_url=endpoint)


def _code(error: BaseException) -> str:
    answer: Any = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""
