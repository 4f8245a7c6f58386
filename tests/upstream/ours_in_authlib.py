"""A pytest plugin for Authlib's client tests: our sessions in Flask, Django and Starlette.

Authlib's tests put an empty dictionary in ``scope["session"]``; a request gets a session of ours instead, as our
middleware puts it there.
"""

from __future__ import annotations

from typing import Any

from ours_in_starlette import session_of  # type: ignore[import-not-found]  # in this folder, which is on the path
from starlette.requests import HTTPConnection

pytest_plugins = ("ours_in_flask_applications", "ours_in_django_projects")

_create = HTTPConnection.__init__


def _create_with_our_session(connection: HTTPConnection, scope: Any, *arguments: Any, **named: Any) -> None:
    if type(scope.get("session")) is dict:
        scope["session"] = session_of(scope["session"])
    _create(connection, scope, *arguments, **named)


HTTPConnection.__init__ = _create_with_our_session  # type: ignore[method-assign, assignment]  # the purpose of this plugin
