"""The middleware for any ASGI application: HTTP and websockets, on asyncio and trio.

Nothing waits on the event loop. Before it calls the application, a middleware reads the key ids that the request's
cookies name in clear, and where one of them would make a payload wait (no ring yet, an unknown key), it waits in a
worker thread. Cookies are sealed before the response starts; on a websocket they go out with ``websocket.accept``.

Where there is no ring, a request that needs one is answered 503 with ``Retry-After`` (a websocket is closed, 1013): an
outage is never "anonymous", and signs nobody out.

Before: the server. After: `dpmiddleware.web.cookies`, then the application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import timedelta
from typing import Any, Final, Unpack

from starlette.concurrency import run_in_threadpool

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys.interfaces import Clock
from dpmiddleware.web.cookie_protection import CookieProtection, ProtectionOptions
from dpmiddleware.web.cookies import CookieSettings
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE, Exchange
from dpmiddleware.web.session import JSON, ValueFormat
from dpmiddleware.web.session_cookie import SessionCookie

__all__ = ["CookieProtectionMiddleware", "SessionMiddleware", "cookie_header", "is_https"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_STARTS: Final = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
"""Messages that carry a response's headers."""
_TRY_AGAIN_LATER: Final = 1013


class _Middleware:
    """What all of them do: wait off the event loop, finish the exchange before the response starts, answer outages."""

    def __init__(self, app: ASGIApp, data_protection: DataProtection) -> None:
        self.app = app
        self.data_protection = data_protection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection. At the start-up of a lifespan the ring begins to load."""
        if scope["type"] not in {"http", "websocket"}:
            if scope["type"] == "lifespan":
                self.data_protection.start()
            await self.app(scope, receive, send)
            return
        response = _Response(self.data_protection, send)
        try:
            await self.serve(scope, receive, response)
            response.raise_failure()
        except KeyManagementError as error:
            if response.started or not response.is_outage(error):
                raise
            await _unavailable(scope, send, error)

    async def serve(self, scope: Scope, receive: Receive, response: _Response) -> None:
        """Begin the exchange, and call the application with ``response`` in place of ``send``."""
        raise NotImplementedError

    async def wait(self, key_ids: Sequence[bytes]) -> None:
        """Wait for the ring, in a worker thread, where opening payloads of these keys would. `KeyManagementError`."""
        for key_id in key_ids:
            if self.data_protection.wait_is_due(key_id):
                await run_in_threadpool(self.data_protection.wait, key_id)


class _Response:
    """``send`` for the application. ``exchange`` is finished once, with the headers of the response."""

    def __init__(self, data_protection: DataProtection, send: Send) -> None:
        self.exchange: Exchange | None = None
        self.started = False
        self.failure: KeyManagementError | None = None
        """What came of the ring while the exchange began or finished; it outlives an application that catches it."""
        self._data_protection = data_protection
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] in _STARTS and not self.started:
            if self.exchange is not None and not self.exchange.untouched:
                message = {**message, "headers": await self._finished(message.get("headers", ()), self.exchange)}
            elif self.exchange is not None:
                self.exchange.close()
            self.started = True
        await self._send(message)

    async def _finished(self, raw: Sequence[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
        self.raise_failure()
        try:
            if self._data_protection.wait_is_due(None):
                headers = await run_in_threadpool(exchange.finish, headers)
            else:
                headers = exchange.finish(headers)
        except KeyManagementError as error:
            self.failure = error
            raise
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

    def raise_failure(self) -> None:
        """Raise what failed before, unless the response is out."""
        if self.failure is not None and not self.started:
            raise self.failure

    def is_outage(self, error: KeyManagementError) -> bool:
        """Whether there is no ring; else an application's own dealings with keys went wrong, and it is its error."""
        return error is self.failure or not self._data_protection.health().ready


async def _unavailable(scope: Scope, send: Send, error: KeyManagementError) -> None:
    """503, or what comes next to it on a websocket."""
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "try again later"})
        return
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in RETRY_AFTER]
    await send({"type": f"{prefix}.response.start", "status": 503, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": UNAVAILABLE})


class SessionMiddleware(_Middleware):
    """``scope["session"]`` (Starlette: ``request.session``): a dictionary, kept in a protected cookie.

    cookie: its name, or all of its settings. idle, absolute: see `SessionCookie`. Works for every framework that
    leaves the scope as it is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        data_protection: DataProtection,
        cookie: CookieSettings | str = "session",
        idle: timedelta | None = timedelta(days=14),
        absolute: timedelta | None = None,
        value_format: ValueFormat = JSON,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(app, data_protection)
        settings = CookieSettings(cookie) if isinstance(cookie, str) else cookie
        self.sessions = SessionCookie(
            data_protection, settings, idle=idle, absolute=absolute, value_format=value_format, clock=clock
        )

    async def serve(self, scope: Scope, receive: Receive, response: _Response) -> None:
        """Put the session into the scope; it is opened when somebody touches it."""
        header = cookie_header(scope)
        failure = None
        try:
            await self.wait(self.sessions.key_ids(header))
        except KeyManagementError as error:
            failure = error  # raised when the session is touched: other pages go on
        exchange = self.sessions.begin(header, https=is_https(scope), failure=failure)
        response.exchange = exchange
        scope["session"] = exchange.session
        try:
            await self.app(scope, receive, response)
        finally:
            response.failure = response.failure or exchange.session.failure


class CookieProtectionMiddleware(_Middleware):
    """Wraps cookies of an application that knows nothing of it: ``cookies=["sid", "auth*"]``.

    Options: those of `dpmiddleware.web.cookie_protection.ProtectionOptions`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        data_protection: DataProtection,
        cookies: Sequence[str],
        **options: Unpack[ProtectionOptions],
    ) -> None:
        super().__init__(app, data_protection)
        self.protection = CookieProtection(data_protection, cookies, **options)

    async def serve(self, scope: Scope, receive: Receive, response: _Response) -> None:
        """Open wrapped cookies into the Cookie header, and seal those that the application sets."""
        header = cookie_header(scope)
        try:
            await self.wait(self.protection.key_ids(header))
            exchange = self.protection.begin(header, https=is_https(scope))
        except KeyManagementError as error:
            response.failure = error
            raise
        response.exchange = exchange
        if exchange.header is not header:
            others = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
            scope = {**scope, "headers": [*others, (b"cookie", exchange.header)] if exchange.header else others}
        await self.app(scope, receive, response)


def cookie_header(scope: Scope) -> bytes:
    """The Cookie header of a connection; several lines (HTTP/2 may cut it) as one."""
    lines = [value for name, value in scope["headers"] if name == b"cookie"]
    return lines[0] if len(lines) == 1 else b"; ".join(lines)


def is_https(scope: Scope) -> bool:
    """Whether the connection is encrypted, as the server (or a proxy that it trusts) says."""
    return scope.get("scheme") in {"https", "wss"}
