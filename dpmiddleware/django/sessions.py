"""Django's sessions in a protected cookie: engine and middleware.

    SESSION_ENGINE = "dpmiddleware.django.sessions"
    MIDDLEWARE = ["dpmiddleware.django.sessions.SessionMiddleware", …]

The middleware is a subclass of Django's, so that the admin's checks pass. It adds chunks, changes of nested values,
caching headers, and 503 in an outage. The engine also works with Django's own middleware, for sessions that fit into
one cookie. The settings are Django's ``SESSION_*``. A session ends as ``set_expiry`` or ``SESSION_COOKIE_AGE`` say,
counted from its last change.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Self, cast

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.signing import JSONSerializer
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.utils import timezone
from django.utils.module_loading import import_string

from dpmiddleware.clock import Clock
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.django.responses import SESSION_KEY, answer_outage, cookie_header, finish, outage, where
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.serialization import serialize
from dpmiddleware.web import parts
from dpmiddleware.web.cookies.text import CookieSettings, SetCookie
from dpmiddleware.web.sessions.cookie import RequestSession, SessionCookie
from dpmiddleware.web.sessions.migration import SignedSessions
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import StoredSession, json_object, milliseconds

__all__ = ["DjangoFormat", "SessionMiddleware", "SessionStore"]

_COOKIE_SETTINGS: Final = (
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_SERIALIZER",
)
_MAX_TOTAL: Final = "SESSION_COOKIE_MAX_TOTAL"
"""A setting of ours: ``max_total`` of `CookieSettings`."""
_MIGRATION: Final = "DATA_PROTECTION_SESSION_MIGRATION"
_asked_for: Final = itemgetter(*_COOKIE_SETTINGS)

_DEFAULT: Final = CookieSettings("default").max_total
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


class DjangoFormat:
    """``SESSION_SERIALIZER``, JSON by default."""

    name = "django"

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """The mapping as the serializer writes it."""
        return bytes(serialize(self._serializer.dumps, dict(mapping), "session"))

    def loads(self, data: bytes) -> dict[str, Any]:
        """The mapping that `dumps` wrote."""
        try:
            mapping = self._serializer.loads(data)
        except RecursionError:
            raise ValueError("a mapping that is too deep") from None
        if not isinstance(mapping, dict):
            raise ValueError("not a mapping")  # noqa: TRY004 (bad data, not a bad call)
        return cast("dict[str, Any]", mapping)


class _JsonFormat(DjangoFormat):
    """Writes the same bytes as `JSONSerializer`, which creates an encoder for each call."""

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """See `DjangoFormat`."""
        return serialize(_encode, dict(mapping), "session").encode("latin-1")

    def loads(self, data: bytes) -> dict[str, Any]:
        """See `DjangoFormat`."""
        return json_object(data.decode("latin-1"))


@lru_cache(maxsize=8)
def _session_cookie(
    protection: DataProtection,
    described: tuple[Any, ...],
    migration: SignedSessions | None,
    max_total: int,
    whole: bool,
) -> SessionCookie:
    name, path, domain, secure, http_only, same_site, serializer_name = described
    cookie = CookieSettings(
        name,
        path=path,
        domain=domain,
        secure="always" if secure else "same_as_request",
        http_only=bool(http_only),
        same_site=same_site.lower() if same_site else None,
        chunk_size=None if whole else 4050,
        max_total=max_total,
    )
    serializer = import_string(serializer_name)()
    value_format = (_JsonFormat if type(serializer) is JSONSerializer else DjangoFormat)(serializer)
    return SessionCookie(protection, cookie, idle=None, value_format=value_format, migration=migration)


def session_cookie(*, whole: bool = False) -> SessionCookie:
    """The session cookie of the current settings. whole: never in chunks."""
    known = vars(settings)  # settings that were read before; an attribute costs ten times as much
    try:
        described, migration, max_total = _asked_for(known), known.get(_MIGRATION), known.get(_MAX_TOTAL, _DEFAULT)
    except KeyError:
        described = tuple(getattr(settings, name) for name in _COOKIE_SETTINGS)
        migration, max_total = getattr(settings, _MIGRATION, None), getattr(settings, _MAX_TOTAL, _DEFAULT)
    return _session_cookie(get_data_protection(), described, migration, max_total, whole)


class _Held(Session):
    """The session of a store. It is over when its own expiry or the setting says so, whatever reads it first."""

    refuses_late_changes = False
    clock: Clock
    store: Callable[[], SessionStore | None]
    """Returns the store; ``None`` if the application has replaced it."""

    def loaded(self) -> None:
        """See `Session`."""
        store, stored = self.store() or SessionStore(), self.stored
        if stored is not None and milliseconds(self.clock.now()) > store.ends(self, stored):
            self.end()


class SessionStore(SignedCookieStore):
    """``request.session``: Django's interface to a session in a protected cookie.

    session_key: with our middleware the session's id; with Django's, the value of the cookie.
    """

    part: RequestSession | None = None
    is_written_by_us = False
    """Whether our middleware writes the cookie, in chunks if it is long."""
    _key_is_unread = False
    """Whether the key has not been read from the request's cookies yet."""

    @classmethod
    def of(cls, part: RequestSession) -> Self:
        """The store of a request that came through our middleware."""
        store = cls(None)
        store.take(part)
        store.is_written_by_us = store._key_is_unread = True
        return store

    @property
    def session_key(self) -> str | None:
        """See the class."""
        return self._session_key

    @property
    def _session_key(self) -> str | None:
        if self._key_is_unread and self.part is not None:
            cookies = parse_cookie(self.part.header.decode("utf-8", "replace"))
            self._session_key = cookies.get(settings.SESSION_COOKIE_NAME)
        return super()._session_key

    @_session_key.setter
    def _session_key(self, value: str | None) -> None:
        self._key_is_unread = False
        self._set_session_key(value)

    @property
    def held(self) -> Session:
        """The session, read at first use."""
        if self.part is None:  # Django's own middleware: the key is the value
            header = f"{settings.SESSION_COOKIE_NAME}={self.session_key or ''}".encode("latin-1", "replace")
            return self.take(session_cookie(whole=True).begin(header, https=False, session_type=_Held))
        return self.part.session

    def take(self, part: RequestSession) -> Session:
        """Hold the session of this part, and return it."""
        self.part, session = part, part.session
        if isinstance(session, _Held):
            session.clock, session.store = part.cookie.clock, weakref.ref(self)  # strong: a reference cycle
        return session

    def ends(self, session: Session, stored: StoredSession) -> float:
        """When Django's rules end a session, in milliseconds since 1970 UTC; counted from its last change."""
        expiry = session.get("_session_expiry") or self.get_session_cookie_age()
        if isinstance(expiry, str):
            expiry = datetime.fromisoformat(expiry)
        if isinstance(expiry, datetime):
            return milliseconds(timezone.make_aware(expiry) if timezone.is_naive(expiry) else expiry)
        return float(stored.renewed_ms + 1000 * expiry)

    def _get_session(self, no_load: bool = False) -> Session:
        self.accessed = True
        return self.held

    async def _aget_session(self, no_load: bool = False) -> Session:
        return self._get_session()

    def _set_session(self, mapping: Mapping[str, Any]) -> None:
        self.held.clear()
        self.held.update(mapping)

    def _get_cache(self) -> Session:
        if self.part is None or not self.part.session.accessed:
            raise AttributeError("_session_cache")  # Django checks so whether it has been loaded
        return self.held

    _session = property(_get_session)
    _session_cache = property(_get_cache, _set_session)

    def load(self) -> Session:
        """The mapping; empty if the cookie does not open."""
        return self._get_session()

    def is_empty(self) -> bool:
        """Whether the session is empty."""
        return not self.held

    def save(self, must_create: bool = False) -> None:
        """Mark the session as changed; it is written with the response. Without our middleware, set the key."""
        self._session_key = self._get_session_key()
        self.modified = True

    def cycle_key(self) -> None:
        """Give the session a new id. Its content stays."""
        held, kept = self.held, dict(self.held)
        held.renew()
        held.update(kept)  # Django's login rotates the CSRF token itself
        self.save()

    def delete(self, session_key: str | None = None) -> None:
        """Empty the session; the response deletes its cookie."""
        self.held.empty()
        self._session_key = ""
        self.modified = True

    def flush(self) -> None:
        """Empty the session, and start a new one."""
        self.delete()
        self._session_key = None
        self.accessed = True

    def _get_session_key(self) -> str:
        return self.held.id if self.is_written_by_us else self._sealed()

    def _sealed(self) -> str:
        """The cookie's value, for Django's own middleware."""
        part = session_cookie(whole=True).begin(b"", https=False)
        part.session.update(self.held)
        part.session.modified = True
        lines = part.cookie.lines(part)
        return SetCookie.parse(lines[-1]).value if lines else ""


