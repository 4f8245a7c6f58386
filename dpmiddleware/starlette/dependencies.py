"""Dependencies of FastAPI: the user of a request, as a parameter of a route and as a security scheme in OpenAPI.

    @app.get("/me")
    def me(user: SignedIn) -> str: ...

    @app.get("/orders", dependencies=[Depends(require_role("admin"))])

A FastAPI application is an API: who may not see a route is answered 401 or 403. `redirect_browsers` makes a router or
an application send browsers to the login page instead. A mark on a route (`api`, `allow_cookie_redirect`) overrides
both.
"""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Annotated, Final, NoReturn

from fastapi import Depends
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.starlette.authentication import current_principal, require
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.options import api, is_api

__all__ = [
    "CurrentPrincipal",
    "RequirePrincipal",
    "SignedIn",
    "redirect_browsers",
    "require_principal",
    "require_role",
]

_ROLES: Final = 'write Depends(require_role("admin"))'
_REDIRECTS: Final = "dpmiddleware.redirect_browsers"
"""In the scope of a request whose router or application redirects."""


@api
def _program() -> None:
    """Stands for the function of a route that is not marked."""


@checked
class RequirePrincipal(SecurityBase):
    """A dependency: the user of the request, who must be signed in and, if roles are given, have one of them.

    roles: names of roles.
    cookie: the name of the sign-in cookie in OpenAPI, if it is not the default one.
    scheme_name: the name of the security scheme in OpenAPI.
    """

    def __init__(
        self, *roles: str, cookie: str = ".AspNetCore.Cookies", scheme_name: str = "CookieAuthentication"
    ) -> None:
        self.roles = roles
        self.scheme_name = scheme_name
        self.model = APIKey.model_validate({"in": APIKeyIn.cookie, "name": cookie})

    def __call__(self, request: HTTPConnection) -> Principal:
        """The user. Not a coroutine: reading the cookie may have to wait for the keys."""
        endpoint = request.scope.get("endpoint")
        if is_api(endpoint) is None and _REDIRECTS not in request.scope:
            endpoint = _program
        return require(request, self.roles, endpoint=endpoint)


RequirePrincipal.__call__.__annotations__ = {"request": HTTPConnection, "return": Principal}
# FastAPI reads them as objects, not as text: a callable object has no globals in which it could look names up.


require_principal: Final = RequirePrincipal()
"""The user of the request, who must be signed in."""


@checked
def require_role(*roles: str) -> RequirePrincipal:
    """Return a dependency: the user of the request, who must have one of these roles."""
    if not roles:
        raise ConfigurationError("require_role() names no role, so every user would be refused", hint=_ROLES)
    return RequirePrincipal(*roles)


class _Unfinished:
    """What FastAPI finds as the type of ``*roles`` where it gets `require_role` itself, and asks for a schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> NoReturn:
        raise ConfigurationError("require_role is not a dependency; what it returns is one", hint=_ROLES)


_unfinished: Final = Parameter("roles", Parameter.VAR_POSITIONAL, annotation=_Unfinished)
setattr(require_role, "__signature__", Signature([_unfinished]))  # noqa: B010 (functions have it only for inspect)


async def redirect_browsers(request: HTTPConnection) -> None:
    """A dependency, for an application or a router: browsers are redirected to the login and access-denied pages.

    It takes effect on the dependencies after it: ``APIRouter(dependencies=[Depends(redirect_browsers)])``.
    """
    request.scope[_REDIRECTS] = True


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
"""The type of a parameter: the user of the request, who may be anonymous."""

SignedIn = Annotated[Principal, Depends(require_principal)]
"""The type of a parameter: the user of the request, who must be signed in."""
