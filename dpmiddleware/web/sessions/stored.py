"""The plaintext of a session's cookie, and the formats of its values. ::

    plaintext := 01 ‖ created ‖ renewed ‖ mapping      created, renewed: BE64, milliseconds since 1970 UTC
    mapping   := in the value format (JSON by default), with these values in addition to the application's:
                 "_dpm_id"       the id of the session
                 "_dpm_subject"  the subject, if a user has signed in
                 "_dpm_ends"     if another framework began the session: when it would have ended (as above)

Times remain integers from reading to writing. A ``datetime`` is created only if the application asks for one.
"""

from __future__ import annotations

import json
import json.scanner
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

from dpmiddleware.clock import Clock, SystemClock
from dpmiddleware.errors import KeyManagementError, MalformedPayloadError
from dpmiddleware.serialization import json_encoder, serialize

__all__ = [
    "ENDS",
    "ID",
    "JSON",
    "RESERVED",
    "SUBJECT",
    "JsonFormat",
    "StoredSession",
    "ValueFormat",
    "end_in",
    "json_object",
    "mapping_in",
    "milliseconds",
    "milliseconds_of",
    "moment",
    "newest",
    "pack",
    "unpack",
]

_T = TypeVar("_T", str, bytes)

ID: Final = "_dpm_id"
SUBJECT: Final = "_dpm_subject"
ENDS: Final = "_dpm_ends"
RESERVED: Final = frozenset((ID, SUBJECT, ENDS))
"""Names in the mapping that the application cannot use."""

_VERSION: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_HEAD: Final = struct.Struct(">BQQ")
_DATA: Final = slice(_HEAD.size, None)
_decode: Final = json.scanner.make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # as `JSONDecoder` does it


class ValueFormat(Protocol):
    """How the mapping of a session becomes bytes."""

    @property
    def name(self) -> str:
        """Part of the purpose, so that a session in one format is never read in another."""
        ...

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Serialize. Equal mappings give the same bytes. `ConfigurationError` for a value that cannot be read back."""
        ...

    def loads(self, data: bytes) -> dict[str, Any]:
        """Read what `dumps` wrote. ``ValueError`` for other data."""
        ...


class JsonFormat:
    """JSON: text, numbers, booleans, ``None``, lists and dictionaries. A tuple becomes a list."""

    name = "json"
    _encode = staticmethod(json_encoder(ensure_ascii=False))

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Serialize to compact JSON in UTF-8."""
        return serialize(self._encode, mapping, "session").encode("utf-8", "surrogatepass")

    def loads(self, data: bytes) -> dict[str, Any]:
        """Read a JSON object."""
        return json_object(data.decode("utf-8", "surrogatepass"))


JSON: Final = JsonFormat()


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object. ``ValueError`` for other text, even for white space around the object."""
    mapping: dict[str, Any]
    try:
        mapping, end = _decode(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("JSON that is too deep") from None
    if end != len(text) or not isinstance(mapping, dict):
        raise ValueError("not a JSON object")
    return mapping


def mapping_in(loads: Callable[[_T], Any], data: _T, what: str = "mapping") -> dict[str, Any]:
    """What a framework's own serializer reads. ``ValueError`` if that is not a mapping, or too deep."""
    try:
        mapping = loads(data)
    except RecursionError:
        raise ValueError(f"a {what} that is too deep") from None
    if not isinstance(mapping, dict):
        raise ValueError(f"not a {what}")  # noqa: TRY004 (bad data, not a bad call)
    return cast("dict[str, Any]", mapping)


def milliseconds(when: datetime) -> int:
    """Convert an aware ``datetime`` to milliseconds since 1970 UTC."""
    return (when - _EPOCH) // _MILLISECOND


def milliseconds_of(clock: Clock) -> Callable[[], int]:
    """Return a function that reads a clock in milliseconds since 1970 UTC; for the system's, without a ``datetime``."""
    if type(clock) is SystemClock:
        return lambda: int(time.time() * 1000)
    return lambda: milliseconds(clock.now())


def moment(when: int) -> datetime:
    """Convert milliseconds since 1970 UTC to an aware ``datetime``."""
    return _EPOCH + when * _MILLISECOND


class StoredSession(NamedTuple):
    """A session that a request contained. Times are in milliseconds since 1970 UTC.

    created_ms: when it began.
    renewed_ms: when it was last written.
    data: its mapping in the value format, with the reserved names; empty if it has to be written in our format.
    mapping: the deserialized mapping.
    ends: when it ends, in addition to the limits of the cookie; ``None``: only those limits apply.
    renew: whether it has to be written again so that it does not expire, even if nothing has changed.
    old: whether another framework wrote it.
    """

    created_ms: int
    renewed_ms: int
    data: bytes
    mapping: dict[str, Any]
    ends: int | None = None
    renew: bool = False
    old: bool = False


def newest(sessions: Sequence[StoredSession]) -> StoredSession | None:
    """The one that was written last, if all have the same subject or the same id; otherwise ``None``."""
    last: StoredSession = max(reversed(sessions), key=lambda session: session.renewed_ms)
    subject, own_id = last.mapping.get(SUBJECT), last.mapping.get(ID)
    for each in sessions:
        other, other_id = each.mapping.get(SUBJECT), each.mapping.get(ID)
        if subject is None or other is None:
            if own_id is None or other_id != own_id:
                return None
        elif other != subject:
            return None
    return last


def pack(created_ms: int, renewed_ms: int, data: bytes) -> bytes:
    """Build the plaintext of a session (layout: see the module)."""
    try:
        return _HEAD.pack(_VERSION, created_ms, renewed_ms) + data
    except struct.error:
        raise KeyManagementError(
            f"the clock shows {moment(renewed_ms).isoformat()}, but a session cannot begin before 1970",
            hint="set the clock of this machine",
        ) from None


def unpack(plain: bytes) -> tuple[int, int, bytes]:
    """Return (created, renewed, data) of a plaintext. `MalformedPayloadError` if its layout is different."""
    if len(plain) < _HEAD.size:
        raise MalformedPayloadError("the payload is too short for a session")
    version, created, renewed = _HEAD.unpack_from(plain)
    if version != _VERSION or created > _LAST or renewed > _LAST:
        raise MalformedPayloadError("the session has an unknown version or an impossible time")
    return created, renewed, plain[_DATA]


def end_in(mapping: dict[str, Any]) -> int | None:
    """Remove the end of the session from a mapping, and return it. `MalformedPayloadError` if it is not a time."""
    ends = mapping.pop(ENDS, None)
    if ends is not None and not (isinstance(ends, int) and 0 <= ends <= _LAST):
        raise MalformedPayloadError("the session ends at an impossible time")
    return ends
