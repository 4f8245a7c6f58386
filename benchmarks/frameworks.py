"""The cost of sessions and sign-ins in Flask, Django and Starlette: ours (encrypted) against the framework's (signed).

Each request is a complete request of its framework: Flask's WSGI application, Django's middleware and cookies,
Starlette with uvicorn's protocol on a connection without a peer. The time of a request without a session is subtracted.
The framework's sign-in is the name of a user in its signed session, which is renewed by writing it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.cookies import SimpleCookie
from typing import Any

import flask
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionInterface
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from benchmarks.harness import Case
from benchmarks.payloads import SECRET, SESSION
from dpmiddleware import DataProtection
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.starlette import (
    AuthenticationProperties,
    CookieAuthenticationMiddleware,
    Principal,
    SessionMiddleware,
    sign_in,
)

__all__ = ["cases"]

Touch = Callable[[Any], object]
Request = Callable[[], list[str]]
"""One request. Returns the Set-Cookie lines of its response."""


def _read(session: Any) -> object:
    return session["user"]


def _write(session: Any) -> None:
    session["locale"] = "de-AT" if session["locale"] == "de-CH" else "de-CH"


def _fill(session: Any) -> None:
    session.update(SESSION)


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _flask_cases()
    yield from _django_cases()
    yield from _starlette_cases()


def _compared(name: str, ours: Request, theirs: Request, idle: Request, *, goal: float = 1.0) -> Case:
    """A case in which either both sides write a cookie, or neither does.

    name: what is compared; the first word is the framework.
    ours, theirs, idle, goal: as for `Case`.
    """
    assert bool(ours()) is bool(theirs()) is name.endswith(("written", "renewed"))
    framework = name.partition(" ")[0].replace("uvicorn", "Starlette")
    return Case(f"{name}, added", ours, theirs, goal, f"{framework}, signing", idle)


def _cookie_of(lines: list[str]) -> str:
    """What a browser would send back."""
    [(name, morsel)] = SimpleCookie(lines[0]).items()
    return f"{name}={morsel.coded_value}"


def _environ(cookie: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "HTTP_HOST": "shop.example",
        "HTTP_COOKIE": f"a=1; theme=dark; {cookie}; z=9",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
    }


# --- Flask --------------------------------------------------------------------------------------------------


class _NoSessions(SessionInterface):
    """Flask's interface for sessions, without an effect."""

    def open_session(self, app: flask.Flask, request: flask.Request) -> Any:
        return SecureCookieSession()

    def save_session(self, app: flask.Flask, session: Any, response: flask.Response) -> None:
        return


def _flask(touch: Touch, cookie: str = "") -> tuple[flask.Flask, Request]:
    """An application, and one request to it."""
    app = flask.Flask("shop")
    app.secret_key = SECRET
    lines: list[str] = []

    def view() -> str:
        touch(flask.session)
        return "hello"

    def start(_: str, headers: list[tuple[str, str]], *__: object) -> Callable[[bytes], object]:
        lines[:] = [value for name, value in headers if name.lower() == "set-cookie"]
        return lambda _: None

    def request() -> list[str]:
        for _ in app.wsgi_app(_environ(cookie), start):
            pass
        return lines

    app.add_url_rule("/", view_func=view)
    return app, request


def _flask_cases() -> Iterator[Case]:
    protection = DataProtection("bench", repository="memory:")
    app, fill = _flask(_fill)
    signed = _cookie_of(fill())
    app, fill = _flask(_fill)
    ProtectedSessions(app, data_protection=protection)
    sealed = _cookie_of(fill())
    app, idle = _flask(lambda _: None, sealed)
    app.session_interface = _NoSessions()
    for name, touch in (("read", _read), ("written", _write)):
        app, theirs = _flask(touch, signed)
        assert isinstance(app.session_interface, SecureCookieSessionInterface)
        app, ours = _flask(touch, sealed)
        ProtectedSessions(app, data_protection=protection)
        yield _compared(f"Flask session {name}", ours, theirs, idle, goal=0.5)


# --- Django -------------------------------------------------------------------------------------------------


def _django_cases() -> Iterator[Case]:
    import django
    from django.conf import settings
    from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessions
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpResponse

    settings.configure(
        SECRET_KEY=SECRET,
        INSTALLED_APPS=["django.contrib.sessions", "dpmiddleware.django"],
        SESSION_ENGINE="dpmiddleware.django.sessions",
        DATA_PROTECTION=DataProtection("bench", repository="memory:"),
    )
    django.setup()
    from dpmiddleware.django.sessions import SessionMiddleware

    def request(middleware: type[Any] | None, touch: Touch, cookie: str = "") -> Request:
        def view(request: Any) -> Any:
            touch(getattr(request, "session", None))
            return HttpResponse(b"hello")

        handle = middleware(view) if middleware else view

        def run() -> list[str]:
            response = handle(WSGIRequest(_environ(cookie)))
            return [morsel.OutputString() for morsel in response.cookies.values()]

        return run

    sealed = _cookie_of(request(SessionMiddleware, _fill)())
    idle = request(None, lambda _: None, sealed)
    ours = {touch: request(SessionMiddleware, touch, sealed) for touch in (_read, _write)}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"  # read when a middleware is created
    signed = _cookie_of(request(DjangoSessions, _fill)())
    for name, touch in (("read", _read), ("written", _write)):
        theirs = request(DjangoSessions, touch, signed)
        yield _compared(f"Django session {name}", ours[touch], theirs, idle)


