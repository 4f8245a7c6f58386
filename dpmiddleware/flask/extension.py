"""What both extensions share: the application's data protection, and how parts of a request change its response."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, cast

import flask
from flask.sansio.app import App

from dpmiddleware.arguments import checked
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.names import refuse_unknown
from dpmiddleware.naming import CROSS_ORIGIN, FLASK, FLASK_PREFIX
from dpmiddleware.settings import SETTINGS, is_in_environment
from dpmiddleware.tracebacks import hides_locals
from dpmiddleware.web import parts
from dpmiddleware.web.answer import TITLED, Answer, Part, unavailable

__all__ = ["EXTENSION", "become", "finish", "get_data_protection", "register"]

EXTENSION: Final = "dpmiddleware"


@checked
def get_data_protection(app: flask.Flask | None = None) -> DataProtection:
    """The data protection of an application, by default the current one."""
    found = (app or flask.current_app).extensions.get(EXTENSION)
    if not isinstance(found, DataProtection):
        raise ConfigurationError(
            "this Flask application has no data protection",
            hint="call ProtectedSessions(data_protection=dp).init_app(app)",
        )
    return found


def register(
    app: App, data_protection: DataProtection | None, on_outage: Callable[[KeyManagementError], Any] | None = None
) -> DataProtection:
    """The application's data protection: the given one, that of another extension, or one from its configuration.

    app: of Flask or Quart. on_outage: its handler of outages.
    """
    found = data_protection or app.extensions.get(EXTENSION) or _from_config(app)
    if app.extensions.setdefault(EXTENSION, found) is not found:
        raise ConfigurationError(
            f"this {type(app).__name__} application already has another data protection",
            hint="pass the same object to all extensions",
        )
    if KeyManagementError not in app.error_handler_spec[None][None]:
        app.register_error_handler(KeyManagementError, on_outage or _unavailable)
    return cast("DataProtection", found)


@hides_locals
def _from_config(app: App) -> DataProtection:
    """From ``DATA_PROTECTION_…``; from the variables ``DPM_…`` if there is none of these. Never from both."""
    given = {name: value for name, value in app.config.items() if name.startswith(FLASK_PREFIX)}
    given.pop(CROSS_ORIGIN, None)
    if not given and is_in_environment(os.environ):
        return DataProtection.from_env()
    if not given:
        raise ConfigurationError(
            f"no data protection is configured for this {type(app).__name__} application",
            hint="pass data_protection=, set DATA_PROTECTION_APPLICATION and others in app.config, "
            "or set DPM_APPLICATION and others in the environment",
        )
    refuse_unknown(given, map(str.upper, SETTINGS), prefix=FLASK_PREFIX)
    settings = {name.removeprefix(FLASK_PREFIX).lower(): value for name, value in given.items()}
    return DataProtection.from_config(settings, naming=FLASK)


def _unavailable(error: KeyManagementError) -> flask.Response:
    """The handler of outages. Errors in an application's own use of keys stay errors."""
    if not parts.is_outage(error, flask.request.environ, get_data_protection()):
        raise error
    response = flask.Response()
    become(response, unavailable(error, response.headers))
    return response


def finish(response: flask.Response, part: Part) -> None:
    """Change a response as a part of its request answers; in an outage, replace it by 503."""
    headers = list(response.headers)
    try:
        answer = parts.finish(part, response.status_code, headers)
    except KeyManagementError as error:
        answer = unavailable(error, headers)
    become(response, answer)


def become(response: Any, answer: Answer) -> None:
    """Change a response of Flask or Quart as an answer says."""
    headers = response.headers
    if answer.status is not None:
        response.status_code = answer.status
    if answer.body is not None:
        response.set_data(answer.body)
    if answer.dropped or answer.body is not None:
        for name in {name.lower() for name in headers.keys()}:  # noqa: SIM118 (iterating the object gives pairs)
            if answer.drops(name):
                headers.remove(name)
    for name, value in answer.added:
        headers.add(TITLED[name], value)
