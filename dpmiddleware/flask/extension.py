"""What both extensions share: the application's data protection, and the answer while there is no ring."""

from __future__ import annotations

from typing import Final, cast

import flask
from werkzeug.datastructures import Headers

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY
from dpmiddleware.wsgi import SESSION_KEY

__all__ = ["become_unavailable", "get_data_protection", "register"]

_EXTENSION: Final = "dpmiddleware"
_PREFIX: Final = "DATA_PROTECTION_"


def get_data_protection(app: flask.Flask | None = None) -> DataProtection:
    """The data protection of an application, by default the current one."""
    found = (app or flask.current_app).extensions.get(_EXTENSION)
    if not isinstance(found, DataProtection):
        raise ConfigurationError(
            "this application has no data protection", hint="ProtectedSessions(data_protection=dp).init_app(app)"
        )
    return found


def register(app: flask.Flask, data_protection: DataProtection | None) -> DataProtection:
    """The application's data protection: the one given, that of another extension, or from its configuration."""
    found = data_protection or app.extensions.get(_EXTENSION) or _from_config(app)
    if app.extensions.setdefault(_EXTENSION, found) is not found:
        raise ConfigurationError(
            "this application has another data protection already", hint="give all extensions the same object"
        )
    if KeyManagementError not in app.error_handler_spec[None][None]:
        app.register_error_handler(KeyManagementError, _unavailable)
    return cast("DataProtection", found)


def _from_config(app: flask.Flask) -> DataProtection:
    given = {
        name.removeprefix(_PREFIX).lower(): value for name, value in app.config.items() if name.startswith(_PREFIX)
    }
    if not given:
        raise ConfigurationError(
            "no data protection for this application",
            hint="data_protection=DataProtection(…), or DATA_PROTECTION_APPLICATION and others in app.config",
        )
    return DataProtection.from_config(given)


def _unavailable(error: KeyManagementError) -> flask.Response:
    """The handler of outages; an application's own dealings with keys stay its errors."""
    environ = flask.request.environ
    parts = (environ.get(SESSION_KEY), environ.get(AUTHENTICATION_KEY))
    if get_data_protection().health().ready and not any(getattr(part, "failure", None) is error for part in parts):
        raise error
    response = flask.Response()
    become_unavailable(response, error)
    return response


def become_unavailable(response: flask.Response, error: KeyManagementError) -> None:
    """503 in the place of what the application answered: an outage is nobody's sign-out."""
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    response.set_data(UNAVAILABLE)
    response.status_code = 503
    response.headers = Headers(RETRY_AFTER)
