"""`Session`: a mapping that is read at first use and knows whether it was read, changed or emptied. ::

    plaintext := 01 ‖ created ‖ renewed ‖ mapping      created, renewed: BE64, milliseconds since 1970 UTC
    mapping   := of the value format (JSON), with the session's id as "_dpm_id"; where somebody signed in,
                 the subject as "_dpm_subject"; where it was another framework's before, when that one
                 would have ended as "_dpm_ends" (milliseconds since 1970 UTC)

Edits inside nested values count: once one was handed out, what would be written is compared with what was read.

Before: `dpmiddleware.web.session_cookie`. After: the application.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import wraps
from typing import Any, Final, NamedTuple, Protocol, cast

from dpmiddleware import telemetry
from dpmiddleware.errors import ConfigurationError, KeyManagementError, MalformedPayloadError

__all__ = [
    "CSRF_KEYS",
    "JSON",
    "JsonFormat",
    "LoadedSession",
    "Session",
    "StoredSession",
    "ValueFormat",
    "end_in",
    "milliseconds",
    "moment",
]

CSRF_KEYS: Final = ("csrf_token", "_csrf_token", "_csrftoken", "csrftoken", "_csrf")
"""Where frameworks keep their CSRF token in a session: what an anonymous visitor had is not the signed-in user's."""

