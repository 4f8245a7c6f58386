"""The middleware for any ASGI application: HTTP and websockets, on asyncio and trio.

Nothing waits on the event loop. Before it calls the application, a middleware reads the key ids that the request's
cookies name in clear, and where one of them would make a payload wait (no ring yet, an unknown key), it waits in a
worker thread. Cookies are sealed before the response starts; on a websocket they go out with ``websocket.accept``.

Where there is no ring, a request that needs one is answered 503 with ``Retry-After`` (a websocket is closed, 1013): an
outage is never "anonymous", and signs nobody out.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, Unpack

from starlette.concurrency import run_in_threadpool
from werkzeug.local import LocalProxy

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.caching import decoded, encoded
from dpmiddleware.web.cookies.application_cookies import CookieProtection, ProtectionOptions
from dpmiddleware.web.cookies.policy import CookiePolicy
from dpmiddleware.web.cookies.text import SameSite, SecurePolicy
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE, RawExchange
from dpmiddleware.web.sessions.cookie import SessionCookie, SessionExchange, SessionOptions
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sign_in.authentication import (
    AUTHENTICATION_KEY,
    PRINCIPAL_KEY,
    CookieAuthentication,
    CookieAuthenticator,
)
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.redirects import without_body
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.steps import Steps

__all__ = [
    "AUTHENTICATION_KEY",
    "PRINCIPAL_KEY",
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "SessionMiddleware",
    "cookie_header",
    "is_https",
]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_T = TypeVar("_T")
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_STARTS: Final = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
"""Messages that carry a response's headers."""
_TRY_AGAIN_LATER: Final = 1013
_ENCRYPTED: Final = {"https", "wss"}


class _Middleware:
    """What all of them do: wait off the event loop, finish the exchange before the response starts, answer outages."""

    def __init__(self, app: ASGIApp, data_protection: DataProtection) -> None:
        self.app = app
        self.data_protection = data_protection
        self._wait_is_due = data_protection.provider.wait_is_due
        self._response: type[_Response] = _Response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection. At the start-up of a lifespan the ring begins to load."""
        if scope["type"] not in {"http", "websocket"}:
            if scope["type"] == "lifespan":
                self.data_protection.start()
            await self.app(scope, receive, send)
            return
        response = self._response(self.data_protection, send)
        try:
            await self.serve(scope, receive, response)
            if not response.started:
                response.raise_failure()
        except KeyManagementError as error:
            if response.started or not response.is_outage(error):
                raise
            await _unavailable(scope, send, error)

    def serve(self, scope: Scope, receive: Receive, response: _Response) -> Awaitable[None]:
        """Begin the exchange, and call the application with ``response`` in place of ``send``."""
        raise NotImplementedError

    async def wait(self, key_ids: Sequence[bytes]) -> None:
        """Wait for the ring, in a worker thread, where opening payloads of these keys would. `KeyManagementError`."""
        for key_id in key_ids:
            if self._wait_is_due(key_id):
                await run_in_threadpool(self.data_protection.wait, key_id)


class _Response:
    """``send`` for the application. ``exchange`` is finished once, with the headers of the response."""

    __slots__ = ("_data_protection", "_send", "exchange", "failure", "started")

    def __init__(self, data_protection: DataProtection, send: Send) -> None:
        self.exchange: RawExchange | None = None
        self.started = False
        self.failure: KeyManagementError | None = None
        """What came of the ring while the exchange began or finished; it outlives an application that catches it."""
        self._data_protection = data_protection
        self._send = send

    def __call__(self, message: Message) -> Awaitable[None]:
        """What is to be awaited; a coroutine of our own only where something has to be waited for."""
        if self.started or message["type"] not in _STARTS:
            return self._send(message)
        exchange = self.exchange
        if exchange is not None:
            if exchange.untouched:
                exchange.close()
            elif self._data_protection.provider.wait_is_due(None):
                return self._finish_in_thread(message, exchange)
            else:
                message = self._finished(message, exchange)
        self.started = True
        return self._send(message)

    async def _finish_in_thread(self, message: Message, exchange: RawExchange) -> None:
        message = await run_in_threadpool(self._finished, message, exchange)
        self.started = True
        await self._send(message)

    def _finished(self, message: Message, exchange: RawExchange) -> Message:
        self.raise_failure()
        try:
            return {**message, "headers": exchange.finish_raw(list(message.get("headers", ())))}
        except KeyManagementError as error:
            self.failure = error
            raise

    async def wait(self) -> None:
        """Wait for a ring to protect with, in a worker thread, where there is none or its version is in doubt."""
        if self._data_protection.wait_is_due(None):
            await run_in_threadpool(self._data_protection.wait, None)

    def raise_failure(self) -> None:
        """Raise what failed before, if something did."""
        failure = self._any_failure()
        if failure is not None:
            raise failure

    def is_outage(self, error: KeyManagementError) -> bool:
        """Whether there is no ring; else an application's own dealings with keys went wrong, and it is its error."""
        return error is self._any_failure() or not self._data_protection.health().ready

    def _any_failure(self) -> KeyManagementError | None:
        return self.failure or (None if self.exchange is None else self.exchange.failure)


