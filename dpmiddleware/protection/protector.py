"""`DataProtector`: protects and unprotects data for one list of purposes."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from dpmiddleware.arguments import explain
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
from dpmiddleware.printable import printable
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import (
    associated_data,
    from_utf8,
    head_of,
    key_id_of,
    to_utf8,
)
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector

__all__ = ["DangerousResult", "DataProtector", "Rings"]

_BOUND_KEYS: Final = 64
"""How many keys a protector keeps ready. A ring has one or two keys in use, and some old ones for old payloads."""

_UNKNOWN_KEY: Final = "the payload's key is not in the ring"

_T = TypeVar("_T", str, bytes)


class Rings(Protocol):
    """What a protector needs from `dpmiddleware.keys.provider.KeyRingProvider`."""

    def current(self) -> KeyRing:
        """Return the ring. `KeyManagementError` if there is none."""
        ...

    def find(self, key_id: bytes) -> Key | None:
        """Return the key with these raw id bytes, or ``None``. `KeyManagementError` if there is no ring."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time, aware."""
        ...


class DangerousResult(NamedTuple, Generic[_T]):
    """The result of `DataProtector.dangerous_unprotect`."""

    data: _T
    requires_migration: bool
    """Whether the data should be protected again: its key is not the default key."""
    was_revoked: bool
    """Whether the key is revoked. An attacker who has the key may have forged this payload."""


class DataProtector:
    """Protects data for one list of purposes. Text in, text out (base64url); bytes in, bytes out.

    Create it with `dpmiddleware.data_protection.DataProtection.create_protector`. Two protectors open each other's
    payloads if they have the same ring and the same purposes in the same order. Thread-safe; keeps no plaintext.
    """

    __slots__ = ("_bound", "_rings", "purposes")

    def __init__(self, rings: Rings, purposes: tuple[str, ...]) -> None:
        associated_data(b"", purposes)  # so that an invalid purpose is refused here, not at the first payload
        self._rings = rings
        self.purposes = purposes
        self._bound: dict[AuthenticatedEncryptor, BoundEncryptor] = {}

    def create_protector(self, *purposes: str) -> DataProtector:
        """Create a protector for a narrower purpose: these purposes come after its own."""
        if not purposes:
            raise ConfigurationError(
                f"the purposes {printable(repr(purposes))} are not one or more texts",
                hint='say what the data is for: create_protector("Shop.Cart", "v1")',
            )
        try:
            return DataProtector(self._rings, (*self.purposes, *purposes))
        except AttributeError as error:
            raise explain(DataProtector.create_protector, error, purposes=purposes) from None

    def time_limited(self) -> TimeLimitedDataProtector:
        """Create a protector with these purposes whose payloads have an expiry."""
        return TimeLimitedDataProtector(self, self._rings.now)

    def protect(self, data: _T) -> _T:
        """Encrypt and authenticate ``data`` with the default key.

        `KeyManagementError` if there is no ring, or no key to protect with.
        """
        encryptor = self._encryptor(self._rings.current().protecting_key())
        if isinstance(data, str):
            return base64url.encode(encryptor.encrypt(to_utf8(data)))
        try:
            return encryptor.encrypt(data)
        except TypeError as error:
            raise explain(DataProtector.protect, error, data=data) from None

    def unprotect(self, data: _T) -> _T:
        """Return the data that was protected.

        `UnprotectError` if the payload is refused; in particular `MalformedPayloadError`, `UnknownKeyError`,
        `UnusableKeyError`, `RevokedKeyError` or `TamperedPayloadError`. `KeyManagementError` if there is no ring.
        """
        if isinstance(data, str):
            return from_utf8(self.unprotect(base64url.decode(data)))
        try:
            key_id = key_id_of(data)
        except AttributeError as error:
            raise explain(DataProtector.unprotect, error, data=data) from None
        key = self._rings.find(key_id)
        if key is None:
            raise UnknownKeyError(_UNKNOWN_KEY, key_id=key_id)
        if key.revocation is not None:
            raise RevokedKeyError(f"key {key.id} has been revoked", key_id=str(key.id))
        try:
            return self._encryptor(key).decrypt(data)
        except TamperedPayloadError as error:
            error.key_id = str(key.id)
            raise

    def dangerous_unprotect(self, data: _T) -> DangerousResult[_T]:
        """Unprotect even if the key is revoked, and say so. Only for data that must not be lost; never for cookies."""
        if isinstance(data, str):
            found = self.dangerous_unprotect(base64url.decode(data))
            return DangerousResult(from_utf8(found.data), found.requires_migration, found.was_revoked)
        try:
            key_id = key_id_of(data)
        except AttributeError as error:
            raise explain(DataProtector.dangerous_unprotect, error, data=data) from None
        key = self._rings.find(key_id)
        if key is None:
            raise UnknownKeyError(_UNKNOWN_KEY, key_id=key_id)
        default = self._rings.current().default
        revoked = key.revocation is not None
        stale = revoked or default is None or key.id != default.id
        try:
            return DangerousResult(self._encryptor(key).decrypt(data), stale, revoked)
        except TamperedPayloadError as error:
            error.key_id = str(key.id)
            raise

    def _encryptor(self, key: Key) -> BoundEncryptor:
        """Return the key, prepared for these purposes. The result is kept."""
        encryptor = key.encryptor
        if encryptor is None:
            raise UnusableKeyError(f"key {key.id} cannot be used: {key.problem}", key_id=str(key.id))
        bound = self._bound.get(encryptor)
        if bound is not None:
            return bound
        raw_id = key.id.bytes_le
        bound = encryptor.bind(associated_data(raw_id, self.purposes), head_of(raw_id))
        if len(self._bound) >= _BOUND_KEYS:
            oldest, *_ = self._bound  # one step, because other threads may change the dictionary
            self._bound.pop(oldest, None)
        self._bound[encryptor] = bound
        return bound

    def __repr__(self) -> str:
        return f"<DataProtector for {' › '.join(self.purposes)}>"
