"""Django's sessions in a protected cookie: engine and middleware.

    SESSION_ENGINE = "dpmiddleware.django.sessions"
    MIDDLEWARE = ["dpmiddleware.django.sessions.SessionMiddleware", …]

The middleware is a subclass of Django's, so that the admin's checks pass. It adds chunks, changes of nested values,
caching headers, and 503 in an outage. The engine also works with Django's own middleware, for sessions that fit into
one cookie. The settings are Django's ``SESSION_*``. A session ends as ``set_expiry`` or ``SESSION_COOKIE_AGE`` say,
counted from its last change.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Self, cast

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from dpmiddleware.django.responses import (
    SESSION_KEY,
    answer_outage,
    cookie_header,
    current_session,
    finish,
    outage,
    where,
)
from dpmiddleware.django.session_cookie import DjangoFormat, session_cookie
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web import parts
from dpmiddleware.web.cookies.text import SetCookie, find
from dpmiddleware.web.sessions.cookie import RequestSession
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import StoredSession, milliseconds

__all__ = ["DjangoFormat", "SessionMiddleware", "SessionStore", "begin"]

_PART: Final = "dpmiddleware.django_session"
"""Where the part is in ``request.META``."""


class _Held(Session):
    """The session of a store. It is over when its own expiry or the setting says so, whatever reads it first."""

    refuses_late_changes = False
    now: Callable[[], int]
    """Milliseconds since 1970 UTC."""
    store: Callable[[], SessionStore | None]
    """Returns the store; ``None`` if the application has replaced it."""

    def loaded(self, stored: StoredSession) -> None:
        """See `Session`."""
        if self.now() > (self.store() or SessionStore()).ends(self, stored):
            self.end()


def begin(header: bytes, request: HttpRequest | None = None, *, whole: bool = False) -> RequestSession:
    """The session in the Cookie header of a request. whole: see `session_cookie`."""
    asked = None if request is None else (where, request)
    return session_cookie(whole=whole).begin(header, asked, False, _Held)  # noqa: FBT003 (a keyword takes time)


class SessionStore(SignedCookieStore):
    """``request.session``: Django's interface to a session in a protected cookie.

    session_key: the id of the session; ``None`` if it is new and has not been saved. Outside of requests to our
        middleware, `save` makes it the value of the cookie, since Django's own middleware, its test client and Channels
        set the cookie to it.

    A store for the id of the session that is open in this request shares that session, and so does one for its cookie.
    Any other key that a store is made with is the value of a cookie.
    """

    part: RequestSession | None = None

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__()
        self._given = None if session_key is None else getattr(session_key, "whole", session_key)
        if self._given and (part := current_session.get()) is not None and _is_key_of(self._given, part):
            self.part, self._given = part, None

    @classmethod
    def of(cls, part: RequestSession) -> Self:
        """The store of a request that came through our middleware."""
        store = cls(None)
        store.take(part)
        current_session.set(part)
        return store

    @property
    def session_key(self) -> str | None:
        """See the class."""
        return self._session_key

    @property
    def _session_key(self) -> str | None:
        return super()._session_key or self.held.known_id

    @_session_key.setter
    def _session_key(self, value: str | None) -> None:
        self._set_session_key(value)

    @property
    def held(self) -> Session:
        """The session, read at first use."""
        if self.part is not None:
            return self.part.session
        part = begin(f"{settings.SESSION_COOKIE_NAME}={self._given or ''}".encode("latin-1", "replace"), whole=True)
        current = current_session.get()
        if current is None or _is_whole(current):
            current_session.set(part)
        return self.take(part)

    def take(self, part: RequestSession) -> Session:
        """Hold the session of this part, and return it."""
        self.part, session = part, part.session
        if isinstance(session, _Held):
            session.now, session.store = part.cookie.now, weakref.ref(self)  # strong: a reference cycle
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

    def _get_new_session_key(self) -> str:
        """For `_get_or_create_session_key`, which applications use: the id that `save` will make known."""
        return self.held.id

    async def _aget_new_session_key(self) -> str:
        return self.held.id

    async def _aget_session(self, no_load: bool = False) -> Session:
        held = self._get_session()
        takeover = cast("RequestSession", self.part).cookie.takeover
        if not held.touched and takeover is not None and takeover.asks_server:
            from asgiref.sync import sync_to_async  # Django's own dependency

            await sync_to_async(held.mark_accessed)()
        return held

    def _set_session(self, mapping: Mapping[str, Any]) -> None:
        self.held.clear()
        self.held.update(mapping)

    def _get_cache(self) -> Session:
        if self.part is None or not self.part.session.touched:
            raise AttributeError("_session_cache")  # Django checks so whether it has been loaded
        return self.held

    _session = property(_get_session)
    _session_cache = property(_get_cache, _set_session)

    def load(self) -> Session:
        """The mapping; empty if the cookie does not open."""
        return self._get_session()

    def is_empty(self) -> bool:
        """Whether the session is empty and has no key."""
        return not (self.held or self.session_key)

    def exists(self, session_key: str | None = None) -> bool:
        """Whether the key is the id of this session, or of the one that is open in this request."""
        return session_key is not None and (
            session_key == self.held.known_id or type(self)(session_key).part is not None
        )

    def create(self) -> None:
        """Give the session a new id. As with Django's engines, content that has not been read is not taken over."""
        if not self.accessed:
            self.held.clear()
        self.cycle_key()

    def save(self, must_create: bool = False) -> None:
        """Mark the session as changed and set its key; it is written with the response."""
        self.held.kept = self.held.modified = self.modified = True
        part = cast("RequestSession", self.part)
        self._session_key = SetCookie.parse(part.cookie.lines(part)[-1]).value if _is_whole(part) else None

    def cycle_key(self) -> None:
        """Give the session a new id. Its content stays."""
        held, kept = self.held, dict(self.held)
        held.renew()
        held.update(kept)  # Django's login rotates the CSRF token itself
        self.save()

    def delete(self, session_key: str | None = None) -> None:
        """Empty the session; the response deletes its cookie. With the key of another one: that one, if it is known."""
        if session_key not in {None, self._given, self.session_key}:
            type(self)(session_key).delete()
            return
        self.held.empty()
        takeover = None if self.part is None else self.part.cookie.takeover
        if takeover is not None and _is_whole(cast("RequestSession", self.part)):  # nobody asks for its lines
            takeover.forget(self.held)
        self._session_key = None
        self.modified = True

    def flush(self) -> None:
        """Empty the session, and start a new one."""
        self.delete()
        self.accessed = True


