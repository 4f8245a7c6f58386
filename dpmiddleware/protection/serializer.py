"""`ProtectedSerializer`: what takes an itsdangerous serializer takes this one, and its values are then encrypted. ::

text  := base64url(protect(BE64(ticks when made, UTC) ‖ format.dumps(value)))
under purposes "dpmiddleware.Serializer.v1", salt
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from itsdangerous import BadPayload, BadSignature, BadTimeSignature, SignatureExpired

from dpmiddleware import purposes
from dpmiddleware.errors import UnprotectError
from dpmiddleware.instants import TICKS_PER_SECOND, Instant, ticks_of
from dpmiddleware.protection import base64url
from dpmiddleware.telemetry import refused

if TYPE_CHECKING:
    from dpmiddleware.protection.protector import DataProtector

__all__ = ["Format", "ProtectedSerializer", "Provider"]

_STAMP: Final = 8
_SKEW_SECONDS: Final = 300
"""How far ahead of this machine's clock another's may lie; a value made further ahead is refused where ages count."""
_PROTECTORS: Final = 64


class Format(Protocol):
    """How values become text or bytes: the ``json`` module, Flask's tagged JSON …"""

    def dumps(self, obj: Any, /) -> str | bytes:
        """The value written down."""
        ...

    def loads(self, payload: Any, /) -> Any:
        """The value back."""
        ...


class Provider(Protocol):
    """What makes protectors: `dpmiddleware.data_protection.DataProtection`."""

    application: str | None

    def create_protector(self, *purposes: str) -> DataProtector:
        """A protector."""
        ...

    def now(self) -> datetime:
        """Wall-clock time, aware."""
        ...


class _Json:
    """Compact JSON; encoder and decoder are made once, not for each value."""

    dumps = staticmethod(json.JSONEncoder(separators=(",", ":")).encode)
    _decode = staticmethod(json.JSONDecoder().raw_decode)

    def loads(self, payload: str) -> Any:
        """What `dumps` wrote: without white space around it, which would have to be looked for."""
        value, end = self._decode(payload)
        if end != len(payload):
            raise ValueError("more than one value of JSON")
        return value


class ProtectedSerializer:
    """Serialize, encrypt and authenticate values under a ring that rotates.

    salt: what the values are for; a value made under one salt is refused under another. serializer: their format.
    Methods and errors are those of ``itsdangerous.URLSafeTimedSerializer``; every value carries the time it was made.
    """

    def __init__(
        self, data_protection: Provider, salt: str | bytes = "itsdangerous", serializer: Format | None = None
    ) -> None:
        self._provider = data_protection
        self._salt = _text(salt)
        self._format: Format = serializer or _Json()
        self._is_text = isinstance(self._format.dumps({}), str)
        self._protectors: dict[str | bytes | None, DataProtector] = {}

    def dumps(self, obj: Any, salt: str | bytes | None = None) -> str:
        """``obj`` as URL-safe text. `KeyManagementError` where there is no key to protect with."""
        stamp = ticks_of(self._provider.now()).to_bytes(_STAMP, "big")
        value = self._format.dumps(obj)
        return base64url.encode(
            self._protector(salt).protect(stamp + (value.encode() if isinstance(value, str) else value))
        )

    def dump(self, obj: Any, f: IO[str], salt: str | bytes | None = None) -> None:
        """`dumps` into a text file."""
        f.write(self.dumps(obj, salt))

    def loads(
        self,
        s: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,
        salt: str | bytes | None = None,
    ) -> Any:
        """The value; with ``return_timestamp`` a pair of it and the moment it was made.

        ``BadSignature`` for whatever does not open, ``SignatureExpired`` for a value made more than ``max_age`` seconds
        ago, ``BadPayload`` for one that opens and is no value of this format. `KeyManagementError`: there is no ring.
        """
        made, payload = self._opened(s, salt)
        if max_age is not None:
            age = (ticks_of(self._provider.now()) - made) // TICKS_PER_SECOND
            if not -_SKEW_SECONDS <= age <= max_age:
                raise SignatureExpired(
                    f"Signature age {age} is not within {max_age} seconds", payload, Instant(made).to_datetime()
                )
        value = self.load_payload(payload)
        return (value, Instant(made).to_datetime()) if return_timestamp else value

    def load_payload(self, payload: bytes) -> Any:
        """The value in the ``payload`` of a ``SignatureExpired``, which is authentic and only too old."""
        try:
            return self._format.loads(payload.decode() if self._is_text else payload)
        except Exception as error:
            raise BadPayload("the value opens and cannot be read", original_error=error) from error

    def load(self, f: IO[str], salt: str | bytes | None = None) -> Any:
        """`loads` from a text file."""
        return self.loads(f.read(), salt=salt)

    def loads_unsafe(
        self, s: str | bytes, max_age: int | None = None, salt: str | bytes | None = None
    ) -> tuple[bool, Any]:
        """``(True, value)``, or ``(False, None)``: what is not authentic is not decrypted, so nothing can be shown."""
        try:
            return True, self.loads(s, max_age, salt=salt)
        except BadSignature:
            return False, None

    def load_unsafe(self, f: IO[str], salt: str | bytes | None = None) -> tuple[bool, Any]:
        """`loads_unsafe` from a text file."""
        return self.loads_unsafe(f.read(), salt=salt)

    def _opened(self, s: str | bytes, salt: str | bytes | None) -> tuple[int, bytes]:
        """When the value was made (ticks), and what the format wrote."""
        try:
            plain = self._protector(salt).unprotect(base64url.decode(_text(s)))
        except UnprotectError as error:
            where = f"serializer {self._salt if salt is None else _text(salt)}"
            refused(error.code, key_id=error.key_id, ring=self._provider.application or "", where=where)
            raise BadTimeSignature("the value does not open") from error
        return int.from_bytes(plain[:_STAMP], "big"), plain[_STAMP:]

    def _protector(self, salt: str | bytes | None) -> DataProtector:
        protector = self._protectors.get(salt)
        if protector is None:
            name = self._salt if salt is None else _text(salt)
            if len(self._protectors) >= _PROTECTORS:
                self._protectors.clear()
            protector = self._protectors[salt] = self._provider.create_protector(*purposes.serializer(name))
        return protector


def _text(text: str | bytes) -> str:
    """Itsdangerous takes either everywhere; bytes that are no UTF-8 open nothing."""
    return text if isinstance(text, str) else text.decode("utf-8", "replace")
