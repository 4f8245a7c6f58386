"""What both extensions share: the application's data protection, its middleware, and the answer in an outage."""

from __future__ import annotations

from typing import Any

import quart
from hypercorn.typing import WWWScope

from dpmiddleware.asgi import ASGIApp
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.flask import extension
from dpmiddleware.web import parts
from dpmiddleware.web.answer import unavailable

__all__ = ["current_scope", "get_data_protection", "put_around", "register"]


def get_data_protection(app: quart.Quart | None = None) -> DataProtection:
    """The data protection of an application, by default the current one."""
    found = (app or quart.current_app).extensions.get(extension.EXTENSION)
    if not isinstance(found, DataProtection):
        raise ConfigurationError(
            "this Quart application has no data protection",
            hint="call ProtectedSessions(data_protection=dp).init_app(app)",
        )
    return found


def register(app: quart.Quart, data_protection: DataProtection | None) -> DataProtection:
    """See `dpmiddleware.flask.extension.register`."""
    return extension.register(app, data_protection, _unavailable)


def put_around(app: Any, middleware: ASGIApp) -> None:
    """Put ASGI middleware around an application, as Quart's documentation does."""
    app.asgi_app = middleware


def current_scope() -> Any:
    """The ASGI scope of the current request or websocket."""
    scope: WWWScope = (quart.request if quart.has_request_context() else quart.websocket).scope
    return scope


async def _unavailable(error: KeyManagementError) -> quart.Response:
    """The handler of outages. Errors in an application's own use of keys stay errors."""
    if not parts.is_outage(error, current_scope(), get_data_protection()):
        raise error
    response = quart.Response(b"")
    extension.become(response, unavailable(error, response.headers))
    return response