def _is_key_of(text: str, part: RequestSession) -> bool:
    """Whether this is the id of a session, or the text of its cookie in a request to our middleware."""
    known_id = part.session.known_id
    if known_id is None or text == known_id:
        return text == known_id
    return not _is_whole(part) and text in find(part.header, part.cookie.protected.settings.name)


def _is_whole(part: RequestSession) -> bool:
    """Whether a session stays in one cookie, which our middleware does not write."""
    return part.cookie.protected.settings.chunk_size is None


class SessionMiddleware(DjangoSessionMiddleware):
    """Sessions in cookies; a subclass of Django's middleware, to be used in place of it."""

    def process_request(self, request: HttpRequest) -> None:
        """Put the session into the request; it is opened when the application touches it."""
        if not issubclass(self.SessionStore, SessionStore):
            super().process_request(request)
            return
        header = cookie_header(request)
        part = begin(header, request)
        takeover = part.cookie.takeover
        if takeover is not None and takeover.asks_server and hasattr(request, "scope"):
            takeover.read_ahead(part.session, header)  # in ASGI, a view may have no thread that may wait
        request.session = self.SessionStore.of(part)
        request.META[SESSION_KEY], request.META[_PART] = part.session, part
        parts.join(request.META, part)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 if a view met an outage."""
        return answer_outage(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Write the session if that is necessary."""
        part: RequestSession | None = request.META.get(_PART)
        if part is None or not issubclass(self.SessionStore, SessionStore):
            return super().process_response(request, response)
        try:
            store = getattr(request, "session", None)
            if not isinstance(store, SessionStore) or store.part is not part:  # the application has replaced it
                part.adopt(dict(store.items()) if isinstance(store, SessionStore) else store)
                store = self.SessionStore.of(part)
            touched = _prepare(store, part, request, response.status_code)
        except KeyManagementError as error:
            return outage(error)
        if touched:
            return finish(response, part)
        part.close()
        return response


def _prepare(store: SessionStore, part: RequestSession, request: HttpRequest, status: int) -> bool:
    """Mark a session as Django's rules demand; returns whether the response depends on it."""
    session, saves_always = part.session, settings.SESSION_SAVE_EVERY_REQUEST
    if session.failure is not None:
        raise session.failure
    if not (store.accessed or store.modified or session.touched or saves_always):
        return False
    if status >= 500:
        return False
    session.mark_accessed()
    has_content = dict.__len__(session) > 0
    is_kept = has_content or not store.is_empty()
    is_due = is_kept and (store.modified or saves_always)
    if is_due:
        session.modified = session.kept = True
    if is_due or not has_content or session.modified:
        if is_kept and not store.get_expire_at_browser_close():
            part.max_age = int(store.get_expiry_age())
            part.expires = part.cookie.clock.now() + timedelta(seconds=part.max_age)
        part.https = request.is_secure()  # here, because it takes time
    return True
