"""Sign-in for Quart: the extension, and its verbs, which work in every request and websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final, TypeVar, Unpack, cast

import quart
from werkzeug.datastructures import Headers
from werkzeug.local import LocalProxy

from dpmiddleware import asgi
from dpmiddleware.arguments import checked
from dpmiddleware.asgi import Receive, Scope
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask.authentication import AUTHENTICATOR
from dpmiddleware.quart.extension import current_scope, put_around, register
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, RequestAuthentication
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.verbs import AuthenticateResult, age_of

__all__ = [
    "CookieAuthentication",
    "authenticate",
    "challenge",
    "current_principal",
    "forbid",
    "fresh_login_required",
    "login_required",
    "reauthenticate",
    "require_fresh",
    "sign_in",
    "sign_out",
]

_View = TypeVar("_View", bound=Callable[..., Any])
_PLAIN_HTTP: Final = {"ws": "http", "wss": "https"}


@checked
class CookieAuthentication:
    """Quart extension: cookie authentication; sign-ins can be shared with ASP.NET Core.

    Options: see `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Events get a Quart ``Request`` without
    its body, also for websockets.
    """

    def __init__(
        self,
        app: quart.Quart | None = None,
        *,
        data_protection: DataProtection | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        self._data_protection = data_protection
        CookieAuthenticationOptions(**options)
        self._options = options
        if app is not None:
            self.init_app(app)

    @checked
    def init_app(self, app: quart.Quart) -> None:
        """Let ``app`` sign users in."""
        data_protection = register(app, self._data_protection)
        inside: Any = app.asgi_app
        middleware = _Middleware(inside, data_protection=data_protection, **self._options)
        middleware.request_class = app.request_class
        app.extensions[AUTHENTICATOR] = middleware.authenticator
        put_around(app, middleware)


class _Middleware(asgi.CookieAuthenticationMiddleware):
    request_class: type[quart.Request]

    def native(self, scope: Scope, receive: Receive) -> quart.Request:
        """The request of events."""
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        return self.request_class(
            scope.get("method", "GET"),
            _PLAIN_HTTP.get(scope["scheme"]) or str(scope["scheme"]),
            scope["path"],
            scope.get("query_string", b""),
            headers,
            scope.get("root_path", ""),
            scope.get("http_version", "1.1"),
            cast("Any", scope),
            send_push_promise=_push_nothing,
        )


async def _push_nothing(*_: object) -> None:
    return


@checked
def sign_in(principal: Principal, properties: AuthenticationProperties | None = None) -> None:
    """Sign ``principal`` in with the response to this request; the session is renewed."""
    _current().sign_in(principal, properties)


@checked
def sign_out(properties: AuthenticationProperties | None = None) -> None:
    """Sign the user out with the response to this request; the session is emptied."""
    _current().sign_out(properties)


def reauthenticate() -> None:
    """Make the user's sign-in fresh, after checking the password or passkey again; the session stays as it is."""
    _current().reauthenticate()


@checked
def require_fresh(max_age: timedelta) -> None:
    """Go on only if the user authenticated within ``max_age``; others are challenged to do it again."""
    if not _current().admit(max_age, endpoint=_endpoint()):
        quart.abort(quart.Response(b"", status=401))


def authenticate() -> AuthenticateResult:
    """What the cookie of the request said: the ticket with its properties, or why there is none."""
    return _current().result


@checked
def challenge(properties: AuthenticationProperties | None = None) -> quart.Response:
    """A response that sends a browser to the login page, and gives a program 401."""
    _current().challenge(properties, endpoint=_endpoint())
    return quart.Response(b"", status=401)


@checked
def forbid(properties: AuthenticationProperties | None = None) -> quart.Response:
    """A response that sends a browser to the access-denied page, and gives a program 403."""
    _current().forbid(properties, endpoint=_endpoint())
    return quart.Response(b"", status=403)


@checked
def login_required(view: _View) -> _View:
    """Challenge users who are not signed in. For plain and ``async`` views, and for websockets."""
    return _guarded(view, None)


@checked
def fresh_login_required(*, minutes: float = 5) -> Callable[[_View], _View]:
    """As `login_required`; also challenge users who authenticated longer ago than ``minutes``."""
    max_age = age_of(minutes)
    return lambda view: _guarded(view, max_age)


def _guarded(view: _View, max_age: timedelta | None) -> _View:
    @wraps(view)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _current().admit(max_age, endpoint=_endpoint()):
            return quart.Response(b"", status=401)
        run: Callable[..., Awaitable[Any]] = quart.current_app.ensure_async(view)
        return await run(*args, **kwargs)

    return cast("_View", guarded)


def _current() -> RequestAuthentication:
    found = current_scope().get(AUTHENTICATION_KEY)
    if not isinstance(found, RequestAuthentication):
        raise ConfigurationError(
            "this Quart application has no cookie authentication",
            hint="call CookieAuthentication(data_protection=dp).init_app(app)",
        )
    return found


current_principal: Principal = cast("Principal", LocalProxy(lambda: _current().principal))
"""The user of the request; ``Principal()`` if anonymous."""


def _endpoint() -> object:
    request = quart.request if quart.has_request_context() else quart.websocket
    return quart.current_app.view_functions.get(request.endpoint or "")
