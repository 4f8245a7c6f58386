"""`SessionCookie`: sessions kept in one protected cookie; when they end, when they are written.

A session that nobody touched is not opened; one that was only read is not written, but for its idle time, which is
renewed once half of it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypedDict

from dpmiddleware import purposes
from dpmiddleware.clock import Clock
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import (
    ConfigurationError,
    CookieTooLargeError,
    ExpiredPayloadError,
    KeyManagementError,
    MalformedPayloadError,
)
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.web.caching import Headers, RawHeaders, with_cookies, with_cookies_raw
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.protected import Opened, ProtectedCookie
from dpmiddleware.web.cookies.text import Attributes, CookieSettings, find, with_expiry
from dpmiddleware.web.sessions.migration import SignedSessions
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import (
    JSON,
    StoredSession,
    ValueFormat,
    end_in,
    milliseconds,
    moment,
    pack,
    unpack,
)

__all__ = ["SessionCookie", "SessionExchange", "SessionOptions"]

_LONGEST_COOKIE: Final = 4096
_FOR_EVER: Final = 2**63
"""Milliseconds; more than a plaintext can name."""


@dataclass(slots=True)
class SessionExchange:
    """One request and its response: the session, and what to answer."""

    session: Session
    cookie: SessionCookie
    header: bytes
    https: bool
    located: bytes | None
    """The cookie's value, where it is in one piece."""
    found: list[Opened[StoredSession]]
    """What was in the cookie, once the session has been opened."""
    expires: datetime | None = None
    """When the browser is to forget the cookie, where that is not in its settings; aware."""

    @property
    def failure(self) -> KeyManagementError | None:
        """The outage that whoever touched the session met."""
        return self.session.failure

    @property
    def untouched(self) -> bool:
        """Whether nobody looked at the session: then there is nothing to say."""
        return not self.session.accessed

    def finish(self, headers: Headers) -> Headers:
        """The response's headers with what the session adds to them; called once, before the response starts.

        `KeyManagementError` where there is no ring, `CookieTooLargeError` where the session does not fit.
        """
        return with_cookies(headers, self._lines())

    def finish_raw(self, headers: RawHeaders) -> RawHeaders:
        """`finish` for headers as ASGI has them."""
        return with_cookies_raw(headers, self._lines())

    def _lines(self) -> list[str]:
        session = self.session
        if session.failure is not None:
            raise session.failure
        lines = self.cookie.lines(self)
        session.closed = True
        return lines

    def close(self) -> None:
        """From now on a change of the session raises."""
        self.session.closed = True


class SessionOptions(TypedDict, total=False):
    """How sessions are kept; every one may be left out, and has the default of `SessionCookie`."""

    cookie: CookieSettings | str
    idle: timedelta | None
    absolute: timedelta | None
    value_format: ValueFormat
    migration: SignedSessions | None
    clock: Clock | None


