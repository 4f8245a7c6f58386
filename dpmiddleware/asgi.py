"""Middleware for any ASGI application: HTTP and websockets, on asyncio and trio.

Nothing waits on the event loop. Before the application is called, a middleware reads the key ids in the request's
cookies; if opening one of them would wait (there is no ring yet, or the key is unknown), it waits in a worker thread.
Cookies are sealed just before the response starts; for a websocket they are sent with ``websocket.accept``.

While there is no key ring, a request that needs one is answered 503 with ``Retry-After`` (a websocket is closed with
1013): an outage never makes a user anonymous, and signs nobody out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Final, Unpack

from werkzeug.local import LocalProxy

from dpmiddleware.arguments import checked
from dpmiddleware.asgi_exchange import (
    ENCRYPTED,
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    answer_instead,
    cookie_header,
    decoded,
    encoded,
    is_https,
    where,
)
from dpmiddleware.asgi_response import STARTS, PartResponse, drive, ungrouped
from dpmiddleware.cross_origin.asgi import CrossOriginProtectionMiddleware
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web import parts, public
from dpmiddleware.web.answer import Answer, Part, unavailable
from dpmiddleware.web.cookies.application_cookies import CookieProtection, RequestCookies
from dpmiddleware.web.cookies.options import ProtectionOptions
from dpmiddleware.web.cookies.policy import CookiePolicy
from dpmiddleware.web.cookies.text import SameSite, SecurePolicy
from dpmiddleware.web.public import *  # noqa: F403 (the names that every framework hands on)
from dpmiddleware.web.sessions.cookie import STARLETTE_NAMES, RequestSession, SessionCookie, SessionOptions
from dpmiddleware.web.sign_in.authentication import (
    AUTHENTICATION_KEY,
    PRINCIPAL_KEY,
    CookieAuthenticator,
    RequestAuthentication,
)
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.verbs import FreshSignInRequired, age_of
from dpmiddleware.web.steps import Steps

__all__ = [
    "AUTHENTICATION_KEY",
    "PRINCIPAL_KEY",
    "ASGIApp",
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "CrossOriginProtectionMiddleware",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "SessionMiddleware",
    "cookie_header",
    "fresh_login_required",
    "is_https",
    "where",
]
__all__ += public.__all__


_UNAUTHORIZED: Final = Answer([("content-length", "0")], status=401, body=b"")
"""The application's answer where it asked for a fresh sign-in, which the sign-in turns into a challenge."""
_SIGN_IN_AGAIN: Final = (1008, "sign in again")
"""Code and reason of a websocket that is closed then."""


