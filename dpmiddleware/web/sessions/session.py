"""`Session`: a mapping that is read at first use and knows whether it was read, changed or emptied.

Edits inside nested values count: once one was handed out, what would be written is compared with what was read.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final

from dpmiddleware import telemetry
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.web.sessions.stored import (
    ENDS,
    ID,
    JSON,
    RESERVED,
    SUBJECT,
    JsonFormat,
    StoredSession,
    ValueFormat,
    moment,
)

__all__ = [
    "CSRF_KEYS",
    "JSON",
    "JsonFormat",
    "Session",
    "StoredSession",
    "ValueFormat",
]

CSRF_KEYS: Final = ("csrf_token", "_csrf_token", "_csrftoken", "csrftoken", "_csrf")
"""Where frameworks keep their CSRF token in a session: what an anonymous visitor had is not the signed-in user's."""

_FIXED: Final = frozenset((str, int, float, bool, bytes, type(None)))


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
    closed: bool = False
    """The response starts: from now on a change raises."""

    def __init__(
        self, source: Callable[[], StoredSession | None] = lambda: None, value_format: ValueFormat = JSON
    ) -> None:
        dict.setdefault(self, ID)  # C code (json) skips a dictionary that is empty, and asks this one for its items
        self._source: Callable[[], StoredSession | None] | None = source
        self._format = value_format

    @property
    def id(self) -> str:
        """Names this session until it is renewed; 128 random bits."""
        if self._source is not None:
            self._fill(self._source)
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
        if self._source is not None:
            self._fill(self._source)
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
        kept, names = self.reserved(), dict.keys(self)
        if RESERVED.isdisjoint(names):
            kept.update(dict.items(self))
        else:
            kept.update((name, value) for name, value in dict.items(self) if name not in RESERVED)
        return self._format.dumps(kept)

    def reserved(self) -> dict[str, Any]:
        """What is kept beside the application's values: id, subject, end."""
        kept: dict[str, Any] = {ID: self.id}
        if self._subject is not None:
            kept[SUBJECT] = self._subject
        if self._ends is not None:
            kept[ENDS] = self._ends
        return kept

    def _change(self) -> None:
        """Before every change."""
        if self._source is not None:
            self._fill(self._source)
        self._edited = True
        if self.closed:
            raise ConfigurationError(
                "the session was changed after the response had started, and cannot be written any more",
                hint="change it before the first byte of the body is sent, and before a websocket is accepted",
            )

    def _fill(self, source: Callable[[], StoredSession | None]) -> None:
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
            self.created_ms, _, data, mapping, self._ends, self.renewal_due = loaded
            self._stored = loaded
            self._id, self._subject = mapping.pop(ID, None), mapping.pop(SUBJECT, None)
            dict.update(self, mapping)
            self._edited = not data  # it was another framework's: ours from the first look on
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

    def __setitem__(self, key: str, value: Any, /) -> None:
        self._change()
        dict.__setitem__(self, key, value)

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
for _name in ("__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(Session, _name, _changing(_name))