async def _unavailable(scope: Scope, send: Send, error: KeyManagementError) -> None:
    """503, or what comes next to it on a websocket."""
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "try again later"})
        return
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{prefix}.response.start", "status": 503, "headers": encoded(RETRY_AFTER)})
    await send({"type": f"{prefix}.response.body", "body": UNAVAILABLE})


class SessionMiddleware(_Middleware):
    """``scope["session"]`` (Starlette: ``request.session``): a dictionary, kept in a protected cookie.

    Options: those of `dpmiddleware.web.sessions.cookie.SessionCookie`. Works for every framework that leaves the scope
    as it is.
    """

    def __init__(self, app: ASGIApp, *, data_protection: DataProtection, **options: Unpack[SessionOptions]) -> None:
        super().__init__(app, data_protection)
        self.sessions = SessionCookie(data_protection, **options)

    def serve(self, scope: Scope, receive: Receive, response: _Response) -> Awaitable[None]:
        """Put the session into the scope; it is opened when somebody touches it."""
        exchange = self.sessions.begin(cookie_header(scope), https=scope.get("scheme") in _ENCRYPTED)
        response.exchange = exchange
        scope["session"] = exchange.session
        if AUTHENTICATION_KEY in scope:
            scope[AUTHENTICATION_KEY].attach(exchange.session)
        for key_id in (key_ids := self.sessions.key_ids(exchange.header, exchange.located)):
            if self._wait_is_due(key_id):
                return self._serve_later(scope, receive, response, exchange, key_ids)
        return self.app(scope, receive, response)

    async def _serve_later(
        self, scope: Scope, receive: Receive, response: _Response, exchange: SessionExchange, key_ids: Sequence[bytes]
    ) -> None:
        try:
            await self.wait(key_ids)
        except KeyManagementError as error:
            exchange.session.failure = error  # raised when the session is touched: other pages go on
        await self.app(scope, receive, response)


