"""`SessionCookie`: sessions kept in one protected cookie, when they end and when they are written.

A session that is not touched is not opened. One that is only read is not written, except to renew its idle time once
half of it has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, TypedDict

from dpmiddleware import purposes
from dpmiddleware.arguments import checked
from dpmiddleware.clock import Clock
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, ExpiredPayloadError, KeyManagementError, MalformedPayloadError
from dpmiddleware.web.answer import Answer, Headers, depends_on_cookies
from dpmiddleware.web.cookies import budget
from dpmiddleware.web.cookies.places import NOWHERE, Cleanup
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import MAX_HEADER, CookieSettings, bounded, with_expiry
from dpmiddleware.web.sessions.old_sessions import OldSessions
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import (
    JSON,
    StoredSession,
    ValueFormat,
    end_in,
    milliseconds_of,
    moment,
    newest,
    pack,
    unpack,
)
from dpmiddleware.web.sessions.takeover import Takeover
from dpmiddleware.web.steps import Steps, one_call

__all__ = ["STARLETTE_NAMES", "RequestSession", "SessionCookie", "SessionOptions"]

_FOREVER: Final = 2**63
"""Milliseconds; more than a plaintext can hold."""


Request = tuple[Callable[[Any], tuple[str, str]], Any]
"""A framework's request, and before it the function that returns its host and path. (A closure would cost more.)"""


@dataclass(slots=True)
class RequestSession:
    """The session of one request: a part of it (see `dpmiddleware.web.answer.Part`)."""

    companions = ()

    session: Session
    cookie: SessionCookie
    header: bytes
    https: bool
    located: bytes | None
    """The cookie's value if it is in one piece."""
    request: Request | None = None
    expires: datetime | None = None
    """When the browser is to delete the cookie, if its settings do not say so; aware."""
    max_age: int | None = None
    """Seconds, to be written beside ``expires``: they do not depend on the browser's clock."""
    settled: tuple[object, str | None] | None = None
    """What `SessionCookie.settle` has done: for which state of the session, and what it returned."""

    @property
    def failure(self) -> KeyManagementError | None:
        """The outage that the session has met."""
        return self.session.failure

    @failure.setter
    def failure(self, error: KeyManagementError | None) -> None:
        self.session.failure = error

    @property
    def touched(self) -> bool:
        """Whether the application has looked at the session."""
        return self.session.touched

    def adopt(self, found: object) -> None:
        """Take over what the application has put in place of the session: the content of a mapping.

        An empty or false value empties the session; Litestar's ``Empty`` is such a value. The session of another
        middleware is left alone. `ConfigurationError` for anything else.
        """
        session = self.session
        if found is session or hasattr(found, "mark_accessed"):
            return
        if isinstance(found, Mapping) and found:
            content = dict(found)  # it may be a view of the session
            session.clear()
            session.update(content)
        elif not found or (isinstance(found, Enum) and not found.value):
            session.empty()
        else:
            raise ConfigurationError(
                f"the session was replaced by a {type(found).__name__}",
                hint="put a mapping in its place, or None to end the session",
            )

    def where(self) -> tuple[str, str]:
        """Host and path of the request."""
        if self.request is None:
            return NOWHERE()
        where, request = self.request
        return where(request)

    def ahead(self) -> Steps[object] | None:
        """Wait for the keys that the cookie names, or for the server that has the old session."""
        cookie = self.cookie
        takeover = cookie.takeover
        if takeover is not None and takeover.asks_server and takeover.may_be_in(self.header):
            return one_call(takeover.read_ahead, self.session, self.header)
        return cookie.protected.waits(cookie.ring, self.header, self.located)

    def work(self, status: int) -> Steps[object] | None:
        """Wait for the server that has the old sessions, if it has to be told what became of this one."""
        takeover = self.cookie.takeover
        if takeover is None or not takeover.asks_server or self.session.failure is not None:
            return None
        if not self.cookie.is_settling_due(self.session):
            return None
        return one_call(self.cookie.settle, self, takeover, self.session.changed())

    def answer(self, status: int, headers: Headers) -> Answer:
        """The session's cookie. `CookieTooLargeError` if the session does not fit into it."""
        session = self.session
        if session.failure is not None:
            raise session.failure
        response = [value for name, value in headers if name.lower() == "set-cookie"] if headers else ()
        answer = depends_on_cookies(headers, self.cookie.lines(self, response))
        self.close()
        return answer

    def close(self) -> None:
        """From now on a change of the session cannot be stored."""
        self.session.closed = True
        self.request = None  # it refers to this: a reference cycle in each request


