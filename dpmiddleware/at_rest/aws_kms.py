"""Keys encrypted by AWS Key Management Service. ::

    decryptorType = "dpmiddleware.AwsKms.v1"
    <kmsKey>, with <value>base64 of the CiphertextBlob</value>

    Plaintext         := <masterKey> as UTF-8                   at most 4,096 bytes
    EncryptionContext := {"dpmiddleware:ring": ring, "dpmiddleware:key": key id, "dpmiddleware:digest": hex of digest}

Every call names the configured key, also for decryption: only the ciphertext comes from a document, and the service
refuses one that is encrypted under another key of the same account. The context is `Binding`. CloudTrail logs it, and a
key policy may require it (``kms:EncryptionContext:dpmiddleware:ring``). The format is ours; .NET cannot use a key that
is wrapped so.

KMS rotates the material of a key itself and decrypts with older material, so keys need not be rewrapped. All processes
need kms:Decrypt, and those that create keys kms:Encrypt. A call ends after five seconds.
"""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, Final, Protocol

from dpmiddleware.at_rest.elements import children, decode, master_key_in, new_element
from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MissingExtraError
from dpmiddleware.forks import after_fork
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.repositories.bounded import Bounded
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.urls import ConfigurationURL

__all__ = ["DECRYPTOR_TYPE", "AwsKmsKeyWrapper", "KmsClient"]

DECRYPTOR_TYPE: Final = "dpmiddleware.AwsKms.v1"
_SECONDS: Final = 5.0
_HINTS: Final = {
    "AccessDeniedException": "check the policy of the key and of this role, and that it is the right key",
    "DisabledException": "enable the KMS key: aws kms enable-key",
    "KMSInvalidStateException": "keep the KMS key, which is scheduled for deletion: aws kms cancel-key-deletion",
    "NotFoundException": "check key and region; there is no such KMS key",
    "InvalidCiphertextException": "check who changed the document, or moved a wrapping into it",
    "IncorrectKeyException": "add the KMS key that wrapped this one to key_wrapper=",
}
_SERVICE_HINT: Final = "check the service, region and credentials; running processes keep their keys"


class KmsClient(Protocol):
    """The methods that a client needs; ``boto3.client("kms")`` has them."""

    def encrypt(self, **arguments: Any) -> dict[str, Any]:
        """``KeyId``, ``Plaintext``, ``EncryptionContext`` → ``CiphertextBlob``."""
        ...

    def decrypt(self, **arguments: Any) -> dict[str, Any]:
        """``KeyId``, ``CiphertextBlob``, ``EncryptionContext`` → ``Plaintext``."""
        ...


class AwsKmsKeyWrapper(Unpicklable, HidesLocals):
    """Has KMS encrypt and decrypt keys.

    key: id, alias (``alias/shop``) or ARN.
    client: a ready KMS client; by default one is created on first use from boto3's usual configuration.
    region: for that client.
    endpoint: for that client.
    """

    decryptor_types = frozenset({DECRYPTOR_TYPE})
    """`DECRYPTOR_TYPE`."""

    def __init__(
        self, key: str, *, client: KmsClient | None = None, region: str | None = None, endpoint: str | None = None
    ) -> None:
        if not key or key.startswith("/"):
            raise ConfigurationError("awskms: does not name a key", hint="write awskms:///alias/shop, an id or an ARN")
        if client is None and importlib.util.find_spec("boto3") is None:
            raise MissingExtraError("aws", "keys wrapped by AWS KMS")
        self._key = key
        self._given = self._client = client
        self._calls = Bounded()
        self._region, self._endpoint = region, endpoint
        after_fork(self._leave_connections)

    def _leave_connections(self) -> None:
        """In a forked child, use new connections; the others belong to the parent."""
        close: Callable[[], object] | None = getattr(self._given, "close", None)
        if close is not None:
            close()
        self._client = self._given

    @classmethod
    def from_url(cls, url: str) -> AwsKmsKeyWrapper:
        """Open ``awskms:///alias/shop[?region=eu-central-1][&endpoint=https://…]``; or a key id, or an ARN."""
        parts = ConfigurationURL.parse(url, "region", "endpoint")
        if parts.host:
            raise ConfigurationError("awskms: does not take a host", hint="use three slashes: awskms:///alias/shop")
        return cls(parts.path.removeprefix("/"), **parts.options)  # type: ignore[arg-type]  # region and endpoint only

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Have KMS encrypt. `KeyUnwrapError` if it does not."""
        arguments = {"KeyId": self._key, "Plaintext": dump(secret), "EncryptionContext": _context(binding)}
        blob = self._call(lambda kms: kms.encrypt(**arguments)["CiphertextBlob"])
        return DECRYPTOR_TYPE, new_element("kmsKey", value=blob)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have KMS decrypt, with the configured key only. `KeyUnwrapError`."""
        blob = decode(*children(encrypted, "value"))
        if not blob:
            raise KeyUnwrapError("the wrapping cannot be read: it is empty", hint="check who changed the document")
        arguments = {"KeyId": self._key, "CiphertextBlob": blob, "EncryptionContext": _context(binding)}
        return master_key_in(self._call(lambda kms: kms.decrypt(**arguments)["Plaintext"]))

    def _call(self, call: Callable[[KmsClient], bytes]) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = self._new_client()
            client = self._client
            return self._calls.run(_SECONDS, lambda: call(client))
        except ClientError as error:
            code = printable(error.response.get("Error", {}).get("Code", "no code"), 60)
            raise KeyUnwrapError(f"{self} refused: {code}", hint=_HINTS.get(code, _SERVICE_HINT)) from None
        except (BotoCoreError, ValueError, OSError) as error:
            raise KeyUnwrapError(f"{self} cannot be reached: {type(error).__name__}", hint=_SERVICE_HINT) from None

    def _new_client(self) -> KmsClient:
        from boto3.session import Session
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
        session: Any = Session()
        client: KmsClient = session.client("kms", region_name=self._region, endpoint_url=self._endpoint, config=config)
        return client

    def __repr__(self) -> str:
        return f"<AwsKmsKeyWrapper {printable(self._key)}>"


def _context(binding: Binding) -> dict[str, str]:
    return {
        "dpmiddleware:ring": binding.ring,
        "dpmiddleware:key": str(binding.key_id),
        "dpmiddleware:digest": binding.digest.hex(),
    }
