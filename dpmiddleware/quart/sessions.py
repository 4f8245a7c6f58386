"""``quart.session`` in a protected cookie: Flask's settings, format and rules, on ASGI."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final, cast

import quart
from flask.sessions import SessionMixin
from quart.sessions import SessionInterface

from dpmiddleware import asgi
from dpmiddleware.arguments import checked
from dpmiddleware.asgi import ASGIApp, Receive, Scope, cookie_header, is_https, where
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.flask.extension import finish
from dpmiddleware.flask.sessions import MAX_TOTAL, FlaskInterface, FlaskSession
from dpmiddleware.quart.extension import put_around, register
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import RequestSession, SessionCookie
from dpmiddleware.web.sessions.migration import OldSessions

__all__ = ["ProtectedSessions"]

_PART: Final = "dpmiddleware.session_part"
_ALONE: Final = "dpmiddleware.session_alone"
"""In the scope of a context that no server, and so no middleware, has made."""


@checked
class ProtectedSessions:
    """Quart extension: keeps ``quart.session`` in a protected cookie.

    data_protection: by default from ``DATA_PROTECTION_*``.
    cookie: its settings, instead of ``SESSION_COOKIE_*``.
    migration: reads (or writes) the cookies that Quart signs with a ``SECRET_KEY``: they are Flask's.
    absolute: how long a session lives after it was created; ``None``: as long as it is used.
    """

    def __init__(
        self,
        app: quart.Quart | None = None,
        *,
        data_protection: DataProtection | None = None,
        cookie: CookieSettings | None = None,
        migration: OldSessions | None = None,
        absolute: timedelta | None = None,
    ) -> None:
        self._data_protection = data_protection
        self._cookie, self._migration, self._absolute = cookie, migration, absolute
        if app is not None:
            self.init_app(app)

    @checked
    def init_app(self, app: quart.Quart) -> None:
        """Protect the sessions of ``app``."""
        data_protection = register(app, self._data_protection)
        app.config.setdefault(MAX_TOTAL, CookieSettings("default").max_total)
        described = FlaskInterface(data_protection, self._cookie, self._migration, self._absolute)
        inside: Any = app.asgi_app
        middleware = _Middleware(inside, app, data_protection, described)
        put_around(app, middleware)
        interface: Any = _Interface(middleware)
        app.session_interface = interface


class _Middleware(asgi.SessionMiddleware):
    """Begins the session of a request, and writes it when the response starts."""

    def __init__(
        self, inner: ASGIApp, app: quart.Quart, data_protection: DataProtection, described: FlaskInterface
    ) -> None:
        super().__init__(inner, data_protection=data_protection)
        self._quart, self._described = app, described

    def begin(self, scope: Scope, receive: Receive) -> RequestSession:
        """Put the session into the scope; it is opened when the application touches it."""
        self.sessions = self.cookie()
        part = self.sessions.begin(cookie_header(scope), (where, scope), is_https(scope), FlaskSession)
        scope["session"], scope[_PART] = part.session, part
        return part

    def cookie(self) -> SessionCookie:
        """The session cookie of the present configuration; Quart's has the names and types of Flask's."""
        return self._described.cookie_of(cast("Any", self._quart))


class _Interface(SessionInterface):
    """Quart's interface to sessions."""

    def __init__(self, middleware: _Middleware) -> None:
        self._middleware = middleware

    async def open_session(self, app: quart.Quart, request: Any) -> FlaskSession:
        """The session that the middleware has begun; where there is no middleware, as in a test, a new one."""
        scope = request.scope
        if _PART not in scope:
            self._middleware.begin(scope, _receive_nothing)
            scope[_ALONE] = True
        return cast("FlaskSession", scope["session"])

    async def save_session(self, app: quart.Quart, session: SessionMixin, response: Any) -> None:
        """Tell the middleware which session it is, and when it ends. It writes when the response starts.

        Where there is no middleware, as in ``session_transaction`` of the test client, it is written here.
        """
        context = quart.request if quart.has_request_context() else quart.websocket
        scope: Any = context.scope
        part: RequestSession = scope[_PART]
        scope["session"] = session
        if session is not part.session:
            if _ALONE not in scope:
                return
            part.adopt(session)
        if part.session.touched:
            try:
                part.expires = self.get_expiration_time(app, cast("FlaskSession", part.session))
            except KeyManagementError as error:
                part.failure = error
            if _ALONE in scope and response is not None:
                await asyncio.to_thread(finish, response, part)


async def _receive_nothing() -> Any:
    raise AssertionError("there is no connection")
