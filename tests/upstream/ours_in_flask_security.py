"""A pytest plugin for Flask-Security's tests: our sessions, and the tests' helpers can read them.

The helpers read a session out of its cookie with a serializer of the default salt, which Flask-Security itself does not
use. Here the application that a test created last opens the cookie.
"""

from __future__ import annotations

from typing import Any

import flask
import itsdangerous

pytest_plugins = ("ours_in_flask_applications",)

DEFAULT_SALT = itsdangerous.URLSafeTimedSerializer("").salt

_create = flask.Flask.__init__
_read = itsdangerous.URLSafeTimedSerializer.loads_unsafe
_latest: list[flask.Flask] = []


def _create_and_remember(app: flask.Flask, *arguments: Any, **named: Any) -> None:
    _create(app, *arguments, **named)
    _latest[:] = [app]


def _open_cookie(serializer: Any, value: str, *arguments: Any, **named: Any) -> tuple[bool, Any]:
    if serializer.salt != DEFAULT_SALT:
        return _read(serializer, value, *arguments, **named)
    with _latest[0].test_request_context(headers={"Cookie": f"session={value}"}):
        return True, dict(flask.session)


flask.Flask.__init__ = _create_and_remember  # type: ignore[method-assign, assignment]  # the purpose of this plugin
itsdangerous.URLSafeTimedSerializer.loads_unsafe = _open_cookie  # type: ignore[method-assign, assignment]  # likewise