class SessionCookie:
    """Sessions kept in one protected cookie.

    cookie: its name, or all of its settings. idle: how long a session lives without being read; ``None``: no limit.
    absolute: how long after it was created (or renewed by a sign-in); ``None``: no limit. value_format: how the
    mapping becomes bytes. migration: reads the cookies that another framework wrote under this name, as long as none
    of ours stands there. clock: that of ``data_protection`` unless given.
    """

    def __init__(
        self,
        data_protection: DataProtection,
        cookie: CookieSettings | str = "session",
        *,
        idle: timedelta | None = timedelta(days=14),
        absolute: timedelta | None = None,
        value_format: ValueFormat = JSON,
        migration: SignedSessions | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = CookieSettings(cookie) if isinstance(cookie, str) else cookie
        protector = data_protection.create_protector(*purposes.session(value_format.name, settings.name))
        self.protected = ProtectedCookie(settings, protector, ring=data_protection.ring)
        self.key_ids, self._locate = self.protected.key_ids, self.protected.locate
        self._migration = migration
        self._attributes = {https: settings.attributes(https=https) for https in (False, True)}
        self.clock = clock or data_protection.clock
        self._idle, self._absolute = _limit("idle", idle), _limit("absolute", absolute)
        self._format = value_format

    def begin(self, header: bytes, *, https: bool, session_type: type[Session] = Session) -> SessionExchange:
        """The session of a request with this Cookie header; nothing is opened yet.

        session_type: what it is an object of, where a framework wants more of a session.
        """
        located = self._locate(header)
        found: list[Opened[StoredSession]] = []
        session = session_type(partial(self._open, header, located, found), self._format)
        return SessionExchange(session, self, header, https, located, found)

    def _open(self, header: bytes, located: bytes | None, found: list[Opened[StoredSession]]) -> StoredSession | None:
        opened = self.protected.open(header, self._read, located)
        found.append(opened)
        content = opened.content
        return self._old(header, self._migration) if content is None and self._migration else content

    def lines(self, exchange: SessionExchange) -> list[str]:
        """The Set-Cookie lines that a touched session needs; none where it was only read."""
        session = exchange.session
        data = session.changed()
        is_empty = not dict.__len__(session)
        if data is None and not (is_empty or session.renewal_due):
            return []
        attributes = with_expiry(self._attributes[exchange.https], exchange.expires)
        if is_empty:
            had_one = session.stored is not None or any(opened.expire for opened in exchange.found)
            return self.protected.delete(exchange.header, attributes) if had_one else []
        now = self.clock.now()
        if self._migration is not None and self._migration.writes_old and now < self._migration.until:
            return self._old_lines(session, self._migration, attributes)
        renewed = milliseconds(now)
        created = renewed if session.created_ms is None else session.created_ms
        return self.protected.seal(pack(created, renewed, data or session.dumps()), exchange.header, attributes)

    def _read(self, plain: bytes) -> StoredSession:
        """A plaintext as a session that is still alive; else `MalformedPayloadError`, `ExpiredPayloadError`."""
        created, renewed, data = unpack(plain)
        try:
            mapping = self._format.loads(data)
        except ValueError:
            raise MalformedPayloadError(f"a session that is no {self._format.name}") from None
        ends, now = end_in(mapping), milliseconds(self.clock.now())
        last = min(renewed + self._idle, created + self._absolute, _FOR_EVER if ends is None else ends)
        if now > last:
            raise ExpiredPayloadError("the session has expired", expired_at=moment(last).isoformat())
        return StoredSession(created, renewed, data, mapping, ends, 2 * (now - renewed) > self._idle)

    def _old(self, header: bytes, migration: SignedSessions) -> StoredSession | None:
        """The session that another framework's cookie holds, if no cookie of ours is beside it.

        It counts as changed, so it is ours from the first look on.
        """
        values = find(header, self.protected.settings.name)
        if any(peek_key_id(value) is not None or chunks.announced(value) for value in values):
            return None
        for value in values:
            old = migration.loads(value.strip('"'), self.clock.now())
            if old is not None:
                end_in(old.data)  # the old format says when it ends
                issued = milliseconds(old.issued)
                return StoredSession(issued, issued, b"", old.data, milliseconds(old.ends))
        return None

    def _old_lines(self, session: Session, migration: SignedSessions, attributes: Attributes) -> list[str]:
        """The cookie as the old framework writes it, for members of the farm that read no other."""
        value = migration.dumps({**session.reserved(), **session.copy()}, self.clock.now())
        name = self.protected.settings.name
        if len(name) + len(value) > _LONGEST_COOKIE:
            raise CookieTooLargeError(
                f"cookie {name!r} would take {len(value)} bytes in its old format, which knows no chunks",
                hint="keep less in the session until the whole farm writes the new format",
            )
        return ["; ".join((f"{name}={value}", *attributes))]


def _limit(name: str, limit: timedelta | None) -> int:
    """In milliseconds. `ConfigurationError` where it is none."""
    if limit is None:
        return _FOR_EVER
    if limit <= timedelta(0):
        raise ConfigurationError(f"a session with an {name} time of nothing")
    return limit // timedelta(milliseconds=1)
