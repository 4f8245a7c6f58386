"""Starlette and FastAPI: ``request.session``, ``request.user`` and ``request.auth`` on a key ring.

    app.add_middleware(SessionMiddleware, data_protection=dp)
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp, login_path="/login")
    app.add_middleware(CrossOriginProtectionMiddleware)

``@requires("authenticated")`` and ``@requires("admin")`` work: the scopes are "authenticated" and the user's roles. To
send users who are not signed in to the login page, return ``challenge(request)``, or put `login_required` on the
endpoint.

FastAPI's dependencies (`SignedIn`, `CurrentPrincipal`, `require_principal`, `require_role`, `require_fresh_principal`,
`RequirePrincipal`, `redirect_browsers`) are names of this module, too. They are imported at their first use, because
they need FastAPI.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from dpmiddleware.asgi import CookiePolicyMiddleware, CookieProtectionMiddleware, SessionMiddleware
from dpmiddleware.cross_origin import cross_origin_exempt
from dpmiddleware.cross_origin.starlette import CrossOriginProtectionMiddleware
from dpmiddleware.extras import import_extra
from dpmiddleware.starlette.authentication import (
    CookieAuthenticationMiddleware,
    Credentials,
    User,
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
from dpmiddleware.web import public
from dpmiddleware.web.public import *  # noqa: F403 (the names that every framework hands on)

__all__ = [
    "CookieAuthenticationMiddleware",
    "CookiePolicyMiddleware",
    "CookieProtectionMiddleware",
    "Credentials",
    "CrossOriginProtectionMiddleware",
    "SessionMiddleware",
    "User",
    "authenticate",
    "challenge",
    "cross_origin_exempt",
    "current_principal",
    "forbid",
    "fresh_login_required",
    "login_required",
    "reauthenticate",
    "require_fresh",
    "sign_in",
    "sign_out",
]
__all__ += public.__all__

if find_spec("fastapi") is not None:  # a star import must not need FastAPI
    __all__ += [
        "CurrentPrincipal",
        "RequirePrincipal",
        "SignedIn",
        "redirect_browsers",
        "require_fresh_principal",
        "require_principal",
        "require_role",
    ]

_OF_FASTAPI = frozenset(
    (
        *("CurrentPrincipal", "RequirePrincipal", "SignedIn", "redirect_browsers"),
        *("require_fresh_principal", "require_principal", "require_role"),
    )
)

if TYPE_CHECKING:
    from dpmiddleware.starlette.dependencies import CurrentPrincipal as CurrentPrincipal
    from dpmiddleware.starlette.dependencies import RequirePrincipal as RequirePrincipal
    from dpmiddleware.starlette.dependencies import SignedIn as SignedIn
    from dpmiddleware.starlette.dependencies import redirect_browsers as redirect_browsers
    from dpmiddleware.starlette.dependencies import require_fresh_principal as require_fresh_principal
    from dpmiddleware.starlette.dependencies import require_principal as require_principal
    from dpmiddleware.starlette.dependencies import require_role as require_role
else:

    def __getattr__(name: str) -> object:
        if name not in _OF_FASTAPI:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import_extra("fastapi", "fastapi", f"dpmiddleware.starlette.{name}")
        from dpmiddleware.starlette import dependencies

        return getattr(dependencies, name)
