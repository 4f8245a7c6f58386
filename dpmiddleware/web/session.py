"""`Session`: a mapping that is read at first use and knows whether it was read, changed or emptied. ::

    plaintext := 01 ‖ created ‖ renewed ‖ mapping      created, renewed: BE64, milliseconds since 1970 UTC
    mapping   := of the value format (JSON), with the session's id as "_dpm_id"; where somebody signed in,
                 the subject as "_dpm_subject"; where it was another framework's before, when that one
                 would have ended as "_dpm_ends" (milliseconds since 1970 UTC)

Changes are found by comparing what would be written with what was read, so edits inside nested values count.

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

__all__ = ["CSRF_KEYS", "JSON", "JsonFormat", "LoadedSession", "Session", "StoredSession", "ValueFormat"]

CSRF_KEYS: Final = ("csrf_token", "_csrf_token", "_csrftoken", "csrftoken", "_csrf")
"""Where frameworks keep their CSRF token in a session: what an anonymous visitor had is not the signed-in user's."""

_VERSION: Final = b"\x01"
_ID: Final = "_dpm_id"
_SUBJECT: Final = "_dpm_subject"
_ENDS: Final = "_dpm_ends"
_RESERVED: Final = frozenset((_ID, _SUBJECT, _ENDS))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIMES: Final = struct.Struct(">QQ")


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
    _decode = staticmethod(json.JSONDecoder().decode)

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Compact JSON, UTF-8."""
        return self._encode(mapping).encode("utf-8", "surrogatepass")

    def loads(self, data: bytes) -> dict[str, Any]:
        """The JSON object that `dumps` wrote."""
        mapping = self._decode(data.decode("utf-8", "surrogatepass"))
        if not isinstance(mapping, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 (bad data, not a bad call)
        return cast("dict[str, Any]", mapping)


JSON: Final = JsonFormat()


class StoredSession(NamedTuple):
    """A session as it lies in a cookie. created, renewed: aware; data: its mapping in the value format, id included."""

    created: datetime
    renewed: datetime
    data: bytes

    def pack(self) -> bytes:
        """The plaintext (see the module)."""
        times = _TIMES.pack((self.created - _EPOCH) // _MILLISECOND, (self.renewed - _EPOCH) // _MILLISECOND)
        return _VERSION + times + self.data

    @classmethod
    def unpack(cls, plain: bytes) -> StoredSession:
        """Read a plaintext; `MalformedPayloadError` where it is not of this version."""
        if plain[:1] != _VERSION or len(plain) < _TIMES.size + 1:
            raise MalformedPayloadError("not a session of this version")
        created, renewed = _TIMES.unpack_from(plain, 1)
        try:
            return cls(_EPOCH + created * _MILLISECOND, _EPOCH + renewed * _MILLISECOND, plain[_TIMES.size + 1 :])
        except OverflowError:
            raise MalformedPayloadError("a session from outside of time") from None


class LoadedSession(NamedTuple):
    """A stored session and its mapping. ends: when it does, whatever the cookie's own limits; aware."""

    stored: StoredSession
    mapping: dict[str, Any]
    ends: datetime | None = None

    @classmethod
    def of(cls, stored: StoredSession, mapping: dict[str, Any]) -> LoadedSession:
        """The same with its end, as the mapping says; `MalformedPayloadError` where it says nonsense."""
        milliseconds = mapping.pop(_ENDS, None)
        if milliseconds is None:
            return cls(stored, mapping)
        try:
            return cls(stored, mapping, _EPOCH + milliseconds * _MILLISECOND)
        except (TypeError, OverflowError):
            raise MalformedPayloadError("a session that ends outside of time") from None


_FIXED: Final = frozenset((str, int, float, bool, bytes, type(None)))
_UNREAD: Final[dict[str, Any]] = {_ID: None}
"""In a session not yet read: C code (json) skips a dictionary that is empty, and asks this one for its `items`."""


# --- what the application holds -----------------------------------------------------------------------------


