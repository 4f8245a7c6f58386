"""Visits with the test clients of Flask, and of Werkzeug for any other WSGI application."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from werkzeug.test import Client, EnvironBuilder

from dpmiddleware import wsgi
from dpmiddleware.testing.visits import Use, authentication_in, layers, longest, session_in, wrapped
from dpmiddleware.web.sign_in.authentication import RequestAuthentication

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["visit"]

_OURS = (wsgi.SessionMiddleware, wsgi.CookieAuthenticationMiddleware)


def visit(client: Client, use: Use, base_url: str | None) -> int:
    """Make one request, and return the status of the response."""
    application: Any = client.application
    around = [layer for layer in layers(application) if isinstance(layer, _OURS)]
    paths = [_path_of(layer) for layer in around]
    flask_app = next((layer for layer in layers(application) if _is_flask(layer)), None)
    visiting = copy.copy(client)  # it shares its cookies with the client
    if flask_app is None:
        builder = EnvironBuilder(longest(paths), base_url)
        visiting.application = wrapped(_used_by(use), around)
    else:
        from dpmiddleware.testing import flask_pages

        path = longest([*paths, *flask_pages.cookie_paths(flask_app)])
        builder = flask_pages.builder(flask_app, path, base_url)
        builder.environ_base = getattr(client, "environ_base", None)
        visiting.application = wrapped(flask_pages.page(flask_app, use), around)
    return Client.open(visiting, builder).status_code  # not that of Flask's client, which asks the application


def _is_flask(application: Any) -> bool:
    return any(kind.__module__ == "flask.app" and kind.__name__ == "Flask" for kind in type(application).__mro__)


def _path_of(middleware: wsgi.SessionMiddleware | wsgi.CookieAuthenticationMiddleware) -> str | None:
    if isinstance(middleware, wsgi.SessionMiddleware):
        return middleware.sessions.protected.settings.path
    return middleware.authenticator.cookie.settings.path


class _Request:
    """A request that has come through the middleware."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    def session(self) -> MutableMapping[str, Any]:
        return session_in(self._environ, wsgi.SESSION_KEY)

    def authentication(self) -> RequestAuthentication:
        return authentication_in(self._environ)


def _used_by(use: Use) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """A WSGI application that lets ``use`` look at the request."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        use(_Request(environ))
        start_response("200 OK", [])
        return [b""]

    return application