class CookieProtectionMiddleware(_Middleware):
    """Wraps cookies of an application that knows nothing of it: ``cookies=["sid", "auth*"]``.

    Options: those of `dpmiddleware.web.cookies.application_cookies.ProtectionOptions`.
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


class CookieAuthenticationMiddleware(_Middleware):
    """Who is signed in: ``scope["dpmiddleware.principal"]``; and ``scope["dpmiddleware.authentication"]`` to change it.

    Options: those of `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Goes around or inside of
    `SessionMiddleware`; a ticket is read ahead of the application where a store or an event has to be waited for.
    """

    def __init__(self, app: ASGIApp, *, data_protection: DataProtection, **options: Unpack[OptionArguments]) -> None:
        super().__init__(app, data_protection)
        self.authenticator = CookieAuthenticator(data_protection, CookieAuthenticationOptions(**options))
        self._response = _SignInResponse

    def serve(self, scope: Scope, receive: Receive, response: _Response) -> Awaitable[None]:
        """Put the authentication into the scope; the user is read when somebody looks."""
        header = cookie_header(scope)
        where = (scope.get("path", ""), scope.get("root_path", ""))  # as they are here: routers change them
        describe = partial(self._describe, scope, receive, header, where)
        authentication = CookieAuthentication(self.authenticator, header, is_https(scope), describe)
        response.exchange = scope[AUTHENTICATION_KEY] = authentication
        self.place(scope, authentication)
        if isinstance(session := scope.get("session"), Session):
            authentication.attach(session)
        for key_id in authentication.key_ids:
            if self._wait_is_due(key_id):
                return self._serve_later(scope, receive, response, authentication)
        if authentication.must_read_ahead:
            return self._serve_later(scope, receive, response, authentication)
        return self.app(scope, receive, response)

    async def _serve_later(
        self, scope: Scope, receive: Receive, response: _Response, authentication: CookieAuthentication
    ) -> None:
        try:
            await self.wait(authentication.key_ids)
            if authentication.must_read_ahead:
                await _drive(authentication.authenticate())
        except KeyManagementError as error:
            authentication.failure = error  # raised when the user is looked at: other pages go on
        await self.app(scope, receive, response)

    def _describe(self, scope: Scope, receive: Receive, header: bytes, where: tuple[str, str]) -> WebRequest:
        return _web_request(scope, header, *where, self.native(scope, receive))

    def place(self, scope: Scope, authentication: CookieAuthentication) -> None:
        """Where the application finds the user."""
        scope[PRINCIPAL_KEY] = LocalProxy(lambda: authentication.principal)

    def native(self, scope: Scope, receive: Receive) -> Any:
        """What events are given as the request."""
        return scope


class _SignInResponse(_Response):
    """Sign-in, sign-out and redirects are done before the response starts; they may wait for a store or an event."""

    _is_replaced = False
    """A redirect has taken the place of what the application wrote."""

    def __call__(self, message: Message) -> Awaitable[None]:
        """The same; where more has to be asked or waited for, it is, and a redirect takes the place of the body."""
        if self.started or message["type"] not in _STARTS:
            return self._send(_without_data(message) if self._is_replaced else message)
        authentication = self.exchange
        if isinstance(authentication, CookieAuthentication) and authentication.has_more_to_do:
            return self._start(message, authentication)
        return _Response.__call__(self, message)

    async def _start(self, message: Message, authentication: CookieAuthentication) -> None:
        headers = decoded(message.get("headers", ()))
        try:
            await self.wait()
            outcome = await _drive(authentication.finish(message.get("status", 101), headers))
        except KeyManagementError as error:
            self.failure = error
            raise
        self._is_replaced = outcome.replaces_body
        headers = without_body(outcome.headers) if outcome.replaces_body else outcome.headers
        status = {"status": outcome.status} if "status" in message else {}
        self.started = True
        await self._send({**message, "headers": encoded(headers), **status})


def _without_data(message: Message) -> Message:
    """A message of the body that the application wrote, where a redirect has taken its place."""
    kind = "http.response.body" if message["type"].startswith("http") else message["type"]
    return {"type": kind, "more_body": message.get("more_body", False)}


class CookiePolicyMiddleware:
    """The least that every cookie of an application must keep to; put it around all others.

    Options: those of `dpmiddleware.web.cookies.policy.CookiePolicy`.
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
        """One connection."""

        async def apply(message: Message) -> None:
            headers = message.get("headers", ()) if message["type"] in _STARTS else ()
            if any(name.lower() == b"set-cookie" for name, _ in headers):
                applied = self.policy.apply(decoded(headers), https=is_https(scope))
                message = {**message, "headers": encoded(applied)}
            await send(message)

        await self.app(scope, receive, apply)


async def _drive(steps: Steps[_T]) -> _T:
    """Do all that ``steps`` need: coroutine functions are awaited, plain ones run in a worker thread."""
    try:
        call = next(steps)
        while True:
            try:
                if inspect.iscoroutinefunction(call.function):
                    answer = await call.function(*call.arguments)
                else:
                    answer = await run_in_threadpool(call.function, *call.arguments)
                    answer = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:  # noqa: BLE001 (the steps decide; what they do not catch comes back out)
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as stop:
        result: _T = stop.value
        return result


def _web_request(scope: Scope, header: bytes, path: str, base: str, native: Any) -> WebRequest:
    base = base.rstrip("/")
    if base and (path == base or path.startswith(f"{base}/")):
        path = path[len(base) :]
    asked = b", ".join(value for name, value in scope["headers"] if name == b"x-requested-with")
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    return WebRequest(header, is_https(scope), base, path, query, asked.decode("latin-1"), native)


def cookie_header(scope: Scope) -> bytes:
    """The Cookie header of a connection; several lines (HTTP/2 may cut it) as one."""
    header: bytes = b""
    for name, value in scope["headers"]:
        if name == b"cookie":
            header = header + b"; " + value if header else value
    return header


def is_https(scope: Scope) -> bool:
    """Whether the connection is encrypted, as the server (or a proxy that it trusts) says."""
    return scope.get("scheme") in _ENCRYPTED
