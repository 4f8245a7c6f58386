"""A pytest plugin: ``ProtectedSessions`` sets up every Flask application that a test creates."""

from __future__ import annotations

from typing import Any

import flask
from rings import new_ring  # type: ignore[import-not-found]  # in this folder, which is on the path

from dpmiddleware.flask import ProtectedSessions

_create = flask.Flask.__init__


def _create_with_our_sessions(app: flask.Flask, *arguments: Any, **named: Any) -> None:
    _create(app, *arguments, **named)
    ProtectedSessions(data_protection=new_ring()).init_app(app)


flask.Flask.__init__ = _create_with_our_sessions  # type: ignore[method-assign, assignment]  # the purpose of this plugin