_VERSION: Final = 1
_ID: Final = "_dpm_id"
_SUBJECT: Final = "_dpm_subject"
_ENDS: Final = "_dpm_ends"
_RESERVED: Final = frozenset((_ID, _SUBJECT, _ENDS))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_HEAD: Final = struct.Struct(">BQQ")
_DATA: Final = slice(_HEAD.size, None)


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
    _decode = staticmethod(json.JSONDecoder().raw_decode)

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Compact JSON, UTF-8."""
        return self._encode(mapping).encode("utf-8", "surrogatepass")

    def loads(self, data: bytes) -> dict[str, Any]:
        """The JSON object that `dumps` wrote."""
        text = data.decode("utf-8", "surrogatepass")
        mapping, end = self._decode(text)
        if end != len(text) or not isinstance(mapping, dict):
            raise ValueError("not a JSON object")
        return cast("dict[str, Any]", mapping)


JSON: Final = JsonFormat()


def milliseconds(when: datetime) -> int:
    """An aware ``datetime`` in milliseconds since 1970 UTC."""
    return (when - _EPOCH) // _MILLISECOND


def moment(when: int) -> datetime:
    """Milliseconds since 1970 UTC as an aware ``datetime``."""
    return _EPOCH + when * _MILLISECOND


class StoredSession(NamedTuple):
    """A session as it lies in a cookie.

    created_ms, renewed_ms: milliseconds since 1970 UTC; data: its mapping in the value format, id included.
    """

    created_ms: int
    renewed_ms: int
    data: bytes

    @classmethod
    def at(cls, created: datetime, renewed: datetime, data: bytes) -> StoredSession:
        """The same from aware dates."""
        return cls(milliseconds(created), milliseconds(renewed), data)

    @property
    def created(self) -> datetime:
        """When it began; aware."""
        return moment(self.created_ms)

    @property
    def renewed(self) -> datetime:
        """When it was last written; aware."""
        return moment(self.renewed_ms)

    def pack(self) -> bytes:
        """The plaintext (see the module)."""
        return _HEAD.pack(_VERSION, self.created_ms, self.renewed_ms) + self.data

    @classmethod
    def unpack(cls, plain: bytes) -> StoredSession:
        """Read a plaintext; `MalformedPayloadError` where it is not of this version."""
        if len(plain) < _HEAD.size:
            raise MalformedPayloadError("not a session")
        version, created, renewed = _HEAD.unpack_from(plain)
        if version != _VERSION or created > _LAST or renewed > _LAST:
            raise MalformedPayloadError("not a session of this version, or from outside of time")
        return cls(created, renewed, plain[_DATA])


class LoadedSession(NamedTuple):
    """A stored session and its mapping.

    ends: when it does, whatever the cookie's own limits; milliseconds since 1970 UTC. renew: write it again, though
    nothing may have changed, so that it goes on living.
    """

    stored: StoredSession
    mapping: dict[str, Any]
    ends: int | None = None
    renew: bool = False


def end_in(mapping: dict[str, Any]) -> int | None:
    """Take out of a mapping when the session ends; `MalformedPayloadError` where it says nonsense."""
    ends = mapping.pop(_ENDS, None)
    if ends is not None and not (isinstance(ends, int) and 0 <= ends <= _LAST):
        raise MalformedPayloadError("a session that ends outside of time")
    return ends


_FIXED: Final = frozenset((str, int, float, bool, bytes, type(None)))


# --- what the application holds -----------------------------------------------------------------------------


class Session(dict[str, Any]):
    """A dictionary that is filled when it is first touched. Every method of `dict` does what it does there.

    source: gives the stored session, or ``None`` for a new one; called once at most. After the response has started a
    change is a `ConfigurationError`: it could not be kept.
    """

    __slots__ = ("__dict__", "__weakref__", "_format", "_source")  # what every session has, touched or not

    accessed: bool = False
    failure: KeyManagementError | None = None
    renewal_due: bool = False
    """Whether it is to be written even if nothing has changed."""
    created_ms: int | None = None
    """`created` in milliseconds since 1970 UTC; meaningful once the session has been read."""
    _stored: StoredSession | None = None
    _id: str | None = None
    _subject: str | None = None
    _ends: int | None = None
    _owner: Callable[[], str | None] | None = None
    _lent: bool = False  # perhaps somebody holds a value that can be edited in place
    _edited: bool = False
    _forced: bool = False
    _closed: bool = False

    def __init__(
        self, source: Callable[[], LoadedSession | None] = lambda: None, value_format: ValueFormat = JSON
    ) -> None:
        dict.setdefault(self, _ID)  # C code (json) skips a dictionary that is empty, and asks this one for its items
        self._source: Callable[[], LoadedSession | None] | None = source
        self._format = value_format

    @property
    def id(self) -> str:
        """Names this session until it is renewed; 128 random bits."""
        self.mark_accessed()
        if self._id is None:
            self._id = secrets.token_urlsafe(16)
        return self._id

    @property
    def subject(self) -> str | None:
        """Who is signed in in this session, where sign-in is used; ``None``: nobody."""
        self.mark_accessed()
        return self._subject

    @property
    def stored(self) -> StoredSession | None:
        """What the request brought along; ``None``: this session is new."""
        self.mark_accessed()
        return self._stored

    @property
    def created(self) -> datetime | None:
        """When it began (aware): first written, or renewed by a sign-in; ``None``: with this request."""
        self.mark_accessed()
        return None if self.created_ms is None else moment(self.created_ms)

    @property
    def modified(self) -> bool:
        """Whether there is something to write. May be set to True, to write what did not change."""
        return self.accessed and self.changed() is not None

    @modified.setter
    def modified(self, value: bool) -> None:
        self.mark_accessed()
        self._forced = value

    def bind(self, owner: Callable[[], str | None]) -> None:
        """Show the user of this request, whose subject ``owner`` tells, no session of somebody else.

        Another subject's session counts as none. An anonymous one becomes the user's: it is renewed (see `renew`).
        """
        self._owner = owner
        if self._source is None:
            self._claim(owner())

    def renew(self, subject: str | None = None) -> None:
        """A new id, and no CSRF token from before: call it when somebody signs in.

        subject: who signs in. A session that belongs to somebody else is emptied; an anonymous one keeps the rest.
        """
        self._change()
        if subject is not None:
            if self._subject not in {None, subject}:
                dict.clear(self)
            self._subject = subject
        self._begin_anew()

    def _begin_anew(self) -> None:
        for key in CSRF_KEYS:
            dict.pop(self, key, None)
        self._id = self.created_ms = None
        self._forced = True

    def empty(self) -> None:
        """Forget everything, the subject too: call it when somebody signs out. The client's cookie ends."""
        self._change()
        dict.clear(self)
        self._id = self._subject = self.created_ms = self._ends = None

    def mark_accessed(self) -> None:
        """Read the session, if that has not happened yet; Starlette calls this at ``request.session``."""
        if self._source is not None:
            self._fill(self._source)

    def mark_modified(self) -> None:
        """The same as ``session.modified = True``."""
        self.modified = True

    def changed(self) -> bytes | None:
        """What is to be stored in place of what was, in the value format; ``None`` where nothing has changed."""
        self.mark_accessed()
        stored = self._stored
        if stored is None:
            return self.dumps() if self._forced or dict.__len__(self) else None
        if not (self._edited or self._forced):
            nested = self._lent and not _FIXED.issuperset(map(type, dict.values(self)))
            if not nested:
                return None
        data = self.dumps()
        return data if self._forced or data != stored.data else None

    def dumps(self) -> bytes:
        """The mapping in its value format, with id and subject: what is stored."""
        self.mark_accessed()
        kept, names = self.reserved(), dict.keys(self)
        if _RESERVED.isdisjoint(names):
            kept.update(dict.items(self))
        else:
            kept.update((name, value) for name, value in dict.items(self) if name not in _RESERVED)
        return self._format.dumps(kept)

    def reserved(self) -> dict[str, Any]:
        """What is kept beside the application's values: id, subject, end."""
        kept: dict[str, Any] = {_ID: self.id}
        if self._subject is not None:
            kept[_SUBJECT] = self._subject
        if self._ends is not None:
            kept[_ENDS] = self._ends
        return kept

    def close(self) -> None:
        """The response starts: from now on a change raises."""
        self._closed = True

    def _change(self) -> None:
        """Before every change."""
        if self._source is not None:
            self._fill(self._source)
        self._edited = True
        if self._closed:
            raise ConfigurationError(
                "the session was changed after the response had started, and cannot be written any more",
                hint="change it before the first byte of the body is sent, and before a websocket is accepted",
            )

    def _fill(self, source: Callable[[], LoadedSession | None]) -> None:
        self.accessed = True
        if self.failure is not None:
            raise self.failure
        try:
            loaded = source()
            owner = None if self._owner is None else self._owner()
        except KeyManagementError as error:
            self.failure = error  # an outage stays one for this request, even if the application catches the error
            raise
        self._source = None
        dict.clear(self)
        if loaded is not None:
            stored, mapping, self._ends, self.renewal_due = loaded
            self._id, self._subject = mapping.pop(_ID, None), mapping.pop(_SUBJECT, None)
            dict.update(self, mapping)
            self._stored, self.created_ms = stored, stored.created_ms
            self._edited = not stored.data  # it was another framework's: ours from the first look on
        if self._owner is not None:
            self._claim(owner)

    def _claim(self, owner: str | None) -> None:
        """The user of this request is ``owner``: discard what is somebody else's, take what is nobody's."""
        if self._subject is not None and self._subject != owner:
            telemetry.emit("session_discarded", "info", reason="another_subject")
            dict.clear(self)
            self._stored = self._id = self._subject = self.created_ms = self._ends = None
            self.renewal_due = False
        if owner is not None and self._subject is None:
            self._subject = owner
            if self._stored is not None:
                self._begin_anew()

    # --- every method of dict ---------------------------------------------------------------------------------

    def __getitem__(self, key: str, /) -> Any:
        if self._source is not None:
            self._fill(self._source)
        value = dict.__getitem__(self, key)
        if type(value) not in _FIXED:
            self._lent = True
        return value

    def get(self, key: str, default: Any = None, /) -> Any:
        """See `dict`."""
        if self._source is not None:
            self._fill(self._source)
        value = dict.get(self, key, default)
        if type(value) not in _FIXED:
            self._lent = True
        return value


def _looking(name: str, *, lends: bool) -> Callable[..., Any]:
    """The method of `dict` called ``name``, on a session that has been read. ``lends``: it hands all values out."""
    method = getattr(dict, name)

    @wraps(method)
    def call(self: Session, *args: Any) -> Any:
        self.mark_accessed()
        if lends:
            self._lent = True
        return method(self, *args)

    return call


def _changing(name: str) -> Callable[..., Any]:
    """The method of `dict` called ``name``, which may change the session."""
    method = getattr(dict, name)

    @wraps(method)
    def call(self: Session, *args: Any, **kwargs: Any) -> Any:
        self._change()
        return method(self, *args, **kwargs)

    return call


for _name in (
    *("__contains__", "__eq__", "__ge__", "__gt__", "__iter__", "__le__", "__len__", "__lt__", "__ne__", "__repr__"),
    *("__reversed__", "keys"),
):
    setattr(Session, _name, _looking(_name, lends=False))
for _name in ("__or__", "__ror__", "copy", "items", "values"):
    setattr(Session, _name, _looking(_name, lends=True))
for _name in ("__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(Session, _name, _changing(_name))
