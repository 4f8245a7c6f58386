"""Starlette and FastAPI: ``request.session``, ``request.user`` and ``request.auth`` on a key ring.

    app.add_middleware(SessionMiddleware, data_protection=dp)
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp, login_path="/login")

``@requires("authenticated")`` and ``@requires("admin")`` work: the scopes are "authenticated" and the user's roles. To
send users who are not signed in to the login page, return ``challenge(request)``, put `login_required` on the endpoint,
or let FastAPI inject `require_principal`.
"""

from dpmiddleware.asgi import CookiePolicyMiddleware, CookieProtectionMiddleware, SessionMiddleware
from dpmiddleware.starlette.authentication import (
    CookieAuthenticationMiddleware,
    Credentials,
    User,
    authenticate,
    challenge,
    current_principal,
    forbid,
    login_required,
    require_principal,
    require_role,
    sign_in,
    sign_out,
)
from dpmiddleware.web import public
from dpmiddleware.web.public import *  # noqa: F403 (the names that every framework hands on)

__all__ = [
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "Credentials",
    "SessionMiddleware",
    "User",
    "authenticate",
    "challenge",
    "current_principal",
    "forbid",
    "login_required",
    "require_principal",
    "require_role",
    "sign_in",
    "sign_out",
]
__all__ += public.__all__
