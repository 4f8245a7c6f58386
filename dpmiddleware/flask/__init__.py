"""Flask: ``flask.session`` and sign-in on a ring of keys.

    ProtectedSessions(data_protection=dp).init_app(app)                   # flask.session
    CookieAuthentication(data_protection=dp, login_path="/login").init_app(app)

Then ``sign_in(principal)``, ``sign_out()``, ``current_principal``, ``@login_required`` wherever a request is. Both
read ``DATA_PROTECTION_APPLICATION``, ``DATA_PROTECTION_REPOSITORY``, ``DATA_PROTECTION_KEY_WRAPPER`` … from
``app.config`` where they are given no ``data_protection=`` (names of `DataProtection.from_config`, in capitals).

Where there is no ring, a page that needs one is answered 503 with ``Retry-After``.
"""

from dpmiddleware.flask.authentication import (
    CookieAuthentication,
    authenticate,
    challenge,
    current_principal,
    forbid,
    login_required,
    sign_in,
    sign_out,
)
from dpmiddleware.flask.extension import get_data_protection
from dpmiddleware.flask.sessions import FlaskFormat, FlaskSession, ProtectedSessions
from dpmiddleware.web.sign_in.options import allow_cookie_redirect, api

__all__ = [
    "CookieAuthentication",
    "FlaskFormat",
    "FlaskSession",
    "ProtectedSessions",
    "allow_cookie_redirect",
    "api",
    "authenticate",
    "challenge",
    "current_principal",
    "forbid",
    "get_data_protection",
    "login_required",
    "sign_in",
    "sign_out",
]
