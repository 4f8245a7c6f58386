"""Cross-origin protection for Starlette and FastAPI: as for ASGI, with marks on routes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.routing import Match

from dpmiddleware.asgi_exchange import Receive, Scope
from dpmiddleware.cross_origin import asgi
from dpmiddleware.cross_origin.exemption import is_exempt

__all__ = ["CrossOriginProtectionMiddleware"]


class CrossOriginProtectionMiddleware(asgi.CrossOriginProtectionMiddleware):
    """Refuses what pages of other origins send: POST and other unsafe requests, and websockets.

    Options: see `dpmiddleware.cross_origin.guard.CrossOriginOptions`; ``on_refused`` gets a Starlette ``Request`` and
    the `Verdict`, and returns a response. Routes marked with `cross_origin_exempt` are exempt. Add it after (so around)
    sessions and authentication, and before CORS.
    """

    def is_exempt(self, scope: Scope) -> bool:
        """Whether the function of the route has the mark. Only looked for before a refusal."""
        return is_exempt(_endpoint(_routes_within(self.app, scope), scope))

    def native(self, scope: Scope, receive: Receive) -> HTTPConnection:
        """The request of ``on_refused``."""
        return Request(scope, receive)


def _routes_within(app: Any, scope: Scope) -> Iterable[Any]:
    """The routes of the application that is protected, found through the middleware between it and this one.

    ``scope["app"]`` may be another application, in which this one is mounted. Its routes have nothing to say here, so
    they count only if the way is hidden (middleware without ``app``) and nothing was mounted on it (``endpoint``).
    """
    while not hasattr(app, "routes") and hasattr(app, "app"):
        app = app.app
    outer = scope.get("app")
    if not hasattr(app, "routes") and scope.get("endpoint", outer) is outer:
        app = outer
    return getattr(app, "routes", ())


def _endpoint(routes: Iterable[Any], scope: Scope) -> object:
    """The function of the route that will serve this request, found as the router finds it."""
    for route in _in_order(routes):
        match, child = route.matches(scope)
        if match is Match.FULL:
            inner = getattr(route, "routes", None)
            return _endpoint(inner, {**scope, **child}) if inner else child.get("endpoint")
    return None


def _in_order(routes: Iterable[Any]) -> Iterable[Any]:
    """The routes, with those of included routers in their places, which FastAPI keeps in objects of its own."""
    of_fastapi = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    return routes if of_fastapi is None else of_fastapi(list(routes))
