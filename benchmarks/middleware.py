"""The cost of a session in a bare ASGI application: ours (encrypted) against Starlette's own (signed).

The coroutines are stepped directly, without a server and an event loop. The application uses ``request.session``. The
time of a request without a session is subtracted from both.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.requests import Request

from benchmarks.asgi_request import serve
from benchmarks.harness import Case
from benchmarks.payloads import SECRET, SESSION
from dpmiddleware import DataProtection
from dpmiddleware.asgi import ASGIApp, Message, Receive, Scope, Send, SessionMiddleware

__all__ = ["cases"]


def _application(touch: Callable[[Request], object]) -> ASGIApp:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        touch(Request(scope))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


def _stepped(app: ASGIApp, cookie: str, *send: Send) -> Callable[[], object]:
    """One request. send: gets the response; by default, nobody does."""
    raw = [(b"host", b"shop.example"), (b"accept", b"*/*"), (b"cookie", f"a=1; theme=dark; {cookie}; z=9".encode())]
    return lambda: serve(
        app, {"type": "http", "method": "GET", "path": "/", "scheme": "https", "headers": list(raw)}, *send
    )


def _read(request: Request) -> object:
    return request.session["user"]


def _write(request: Request) -> None:
    session = request.session
    session["locale"] = "de-AT" if session["locale"] == "de-CH" else "de-CH"


def cases() -> Iterator[Case]:
    """A session that is not used, read, or written."""
    protection = DataProtection("bench", repository="memory:")
    signed = TimestampSigner(SECRET).sign(base64.b64encode(json.dumps(SESSION).encode())).decode()
    sealed = _our_cookie(protection)
    plain = _stepped(_application(lambda _: None), f"session={sealed}")
    for name, touch, goal in (("untouched", lambda _: None, 0.2), ("read", _read, 1.0), ("written", _write, 1.0)):
        ours = _stepped(SessionMiddleware(_application(touch), data_protection=protection), f"session={sealed}")
        theirs = _stepped(StarletteSessions(_application(touch), SECRET), f"session={signed}")
        yield Case(f"session {name}, added", ours, theirs, goal, "Starlette, signing", plain)


def _our_cookie(protection: DataProtection) -> str:
    """The value of the cookie that our middleware sets for `SESSION`."""
    lines: list[str] = []

    async def keep(message: Message) -> None:
        lines.extend(value.decode() for name, value in message.get("headers", ()) if name == b"set-cookie")

    protection.create_protector("warm").protect("up")
    app = SessionMiddleware(_application(lambda request: request.session.update(SESSION)), data_protection=protection)
    _stepped(app, "b=2", keep)()
    return lines[0].partition("=")[2].partition(";")[0]
