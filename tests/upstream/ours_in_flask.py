"""A pytest plugin: Flask's tests find our session interface under the name of its own, ready to be subclassed."""

from __future__ import annotations

import flask
import flask.sessions
from rings import new_ring  # type: ignore[import-not-found]  # beside this file, where it runs
from werkzeug.datastructures import ImmutableDict

from dpmiddleware.flask.sessions import MAX_TOTAL, FlaskInterface
from dpmiddleware.web.cookies.text import CookieSettings


class OurInterface(FlaskInterface):
    """Needs no arguments, as Flask's interface."""

    def __init__(self) -> None:
        super().__init__(new_ring(), None, None, None)


flask.sessions.SecureCookieSessionInterface = OurInterface  # type: ignore[assignment, misc]  # the purpose of this plugin
flask.Flask.session_interface = OurInterface()
flask.Flask.default_config = ImmutableDict(
    {  # what `ProtectedSessions.init_app` adds
        **flask.Flask.default_config,
        MAX_TOTAL: CookieSettings("default").max_total,
    }
)
