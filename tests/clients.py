"""What tests of the web lane share: a clock that stands still, a cookie jar, and one small site in both shells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

from dpmiddleware import asgi, telemetry, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import RepositoryError
from dpmiddleware.keys.interfaces import Snapshot
from dpmiddleware.web.cookies.text import SetCookie, pairs
from dpmiddleware.web.sessions.session import Session
from tests import fakes

Headers = list[tuple[str, str]]


class StoppedClock(fakes.StoppedClock):
    """A day in March; moved by a time span."""

    def __init__(self) -> None:
        super().__init__(datetime(2026, 3, 1, 12, tzinfo=timezone.utc))

    def forward(self, span: timedelta) -> None:
        self.advance(days=span.days, seconds=span.seconds, microseconds=span.microseconds)


class Refusals:
    """How many payloads were refused since the test began, by reason."""

    def __init__(self) -> None:
        self._before = telemetry.counts()

    def __call__(self) -> dict[str, int]:
        counts = {key: count - self._before.get(key, 0) for key, count in telemetry.counts().items()}
        return {reason: count for (event, reason), count in counts.items() if event == "unprotect_refused" and count}


class DownRepository:
    """A store that nobody reaches."""

    location = "redis://keys.example:6379/0"

    def read(self) -> Snapshot:
        self._refuse()

    def version(self) -> str:
        self._refuse()

    def commit(self, **_: Any) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RepositoryError(f"{self.location} does not answer", hint="is it running?")


def set_cookies(headers: Iterable[tuple[str, str]]) -> list[SetCookie]:
    return [SetCookie.parse(value) for name, value in headers if name.lower() == "set-cookie"]


@dataclass
class Jar:
    """Cookies by name, as a browser would keep them for one host and path."""

    clock: StoppedClock
    cookies: dict[str, str] = field(default_factory=dict)

    def take(self, headers: Iterable[tuple[str, str]]) -> None:
        for cookie in set_cookies(headers):
            if "1970" in (cookie.attribute("expires") or "") or cookie.attribute("max-age") == "0":
                self.cookies.pop(cookie.name, None)
            else:
                assert len(cookie.name) + len(cookie.value) <= 4096, "browsers drop such a cookie"
                self.cookies[cookie.name] = cookie.value

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


@dataclass
class Answer:
    """What a site answered."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for each, value in self.headers if each.lower() == name)

    @property
    def cookies(self) -> list[SetCookie]:
        return set_cookies(self.headers)


@dataclass
class Request:
    """What a view gets: the session, where there is one, and the Cookie header that came through."""

    session: Session
    cookie: str | None
    response: Headers = field(default_factory=list)
    """Headers to answer with; a view adds to them."""

    @property
    def cookies(self) -> dict[str, str]:
        return dict(pairs((self.cookie or "").encode("latin-1")))


View = Callable[[Request], object]


class Site:
    """One view behind one of our middlewares, on WSGI or on ASGI, with a browser's jar."""

    def __init__(self, shell: str, middleware: str, dp: DataProtection, **options: Any) -> None:
        self.view: View = lambda request: None
        self.jar = Jar(StoppedClock())
        self._shell = shell
        module = asgi if shell == "asgi" else wsgi
        inner = self._asgi if shell == "asgi" else self._wsgi
        self.app: Any = getattr(module, middleware)(inner, data_protection=dp, **options)

    def get(self, view: View, *, cookie: str | None = None, https: bool = False) -> Answer:
        """One request; ``cookie``: this header in place of the jar's."""
        self.view = view
        header = self.jar.header if cookie is None else cookie
        answer = asyncio.run(self._ask_asgi(header, https)) if self._shell == "asgi" else self._ask_wsgi(header, https)
        self.jar.take(answer.headers)
        return answer

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        cookie = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"), None)
        request = Request(scope.get("session"), cookie)
        self.view(request)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.response]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    def _wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        request = Request(environ.get("dpmiddleware.session"), environ.get("HTTP_COOKIE"))
        self.view(request)
        start_response("200 OK", request.response)
        return [b"ok"]

    async def _ask_asgi(self, cookie: str, https: bool) -> Answer:
        sent: list[dict[str, Any]] = []
        headers = [(b"host", b"shop.example"), *([(b"cookie", cookie.encode("latin-1"))] if cookie else [])]
        scope = {"type": "http", "path": "/", "scheme": "https" if https else "http", "headers": headers}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, no_receive, send)
        out = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        return Answer(sent[0]["status"], out, b"".join(message.get("body", b"") for message in sent[1:]))

    def _ask_wsgi(self, cookie: str, https: bool) -> Answer:
        environ = {"wsgi.url_scheme": "https" if https else "http", **({"HTTP_COOKIE": cookie} if cookie else {})}
        return ask_wsgi(self.app, environ)


async def no_receive() -> NoReturn:
    raise AssertionError("nobody reads the request")


def ask_wsgi(app: Any, environ: Mapping[str, Any]) -> Answer:
    """Call a WSGI application as a server does."""
    started: list[tuple[str, Headers]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, exc_info: object = None) -> Callable[[bytes], None]:
        started[:] = [(status, headers)]
        return written.append

    body = app(dict(environ), start_response)
    try:
        written.extend(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    [(status, headers)] = started
    return Answer(int(status[:3]), headers, b"".join(written))
