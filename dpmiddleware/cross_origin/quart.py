"""Cross-origin protection for Quart: Flask's extension, for requests and websockets."""

from __future__ import annotations

import inspect
from typing import Any, Unpack

import quart

from dpmiddleware.arguments import checked
from dpmiddleware.cross_origin.asgi import verdict_on
from dpmiddleware.cross_origin.decision import SAFE_METHODS
from dpmiddleware.cross_origin.flask import is_exempt_endpoint, register
from dpmiddleware.cross_origin.guard import REFUSAL, CrossOriginGuard, CrossOriginOptions, check_rules

__all__ = ["CrossOriginProtection"]


@checked
class CrossOriginProtection:
    """Quart extension: refuses what pages of other origins send, POST and other unsafe requests, and websockets.

    Options: see `dpmiddleware.cross_origin.guard.CrossOriginOptions`, also as a dictionary in
    ``app.config["DATA_PROTECTION_CROSS_ORIGIN"]``; ``on_refused`` gets Quart's request and the `Verdict`, and returns
    what a view returns. Views marked with `cross_origin_exempt` are exempt. It runs before other ``before_request`` and
    ``before_websocket`` functions.
    """

    def __init__(self, app: quart.Quart | None = None, **options: Unpack[CrossOriginOptions]) -> None:
        self._options = options
        check_rules(options)
        if app is not None:
            self.init_app(app)

    @checked
    def init_app(self, app: quart.Quart) -> None:
        """Protect ``app``."""
        guard = register(app, self._options)

        async def check_request() -> Any:
            request: Any = quart.request
            return None if request.scope["method"] in SAFE_METHODS else await _check(guard, request)

        async def check_websocket() -> Any:
            return await _check(guard, quart.websocket)

        app.before_request_funcs.setdefault(None, []).insert(0, check_request)
        app.before_websocket_funcs.setdefault(None, []).insert(0, check_websocket)


def _is_exempt(scope: object) -> bool:  # noqa: ARG001 (see `CrossOriginGuard.judge`)
    """Whether the view of the current request or websocket has the mark."""
    request: Any = quart.request if quart.has_request_context() else quart.websocket
    return is_exempt_endpoint(quart.current_app, request.endpoint)


async def _check(guard: CrossOriginGuard, request: Any) -> Any:
    """Before the view: a refusal, or ``None``."""
    verdict = verdict_on(guard, request.scope, _is_exempt)
    if verdict.allowed:
        return None
    if guard.on_refused is not None and request.scope["type"] == "http":
        instead = guard.on_refused(request, verdict)
        instead = await instead if inspect.isawaitable(instead) else instead
        if instead is not None:
            return instead
    return quart.Response(REFUSAL.body or b"", REFUSAL.status, dict(REFUSAL.titled))
