"""Middleware for any WSGI application.

Headers are held back until the application has returned its body, or a generator its first piece. So a session may be
changed after ``start_response``, and cookies are sealed before the response starts. While there is no key ring, a
request that needs one is answered 503 with ``Retry-After``: an outage never makes a user anonymous, and signs nobody
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Generic, TypeVar, Unpack

from werkzeug.local import LocalProxy

from dpmiddleware.arguments import checked
from dpmiddleware.cross_origin.wsgi import CrossOriginProtectionMiddleware
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys import waiting
from dpmiddleware.web import parts, public
from dpmiddleware.web.answer import Headers, Part, unavailable
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
from dpmiddleware.web.steps import drive
from dpmiddleware.wsgi_exchange import (
    ExcInfo,
    Write,
    answer_instead,
    cookie_header,
    decoded_path,
    is_https,
    status_line,
    where,
)
from dpmiddleware.wsgi_response import SESSION_KEY, PartResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "AUTHENTICATION_KEY",
    "PRINCIPAL_KEY",
    "SESSION_KEY",
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "CrossOriginProtectionMiddleware",
    "SessionMiddleware",
    "cookie_header",
    "fresh_login_required",
    "is_https",
    "web_request",
    "where",
]
__all__ += public.__all__

_P = TypeVar("_P", bound=Part)


class _Middleware(Generic[_P]):
    """Joins a part to a request, and answers for it in the response."""

    def __init__(self, app: WSGIApplication, data_protection: DataProtection) -> None:
        self.app = app
        self.data_protection = data_protection

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        part = self.begin(environ)
        is_outermost = parts.PARTS_KEY not in environ
        response = PartResponse(start_response, parts.join(environ, part), environ)
        try:
            self.place(environ, part)
            return response.run(self.app, environ)
        except KeyManagementError as error:
            if response.started or not parts.is_outage(error, environ, self.data_protection):
                raise
            return answer_instead(start_response, unavailable(error))
        except FreshSignInRequired:
            if response.started:
                raise
            return response.run(_unauthorized, environ)
        finally:
            if is_outermost:
                waiting.end()

    def begin(self, environ: WSGIEnvironment) -> _P:
        """The part of this middleware in a request."""
        raise NotImplementedError

    def place(self, environ: WSGIEnvironment, part: _P) -> None:
        """Put into the environment what the application looks for."""
        raise NotImplementedError


def _unauthorized(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """The application's answer where it asked for a fresh sign-in, which the sign-in turns into a challenge."""
    start_response(status_line(401), [("Content-Length", "0")])
    return []


@checked
def fresh_login_required(*, minutes: float = 5) -> Callable[[WSGIApplication], WSGIApplication]:
    """Decorate an application: a user who authenticated longer ago than ``minutes`` is challenged to do it again."""
    max_age = age_of(minutes)

    def decorate(app: WSGIApplication) -> WSGIApplication:
        @wraps(app)
        def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            authentication: RequestAuthentication = environ[AUTHENTICATION_KEY]
            authentication.require_fresh(max_age, endpoint=app)
            return app(environ, start_response)

        return guarded

    return decorate


@checked
class SessionMiddleware(_Middleware[RequestSession]):
    """``environ["dpmiddleware.session"]``: a dictionary in a protected cookie.

    Options: see `dpmiddleware.web.sessions.cookie.SessionCookie`.
    """

    _foreign_names = STARLETTE_NAMES

    def __init__(
        self, app: WSGIApplication, *, data_protection: DataProtection, **options: Unpack[SessionOptions]
    ) -> None:
        super().__init__(app, data_protection)
        self.sessions = SessionCookie(data_protection, **options)

    def begin(self, environ: WSGIEnvironment) -> RequestSession:
        """The session; it is opened when the application touches it."""
        return self.sessions.begin(cookie_header(environ), (where, environ), is_https(environ))

    def place(self, environ: WSGIEnvironment, part: RequestSession) -> None:
        """See the class."""
        environ[SESSION_KEY] = part.session


@checked
class CookieProtectionMiddleware(_Middleware[RequestCookies]):
    """Seals cookies of an application that does not know of it: ``cookies=["sid", "auth*"]``.

    Options: see `dpmiddleware.web.cookies.options.ProtectionOptions`.
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

    def begin(self, environ: WSGIEnvironment) -> RequestCookies:
        """The cookies of the request."""
        return self.protection.begin(cookie_header(environ), https=is_https(environ), where=lambda: where(environ))

    def place(self, environ: WSGIEnvironment, part: RequestCookies) -> None:
        """Put the opened cookies into the Cookie header."""
        if part.header:
            environ["HTTP_COOKIE"] = part.header.decode("latin-1")
        else:
            environ.pop("HTTP_COOKIE", None)


@checked
class CookieAuthenticationMiddleware(_Middleware[RequestAuthentication]):
    """The user: ``environ["dpmiddleware.principal"]``. The verbs: ``environ["dpmiddleware.authentication"]``.

    Options: see `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Put it around `SessionMiddleware`, or
    inside.
    """

    def __init__(
        self, app: WSGIApplication, *, data_protection: DataProtection, **options: Unpack[OptionArguments]
    ) -> None:
        super().__init__(app, data_protection)
        self.authenticator = CookieAuthenticator(data_protection, CookieAuthenticationOptions(**options))
        if self.authenticator.binding is not None:
            self.app, self._application = self._bound, app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if AUTHENTICATION_KEY in environ:  # mounted in another application, which keeps its own user
            environ = {**environ}
        return super().__call__(environ, start_response)

    def begin(self, environ: WSGIEnvironment) -> RequestAuthentication:
        """The authentication; the ticket is read when the application looks at the user."""
        return self.authenticator.begin(web_request(environ))

    def place(self, environ: WSGIEnvironment, part: RequestAuthentication) -> None:
        """See the class."""
        environ[AUTHENTICATION_KEY] = part
        environ[PRINCIPAL_KEY] = LocalProxy(lambda: part.principal)

    def _bound(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a browser whose sign-in is bound to it; otherwise call the application."""
        authentication: RequestAuthentication = environ[AUTHENTICATION_KEY]
        steps = authentication.instead(environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"])
        answer = None if steps is None else drive(steps)
        return self._application(environ, start_response) if answer is None else answer_instead(start_response, answer)


@checked
class CookiePolicyMiddleware:
    """The minimum that every cookie of an application must meet. Put it around all other middleware.

    Options: see `dpmiddleware.web.cookies.policy.CookiePolicy`.
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
        """Serve one request."""

        def start(status: str, headers: Headers, exc_info: ExcInfo | None = None, /) -> Write:
            applied = self.policy.apply(headers, https=is_https(environ))
            return start_response(status, applied, *(() if exc_info is None else (exc_info,)))

        return self.app(environ, start)


def web_request(environ: WSGIEnvironment, native: object = None) -> WebRequest:
    """What matters of a request to cookie authentication. native: what events get; by default the environment."""
    return WebRequest(
        cookie_header(environ),
        is_https(environ),
        decoded_path(environ.get("SCRIPT_NAME", "")).rstrip("/"),
        decoded_path(environ.get("PATH_INFO", "")),
        str(environ.get("QUERY_STRING", "")),
        lambda name: str(environ.get("HTTP_" + name.upper().replace("-", "_"), "")),
        environ if native is None else native,
        str(environ.get("REQUEST_METHOD", "")),
    )