class SessionMiddleware(DjangoSessionMiddleware):
    """Sessions in cookies; a subclass of Django's middleware, to be used in place of it."""

    def process_request(self, request: HttpRequest) -> None:
        """Put the session into the request; it is opened when the application touches it."""
        if not issubclass(self.SessionStore, SessionStore):
            super().process_request(request)
            return
        header = cookie_header(request)
        part = session_cookie().begin(  # https: is_secure(), when it matters
            header, https=False, session_type=_Held, where=lambda: where(request)
        )
        request.session = self.SessionStore.of(part)
        request.META[SESSION_KEY] = part.session
        parts.join(request.META, part)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 if a view met an outage."""
        return answer_outage(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Write the session if that is necessary."""
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore) or store.part is None:
            return super().process_response(request, response)
        try:
            touched = _prepare(store, store.part, request, response.status_code)
        except KeyManagementError as error:
            return outage(error)
        if touched:
            return cast("HttpResponse", finish(response, store.part))
        store.part.close()
        return response


def _prepare(store: SessionStore, part: RequestSession, request: HttpRequest, status: int) -> bool:
    """Mark a session as Django's rules demand; returns whether the response depends on it."""
    session, saves_always = part.session, settings.SESSION_SAVE_EVERY_REQUEST
    if session.failure is not None:
        raise session.failure
    if not (store.accessed or store.modified or session.accessed or saves_always):
        return False
    held = store.held
    if status >= 500:
        return False
    is_due = bool(held) and (store.modified or saves_always)
    if is_due:
        session.modified = True
    if is_due or not held or session.modified:
        if held and not store.get_expire_at_browser_close():
            part.expires = part.cookie.clock.now() + timedelta(seconds=store.get_expiry_age())
        part.https = request.is_secure()
    return True
