"""The middleware for any WSGI application.

Headers are held back until the application has returned its body (a generator: its first piece), so a session may be
changed after ``start_response``, and cookies are sealed before the response starts. Where there is no ring, a request
that needs one is answered 503 with ``Retry-After``: an outage is never "anonymous", and signs nobody out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Final, Unpack

from werkzeug.local import LocalProxy

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.caching import Headers
from dpmiddleware.web.cookies.application_cookies import CookieProtection, ProtectionOptions
from dpmiddleware.web.cookies.policy import CookiePolicy
from dpmiddleware.web.cookies.text import SameSite, SecurePolicy
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE, TextExchange
from dpmiddleware.web.sessions.cookie import SessionCookie, SessionOptions
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
from dpmiddleware.web.sign_in.steps import drive

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "AUTHENTICATION_KEY",
    "PRINCIPAL_KEY",
    "SESSION_KEY",
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "SessionMiddleware",
    "cookie_header",
    "is_https",
    "web_request",
]

SESSION_KEY: Final = "dpmiddleware.session"
"""Where the session stands in the environment."""

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
Write = Callable[[bytes], object]


class _Middleware:
    """What all of them do: finish the exchange before the response starts, and answer outages."""

    def response(self, start_response: StartResponse) -> _Response:
        """What stands between the application and ``start_response``."""
        return _Response(start_response)

    def __init__(self, app: WSGIApplication, data_protection: DataProtection) -> None:
        self.app = app
        self.data_protection = data_protection

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        response = self.response(start_response)
        try:
            return self.serve(environ, response)
        except KeyManagementError as error:
            if response.started or not (response.met(error) or not self.data_protection.health().ready):
                raise
            telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
            start_response("503 Service Unavailable", list(RETRY_AFTER))
            return [UNAVAILABLE]

    def serve(self, environ: WSGIEnvironment, response: _Response) -> Iterable[bytes]:
        """Begin the exchange, give it to ``response``, and let that run the application."""
        raise NotImplementedError


class _Response:
    """``start_response`` for the application. ``exchange`` is finished once, with the headers of the response."""

    def __init__(self, start_response: StartResponse) -> None:
        self.exchange: TextExchange | None = None
        self.failure: KeyManagementError | None = None
        """What came of the ring while the exchange began or finished."""
        self.started = False
        self._start_response = start_response
        self._held: tuple[str, Headers, _ExcInfo | None] | None = None
        self._write: Write | None = None

    def __call__(self, status: str, headers: Headers, exc_info: _ExcInfo | None = None, /) -> Write:
        """Hold status and headers back; once they are out, only an error may replace them, and the server says how."""
        if self.started:
            return self._start_response(status, headers, exc_info)
        self._held = (status, headers, exc_info)
        return self._legacy_write

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Call the application and start its response; its body is returned as it is wherever that is possible."""
        body = app(environ, self)
        try:
            if self._held is not None:
                self._start()
                return body
            pieces = iter(body)  # a generator calls start_response no earlier than it is asked for its first piece
            first = next(pieces, b"")
            self._start()
            return _Body(chain((first,), pieces), body)
        except BaseException:
            _close(body)
            raise

    def _start(self) -> None:
        if self.started or self._held is None:
            return
        status, headers, exc_info = self._held
        if self.exchange is not None:
            headers = self._finished(headers, self.exchange)
        self.started = True
        self._write = self._start_response(status, headers, *(() if exc_info is None else (exc_info,)))

    def _finished(self, headers: Headers, exchange: TextExchange) -> Headers:
        if exchange.untouched:
            exchange.close()
            return headers
        try:
            return exchange.finish(headers)
        except KeyManagementError as error:
            self.failure = error
            raise

    def met(self, error: KeyManagementError) -> bool:
        """Whether it came of the ring while the exchange began, was used or finished."""
        return error is self.failure or (self.exchange is not None and error is self.exchange.failure)

    def _legacy_write(self, data: bytes) -> None:
        self._start()
        assert self._write is not None  # noqa: S101 (for the type checker: _start has set it)
        self._write(data)


