"""Visits with the test client of Starlette and FastAPI, and with an ``AsyncClient`` of httpx."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from starlette.middleware import sessions as starlettes

from dpmiddleware import asgi
from dpmiddleware.asgi import Message, Receive, Scope, Send
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.testing.visits import Use, authentication_in, layers, longest, session_in, wrapped
from dpmiddleware.web.sign_in.authentication import RequestAuthentication

__all__ = ["Answered", "answered", "path_in", "scope_of", "visit"]

_KNOWN = (asgi.SessionMiddleware, asgi.CookieAuthenticationMiddleware, starlettes.SessionMiddleware)


def visit(client: Any, use: Use, base_url: str | None) -> int:
    """Make one request, and return the status of the response."""
    transport = getattr(client, "_transport", None)
    application = getattr(transport, "app", None)
    if application is None:
        raise ConfigurationError(
            f"this {type(client).__name__} sends its requests through a {type(transport).__name__}",
            hint="create it with transport=ASGITransport(app=app)",
        )
    request = _request(client, path_in(application), base_url)
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    scope = scope_of(urlsplit(str(request.url)), headers, getattr(transport, "root_path", ""))
    answer = answered(application, use, scope)
    library = sys.modules[type(request).__module__.partition(".")[0]]
    client.cookies.extract_cookies(library.Response(answer.status, headers=answer.headers, request=request))
    return answer.status


def _request(client: Any, path: str, base_url: str | None) -> Any:
    """A request with the client's cookies and headers."""
    url = type(client.base_url)(base_url) if base_url else client.base_url
    if not url.host:
        raise ConfigurationError(
            f"this {type(client).__name__} has no base_url", hint='pass base_url="http://testserver" to it, or here'
        )
    return client.build_request("GET", url.copy_with(path=path))


def answered(application: Any, use: Use, scope: Scope) -> Answered:
    """The response to a request that ``use`` looks at, inside the middleware of ``application``.

    It runs in an event loop of its own, in another thread, so that a test with a running event loop calls it, too.
    """
    answer = Answered()
    _run(wrapped(_used_by(use), _known_in(application)), scope, answer)
    return answer


def path_in(application: Any) -> str:
    """A path that the cookies of an application's middleware are sent to."""
    return longest([_path_of(layer) for layer in _known_in(application)])


def _known_in(application: Any) -> list[Any]:
    return [layer for layer in layers(application) if isinstance(layer, _KNOWN)]


def scope_of(url: SplitResult, headers: list[tuple[bytes, bytes]], root_path: str = "") -> Scope:
    """The scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": url.scheme,
        "path": root_path + url.path,
        "raw_path": url.path.encode(),
        "query_string": b"",
        "root_path": root_path,
        "headers": headers,
        "client": ("testclient", 50000),
        "server": (url.hostname, url.port or {"https": 443}.get(url.scheme, 80)),
        "state": {},
    }


def _path_of(middleware: Any) -> str | None:
    if isinstance(middleware, asgi.SessionMiddleware):
        return middleware.sessions.protected.settings.path
    if isinstance(middleware, asgi.CookieAuthenticationMiddleware):
        return middleware.authenticator.cookie.settings.path
    return str(middleware.path)


class Answered:
    """The response, as the server gets it."""

    status = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def __call__(self, message: Message) -> None:
        """Note the start of the response."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], tuple(message["headers"])


class _Request:
    """A request that has come through the middleware."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def session(self) -> MutableMapping[str, Any]:
        return session_in(self._scope, "session")

    def authentication(self) -> RequestAuthentication:
        return authentication_in(self._scope)


def _used_by(use: Use) -> Any:
    """An ASGI application that lets ``use`` look at the request."""

    async def application(scope: Scope, _: Receive, send: Send) -> None:
        use(_Request(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return application


async def _nothing() -> NoReturn:
    raise AssertionError("the request has no body")


def _run(application: Any, scope: Scope, send: Send) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            asyncio.run(application(scope, _nothing, send))
        except Exception as error:  # noqa: BLE001 (raised in the thread of the test)
            errors.append(error)

    thread = threading.Thread(target=run, name="dpmiddleware-visit")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
