"""Quart: ``quart.session`` and sign-in on a key ring, in Flask's manners.

    ProtectedSessions(data_protection=dp).init_app(app)                   # quart.session
    CookieAuthentication(data_protection=dp, login_path="/login").init_app(app)
    CrossOriginProtection().init_app(app)                                 # no forms of other sites

Then ``sign_in(principal)``, ``sign_out()``, ``current_principal`` and ``@login_required`` work in every request. They
are plain functions: nothing waits on the event loop, because the middleware around the application waits before the
view runs and when the response starts. The configuration is that of `dpmiddleware.flask`.
"""

from dpmiddleware.cross_origin import cross_origin_exempt
from dpmiddleware.cross_origin.quart import CrossOriginProtection
from dpmiddleware.flask.sessions import FlaskFormat, FlaskSession
from dpmiddleware.quart.authentication import (
    CookieAuthentication,
    authenticate,
    challenge,
    current_principal,
    forbid,
    fresh_login_required,
    login_required,
    reauthenticate,
    require_fresh,
    sign_in,
    sign_out,
)
from dpmiddleware.quart.extension import get_data_protection
from dpmiddleware.quart.sessions import ProtectedSessions
from dpmiddleware.web import public
from dpmiddleware.web.public import *  # noqa: F403 (the names that every framework hands on)

__all__ = [
    "CookieAuthentication",
    "CrossOriginProtection",
    "FlaskFormat",
    "FlaskSession",
    "ProtectedSessions",
    "authenticate",
    "challenge",
    "cross_origin_exempt",
    "current_principal",
    "forbid",
    "fresh_login_required",
    "get_data_protection",
    "login_required",
    "reauthenticate",
    "require_fresh",
    "sign_in",
    "sign_out",
]
__all__ += public.__all__
