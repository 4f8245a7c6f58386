"""Sessions of websockets, for `Channels <https://channels.readthedocs.io>`_.

    "websocket": WebSocketSessions(AuthMiddlewareStack(URLRouter([…])))

Channels reads one cookie, and the session may be in several. This middleware goes around that of Channels, which uses
the session that it finds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dpmiddleware.arguments import checked
from dpmiddleware.django.sessions import SessionStore, begin

__all__ = ["WebSocketSessions"]

_Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


@checked
class WebSocketSessions:
    """``scope["session"]`` of websockets. Changes are not written: an open websocket cannot set cookies."""

    def __init__(self, app: _Application) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Run the application, with a session if this is a websocket without one."""
        if scope["type"] == "websocket" and "session" not in scope:
            header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
            scope = {**scope, "session": SessionStore.of(begin(header))}
        await self._app(scope, receive, send)