class _Body:
    """The rest of a body whose first piece had to be asked for; closes what the application returned."""

    def __init__(self, pieces: Iterator[bytes], body: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """See PEP 3333."""
        _close(self._body)


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


class SessionMiddleware(_Middleware):
    """``environ["dpmiddleware.session"]``: a dictionary, kept in a protected cookie.

    Options: those of `dpmiddleware.web.sessions.cookie.SessionCookie`.
    """

    def __init__(
        self, app: WSGIApplication, *, data_protection: DataProtection, **options: Unpack[SessionOptions]
    ) -> None:
        super().__init__(app, data_protection)
        self.sessions = SessionCookie(data_protection, **options)

    def serve(self, environ: WSGIEnvironment, response: _Response) -> Iterable[bytes]:
        """Put the session into the environment; it is opened when somebody touches it."""
        exchange = self.sessions.begin(cookie_header(environ), https=is_https(environ))
        response.exchange = exchange
        environ[SESSION_KEY] = exchange.session
        if AUTHENTICATION_KEY in environ:
            environ[AUTHENTICATION_KEY].attach(exchange.session)
        return response.run(self.app, environ)


class CookieProtectionMiddleware(_Middleware):
    """Wraps cookies of an application that knows nothing of it: ``cookies=["sid", "auth*"]``.

    Options: those of `dpmiddleware.web.cookies.application_cookies.ProtectionOptions`.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        data_protection: DataProtection,
        cookies: Sequence[str],
        **options: Unpack[ProtectionOptions],
    ) -> None:
        super().__init__(app, data_protection)
        self.protection = CookieProtection(data_protection, cookies, **options)

    def serve(self, environ: WSGIEnvironment, response: _Response) -> Iterable[bytes]:
        """Open wrapped cookies into the Cookie header, and seal those that the application sets."""
        header = cookie_header(environ)
        try:
            exchange = self.protection.begin(header, https=is_https(environ))
        except KeyManagementError as error:
            response.failure = error
            raise
        response.exchange = exchange
        if exchange.header:
            environ["HTTP_COOKIE"] = exchange.header.decode("latin-1")
        else:
            environ.pop("HTTP_COOKIE", None)
        return response.run(self.app, environ)


class CookieAuthenticationMiddleware(_Middleware):
    """Who is signed in: ``environ["dpmiddleware.principal"]``; ``environ["dpmiddleware.authentication"]`` changes it.

    Options: those of `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Goes around or inside of
    `SessionMiddleware`.
    """

    def __init__(
        self, app: WSGIApplication, *, data_protection: DataProtection, **options: Unpack[OptionArguments]
    ) -> None:
        super().__init__(app, data_protection)
        self.authenticator = CookieAuthenticator(data_protection, CookieAuthenticationOptions(**options))

    def response(self, start_response: StartResponse) -> _Response:
        """One that may answer otherwise than the application."""
        return _SignInResponse(start_response)

    def serve(self, environ: WSGIEnvironment, response: _Response) -> Iterable[bytes]:
        """Put the authentication into the environment; the user is read when somebody looks."""
        authentication = self.authenticator.begin(web_request(environ))
        environ[AUTHENTICATION_KEY] = authentication
        environ[PRINCIPAL_KEY] = LocalProxy(lambda: authentication.principal)
        if isinstance(environ.get(SESSION_KEY), Session):
            authentication.attach(environ[SESSION_KEY])
        assert isinstance(response, _SignInResponse)  # noqa: S101 (for the type checker: see `response`)
        response.authentication = authentication
        try:
            return response.run(self.app, environ)
        finally:
            response.failure = response.failure or authentication.failure


class _SignInResponse(_Response):
    """Sign-in, sign-out, renewal and redirects are done before the response starts."""

    authentication: CookieAuthentication
    _is_replaced = False

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """The application's body, or none where it is redirected."""
        body = super().run(app, environ)
        if self._is_replaced:
            _close(body)
            return []
        return body

    def _start(self) -> None:
        if self.started or self._held is None:
            return
        line, headers, exc_info = self._held
        status = int(line[:3])
        try:
            outcome = drive(self.authentication.finish(status, headers))
        except KeyManagementError as error:
            self.failure = error
            raise
        if outcome.status != status:
            line = f"{outcome.status} {_REASONS.get(outcome.status, 'Unknown')}"
        self._is_replaced = outcome.replaces_body
        headers = without_body(outcome.headers) if outcome.replaces_body else outcome.headers
        self._held = (line, headers, exc_info)
        super()._start()

    def _legacy_write(self, data: bytes) -> None:
        self._start()
        super()._legacy_write(b"" if self._is_replaced else data)


class CookiePolicyMiddleware:
    """The least that every cookie of an application must keep to; put it around all others.

    Options: those of `dpmiddleware.web.cookies.policy.CookiePolicy`.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        minimum_same_site: SameSite | None = None,
        secure: SecurePolicy = "never",
        http_only: bool = False,
    ) -> None:
        self.app = app
        self.policy = CookiePolicy(minimum_same_site, secure, http_only)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""

        def start(status: str, headers: Headers, exc_info: _ExcInfo | None = None, /) -> Write:
            applied = self.policy.apply(headers, https=is_https(environ))
            return start_response(status, applied, *(() if exc_info is None else (exc_info,)))

        return self.app(environ, start)


def web_request(environ: WSGIEnvironment, native: object = None) -> WebRequest:
    """What cookie authentication has to know of a request. native: what events are given (the environment)."""
    return WebRequest(
        cookie_header(environ),
        is_https(environ),
        _text(environ.get("SCRIPT_NAME", "")).rstrip("/"),
        _text(environ.get("PATH_INFO", "")),
        str(environ.get("QUERY_STRING", "")),
        str(environ.get("HTTP_X_REQUESTED_WITH", "")),
        environ if native is None else native,
    )


def _text(native: str) -> str:
    """A path as PEP 3333 hands it over, as text."""
    return native.encode("latin-1", "replace").decode("utf-8", "replace")


def cookie_header(environ: WSGIEnvironment) -> bytes:
    """The Cookie header of a request."""
    return str(environ.get("HTTP_COOKIE", "")).encode("latin-1", "replace")


def is_https(environ: WSGIEnvironment) -> bool:
    """Whether the connection is encrypted, as the server (or a proxy that it trusts) says."""
    return environ.get("wsgi.url_scheme") == "https"