_SETTINGS_HINT: Final = "pass cookie=CookieSettings('session', {})"
STARLETTE_NAMES: Final = {
    "secret_key": "pass data_protection=; to read the sessions that Starlette signed, also "
    "migration=StarletteSessions(secret_key, until=...)",
    "session_cookie": "pass cookie=, with the name of the cookie",
    "max_age": "pass idle=timedelta(days=14): how long a session lives after its last use",
    "https_only": _SETTINGS_HINT.format("secure='always'"),
    "same_site": _SETTINGS_HINT.format("same_site='lax'"),
    "path": _SETTINGS_HINT.format("path='/'"),
    "domain": _SETTINGS_HINT.format("domain='shop.example'"),
    "partitioned": _SETTINGS_HINT.format("partitioned=True, secure='always'"),
}
"""What Starlette's own middleware takes, for `dpmiddleware.arguments`: people change one import and leave the rest."""


class SessionOptions(TypedDict, total=False):
    """Keyword arguments of the middleware: how sessions are kept. See `SessionCookie` for meaning and defaults."""

    cookie: CookieSettings | str
    idle: timedelta | None
    absolute: timedelta | None
    value_format: ValueFormat
    migration: OldSessions | None
    clock: Clock | None


@checked
class SessionCookie:
    """Sessions kept in one protected cookie.

    cookie: its name, or all of its settings.
    idle: how long a session lives without being read; ``None``: no limit.
    absolute: how long a session lives after it was created, or renewed by a sign-in; ``None``: no limit.
    value_format: how the mapping becomes bytes.
    migration: reads cookies of the same name that another framework wrote, unless one of ours is there too.
    keeps_empty: whether a session with a `Session.known_id` is kept even while it is empty.
    clock: by default that of ``data_protection``.
    """

    def __init__(
        self,
        data_protection: DataProtection,
        cookie: CookieSettings | str = "session",
        *,
        idle: timedelta | None = timedelta(days=14),
        absolute: timedelta | None = None,
        value_format: ValueFormat = JSON,
        migration: OldSessions | None = None,
        keeps_empty: bool = False,
        clock: Clock | None = None,
    ) -> None:
        settings = CookieSettings(cookie) if isinstance(cookie, str) else cookie
        protector = data_protection.create_protector(*purposes.session(value_format.name, settings.name))
        self.ring = data_protection.provider
        self.protected = ProtectedCookie(settings, protector, ring=data_protection.ring)
        self._locate = self.protected.locate
        self._attributes = {https: settings.attributes(https=https) for https in (False, True)}
        self.clock = clock or data_protection.clock
        self.now = milliseconds_of(self.clock)
        self._idle, self._absolute = _limit("idle", idle), _limit("absolute", absolute)
        self._format, self._keeps_empty = value_format, keeps_empty
        self.takeover = Takeover(migration, settings.name, value_format, self.clock) if migration else None

    def begin(
        self,
        header: bytes,
        request: Request | None = None,
        https: bool = False,
        session_type: type[Session] = Session,
    ) -> RequestSession:
        """The session of a request. Nothing is opened yet.

        header: the Cookie header.
        request: says where it went; asked only if cookies at other places have to be expired.
        https: whether the connection is encrypted.
        session_type: the class of the session, for frameworks that add to it.
        """
        if len(header) > MAX_HEADER:
            header = bounded(header)
        located = self._locate(header)
        session = session_type(self._open, self._format, (header, located))
        return RequestSession(session, self, header, https, located, request)

    def _open(self, session: Session, header: bytes, located: bytes | None) -> StoredSession | None:
        opened = self.protected.open(header, self._read, located, choose=newest)
        content = opened.content
        if opened.expire:
            session.is_refused = True
        return self.takeover.find(header) if content is None and self.takeover else content

    def lines(self, request: RequestSession, response: Sequence[str] = ()) -> list[str]:
        """The Set-Cookie lines for a touched session; none if it was only read.

        response: the Set-Cookie lines that the response has already.
        """
        session = request.session
        if session.is_frozen:
            return []
        data = session.changed()
        is_empty = self._is_empty(session)
        old = None if self.takeover is None else self.settle(request, self.takeover, data)
        if data is None and not (is_empty or session.renewal_due):
            return []
        stored = session.stored
        attributes = with_expiry(self._attributes[request.https], request.expires, request.max_age)
        if is_empty:
            had_one = stored is not None or session.is_refused
            return self.protected.delete(request.header, attributes, request.where) if had_one else []
        if self.takeover is not None and old is not None:
            line = self.takeover.line(old, attributes)
            lines = self.protected.cleaned(
                request.header, attributes, Cleanup(request.where, session.has_started_over), [line]
            )
            budget.check(request.header, [*response, *lines], self.protected.settings.max_total, line.partition("=")[0])
            return lines
        renewed = self.now()
        if stored is not None and renewed == stored.renewed_ms:
            renewed += 1  # of two cookies of the name, this one is to be the newer one
        created = renewed if session.created_ms is None else session.created_ms
        return self.protected.seal(
            pack(created, renewed, data or session.dumps()),
            request.header,
            attributes,
            where=request.where,
            always=session.has_started_over,
            response=response,
        )

    def is_settling_due(self, session: Session) -> bool:
        """Whether a session was ended, renewed or, while the old form is written, changed: a server has to know it."""
        is_over = self._is_empty(session) and session.stored is not None
        is_writing = self.takeover is not None and self.takeover.is_writing
        return session.former_id is not None or is_over or (is_writing and session.changed() is not None)

    def settle(self, request: RequestSession, takeover: Takeover, data: bytes | None) -> str | None:
        """Delete the old session of an ended or renewed one, and write a changed one in the old form, if that is due.

        Returns the value of the cookie in the old form; ``None``: it is not written in that form. What is done already
        is not done again, unless the session has changed since. May wait for the server that has the old sessions.

        data: the result of `Session.changed`.
        """
        session, is_empty = request.session, self._is_empty(request.session)
        state = (data, is_empty, session.former_id)
        if request.settled is None or request.settled[0] != state:
            takeover.forget(session, is_over=is_empty)
            is_written = takeover.is_writing and not is_empty and (data is not None or session.renewal_due)
            request.settled = (state, takeover.written(session) if is_written else None)
        return request.settled[1]

    def _is_empty(self, session: Session) -> bool:
        return not dict.__len__(session) and not (self._keeps_empty and session.known_id)

    def _read(self, plain: bytes) -> StoredSession:
        """Unpack a session that has not ended. `MalformedPayloadError`, `ExpiredPayloadError`."""
        created, renewed, data = unpack(plain)
        try:
            mapping = self._format.loads(data)
        except ValueError:
            raise MalformedPayloadError(f"The session is not valid {self._format.name}") from None
        ends, now = end_in(mapping), self.now()
        last = min(renewed + self._idle, created + self._absolute, _FOREVER if ends is None else ends)
        if now > last:
            raise ExpiredPayloadError("The session has expired", expired_at=moment(last).isoformat())
        return StoredSession(created, renewed, data, mapping, ends, 2 * (now - renewed) > self._idle)


def _limit(name: str, limit: timedelta | None) -> int:
    """In milliseconds. `ConfigurationError` if it is not positive."""
    if limit is None:
        return _FOREVER
    if limit <= timedelta(0):
        raise ConfigurationError(f"{name}={limit!r} is not positive", hint="leave it out, or give a positive timedelta")
    return limit // timedelta(milliseconds=1)
