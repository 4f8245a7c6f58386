"""`Session`: a mapping that is read at its first use, and that knows whether it was read, changed or emptied.

Changes inside nested values are noticed. Once a value that can be changed in place has been returned, the serialized
session is compared with the one that was read.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final

from dpmiddleware import telemetry
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.web.sessions.stored import ENDS, ID, JSON, RESERVED, SUBJECT, StoredSession, ValueFormat, moment

__all__ = ["CSRF_KEYS", "Session"]

CSRF_KEYS: Final = ("csrf_token", "_csrf_token", "_csrftoken", "csrftoken", "_csrf")
"""Where frameworks keep CSRF tokens in a session. The token of an anonymous visitor must not survive a sign-in."""

_IMMUTABLE: Final = frozenset((str, int, float, bool, bytes, type(None)))


class Session(dict[str, Any]):
    """A dictionary that is filled at its first use. All methods of `dict` do what they do there.

    A change after the response has started cannot be stored: `ConfigurationError`; in Flask and Django, an event.

    source: returns the stored session, or ``None`` for a new one. Called at most once, with the session and ``given``.
    value_format: how the session becomes bytes.
    given: more arguments for ``source``; a closure would cost requests that do not use their session more.
    """

    __slots__ = ("__dict__", "__weakref__", "_format", "_given", "_source")  # all that an unused session needs

    touched: bool = False  # whether a value was read, changed or asked for
    failure: KeyManagementError | None = None
    renewal_due: bool = False
    """Whether the session is to be written even if it has not changed."""
    has_started_over: bool = False
    """Whether it was emptied or renewed in this request, so that older cookies of the session must not come back."""
    former_id: str | None = None
    """The id that the session had in the request, if it was emptied or renewed since."""
    created_ms: int | None = None
    """`created` in milliseconds since 1970 UTC; ``None`` before the session has been read."""
    kept: bool | None = None
    """Whether `known_id` is the id; ``None``: if the request contained the session."""
    is_frozen: bool = False  # leave the session that the browser has as it is, unless the user signs in or out later
    is_refused: bool = False
    """Whether the request contained a session that no ring could ever open: its cookie is to be deleted."""
    _stored: StoredSession | None = None
    _id: str | None = None
    _subject: str | None = None
    _ends: int | None = None
    _owner: Callable[[], str | None] | None = None
    _exposed: bool = False  # whether a value has been returned that can be changed in place
    _edited: bool = False
    _forced: bool = False
    closed: bool = False
    """Whether the response has started. From then on, a change cannot be stored."""
    refuses_late_changes: bool = True
    """Whether such a change raises. Flask and Django lose it, and applications depend on that."""
    _has_lost_a_change: bool = False

    def __init__(
        self,
        source: Callable[..., StoredSession | None] = lambda _: None,
        value_format: ValueFormat = JSON,
        given: tuple[object, ...] = (),
    ) -> None:
        dict.setdefault(self, ID)  # C code (json) skips an empty dictionary, without calling the methods of this class
        self._source: Callable[..., StoredSession | None] | None = source
        self._given = given
        self._format = value_format

    @property
    def id(self) -> str:
        """The id of the session: 128 random bits, until `renew` changes it."""
        if self._source is not None:
            self.mark_accessed()
        if self._id is None:
            self._id = secrets.token_urlsafe(16)
        return self._id

    @property
    def known_id(self) -> str | None:
        """The id that the client has, or will have because `kept` is set; ``None`` for a new session."""
        self.mark_accessed()
        is_known = self._stored is not None if self.kept is None else self.kept
        return self.id if is_known else None

    @property
    def subject(self) -> str | None:
        """The subject of the user who is signed in, if sign-in is used; ``None`` for an anonymous user."""
        self.mark_accessed()
        return self._subject

    @property
    def stored(self) -> StoredSession | None:
        """The session that the request contained; ``None`` if this session is new."""
        if self._source is not None:
            self.mark_accessed()
        return self._stored

    @property
    def created(self) -> datetime | None:
        """When the session was first written, or renewed by a sign-in (aware); ``None`` if not before this request."""
        self.mark_accessed()
        return None if self.created_ms is None else moment(self.created_ms)

    @property
    def accessed(self) -> bool:
        """Whether the application has used the content of the session; the same as ``touched``."""
        return self.touched

    @property
    def modified(self) -> bool:
        """Whether the session has to be written. Set it to ``True`` to write an unchanged session."""
        return self.touched and self.changed() is not None

    @modified.setter
    def modified(self, value: bool) -> None:
        self.mark_accessed()
        self._forced = value

    def bind(self, owner: Callable[[], str | None]) -> None:
        """Bind the session to the user of this request. ``owner`` returns their subject; ``None`` if anonymous.

        The session of another user is discarded. An anonymous session becomes the user's and is renewed (see `renew`).
        """
        self._owner = owner
        if self._source is None:
            self._claim(owner())

    def renew(self, subject: str | None = None) -> None:
        """Change the id and drop CSRF tokens. Call it when a user signs in.

        subject: the user. The session of another user is emptied; an anonymous session keeps its other values.
        """
        self._change()
        if subject is not None:
            if self._subject not in {None, subject}:
                dict.clear(self)
            self._subject = subject
        self._start_over()

    def _start_over(self) -> None:
        for key in CSRF_KEYS:
            dict.pop(self, key, None)
        self.former_id = self.former_id or self._id
        self._id = self.created_ms = None
        self._forced, self.has_started_over, self.is_frozen = True, True, False

    def empty(self) -> None:
        """Remove everything, including the subject. Call it when a user signs out. The cookie is deleted."""
        self._change()
        self.end()

    def end(self) -> None:
        """Do what `empty` does with a session that is over; that is not a change by the application."""
        dict.clear(self)
        self.former_id = self.former_id or self._id
        self._id = self._subject = self.created_ms = self._ends = None
        self.has_started_over, self.kept, self.is_frozen = True, False, False

    def loaded(self, stored: StoredSession) -> None:
        """Called once, when the stored session has been read. A subclass may `end` it."""

    def mark_accessed(self) -> None:
        """Read the session if that has not been done. Starlette calls this at ``request.session``."""
        if self._source is None:
            return
        self.touched = True
        if self.failure is not None:
            raise self.failure
        try:
            loaded = self._source(self, *self._given)
            owner = None if self._owner is None else self._owner()
        except KeyManagementError as error:
            self.failure = error  # every later use in this request fails too, even if the application catches the error
            raise
        self._source = None
        dict.clear(self)
        if loaded is not None:
            self.created_ms, _, data, mapping, self._ends, self.renewal_due, _ = loaded
            self._stored = loaded
            self._id, self._subject = mapping.pop(ID, None), mapping.pop(SUBJECT, None)
            dict.update(self, mapping)
            self._edited = not data
            self.loaded(loaded)
        if self._owner is not None:
            self._claim(owner)

    def foresee(self, source: Callable[..., StoredSession | None]) -> None:
        """Ask this for what the request contains; see ``source`` of the class."""
        self._source = source

    def mark_modified(self) -> None:
        """Do the same as ``session.modified = True``."""
        self.modified = True

    def changed(self) -> bytes | None:
        """Return the data to store, in the value format; ``None`` if nothing has changed."""
        if self._source is not None:
            self.mark_accessed()
        stored = self._stored
        if stored is None:
            return self.dumps() if self._forced or dict.__len__(self) else None
        nested = self._exposed and not _IMMUTABLE.issuperset(map(type, dict.values(self)))
        if not (nested or self._edited or self._forced):
            return None
        data = self.dumps()
        return data if self._forced or data != stored.data else None

    def dumps(self) -> bytes:
        """Serialize the session in its value format, with id and subject."""
        kept, names = self.reserved(), dict.keys(self)
        if RESERVED.isdisjoint(names):
            kept.update(dict.items(self))  # dict.copy would call methods of this class for each value
        else:
            kept.update((name, value) for name, value in dict.items(self) if name not in RESERVED)
        return self._format.dumps(kept)

    def reserved(self) -> dict[str, Any]:
        """Return what is stored beside the values of the application: id, subject, end."""
        kept = {ID: self.id, SUBJECT: self._subject, ENDS: self._ends}
        return {name: value for name, value in kept.items() if value is not None}

    def _change(self) -> None:
        """Called before every change."""
        if self._source is not None:
            self.mark_accessed()
        self._edited = True
        if self.closed:
            self._change_late()

    def _change_late(self) -> None:
        if self.refuses_late_changes:
            raise ConfigurationError(
                "the session was changed after the response had started, so it cannot be stored",
                hint="change it before the first byte of the body is sent, and before a websocket is accepted",
            )
        if not self._has_lost_a_change:
            self._has_lost_a_change = True
            message = "a session was changed after the response had started; that is lost"
            telemetry.emit("session_change_lost", "warning", message)

    def _claim(self, owner: str | None) -> None:
        """Discard the session of another user, and take over an anonymous one."""
        if self._subject is not None and self._subject != owner:
            telemetry.emit("session_discarded", "info", reason="another_subject")
            dict.clear(self)
            self._stored = self._id = self._subject = self.created_ms = self._ends = self.kept = None
            self.renewal_due, self.has_started_over = False, True
        if owner is not None and self._subject is None:
            self._subject = owner
            if self._stored is not None:
                self._start_over()

    def __getitem__(self, key: str, /) -> Any:
        if self._source is not None:
            self.mark_accessed()
        value = dict.__getitem__(self, key)
        if type(value) not in _IMMUTABLE:
            self._exposed = True
        return value

    def __setitem__(self, key: str, value: Any, /) -> None:
        self._change()
        dict.__setitem__(self, key, value)

    def get(self, key: str, default: Any = None, /) -> Any:
        """See `dict`."""
        if self._source is not None:
            self.mark_accessed()
        value = dict.get(self, key, default)
        if type(value) not in _IMMUTABLE:
            self._exposed = True
        return value


def _reading(name: str, *, exposes: bool) -> Callable[..., Any]:
    """The method ``name`` of `dict`, on a session that has been read. ``exposes``: whether it returns all values."""
    method = getattr(dict, name)

    @wraps(method)
    def call(self: Session, *args: Any) -> Any:
        if self._source is not None:
            self.mark_accessed()
        self._exposed = self._exposed or exposes
        return method(self, *args)

    return call


def _changing(name: str) -> Callable[..., Any]:
    """The method ``name`` of `dict`, which may change the session."""
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
    setattr(Session, _name, _reading(_name, exposes=False))
for _name in ("__or__", "__ror__", "copy", "items", "values"):
    setattr(Session, _name, _reading(_name, exposes=True))
for _name in ("__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(Session, _name, _changing(_name))
