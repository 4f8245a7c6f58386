"""Flask: ``flask.session`` and sign-in on a key ring.

    ProtectedSessions(data_protection=dp).init_app(app)                   # flask.session
    CookieAuthentication(data_protection=dp, login_path="/login").init_app(app)
    CrossOriginProtection().init_app(app)                                 # no forms of other sites

Then ``sign_in(principal)``, ``sign_out()``, ``current_principal`` and ``@login_required`` work in every request. Both
extensions read ``DATA_PROTECTION_APPLICATION``, ``DATA_PROTECTION_REPOSITORY``, ``DATA_PROTECTION_KEY_WRAPPER`` and so
on from ``app.config`` if they get no ``data_protection=``: the names of `DataProtection.from_config`, in capitals.

While there is no key ring, a page that needs one is answered 503 with ``Retry-After``.
"""

from dpmiddleware.cross_origin import cross_origin_exempt
from dpmiddleware.cross_origin.flask import CrossOriginProtection
from dpmiddleware.flask.authentication import (
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
from dpmiddleware.flask.extension import get_data_protection
from dpmiddleware.flask.sessions import FlaskFormat, FlaskSession, ProtectedSessions
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
