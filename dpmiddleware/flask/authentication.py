"""Sign-in for Flask: the extension, and its verbs, which work in every request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final, TypeVar, Unpack, cast

import flask
from werkzeug.local import LocalProxy

from dpmiddleware.arguments import checked
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask.extension import become, finish, register
from dpmiddleware.web import parts
from dpmiddleware.web.sign_in.authentication import (
    AUTHENTICATION_KEY,
    CookieAuthenticator,
    RequestAuthentication,
)
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.verbs import AuthenticateResult, age_of
from dpmiddleware.web.steps import drive
from dpmiddleware.wsgi import web_request

__all__ = [
    "AUTHENTICATOR",
    "CookieAuthentication",
    "authenticate",
    "authentication_of",
    "challenge",
    "current_principal",
    "finish_sign_in",
    "forbid",
    "fresh_login_required",
    "login_required",
    "reauthenticate",
    "require_fresh",
    "sign_in",
    "sign_out",
]

AUTHENTICATOR: Final = "dpmiddleware.authenticator"
"""The key of an application's `CookieAuthenticator` in ``app.extensions``."""

_View = TypeVar("_View", bound=Callable[..., Any])


@checked
class CookieAuthentication:
    """Flask extension: cookie authentication; sign-ins can be shared with ASP.NET Core.

    Options: see `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Events get Flask's request.
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

    @checked
    def init_app(self, app: flask.Flask) -> None:
        """Let ``app`` sign users in. Call it before other extensions that change responses."""
        data_protection = register(app, self._data_protection)
        authenticator = app.extensions[AUTHENTICATOR] = CookieAuthenticator(data_protection, self._options)
        if authenticator.binding is not None:
            app.before_request_funcs.setdefault(None, []).insert(0, _answer_browser)
        app.after_request(finish_sign_in)


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
        flask.abort(flask.Response(status=401))


def authenticate() -> AuthenticateResult:
    """What the cookie of the request said: the ticket with its properties, or why there is none."""
    return _current().result


@checked
def challenge(properties: AuthenticationProperties | None = None) -> flask.Response:
    """A response that sends a browser to the login page, and gives a program 401."""
    _current().challenge(properties, endpoint=_endpoint())
    return flask.Response(status=401)


@checked
def forbid(properties: AuthenticationProperties | None = None) -> flask.Response:
    """A response that sends a browser to the access-denied page, and gives a program 403."""
    _current().forbid(properties, endpoint=_endpoint())
    return flask.Response(status=403)


@checked
def login_required(view: _View) -> _View:
    """Challenge users who are not signed in. For plain and ``async`` views."""
    return _guarded(view, None)


@checked
def fresh_login_required(*, minutes: float = 5) -> Callable[[_View], _View]:
    """As `login_required`; also challenge users who authenticated longer ago than ``minutes``."""
    max_age = age_of(minutes)
    return lambda view: _guarded(view, max_age)


def _guarded(view: _View, max_age: timedelta | None) -> _View:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _current().admit(max_age, endpoint=_endpoint()):
            return flask.Response(status=401)
        return flask.current_app.ensure_sync(view)(*args, **kwargs)

    return cast("_View", guarded)


def _current() -> RequestAuthentication:
    request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented so)
    return authentication_of(flask.current_app, request)


current_principal: Principal = cast("Principal", LocalProxy(lambda: _current().principal))
"""The user of the request; ``Principal()`` if anonymous."""


def authentication_of(app: flask.Flask, request: flask.Request) -> RequestAuthentication:
    """The sign-in of the request: the application's own if it has one, otherwise that of middleware around it."""
    environ, authenticator = request.environ, app.extensions.get(AUTHENTICATOR)
    if authenticator is not None:
        own = parts.sign_in_of(environ, authenticator)
        if own is None:
            own = authenticator.begin(web_request(environ, request))
            parts.join(environ, own)
            environ.setdefault(AUTHENTICATION_KEY, own)
        return own
    outer = environ.get(AUTHENTICATION_KEY)
    if not isinstance(outer, RequestAuthentication):
        raise ConfigurationError(
            "this Flask application has no cookie authentication",
            hint="call CookieAuthentication(data_protection=dp).init_app(app)",
        )
    return outer


def finish_sign_in(response: flask.Response) -> flask.Response:
    """Sign in, sign out, renew or redirect, before the session is saved."""
    authenticator = flask.current_app.extensions[AUTHENTICATOR]
    authentication = parts.sign_in_of(flask.request.environ, authenticator)
    if authentication is None and authenticator.companions:
        authentication = _current()
    if authentication is not None and (part := parts.together(authentication)).touched:
        finish(response, part)
    return response


def _answer_browser() -> flask.Response | None:
    """What a browser is told whose sign-in is bound to it, before any other function of the application runs."""
    steps = _current().instead(flask.request.path, flask.request.method)
    answer = None if steps is None else drive(steps)
    if answer is None:
        return None
    response = flask.Response()
    become(response, answer)
    return response


def _endpoint() -> object:
    return flask.current_app.view_functions.get(flask.request.endpoint or "")
