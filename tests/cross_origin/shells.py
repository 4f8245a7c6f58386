"""The same small site in every shell: every path answers every method with 200, unless the request is refused.

A shell is a function of the options of cross-origin protection; what it returns takes a `Request` and returns the
`Told`. ``/marked`` and ``/marked-socket`` have the mark of an exempt route.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import fastapi
import flask
import quart
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import re_path
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from dpmiddleware import asgi, starlette, wsgi
from dpmiddleware import flask as ours_flask
from dpmiddleware import quart as ours_quart
from dpmiddleware.cross_origin import cross_origin_exempt

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]
ACCEPTED: Final = 101
CLOSED: Final = 403
"""A websocket that is closed before it was accepted: servers answer 403."""
ENDS: Final = {"http.response.body", "websocket.http.response.body", "websocket.accept", "websocket.close"}
"""Messages after which a client of these tests has its answer."""
MIDDLEWARE: Final = ["dpmiddleware.django.CrossOriginProtectionMiddleware"]


@dataclass
class Request:
    """One request as it arrives."""

    method: str = "POST"
    path: str = "/t"
    scheme: str = "https"
    host: str = "app.example"
    headers: list[tuple[str, str]] = field(default_factory=list)
    websocket: bool = False
    extensions: dict[str, Any] = field(default_factory=dict)

    def environ(self) -> dict[str, Any]:
        """As a WSGI server describes it; lines of the same name are joined."""
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "RAW_URI": self.path,
            "QUERY_STRING": query,
            "SERVER_NAME": "backend",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        if self.host:
            environ["HTTP_HOST"] = self.host
        if self.websocket:
            environ |= {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
        for name, value in self.headers:
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def scope(self) -> dict[str, Any]:
        """As an ASGI server describes it."""
        path, _, query = self.path.partition("?")
        host = [(b"host", self.host.encode())] if self.host else []
        scheme = {"https": "wss", "http": "ws"}[self.scheme] if self.websocket else self.scheme
        return {
            "type": "websocket" if self.websocket else "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": scheme,
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [*host, *((name.lower().encode(), value.encode("utf-8")) for name, value in self.headers)],
            "extensions": self.extensions,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            **({"subprotocols": []} if self.websocket else {"method": self.method}),
        }


@dataclass
class Told:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    messages: list[dict[str, Any]] = field(default_factory=list)


Ask = Callable[[Request], Told]


def ask_wsgi(app: Any) -> Ask:
    """Requests to a WSGI application."""

    def ask(request: Request) -> Told:
        started: list[Any] = []
        body = app(request.environ(), lambda *answer: started.extend(answer))
        whole = b"".join(body)
        headers = {name.lower(): value for name, value in started[1]}
        return Told(int(started[0].partition(" ")[0]), headers, whole)

    return ask


def ask_asgi(app: Any) -> Ask:
    """Requests to an ASGI application."""

    def ask(request: Request) -> Told:
        messages: list[dict[str, Any]] = []
        waiting = [{"type": "websocket.connect"} if request.websocket else {"type": "http.request", "body": b""}]
        end = {"type": "websocket.disconnect", "code": 1000} if request.websocket else {"type": "http.disconnect"}

        async def serve() -> None:
            answered = asyncio.Event()

            async def receive() -> Any:
                if waiting:
                    return waiting.pop(0)
                await answered.wait()  # the client goes when it has its answer, and some applications wait for that
                return end

            async def send(message: Any) -> None:
                messages.append(message)
                if message["type"] in ENDS and not message.get("more_body"):
                    answered.set()

            await app(request.scope(), receive, send)

        asyncio.run(serve())
        return told_by(messages)

    return ask


def told_by(messages: list[dict[str, Any]]) -> Told:
    """The answer in the messages that an application has sent."""
    first = messages[0]
    status = {"websocket.accept": ACCEPTED, "websocket.close": CLOSED}.get(first["type"]) or first["status"]
    headers = {name.decode().lower(): value.decode() for name, value in first.get("headers", ())}
    return Told(status, headers, b"".join(message.get("body", b"") for message in messages), messages)


# --- sites ------------------------------------------------------------------------------------------------------------


def on_wsgi(**options: Any) -> Ask:
    def site(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"page"]

    return ask_wsgi(wsgi.CrossOriginProtectionMiddleware(site, **options))


def on_asgi(**options: Any) -> Ask:
    async def site(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    return ask_asgi(asgi.CrossOriginProtectionMiddleware(site, **options))


def on_starlette(**options: Any) -> Ask:
    async def page(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    @cross_origin_exempt
    async def marked(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("marked")

    @cross_origin_exempt
    async def marked_socket(websocket: WebSocket) -> None:
        await websocket.accept()

    inner = [Route("/inner", marked, methods=METHODS), Route("/{path:path}", page, methods=METHODS)]
    app = Starlette(
        routes=[
            Route("/marked", marked, methods=METHODS),
            Mount("/mounted", routes=inner),
            Route("/{path:path}", page, methods=METHODS),
            WebSocketRoute("/marked-socket", marked_socket),
            WebSocketRoute("/{path:path}", socket),
        ]
    )
    app.add_middleware(starlette.CrossOriginProtectionMiddleware, **options)
    return ask_asgi(app)


def on_fastapi(**options: Any) -> Ask:
    app = fastapi.FastAPI()
    router, inner = fastapi.APIRouter(), fastapi.APIRouter()

    @router.api_route("/marked", methods=METHODS)
    @cross_origin_exempt
    def marked() -> str:
        return "marked"

    @router.websocket("/marked-socket")
    @cross_origin_exempt
    async def marked_socket(websocket: WebSocket) -> None:
        await websocket.accept()

    @router.websocket("/{path:path}")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    inner.add_api_route("/inner", marked, methods=METHODS)
    app.include_router(inner, prefix="/mounted")
    app.include_router(router)
    app.add_api_route("/{path:path}", lambda path: "page", methods=METHODS)
    app.add_middleware(starlette.CrossOriginProtectionMiddleware, **options)
    return ask_asgi(app)


def on_flask(**options: Any) -> Ask:
    app = flask.Flask("site")
    ours_flask.CrossOriginProtection(app, **options)
    marked = cross_origin_exempt(lambda: "marked")
    inner = flask.Blueprint("inner", "site", url_prefix="/mounted")
    inner.add_url_rule("/inner", "inner", marked, methods=METHODS)
    app.register_blueprint(inner)
    app.add_url_rule("/marked", "marked", marked, methods=METHODS)
    app.add_url_rule("/<path:path>", "page", lambda path: "page", methods=METHODS)
    return ask_wsgi(app)


def on_quart(**options: Any) -> Ask:
    app = quart.Quart("site")
    ours_quart.CrossOriginProtection(app, **options)

    async def page(path: str = "") -> str:
        return "page"

    async def socket(path: str = "") -> None:
        await quart.websocket.accept()

    @cross_origin_exempt
    async def marked() -> str:
        return "marked"

    @cross_origin_exempt
    async def marked_socket() -> None:
        await quart.websocket.accept()

    app.add_url_rule("/marked", "marked", marked, methods=METHODS)
    app.add_url_rule("/mounted/inner", "inner", marked, methods=METHODS)
    app.add_url_rule("/<path:path>", "page", page, methods=METHODS)
    app.add_websocket("/marked-socket", "marked_socket", marked_socket)
    app.add_websocket("/<path:path>", "socket", socket)
    return ask_asgi(app)


def django_settings(**options: Any) -> override_settings:
    """A site in Django. middleware: what comes after ours."""
    after = options.pop("middleware", [])
    more = options.pop("settings", {})
    marked = cross_origin_exempt(lambda request: HttpResponse("marked"))

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    return override_settings(
        ROOT_URLCONF=(re_path("^marked$", marked), re_path("^mounted/inner$", marked), re_path("", page)),
        MIDDLEWARE=[*MIDDLEWARE, *after],
        DATA_PROTECTION_CROSS_ORIGIN=options,
        DATA_PROTECTION={"application": "site", "repository": "memory:"},
        ALLOWED_HOSTS=["*"],
        **more,
    )


def on_django(**options: Any) -> Ask:
    settings = django_settings(**options)
    with settings:
        ask = ask_wsgi(WSGIHandler())
    return within(settings, ask)


def on_django_asgi(**options: Any) -> Ask:
    settings = django_settings(**options)
    with settings:
        ask = ask_asgi(ASGIHandler())
    return within(settings, ask)


def within(settings: override_settings, ask: Ask) -> Ask:
    """Requests while these settings are in force."""

    def ask_with_settings(request: Request) -> Told:
        with settings:
            return ask(request)

    return ask_with_settings


SHELLS: Final = {
    shell.__name__.removeprefix("on_"): shell
    for shell in (on_wsgi, on_asgi, on_starlette, on_fastapi, on_flask, on_quart, on_django, on_django_asgi)
}
WITH_ROUTES: Final = [name for name in SHELLS if name not in {"wsgi", "asgi"}]
WITH_WEBSOCKETS: Final = ["asgi", "starlette", "fastapi", "quart"]
FOREIGN: Final = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://attacker.example")]
OWN: Final = [("Sec-Fetch-Site", "same-origin"), ("Origin", "https://app.example")]