class Session(dict[str, Any]):
    """A dictionary that is filled when it is first touched. Every method of `dict` does what it does there.

    source: gives the stored session, or ``None`` for a new one; called once at most. After the response has started a
    change is a `ConfigurationError`: it could not be kept.
    """

    accessed: bool = False
    failure: KeyManagementError | None = None
    _stored: StoredSession | None = None
    _created: datetime | None = None
    _id: str | None = None
    _subject: str | None = None
    _ends: datetime | None = None
    _owner: Callable[[], str | None] | None = None
    _edited: bool = False
    _forced: bool = False
    _closed: bool = False

    def __init__(
        self, source: Callable[[], LoadedSession | None] = lambda: None, value_format: ValueFormat = JSON
    ) -> None:
        super().__init__(_UNREAD)
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
        return self._created

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
        self._touch(changes=True)
        if subject is not None:
            if self._subject not in {None, subject}:
                dict.clear(self)
            self._subject = subject
        self._begin_anew()

    def _begin_anew(self) -> None:
        for key in CSRF_KEYS:
            dict.pop(self, key, None)
        self._id = self._created = None
        self._forced = True

    def empty(self) -> None:
        """Forget everything, the subject too: call it when somebody signs out. The client's cookie ends."""
        self._touch(changes=True)
        dict.clear(self)
        self._id = self._subject = self._created = self._ends = None

    def mark_accessed(self) -> None:
        """Read the session, if that has not happened yet; Starlette calls this at ``request.session``."""
        self._touch(changes=False)

    def mark_modified(self) -> None:
        """The same as ``session.modified = True``."""
        self.modified = True

    def changed(self) -> bytes | None:
        """What is to be stored in place of what was, in the value format; ``None`` where nothing has changed."""
        self.mark_accessed()
        stored = self._stored
        if stored is None:
            return self.dumps() if self._forced or dict.__len__(self) else None
        if stored.data and not (self._forced or self._edited) and all(type(v) in _FIXED for v in dict.values(self)):
            return None  # nobody called a method that changes it, and no value in it can be edited in place
        data = self.dumps()
        return data if self._forced or data != stored.data else None

    def dumps(self) -> bytes:
        """The mapping in its value format, with id and subject: what is stored."""
        self.mark_accessed()
        mapping = dict.copy(self)
        if not _RESERVED.isdisjoint(mapping):
            mapping = {name: value for name, value in mapping.items() if name not in _RESERVED}
        return self._format.dumps(self.reserved() | mapping)

    def reserved(self) -> dict[str, Any]:
        """What is kept beside the application's values: id, subject, end."""
        kept: dict[str, Any] = {_ID: self.id}
        if self._subject is not None:
            kept[_SUBJECT] = self._subject
        if self._ends is not None:
            kept[_ENDS] = (self._ends - _EPOCH) // _MILLISECOND
        return kept

    def close(self) -> None:
        """The response starts: from now on a change raises."""
        self._closed = True

    def _touch(self, *, changes: bool) -> None:
        if self._source is not None:
            self.accessed = True
            self._fill(self._source)
        if not changes:
            return
        self._edited = True
        if self._closed:
            raise ConfigurationError(
                "the session was changed after the response had started, and cannot be written any more",
                hint="change it before the first byte of the body is sent, and before a websocket is accepted",
            )

    def _fill(self, source: Callable[[], LoadedSession | None]) -> None:
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
            dict.update(self, loaded.mapping)
            self._id, self._subject = dict.pop(self, _ID, None), dict.pop(self, _SUBJECT, None)
            self._stored, self._created, self._ends = loaded.stored, loaded.stored.created, loaded.ends
        if self._owner is not None:
            self._claim(owner)

    def _claim(self, owner: str | None) -> None:
        """The user of this request is ``owner``: discard what is somebody else's, take what is nobody's."""
        if self._subject is not None and self._subject != owner:
            telemetry.emit("session_discarded", "info", reason="another_subject")
            dict.clear(self)
            self._stored = self._id = self._subject = self._created = self._ends = None
        if owner is not None and self._subject is None:
            self._subject = owner
            if self._stored is not None:
                self._begin_anew()


def _filling(name: str, *, changes: bool) -> Callable[..., Any]:
    """The method of `dict` called ``name``, on a session that has been read."""
    method = getattr(dict, name)

    @wraps(method)
    def call(self: Session, *args: Any, **kwargs: Any) -> Any:
        self._touch(changes=changes)
        return method(self, *args, **kwargs)

    return call


for _name in (
    *("__contains__", "__eq__", "__ge__", "__getitem__", "__gt__", "__iter__", "__le__", "__len__", "__lt__", "__ne__"),
    *("__or__", "__repr__", "__reversed__", "__ror__", "copy", "get", "items", "keys", "values"),
):
    setattr(Session, _name, _filling(_name, changes=False))
for _name in ("__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(Session, _name, _filling(_name, changes=True))
