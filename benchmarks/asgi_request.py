"""One request to an ASGI application, from start to end, without a server and an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from dpmiddleware.asgi import ASGIApp, Message, Scope, Send

__all__ = ["serve"]


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _discard(_: Message) -> None:
    return


def serve(app: ASGIApp, scope: Scope, send: Send = _discard) -> None:
    """Step the application's coroutine. It must not wait for anything."""
    coroutine: Coroutine[Any, Any, None] = app(scope, _receive, send)  # type: ignore[assignment]  # an Awaitable by type
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the request waited for something")
