"""Cross-origin protection for any ASGI application: HTTP and websockets."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, Unpack

from dpmiddleware.arguments import checked
from dpmiddleware.asgi_exchange import ASGIApp, Receive, Scope, Send, answer_instead, where
from dpmiddleware.cross_origin.decision import SAFE_METHODS, Verdict
from dpmiddleware.cross_origin.guard import REFUSAL, CrossOriginGuard, CrossOriginOptions, unambiguous

__all__ = ["CrossOriginProtectionMiddleware", "verdict_on"]

_DECISIVE: Final = {b"host": "host", b"sec-fetch-site": "sec-fetch-site", b"origin": "origin"}
_LOOKED_AT: Final = {**_DECISIVE, b"referer": "referer", b"cookie": "cookie"}
_POLICY_VIOLATION: Final = (1008, "not a page of this site")
"""Code and reason of a websocket that is closed; servers answer 403."""


@checked
class CrossOriginProtectionMiddleware:
    """Refuses what pages of other origins send: POST and other unsafe requests, and websockets.

    Options: see `dpmiddleware.cross_origin.guard.CrossOriginOptions`; ``on_refused`` gets the scope and the `Verdict`,
    and returns an ASGI application. Put it around sessions and authentication, and inside middleware that reads
    forwarded headers, and inside that for CORS.
    """

    def __init__(self, app: ASGIApp, **options: Unpack[CrossOriginOptions]) -> None:
        self.app = app
        self.guard = CrossOriginGuard(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if (kind == "http" and scope["method"] not in SAFE_METHODS) or kind == "websocket":
            verdict = verdict_on(self.guard, scope, self.is_exempt)
            if not verdict.allowed:
                await self._refuse(scope, receive, send, verdict)
                return
        await self.app(scope, receive, send)

    def is_exempt(self, scope: Scope) -> bool:
        """Whether the route has a mark; plain ASGI has no routes."""
        return False

    def native(self, scope: Scope, receive: Receive) -> Any:
        """What ``on_refused`` gets as the request."""
        return scope

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, verdict: Verdict) -> None:
        own = self.guard.on_refused
        if own is not None and scope["type"] == "http":
            instead = own(self.native(scope, receive), verdict)
            instead = await instead if inspect.isawaitable(instead) else instead
            if instead is not None:
                await instead(scope, receive, send)
                return
        await answer_instead(scope, send, REFUSAL, _POLICY_VIOLATION)


def verdict_on(guard: CrossOriginGuard, scope: Scope, is_exempt: Callable[[Scope], bool]) -> Verdict:
    """The verdict of a guard on a connection. is_exempt: whether its route has a mark; called before a refusal."""
    headers: dict[str, str] = {}
    lines = 0
    for name, value in scope["headers"]:
        if name in _DECISIVE:
            headers[_DECISIVE[name]] = value.decode("latin-1")
            lines += 1
    if lines > len(headers) or not headers.get("origin"):
        headers = _all_headers(scope)  # not what a browser sends
    return guard.judge(
        scope.get("method", "GET"),
        scope.get("scheme", "http"),
        headers.get("host", ""),
        headers,
        scope,
        _path_of,
        is_exempt,
        scope["type"] == "websocket",
    )


def _all_headers(scope: Scope) -> dict[str, str]:
    """The headers that are looked at; lines of the same name are joined."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _LOOKED_AT:
            known, text = _LOOKED_AT[name], value.decode("latin-1")
            headers[known] = f"{headers[known]}, {text}" if known in headers else text
    return headers


def _path_of(scope: Scope) -> str:
    """The path that exempt ones are compared with."""
    sent: bytes = scope.get("raw_path") or b""
    return unambiguous(sent.decode("latin-1"), where(scope)[1])