# --- Starlette ----------------------------------------------------------------------------------------------


class _Nowhere(asyncio.Transport):
    """A connection without a peer. Keeps what was written last."""

    def __init__(self) -> None:
        super().__init__()
        self.head = b""

    def write(self, data: Any) -> None:
        if data.startswith(b"HTTP/"):
            self.head = bytes(data)

    def is_closing(self) -> bool:
        return False


def _behind_uvicorn(app: Starlette, cookie: str = "") -> Request:
    """Requests on a connection that stays open."""
    loop = asyncio.new_event_loop()
    config = Config(app, lifespan="off", log_config=None, access_log=False, proxy_headers=False)
    config.load()
    state, transport = ServerState(), _Nowhere()
    protocol = H11Protocol(config, state, {}, loop)
    protocol.connection_made(transport)
    raw = f"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: a=1; theme=dark; {cookie}; z=9\r\n\r\n".encode()

    def run() -> list[str]:
        protocol.data_received(raw)
        loop.run_until_complete(next(iter(state.tasks)))
        lines = transport.head.decode("latin-1").split("\r\n")
        return [line.partition(": ")[2] for line in lines if line.lower().startswith("set-cookie:")]

    return run


def _starlette(touch: Touch, *middleware: Middleware) -> Starlette:
    async def view(request: StarletteRequest) -> PlainTextResponse:
        touch(request)
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", view)], middleware=middleware)


def _on_session(touch: Touch) -> Touch:
    return lambda request: touch(request.session)


class _UserInSession(AuthenticationBackend):
    """A sign-in on top of Starlette's own session."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.session.get("user")
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


def _starlette_cases() -> Iterator[Case]:
    protection = DataProtection("bench", repository="memory:")
    signing, sealing = Middleware(StarletteSessions, SECRET), Middleware(SessionMiddleware, data_protection=protection)
    signed = _cookie_of(_behind_uvicorn(_starlette(_on_session(_fill), signing))())
    sealed = _cookie_of(_behind_uvicorn(_starlette(_on_session(_fill), sealing))())
    idle = _behind_uvicorn(_starlette(lambda _: None), sealed)
    for name, touch in (("read", _read), ("written", _write)):
        ours = _behind_uvicorn(_starlette(_on_session(touch), sealing), sealed)
        theirs = _behind_uvicorn(_starlette(_on_session(touch), signing), signed)
        yield _compared(f"uvicorn session {name}", ours, theirs, idle)
    yield from _sign_in_cases(protection, idle)


def _sign_in_cases(protection: DataProtection, idle: Request) -> Iterator[Case]:
    tickets = Middleware(CookieAuthenticationMiddleware, data_protection=protection)
    signing = Middleware(StarletteSessions, SECRET)
    ada = Principal("ada", roles=["admin"], claims={"sub": "b7e23ec2-9af2-4c0b-8d5e-1f6a3c7d9e04"})
    now = datetime.now(timezone.utc)
    fresh = AuthenticationProperties(is_persistent=True)
    old = AuthenticationProperties(
        is_persistent=True, issued_utc=now - timedelta(days=10), expires_utc=now + timedelta(days=4)
    )

    def look(request: Any) -> None:
        assert request.user.is_authenticated

    def renew(request: Any) -> None:
        assert request.user.is_authenticated
        request.session["user"] = "ada"

    user = {"user": "ada", "roles": ["admin"], "sub": "b7e23ec2-9af2-4c0b-8d5e-1f6a3c7d9e04"}
    name = _cookie_of(_behind_uvicorn(_starlette(lambda request: request.session.update(user), signing))())
    authentication = Middleware(AuthenticationMiddleware, backend=_UserInSession())
    for case, properties, touch in (("read", fresh, look), ("renewed", old, renew)):

        def log_in(request: Any, properties: AuthenticationProperties = properties) -> None:
            sign_in(request, ada, properties)

        ticket = _cookie_of(_behind_uvicorn(_starlette(log_in, tickets))())
        ours = _behind_uvicorn(_starlette(look, tickets), ticket)
        theirs = _behind_uvicorn(_starlette(touch, signing, authentication), name)
        yield _compared(f"uvicorn sign-in {case}", ours, theirs, idle)
