"""The page of a Flask application that a visit asks for; it is not among the application's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, cast

import flask
from flask.testing import EnvironBuilder

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask.authentication import AUTHENTICATOR, authentication_of, finish_sign_in
from dpmiddleware.testing.visits import Use
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator, RequestAuthentication

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["builder", "cookie_paths", "page"]

_HINT: Final = "call ProtectedSessions(data_protection=dp).init_app(app)"


def builder(app: flask.Flask, path: str, base_url: str | None) -> EnvironBuilder:
    """What makes the environ of a request as Flask's test client does."""
    return EnvironBuilder(app, path, base_url)


def cookie_paths(app: flask.Flask) -> list[str | None]:
    """The paths of the session cookie and of the sign-in cookie."""
    authenticator: CookieAuthenticator | None = app.extensions.get(AUTHENTICATOR)
    signed_in = [] if authenticator is None else [authenticator.cookie.settings.path]
    return [app.session_interface.get_cookie_path(app), *signed_in]


def page(app: flask.Flask, use: Use) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """A WSGI application that lets ``use`` look at a request to ``app``.

    Functions that the application has put before and after its requests do not run.
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with app.request_context(environ):
            use(_Request(app))
            response = app.response_class()
            if AUTHENTICATOR in app.extensions:
                response = finish_sign_in(response)
            session = _session()
            if not app.session_interface.is_null_session(session):
                app.session_interface.save_session(app, session, response)
            return response(environ, start_response)

    return application


class _Request:
    """The current request."""

    def __init__(self, app: flask.Flask) -> None:
        self._app = app

    def session(self) -> MutableMapping[str, Any]:
        session = _session()
        if self._app.session_interface.is_null_session(session):
            raise ConfigurationError("this Flask application has no sessions", hint=_HINT)
        return cast("MutableMapping[str, Any]", session)

    def authentication(self) -> RequestAuthentication:
        return authentication_of(self._app, _behind(flask.request))


def _session() -> Any:
    return _behind(flask.session)


def _behind(proxy: Any) -> Any:
    return proxy._get_current_object()  # noqa: SLF001 (documented so)
