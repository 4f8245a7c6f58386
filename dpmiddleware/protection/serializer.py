"""`ProtectedSerializer`: a drop-in for an itsdangerous serializer whose values are encrypted. ::

text  := base64url(protect(BE64(ticks when made, UTC) ‖ format.dumps(value)))      (dpmiddleware.protection.stamped)
under purposes "dpmiddleware.Serializer.v1", salt
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import IO, Any, Protocol, cast

from itsdangerous import BadPayload, BadSignature, BadTimeSignature, SignatureExpired

from dpmiddleware import purposes
from dpmiddleware.arguments import checked, explain, seconds
from dpmiddleware.errors import UnprotectError
from dpmiddleware.instants import TICKS_PER_SECOND, Instant, ticks_of
from dpmiddleware.protection.stamped import SKEW_SECONDS, Provider, StampedProtector
from dpmiddleware.serialization import json_encoder, serialize

__all__ = ["Format", "ProtectedSerializer"]


class Format(Protocol):
    """How values become text or bytes: the ``json`` module, Flask's tagged JSON, …"""

    def dumps(self, obj: Any, /) -> str | bytes:
        """Serialize a value."""
        ...

    def loads(self, payload: Any, /) -> Any:
        """Read a value that `dumps` serialized."""
        ...


class _Json:
    """Compact JSON. Encoder and decoder are created once, not for each value."""

    dumps = staticmethod(json_encoder())
    _decode = staticmethod(json.JSONDecoder().raw_decode)

    def loads(self, payload: str) -> Any:
        """Read what `dumps` wrote. White space around it is refused, because looking for it costs time."""
        value, end = self._decode(payload)
        if end != len(payload):
            raise ValueError("more than one value of JSON")
        return value


@checked
class ProtectedSerializer:
    """Serialize, encrypt and authenticate values under a key ring that rotates.

    Methods and errors are those of ``itsdangerous.URLSafeTimedSerializer``. Every value carries the time at which it
    was made.

    data_protection: the key ring.
    salt: what the values are for. A value made under one salt is refused under another.
    serializer: the format of the values; JSON by default.
    """

    def __init__(
        self, data_protection: Provider, salt: str | bytes = "itsdangerous", serializer: Format | None = None
    ) -> None:
        self._protector = StampedProtector(data_protection, purposes.serializer, "serializer")
        self._now = data_protection.now
        self._salt = _text(salt)
        self._format: Format = serializer or _Json()
        self._is_text = isinstance(self._format.dumps({}), str)

    def dumps(self, obj: Any, salt: str | bytes | None = None) -> str:
        """Protect ``obj`` as URL-safe text.

        `ConfigurationError` for a value that the format cannot read back. `KeyManagementError` if there is no key to
        protect with.
        """
        value: str | bytes = serialize(cast("Any", self._format.dumps), obj, "value")
        data = value.encode() if isinstance(value, str) else value
        try:
            return self._protector.protect(data, self._salt if salt is None else _text(salt))
        except AttributeError as error:
            raise explain(ProtectedSerializer.dumps, error, salt=salt) from None

    @checked
    def dump(self, obj: Any, f: IO[str], salt: str | bytes | None = None) -> None:
        """`dumps` to a text file."""
        f.write(self.dumps(obj, salt))

    def loads(
        self,
        s: str | bytes,
        max_age: float | timedelta | None = None,
        return_timestamp: bool = False,
        salt: str | bytes | None = None,
    ) -> Any:
        """Open a value.

        s: what `dumps` returned.
        max_age: the greatest age, in seconds or as a ``timedelta``; ``None``: any age.
        return_timestamp: return the value and the moment it was made, as a pair.
        salt: the salt of `dumps`, if one was given there.

        ``BadSignature`` for text that does not open, ``SignatureExpired`` for a value that is too old, ``BadPayload``
        for data that the format cannot read. `KeyManagementError` if there is no key ring.
        """
        try:
            made, payload = self._protector.unprotect(_text(s), self._salt if salt is None else _text(salt))
        except UnprotectError as error:
            raise BadTimeSignature(f"the value does not open: {error}") from error
        except AttributeError as error:
            raise explain(ProtectedSerializer.loads, error, s=s, salt=salt) from None
        if max_age is not None:
            age = (ticks_of(self._now()) - made) // TICKS_PER_SECOND
            if not -SKEW_SECONDS <= age <= (max_age if type(max_age) is int else seconds(max_age)):
                raise SignatureExpired(
                    f"Signature age {age} is not within {max_age} seconds", payload, Instant(made).to_datetime()
                )
        value = self.load_payload(payload)
        return (value, Instant(made).to_datetime()) if return_timestamp else value

    def load_payload(self, payload: bytes) -> Any:
        """The value in the ``payload`` of a ``SignatureExpired``, which is authentic but too old."""
        try:
            return self._format.loads(payload.decode() if self._is_text else payload)
        except Exception as error:
            raise BadPayload("the value is authentic but the format cannot read it", original_error=error) from error

    @checked
    def load(self, f: IO[str], salt: str | bytes | None = None) -> Any:
        """`loads` from a text file."""
        return self.loads(f.read(), salt=salt)

    def loads_unsafe(
        self, s: str | bytes, max_age: float | timedelta | None = None, salt: str | bytes | None = None
    ) -> tuple[bool, Any]:
        """``(True, value)`` or ``(False, None)``: a value that is not authentic is not decrypted."""
        try:
            return True, self.loads(s, max_age, salt=salt)
        except BadSignature:
            return False, None

    @checked
    def load_unsafe(self, f: IO[str], salt: str | bytes | None = None) -> tuple[bool, Any]:
        """`loads_unsafe` from a text file."""
        return self.loads_unsafe(f.read(), salt=salt)


def _text(text: str | bytes) -> str:
    """Text from text or bytes, as itsdangerous accepts both. Bytes that are not UTF-8 never open."""
    return text if isinstance(text, str) else text.decode("utf-8", "replace")
