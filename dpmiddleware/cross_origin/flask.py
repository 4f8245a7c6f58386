"""Cross-origin protection for Flask: an extension, with marks on views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

import flask

from dpmiddleware.arguments import checked
from dpmiddleware.cross_origin.exemption import is_exempt_view
from dpmiddleware.cross_origin.guard import REFUSAL, CrossOriginGuard, CrossOriginOptions, check_rules, guard_of
from dpmiddleware.cross_origin.wsgi import is_safe, is_websocket, verdict_on
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.naming import CROSS_ORIGIN

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["CrossOriginProtection", "is_exempt_endpoint", "register"]

_EXTENSION: Final = "dpmiddleware.cross_origin"
"""The key of an application's `CrossOriginGuard` in ``app.extensions``."""


@checked
class CrossOriginProtection:
    """Flask extension: refuses what pages of other origins send, POST and other unsafe requests, and websockets.

    Options: see `dpmiddleware.cross_origin.guard.CrossOriginOptions`, also as a dictionary in
    ``app.config["DATA_PROTECTION_CROSS_ORIGIN"]``; ``on_refused`` gets Flask's request and the `Verdict`, and returns
    what a view returns. Views marked with `cross_origin_exempt` are exempt. It runs before other ``before_request``
    functions.
    """

    def __init__(self, app: flask.Flask | None = None, **options: Unpack[CrossOriginOptions]) -> None:
        self._options = options
        check_rules(options)
        if app is not None:
            self.init_app(app)

    @checked
    def init_app(self, app: flask.Flask) -> None:
        """Protect ``app``."""
        guard = register(app, self._options)

        def check() -> Any:
            request: flask.Request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented so)
            environ = request.environ
            return None if is_safe(environ) else _check(guard, environ)

        app.before_request_funcs.setdefault(None, []).insert(0, check)


def register(app: Any, options: CrossOriginOptions) -> CrossOriginGuard:
    """The guard of an application of Flask or Quart, from its configuration and these options."""
    if _EXTENSION in app.extensions:
        raise ConfigurationError(
            f"this {type(app).__name__} application already has cross-origin protection",
            hint="create CrossOriginProtection once, with all options",
        )
    guard = guard_of(app.config.get(CROSS_ORIGIN, {}), options)
    app.extensions[_EXTENSION] = guard
    return guard


def _check(guard: CrossOriginGuard, environ: WSGIEnvironment) -> Any:
    """Before the view: a refusal, or ``None``."""
    verdict = verdict_on(guard, environ, _is_exempt)
    if verdict.allowed:
        return None
    if guard.on_refused is not None and not is_websocket(environ):
        instead = flask.current_app.ensure_sync(guard.on_refused)(flask.request, verdict)
        if instead is not None:
            return instead
    return flask.Response(REFUSAL.body, REFUSAL.status, list(REFUSAL.titled))


def _is_exempt(environ: object) -> bool:  # noqa: ARG001 (see `CrossOriginGuard.judge`)
    """Whether the view of the current request has the mark."""
    return is_exempt_endpoint(flask.current_app, flask.request.endpoint)


def is_exempt_endpoint(app: Any, endpoint: str | None) -> bool:
    """Whether the view (or its class) at an endpoint of Flask or Quart has the mark."""
    return is_exempt_view(app.view_functions.get(endpoint or ""))
