"""Starlette and FastAPI: ``request.session``, ``request.user`` and ``request.auth`` on a ring of keys.

    app.add_middleware(SessionMiddleware, data_protection=dp)
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp, login_path="/login")

``@requires("authenticated")`` and ``@requires("admin")`` work: scopes are "authenticated" and the roles. To send who is
not signed in to the login page, return ``challenge(request)``, put `login_required` on the endpoint, or let FastAPI
inject `require_principal`.
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
from dpmiddleware.web.sign_in.options import allow_cookie_redirect, api

__all__ = [
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "Credentials",
    "SessionMiddleware",
    "User",
    "allow_cookie_redirect",
    "api",
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
