"""Django on a key ring: sessions, sign-in, signed values. Settings are described in `apps`.

    INSTALLED_APPS += ["dpmiddleware.django"]
    MIDDLEWARE = ["dpmiddleware.django.sessions.SessionMiddleware", …]      # in place of Django's
    SESSION_ENGINE = "dpmiddleware.django.sessions"
    SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
    DATA_PROTECTION = {"application": "shop", "repository": "django:default", "key_wrapper": "x509:///keys.pem"}

Importing this package needs no settings, so a settings file may import from it.
"""

from dpmiddleware.cross_origin import cross_origin_exempt
from dpmiddleware.cross_origin.django import CrossOriginProtectionMiddleware
from dpmiddleware.django import checks as _checks  # noqa: F401 # pyright: ignore[reportUnusedImport]  (registers them)
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.django.authentication import (
    CookieAuthenticationMiddleware,
    PrincipalUser,
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
from dpmiddleware.django.channels import WebSocketSessions
from dpmiddleware.django.sessions import SessionMiddleware
from dpmiddleware.web import public
from dpmiddleware.web.public import *  # noqa: F403 (the names that every framework hands on)

__all__ = [
    "CookieAuthenticationMiddleware",
    "CrossOriginProtectionMiddleware",
    "PrincipalUser",
    "SessionMiddleware",
    "WebSocketSessions",
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
