"""A pytest plugin: every Flask application of Flask's tests keeps its sessions with us."""

from __future__ import annotations

from typing import Any

import _pytest.monkeypatch
import flask

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.flask import ProtectedSessions

RING = DataProtection("flask's tests", repository="memory:", key_wrapper="plain:")
if not hasattr(_pytest.monkeypatch, "notset"):  # Flask's conftest was written for an older pytest
    _pytest.monkeypatch.notset = _pytest.monkeypatch.NOTSET  # type: ignore[attr-defined]  # see above

_init = flask.Flask.__init__


def _with_our_sessions(self: flask.Flask, *args: Any, **kwargs: Any) -> None:
    _init(self, *args, **kwargs)
    if type(self).session_interface is flask.Flask.session_interface:
        ProtectedSessions(self, data_protection=RING)


flask.Flask.__init__ = _with_our_sessions  # type: ignore[method-assign]  # the point
