"""Sign-in in Flask: the extension, and its verbs wherever a request is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, Unpack, cast

import flask
from werkzeug.datastructures import Headers
from werkzeug.local import LocalProxy

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.flask.extension import become_unavailable, register
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, AuthenticateResult, CookieAuthenticator
from dpmiddleware.web.sign_in.authentication import CookieAuthentication as RequestAuthentication
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.redirects import without_body
from dpmiddleware.web.sign_in.steps import drive
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Principal
from dpmiddleware.wsgi import SESSION_KEY, web_request

__all__ = [
    "AUTHENTICATOR",
    "CookieAuthentication",
    "authenticate",
    "authentication_of",
    "challenge",
    "current_principal",
    "forbid",
    "login_required",
    "sign_in",
    "sign_out",
]

AUTHENTICATOR: Final = "dpmiddleware.authenticator"
"""Where an application keeps its `CookieAuthenticator`, among its extensions."""

_View = TypeVar("_View", bound=Callable[..., Any])


class CookieAuthentication:
    """Flask extension: cookie authentication; sign-ins can be shared with ASP.NET Core.

    Options: those of `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Events are given Flask's
    request.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        data_protection: DataProtection | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        self._data_protection = data_protection
        self._options = CookieAuthenticationOptions(**options)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Let ``app`` sign people in. Call it before other extensions that change responses."""
        data_protection = register(app, self._data_protection)
        app.extensions[AUTHENTICATOR] = CookieAuthenticator(data_protection, self._options)
        app.after_request(_finish)


def sign_in(principal: Principal, properties: AuthenticationProperties | None = None) -> None:
    """Sign ``principal`` in with the response to this request; the session is renewed."""
    _current().sign_in(principal, properties)


def sign_out(properties: AuthenticationProperties | None = None) -> None:
    """Sign the user out with the response to this request; the session is emptied."""
    _current().sign_out(properties)


def authenticate() -> AuthenticateResult:
    """What the request's cookie said: the ticket with its properties, or why there is none."""
    return _current().result


def challenge(properties: AuthenticationProperties | None = None) -> flask.Response:
    """The response that sends a browser to the login page, and tells a program 401."""
    _current().challenge(properties, endpoint=_endpoint())
    return flask.Response(status=401)


def forbid(properties: AuthenticationProperties | None = None) -> flask.Response:
    """The response that sends a browser to the access-denied page, and tells a program 403."""
    _current().forbid(properties, endpoint=_endpoint())
    return flask.Response(status=403)


def login_required(view: _View) -> _View:
    """Challenge whoever is not signed in; plain and ``async`` views."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _current().principal.is_authenticated:
            return challenge()
        return flask.current_app.ensure_sync(view)(*args, **kwargs)

    return cast("_View", guarded)


def _current() -> RequestAuthentication:
    request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented so)
    return authentication_of(flask.current_app, request)


current_principal: Principal = cast("Principal", LocalProxy(lambda: _current().principal))
"""The user of the request, nobody included."""


def authentication_of(app: flask.Flask, request: flask.Request) -> RequestAuthentication:
    """That of the request: the middleware's around the application, else made at first use."""
    environ = request.environ
    if AUTHENTICATION_KEY not in environ:
        authenticator = app.extensions.get(AUTHENTICATOR)
        if authenticator is None:
            raise ConfigurationError(
                "this application has no cookie authentication", hint="CookieAuthentication(…).init_app(app)"
            )
        authentication = environ[AUTHENTICATION_KEY] = authenticator.begin(web_request(environ, request))
        if isinstance(environ.get(SESSION_KEY), Session):
            authentication.attach(environ[SESSION_KEY])
    found: RequestAuthentication = environ[AUTHENTICATION_KEY]
    return found


def _finish(response: flask.Response) -> flask.Response:
    """Sign in, out, renew or redirect, before the session is saved."""
    authentication = flask.request.environ.get(AUTHENTICATION_KEY)
    if authentication is None or authentication.untouched:
        return response
    try:
        outcome = drive(authentication.finish(response.status_code, list(response.headers)))
    except KeyManagementError as error:
        become_unavailable(response, error)
        return response
    if outcome.replaces_body:
        response.set_data(b"")
    response.status_code = outcome.status
    response.headers = Headers(without_body(outcome.headers) if outcome.replaces_body else outcome.headers)
    return response


def _endpoint() -> object:
    return flask.current_app.view_functions.get(flask.request.endpoint or "")
