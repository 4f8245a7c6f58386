"""A session as it lies in its cookie, and the formats of its values. ::

    plaintext := 01 ‖ created ‖ renewed ‖ mapping      created, renewed: BE64, milliseconds since 1970 UTC
    mapping   := of the value format (JSON), with the session's id as "_dpm_id"; where somebody signed in,
                 the subject as "_dpm_subject"; where it was another framework's before, when that one
                 would have ended as "_dpm_ends" (milliseconds since 1970 UTC)

Times are integers from reading to writing: a session that is only read makes no ``datetime`` of them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple, Protocol, cast

from dpmiddleware.errors import MalformedPayloadError

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
    "milliseconds",
    "moment",
    "pack",
    "unpack",
]

ID: Final = "_dpm_id"
SUBJECT: Final = "_dpm_subject"
ENDS: Final = "_dpm_ends"
RESERVED: Final = frozenset((ID, SUBJECT, ENDS))
"""Names in the mapping that are not the application's."""

_VERSION: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_HEAD: Final = struct.Struct(">BQQ")
_DATA: Final = slice(_HEAD.size, None)
_decode: Final = json.JSONDecoder().raw_decode


class ValueFormat(Protocol):
    """How a session's mapping becomes bytes."""

    @property
    def name(self) -> str:
        """Part of the purpose: a session in one format is never read as another."""
        ...

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """The mapping as bytes, the same for equal mappings; ``TypeError`` for a value that the format cannot hold."""
        ...

    def loads(self, data: bytes) -> dict[str, Any]:
        """The mapping; ``ValueError`` where it is none."""
        ...


class JsonFormat:
    """Text, numbers, booleans, ``None``, lists and dictionaries. A tuple comes back as a list."""

    name = "json"
    _encode = staticmethod(json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode)

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Compact JSON, UTF-8."""
        return self._encode(mapping).encode("utf-8", "surrogatepass")

    def loads(self, data: bytes) -> dict[str, Any]:
        """The JSON object that `dumps` wrote."""
        return json_object(data.decode("utf-8", "surrogatepass"))


JSON: Final = JsonFormat()


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that ``text`` is, with nothing around it, white space neither; ``ValueError`` for all else."""
    mapping, end = _decode(text)
    if end != len(text) or not isinstance(mapping, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, Any]", mapping)


def milliseconds(when: datetime) -> int:
    """An aware ``datetime`` in milliseconds since 1970 UTC."""
    return (when - _EPOCH) // _MILLISECOND


def moment(when: int) -> datetime:
    """Milliseconds since 1970 UTC as an aware ``datetime``."""
    return _EPOCH + when * _MILLISECOND


class StoredSession(NamedTuple):
    """A session as a request brought it along.

    created_ms, renewed_ms: when it began and when it was last written, milliseconds since 1970 UTC. data: its mapping
    in the value format, id included; empty where another framework wrote it. mapping: the same, taken apart.
    ends: when it does, whatever the cookie's own limits; milliseconds since 1970 UTC. renew: write it again, though
    nothing may have changed, so that it goes on living.
    """

    created_ms: int
    renewed_ms: int
    data: bytes
    mapping: dict[str, Any]
    ends: int | None = None
    renew: bool = False

    @property
    def created(self) -> datetime:
        """When it began; aware."""
        return moment(self.created_ms)

    @property
    def renewed(self) -> datetime:
        """When it was last written; aware."""
        return moment(self.renewed_ms)


def pack(created_ms: int, renewed_ms: int, data: bytes) -> bytes:
    """The plaintext of a session (see the module)."""
    return _HEAD.pack(_VERSION, created_ms, renewed_ms) + data


def unpack(plain: bytes) -> tuple[int, int, bytes]:
    """(created, renewed, data) of a plaintext; `MalformedPayloadError` where it is not of this version."""
    if len(plain) < _HEAD.size:
        raise MalformedPayloadError("not a session")
    version, created, renewed = _HEAD.unpack_from(plain)
    if version != _VERSION or created > _LAST or renewed > _LAST:
        raise MalformedPayloadError("not a session of this version, or from outside of time")
    return created, renewed, plain[_DATA]


def end_in(mapping: dict[str, Any]) -> int | None:
    """Take out of a mapping when the session ends; `MalformedPayloadError` where it says nonsense."""
    ends = mapping.pop(ENDS, None)
    if ends is not None and not (isinstance(ends, int) and 0 <= ends <= _LAST):
        raise MalformedPayloadError("a session that ends outside of time")
    return ends
