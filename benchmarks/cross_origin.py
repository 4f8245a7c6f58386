"""What cross-origin protection adds to a request: nothing to safe ones, and less than 2 µs to a POST of the own page.

The same application is measured with and without it, in turns. Applications are bare (WSGI, ASGI) or a framework's,
where a request is complete. The headers are those of Chromium.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.asgi_request import serve
from benchmarks.harness import best_of
from dpmiddleware import asgi, wsgi
from dpmiddleware.flask import CrossOriginProtection

__all__ = ["report"]

GOALS: Final = {"WSGI": (0.5, 2.0), "ASGI": (0.5, 2.0), "Starlette": (1.0, 3.0), "Flask": (2.0, 5.0)}
"""Microseconds that may be added to a safe and to an unsafe request. Flask's own call of a function before each request
takes one, and inside a framework caches are cold.
"""
OF_CHROMIUM: Final = {
    "host": "shop.example",
    "connection": "keep-alive",
    "content-length": "9",
    "cache-control": "max-age=0",
    "sec-ch-ua": '"Chromium";v="156", "Not)A;Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "origin": "https://shop.example",
    "content-type": "application/x-www-form-urlencoded",
    "upgrade-insecure-requests": "1",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "referer": "https://shop.example/basket",
    "accept-encoding": "gzip, deflate, br, zstd",
    "cookie": "theme=dark; session=CfDJ8",
}
_RAW: Final = [(name.encode(), value.encode()) for name, value in OF_CHROMIUM.items()]
_ENVIRON: Final = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in OF_CHROMIUM.items()} | {
    "PATH_INFO": "/",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "shop.example",
    "SERVER_PORT": "443",
    "wsgi.url_scheme": "https",
}
Call = Callable[[], object]


def _on_wsgi(app: Any, method: str) -> Call:
    def run() -> None:
        environ = {**_ENVIRON, "REQUEST_METHOD": method, "wsgi.input": io.BytesIO()}
        for _ in app(environ, lambda *_: None):
            pass

    return run


def _on_asgi(app: Any, method: str) -> Call:
    def run() -> None:
        scope = {
            "type": "http",
            "method": method,
            "path": "/",
            "root_path": "",
            "query_string": b"",
            "scheme": "https",
            "headers": list(_RAW),
        }
        serve(app, scope)

    return run


def _bare_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


async def _bare_asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def _flask(*, protected: bool) -> Any:
    app = flask.Flask("shop")
    app.add_url_rule("/", view_func=lambda: "hello", methods=["GET", "POST"])
    if protected:
        CrossOriginProtection(app)
    return app


def _starlette() -> Starlette:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", page, methods=["GET", "POST"])])


def _pairs() -> Iterator[tuple[str, Callable[[Any, str], Call], Any, Any]]:
    """Name, how to call it, the application with protection, and without."""
    starlette = _starlette()
    yield "WSGI", _on_wsgi, wsgi.CrossOriginProtectionMiddleware(_bare_wsgi), _bare_wsgi
    yield "ASGI", _on_asgi, asgi.CrossOriginProtectionMiddleware(_bare_asgi), _bare_asgi
    yield "Starlette", _on_asgi, asgi.CrossOriginProtectionMiddleware(starlette), starlette
    yield "Flask", _on_wsgi, _flask(protected=True), _flask(protected=False)


def _added(ours: Call, theirs: Call) -> tuple[float, float]:
    """Microseconds that ours takes longer, and those of theirs. Of each, the best of many rounds counts."""
    best, best_without = best_of([ours, theirs])
    return (best - best_without) * 1e6, best_without * 1e6


def report() -> tuple[str, bool]:
    """A table, and whether the goals were reached."""
    lines = [f"\n{'cross-origin protection':34} {'without µs':>10} {'added µs':>9} {'goal':>5}"]
    reached = True
    for name, call, protected, plain in _pairs():
        for method, goal in zip(("GET", "POST"), GOALS[name], strict=True):
            added, without = _added(call(protected, method), call(plain, method))
            reached &= added <= goal
            mark = " " if added <= goal else "!"
            lines.append(f"{name + ', ' + method:34} {without:10.1f} {added:9.2f} {goal:5.1f} {mark}")
    return "\n".join(lines), reached
