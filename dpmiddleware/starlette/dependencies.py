"""Dependencies of FastAPI: the user of a request, as a parameter of a route and as a security scheme in OpenAPI.

    @app.get("/me")
    def me(user: SignedIn) -> str: ...

    @app.get("/orders", dependencies=[Depends(require_role("admin"))])

    @app.post("/password", dependencies=[Depends(require_fresh_principal(minutes=5))])

A FastAPI application is an API: who may not see a route is answered 401 or 403. `redirect_browsers` makes a router or
an application send browsers to the login page instead. A mark on a route (`api`, `allow_cookie_redirect`) overrides
both.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
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
from dpmiddleware.web.sign_in.verbs import age_of

__all__ = [
    "CurrentPrincipal",
    "RequirePrincipal",
    "SignedIn",
    "redirect_browsers",
    "require_fresh_principal",
    "require_principal",
    "require_role",
]

_ROLES: Final = 'write Depends(require_role("admin"))'
_MINUTES: Final = "write Depends(require_fresh_principal(minutes=5))"
_REDIRECTS: Final = "dpmiddleware.redirect_browsers"
"""In the scope of a request whose router or application redirects."""


@api
def _program() -> None:
    """Stands for the function of a route that is not marked."""


@checked
class RequirePrincipal(SecurityBase):
    """A dependency: the user of the request, who must be signed in and, if roles are given, have one of them.

    roles: names of roles.
    max_age: how long ago the user may have authenticated; ``None``: it does not matter.
    cookie: the name of the sign-in cookie in OpenAPI, if it is not the default one.
    scheme_name: the name of the security scheme in OpenAPI.
    """

    def __init__(
        self,
        *roles: str,
        max_age: timedelta | None = None,
        cookie: str = ".AspNetCore.Cookies",
        scheme_name: str = "CookieAuthentication",
    ) -> None:
        self.roles = roles
        self.max_age = max_age
        self.scheme_name = scheme_name
        self.model = APIKey.model_validate({"in": APIKeyIn.cookie, "name": cookie})

    def __call__(self, request: HTTPConnection) -> Principal:
        """The user. Not a coroutine: reading the cookie may have to wait for the keys."""
        endpoint = request.scope.get("endpoint")
        if is_api(endpoint) is None and _REDIRECTS not in request.scope:
            endpoint = _program
        return require(request, self.roles, endpoint=endpoint, max_age=self.max_age)


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


@checked
def require_fresh_principal(*, minutes: float = 5) -> RequirePrincipal:
    """Return a dependency: the user of the request, who must have authenticated within the last ``minutes``."""
    return RequirePrincipal(max_age=age_of(minutes))


def _refuse_itself(function: Callable[..., RequirePrincipal], parameter: Parameter, hint: str) -> None:
    """Let FastAPI refuse ``function`` in place of what it returns: it would let everybody in.

    FastAPI asks the type of its parameter for a schema. Only `inspect` sees that type.
    """

    class Unfinished:
        @classmethod
        def __get_pydantic_core_schema__(cls, *_: object) -> NoReturn:
            name = function.__name__
            raise ConfigurationError(f"{name} is not a dependency; what it returns is one", hint=hint)

    unfinished = Signature([parameter.replace(annotation=Unfinished)])
    setattr(function, "__signature__", unfinished)  # noqa: B010 (functions have it only for inspect)


_refuse_itself(require_role, Parameter("roles", Parameter.VAR_POSITIONAL), _ROLES)
_refuse_itself(require_fresh_principal, Parameter("minutes", Parameter.KEYWORD_ONLY, default=5), _MINUTES)


async def redirect_browsers(request: HTTPConnection) -> None:
    """A dependency, for an application or a router: browsers are redirected to the login and access-denied pages.

    It takes effect on the dependencies after it: ``APIRouter(dependencies=[Depends(redirect_browsers)])``.
    """
    request.scope[_REDIRECTS] = True


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
"""The type of a parameter: the user of the request, who may be anonymous."""

SignedIn = Annotated[Principal, Depends(require_principal)]
"""The type of a parameter: the user of the request, who must be signed in."""
