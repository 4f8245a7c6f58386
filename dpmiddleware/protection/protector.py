"""`DataProtector`: protect and unprotect for one chain of purposes. The middle of the cookie walk."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor, BoundEncryptor
from dpmiddleware.errors import (
    ConfigurationError,
    RevokedKeyError,
    TamperedPayloadError,
    UnknownKeyError,
    UnusableKeyError,
)
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import (
    associated_data,
    from_utf8,
    pack,
    to_utf8,
    unpack,
)
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector

__all__ = ["DangerousResult", "DataProtector", "Rings"]

_BOUND_KEYS: Final = 64
"""How many keys a protector keeps ready: a ring has one or two in use, and old ones that still open something."""

_NOT_THERE: Final = "the payload's key is not in the ring"

_T = TypeVar("_T", str, bytes)


class Rings(Protocol):
    """What a protector asks of `dpmiddleware.keys.provider.KeyRingProvider`."""

    def current(self) -> KeyRing:
        """The ring; `KeyManagementError` where there is none."""
        ...

    def find(self, key_id: bytes) -> Key | None:
        """The key with these raw id bytes; ``None``: there is none. `KeyManagementError` as `current`."""
        ...

    def now(self) -> datetime:
        """Wall-clock time, aware."""
        ...


class DangerousResult(NamedTuple, Generic[_T]):
    """What `DataProtector.dangerous_unprotect` found."""

    data: _T
    requires_migration: bool
    """The key is not the one that protects now: protect the data again."""
    was_revoked: bool
    """The key is revoked: whoever has it may have made this payload."""


class DataProtector:
    """Protects data for one purpose. Text in, text out (base64url); bytes in, bytes out.

    Made by `dpmiddleware.data_protection.DataProtection.create_protector`. Two protectors open each other's payloads if
    they have the same ring and the same purposes in the same order. Safe for threads; keeps no plaintext.
    """

    __slots__ = ("_bound", "_rings", "purposes")

    def __init__(self, rings: Rings, purposes: tuple[str, ...]) -> None:
        associated_data(b"", purposes)  # refuses a purpose that cannot be encoded here, not at the first payload
        self._rings = rings
        self.purposes = purposes
        self._bound: dict[AuthenticatedEncryptor, BoundEncryptor] = {}

    def create_protector(self, *purposes: str) -> DataProtector:
        """A protector for a narrower purpose: these come after its own."""
        if not purposes or not all(isinstance(purpose, str) for purpose in purposes):
            raise ConfigurationError("a protector needs purposes, as text", hint='create_protector("Shop.Cart", "v1")')
        return DataProtector(self._rings, (*self.purposes, *purposes))

    def time_limited(self) -> TimeLimitedDataProtector:
        """The same with an expiry inside each payload."""
        return TimeLimitedDataProtector(self, self._rings.now)

    def protect(self, data: _T) -> _T:
        """Encrypt and authenticate ``data`` under the default key.

        `KeyManagementError` where there is no ring or no key to protect with.
        """
        encryptor = self._encryptor(self._rings.current().protecting_key())
        if isinstance(data, str):
            return base64url.encode(encryptor.encrypt(to_utf8(data)))
        return encryptor.encrypt(data)

    def unprotect(self, data: _T) -> _T:
        """What `protect` was given.

        `MalformedPayloadError`, `UnknownKeyError`, `UnusableKeyError`, `RevokedKeyError` or `TamperedPayloadError`,
        all of them `UnprotectError`; `KeyManagementError` where there is no ring.
        """
        if isinstance(data, str):
            return from_utf8(self.unprotect(base64url.decode(data)))
        key_id = unpack(data)
        key = self._rings.find(key_id)
        if key is None:
            raise UnknownKeyError(_NOT_THERE, key_id)
        if key.revocation is not None:
            raise RevokedKeyError(f"key {key.id} has been revoked", key_id=str(key.id))
        try:
            return self._encryptor(key).decrypt(data)
        except TamperedPayloadError as error:
            error.key_id = str(key.id)
            raise

    def dangerous_unprotect(self, data: _T) -> DangerousResult[_T]:
        """The same, under a revoked key as well, and says so. For data that cannot be lost, never for cookies."""
        if isinstance(data, str):
            found = self.dangerous_unprotect(base64url.decode(data))
            return DangerousResult(from_utf8(found.data), found.requires_migration, found.was_revoked)
        key_id = unpack(data)
        key = self._rings.find(key_id)
        if key is None:
            raise UnknownKeyError(_NOT_THERE, key_id)
        default = self._rings.current().default
        revoked = key.revocation is not None
        stale = revoked or default is None or key.id != default.id
        try:
            return DangerousResult(self._encryptor(key).decrypt(data), stale, revoked)
        except TamperedPayloadError as error:
            error.key_id = str(key.id)
            raise

    def _encryptor(self, key: Key) -> BoundEncryptor:
        """The key, made ready for these purposes; kept for next time."""
        encryptor = key.encryptor
        if encryptor is None:
            raise UnusableKeyError(f"key {key.id} cannot be used: {key.problem}", key_id=str(key.id))
        bound = self._bound.get(encryptor)
        if bound is not None:
            return bound
        raw_id = key.id.bytes_le
        bound = encryptor.bind(associated_data(raw_id, self.purposes), pack(raw_id))
        if len(self._bound) >= _BOUND_KEYS:
            oldest, *_ = self._bound  # in one step: other threads may be changing it
            self._bound.pop(oldest, None)
        self._bound[encryptor] = bound
        return bound

    def __repr__(self) -> str:
        return f"<DataProtector for {' › '.join(self.purposes)}>"
