"""A visit: one request of a test client to an application's middleware, with a function in the application's place.

The request carries the client's cookies, and the client keeps the cookies of the response. So what a test does or looks
at passes through the application's own middleware: its cookies, its ticket store, its events. No view runs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Final, Protocol

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, RequestAuthentication

__all__ = ["Use", "Visited", "authentication_in", "layers", "longest", "session_in", "wrapped"]

_INSIDE: Final = ("_application", "app", "asgi_app", "wsgi_app", "application")
"""Attributes under which middleware has the application inside, by convention."""
_MOST_LAYERS: Final = 100


class Visited(Protocol):
    """What a request has."""

    def session(self) -> MutableMapping[str, Any]:
        """The session; `ConfigurationError` if the application has none."""
        ...

    def authentication(self) -> RequestAuthentication:
        """The sign-in; `ConfigurationError` if the application has none."""
        ...


Use = Callable[[Visited], object]
"""What is done in the application's place."""


def layers(app: Any) -> Iterator[Any]:
    """An application and what is inside, from the outside."""
    for _ in range(_MOST_LAYERS):
        if app is None:
            return
        yield app
        if hasattr(app, "build_middleware_stack"):  # Starlette makes it at the first request, in this way
            if app.middleware_stack is None:
                app.middleware_stack = app.build_middleware_stack()
            app = app.middleware_stack
        else:
            app = next((inside for name in _INSIDE if (inside := getattr(app, name, None)) is not None), None)


def wrapped(application: Any, middleware: list[Any]) -> Any:
    """``application`` inside copies of this middleware, the first outermost."""
    for layer in reversed(middleware):
        around = copy.copy(layer)
        around.app = application
        application = around
    return application


def longest(paths: list[str | None]) -> str:
    """A path that cookies of all these paths are sent to, if there is one."""
    return max((path for path in paths if path), key=len, default="/")


def session_in(request: MutableMapping[str, Any], key: str) -> MutableMapping[str, Any]:
    """The session in an environ or scope."""
    session: MutableMapping[str, Any] | None = request.get(key)
    if session is None:
        raise ConfigurationError(
            "the application of this client has no sessions", hint="add SessionMiddleware to the application"
        )
    return session


def authentication_in(request: MutableMapping[str, Any]) -> RequestAuthentication:
    """The sign-in in an environ, scope or META."""
    found = request.get(AUTHENTICATION_KEY)
    if not isinstance(found, RequestAuthentication):
        raise ConfigurationError(
            "the application of this client has no cookie authentication",
            hint="add CookieAuthenticationMiddleware (Flask: CookieAuthentication) to the application",
        )
    return found
