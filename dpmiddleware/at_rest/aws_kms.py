"""Keys encrypted by AWS Key Management Service. ::

    decryptorType = "dpmiddleware.AwsKms.v1"
    <kmsKey>, with <value>base64 of the CiphertextBlob</value>

    Plaintext         := <masterKey> as UTF-8                   at most 4,096 bytes
    EncryptionContext := {"dpmiddleware:ring": ring, "dpmiddleware:key": key id, "dpmiddleware:digest": hex of digest}

Every call names the configured key, decryption too: a document gives the ciphertext and no more, and one that is
encrypted under another key of the same account is refused by the service. The context is `Binding`; it is logged by
CloudTrail, and a key policy may ask for it (``kms:EncryptionContext:dpmiddleware:ring``). Ours; .NET cannot use a key
that is wrapped so.

KMS rotates the material of a key by itself and reads what older material encrypted, so there is nothing to rewrap.
Needs kms:Encrypt (who makes keys) and kms:Decrypt (everybody). A call ends after about five seconds.
"""

from __future__ import annotations

import importlib.util
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from dpmiddleware.at_rest.elements import children, decode, new_element, opened
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MissingExtraError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.urls import ConfigurationURL

__all__ = ["DECRYPTOR_TYPE", "AwsKmsKeyWrapper", "KmsClient"]

DECRYPTOR_TYPE: Final = "dpmiddleware.AwsKms.v1"
_HINTS: Final = {
    "AccessDeniedException": "the key's policy or this role does not allow it, or the key is another one",
    "DisabledException": "the KMS key is disabled: aws kms enable-key",
    "KMSInvalidStateException": "the KMS key is about to be deleted: aws kms cancel-key-deletion",
    "NotFoundException": "there is no such KMS key in this region",
    "InvalidCiphertextException": "the document was changed, or a wrapping was moved here from another one",
    "IncorrectKeyException": "wrapped under another KMS key: give key_wrapper= that one as well",
}
_SERVICE_HINT: Final = "running processes keep the keys that they have; check the service, region and credentials"


class KmsClient(Protocol):
    """What is asked of a client: that of ``boto3.client("kms")``."""

    def encrypt(self, **arguments: Any) -> dict[str, Any]:
        """``KeyId``, ``Plaintext``, ``EncryptionContext`` → ``CiphertextBlob``."""
        ...

    def decrypt(self, **arguments: Any) -> dict[str, Any]:
        """``KeyId``, ``CiphertextBlob``, ``EncryptionContext`` → ``Plaintext``."""
        ...


class AwsKmsKeyWrapper:
    """Has KMS encrypt and decrypt keys.

    key: id, alias (``alias/shop``) or ARN. client: a ready KMS client; else one is made at the first use from boto3's
    usual configuration, with region and endpoint where given.
    """

    def __init__(
        self, key: str, *, client: KmsClient | None = None, region: str | None = None, endpoint: str | None = None
    ) -> None:
        if not key or key.startswith("/"):
            raise ConfigurationError("awskms: names no key", hint="awskms:///alias/shop, a key id or an ARN")
        if client is None and importlib.util.find_spec("boto3") is None:
            raise MissingExtraError("aws", "keys wrapped by AWS KMS")
        self._key = key
        self._given, self._client, self._process = client, client, os.getpid()
        self._region, self._endpoint = region, endpoint

    @classmethod
    def from_url(cls, url: str) -> AwsKmsKeyWrapper:
        """``awskms:///alias/shop[?region=eu-central-1][&endpoint=https://…]``; or a key id, or an ARN."""
        parts = ConfigurationURL.parse(url, "region", "endpoint")
        if parts.host:
            raise ConfigurationError("awskms: has no host", hint="three slashes: awskms:///alias/shop")
        return cls(parts.path.removeprefix("/"), **parts.options)  # type: ignore[arg-type]  # region and endpoint only

    @property
    def decryptor_types(self) -> frozenset[str]:
        """`DECRYPTOR_TYPE`."""
        return frozenset({DECRYPTOR_TYPE})

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Have KMS encrypt. `KeyUnwrapError` where it does not."""
        arguments = {"KeyId": self._key, "Plaintext": dump(secret), "EncryptionContext": _context(binding)}
        blob = self._call(lambda kms: kms.encrypt(**arguments)["CiphertextBlob"])
        return DECRYPTOR_TYPE, new_element("kmsKey", value=blob)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have KMS decrypt, under the configured key only. `KeyUnwrapError`."""
        blob = decode(*children(encrypted, "value"))
        if not blob:
            raise KeyUnwrapError("the wrapping cannot be read: it is empty", hint="the document was changed")
        arguments = {"KeyId": self._key, "CiphertextBlob": blob, "EncryptionContext": _context(binding)}
        return opened(self._call(lambda kms: kms.decrypt(**arguments)["Plaintext"]))

    def _call(self, call: Callable[[KmsClient], bytes]) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(self._kms())
        except ClientError as error:
            code = printable(error.response.get("Error", {}).get("Code", "no code"), 60)
            raise KeyUnwrapError(f"{self} refused: {code}", hint=_HINTS.get(code, _SERVICE_HINT)) from None
        except (BotoCoreError, ValueError) as error:
            raise KeyUnwrapError(f"{self} cannot be reached: {type(error).__name__}", hint=_SERVICE_HINT) from None

    def _kms(self) -> KmsClient:
        """The client; another one after a fork, because connections cannot be shared."""
        if self._client is None or self._process != os.getpid():
            self._process = os.getpid()
            self._client = self._given or self._new_client()
        return self._client

    def _new_client(self) -> KmsClient:
        from boto3.session import Session
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
        session: Any = Session()
        client: KmsClient = session.client("kms", region_name=self._region, endpoint_url=self._endpoint, config=config)
        return client

    def __repr__(self) -> str:
        return f"<AwsKmsKeyWrapper {printable(self._key)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


def _context(binding: Binding) -> dict[str, str]:
    return {
        "dpmiddleware:ring": binding.ring,
        "dpmiddleware:key": str(binding.key_id),
        "dpmiddleware:digest": binding.digest.hex(),
    }