class _Middleware:
    """Joins a part to a request, waits for it off the event loop, and answers for it in the response."""

    _has_user = False
    """Whether it puts a user into the scope."""

    def __init__(self, app: ASGIApp, data_protection: DataProtection) -> None:
        self.app = app
        self.data_protection = data_protection
        self._ring = data_protection.provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. When a lifespan starts, the ring begins to load."""
        if scope["type"] not in {"http", "websocket"}:
            if scope["type"] == "lifespan":
                self.data_protection.start()
            await self.app(scope, receive, send)
            return
        if self._has_user and AUTHENTICATION_KEY in scope:  # mounted in another application, which keeps its own user
            scope = {**scope}
        part = parts.join(scope, self.begin(scope, receive))
        response = PartResponse(self._ring, send, part, scope)
        try:
            steps = part.ahead()
            if steps is not None:
                await _get_ahead(part, steps)
            await self.app(scope, receive, response.send)
            if not response.started and part.failure is not None:
                raise part.failure  # an outage that the application has swallowed
        except (KeyManagementError, FreshSignInRequired, ExceptionGroup) as raised:
            error = ungrouped(raised)
            if isinstance(error, FreshSignInRequired) and not response.started:
                await answer_instead(scope, response.send, _UNAUTHORIZED, _SIGN_IN_AGAIN)
                return
            if response.started or not isinstance(error, KeyManagementError):
                raise
            if not parts.is_outage(error, scope, self.data_protection):
                raise
            await answer_instead(scope, send, unavailable(error))

    def begin(self, scope: Scope, receive: Receive) -> Part:
        """The part of this middleware in a request; puts into the scope what the application looks for."""
        raise NotImplementedError


async def _get_ahead(part: Part, steps: Steps[object]) -> None:
    try:
        await drive(steps)
    except KeyManagementError as error:
        part.failure = error  # raised when the application uses the part: other pages are served


@checked
def fresh_login_required(*, minutes: float = 5) -> Callable[[ASGIApp], ASGIApp]:
    """Decorate an application: a user who authenticated longer ago than ``minutes`` is challenged to do it again."""
    max_age = age_of(minutes)

    def decorate(app: ASGIApp) -> ASGIApp:
        @wraps(app)
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] in {"http", "websocket"}:
                authentication: RequestAuthentication = scope[AUTHENTICATION_KEY]
                authentication.require_fresh(max_age, endpoint=app)
            await app(scope, receive, send)

        return guarded

    return decorate


@checked
class SessionMiddleware(_Middleware):
    """``scope["session"]`` (Starlette: ``request.session``): a dictionary in a protected cookie.

    Options: see `dpmiddleware.web.sessions.cookie.SessionCookie`. Works for every framework that passes the scope on.
    """

    _foreign_names = STARLETTE_NAMES

    def __init__(self, app: ASGIApp, *, data_protection: DataProtection, **options: Unpack[SessionOptions]) -> None:
        super().__init__(app, data_protection)
        self.sessions = SessionCookie(data_protection, **options)

    def begin(self, scope: Scope, receive: Receive) -> RequestSession:
        """Put the session into the scope; it is opened when the application touches it."""
        https = scope.get("scheme") in ENCRYPTED
        part = self.sessions.begin(cookie_header(scope), (where, scope), https)
        scope["session"] = part.session
        return part


@checked
class CookieProtectionMiddleware(_Middleware):
    """Seals cookies of an application that does not know of it: ``cookies=["sid", "auth*"]``.

    Options: see `dpmiddleware.web.cookies.options.ProtectionOptions`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        data_protection: DataProtection,
        cookies: Sequence[str],
        **options: Unpack[ProtectionOptions],
    ) -> None:
        super().__init__(self._opened, data_protection)
        self._application = app
        self.protection = CookieProtection(data_protection, cookies, **options)

    def begin(self, scope: Scope, receive: Receive) -> RequestCookies:
        """See the class; the cookies are opened once the keys are there."""
        return self.protection.begin(cookie_header(scope), https=is_https(scope), where=lambda: where(scope))

    async def _opened(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the opened cookies in its Cookie header."""
        part = parts.last(scope, RequestCookies)
        if part is None or not (part.header is not part.sent or part.is_too_long):
            await self._application(scope, receive, send)
            return
        sent = scope["headers"]
        opened = [(b"cookie", part.header)] if part.header else []
        scope["headers"] = [*(pair for pair in sent if pair[0] != b"cookie"), *opened]
        try:
            await self._application(scope, receive, send)  # in this scope: a session may be replaced in it
        finally:
            scope["headers"] = sent


@checked
class CookieAuthenticationMiddleware(_Middleware):
    """The user: ``scope["dpmiddleware.principal"]``. The verbs: ``scope["dpmiddleware.authentication"]``.

    Options: see `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Put it around `SessionMiddleware`, or
    inside. A ticket is read before the application is called only if a session store or an event may have to wait.
    """

    _has_user = True

    def __init__(self, app: ASGIApp, *, data_protection: DataProtection, **options: Unpack[OptionArguments]) -> None:
        super().__init__(app, data_protection)
        self.authenticator = CookieAuthenticator(data_protection, CookieAuthenticationOptions(**options))
        if self.authenticator.binding is not None:
            self.app, self._application = self._bound, app

    def begin(self, scope: Scope, receive: Receive) -> RequestAuthentication:
        """Put the authentication into the scope; the ticket is read when the application looks at the user."""
        header = cookie_header(scope)
        path, base = scope.get("path", ""), scope.get("root_path", "")  # as they are here: routers change them
        describe = partial(self._web_request, scope, receive, header, path, base)
        https = scope.get("scheme") in ENCRYPTED
        authentication = RequestAuthentication(self.authenticator, header, https, describe)
        scope[AUTHENTICATION_KEY] = authentication
        self.place(scope, authentication)
        return authentication

    async def _bound(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser whose sign-in is bound to it; otherwise call the application."""
        steps = answer = None
        if scope["type"] == "http":
            authentication: RequestAuthentication = scope[AUTHENTICATION_KEY]
            steps = authentication.instead(scope["path"], scope["method"])
        if steps is not None:
            answer = await drive(steps)
        if answer is not None:
            await answer_instead(scope, send, answer)
        else:
            await self._application(scope, receive, send)

    def place(self, scope: Scope, authentication: RequestAuthentication) -> None:
        """Put the user where the application finds it."""
        scope[PRINCIPAL_KEY] = LocalProxy(lambda: authentication.principal)

    def native(self, scope: Scope, receive: Receive) -> Any:
        """What events get as the request."""
        return scope

    def _web_request(self, scope: Scope, receive: Receive, header: bytes, path: str, base: str) -> WebRequest:
        return _web_request(scope, header, path, base, self.native(scope, receive))


@checked
class CookiePolicyMiddleware:
    """The minimum that every cookie of an application must meet. Put it around all other middleware.

    Options: see `dpmiddleware.web.cookies.policy.CookiePolicy`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        minimum_same_site: SameSite | None = None,
        secure: SecurePolicy = "never",
        http_only: bool = False,
    ) -> None:
        self.app = app
        self.policy = CookiePolicy(minimum_same_site, secure, http_only)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def apply(message: Message) -> None:
            headers = message.get("headers", ()) if message["type"] in STARTS else ()
            if any(name.lower() == b"set-cookie" for name, _ in headers):
                applied = self.policy.apply(decoded(headers), https=is_https(scope))
                message = {**message, "headers": encoded(applied)}
            await send(message)

        await self.app(scope, receive, apply)


def _web_request(scope: Scope, header: bytes, path: str, base: str, native: Any) -> WebRequest:
    def named(wanted: str) -> str:
        raw = wanted.encode("latin-1")
        return b", ".join(value for name, value in scope["headers"] if name == raw).decode("latin-1")

    base = base.rstrip("/")
    if base and (path == base or path.startswith(f"{base}/")):
        path = path[len(base) :]
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    return WebRequest(header, is_https(scope), base, path, query, named, native, scope.get("method", ""))
