"""Sign-in for Starlette and FastAPI: the middleware, its user and credentials, and the verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, iscoroutinefunction
from typing import Any, Final, NoReturn, TypeVar, cast

from starlette.authentication import AuthCredentials, BaseUser
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from dpmiddleware import asgi
from dpmiddleware.arguments import checked, explain
from dpmiddleware.asgi import Receive, Scope
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, AuthenticateResult, RequestAuthentication
from dpmiddleware.web.sign_in.claims import ClaimTypes, Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties

__all__ = [
    "CookieAuthenticationMiddleware",
    "Credentials",
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

_ROLES: Final = 'write Depends(require_role("admin"))'
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class CookieAuthenticationMiddleware(asgi.CookieAuthenticationMiddleware):
    """The user of a request: ``request.user`` (`User`) and ``request.auth`` (`Credentials`), read at first use.

    Options: see `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Events get a Starlette ``Request``.
    """

    def place(self, scope: Scope, authentication: RequestAuthentication) -> None:
        """Put the user where Starlette expects it."""
        scope["user"] = User(authentication)
        scope["auth"] = Credentials(authentication)

    def native(self, scope: Scope, receive: Receive) -> HTTPConnection:
        """The request of events."""
        return Request(scope, receive) if scope["type"] == "http" else HTTPConnection(scope)


class User(BaseUser):
    """The user of a request with Starlette's interface; ``user.principal`` has all claims."""

    def __init__(self, authentication: RequestAuthentication) -> None:
        self._authentication = authentication

    @property
    def principal(self) -> Principal:
        """The principal, with all claims."""
        return self._authentication.principal

    @property
    def is_authenticated(self) -> bool:
        """Whether the user is signed in."""
        return self._authentication.principal.is_authenticated

    @property
    def display_name(self) -> str:
        """The name, or an empty string."""
        return self.principal.name or ""

    @property
    def identity(self) -> str:
        """The id: the claim ``sub`` or ``NameIdentifier``; without these, the name."""
        principal = self.principal
        return principal.value("sub") or principal.value(ClaimTypes.NAME_IDENTIFIER) or self.display_name


class Credentials(AuthCredentials):
    """The scopes of the user: ``authenticated``, and each role."""

    def __init__(self, authentication: RequestAuthentication) -> None:
        self._authentication = authentication

    @property
    def scopes(self) -> Sequence[str]:  # type: ignore[override]  # Starlette sets a list; here it is read at first use
        """The word "authenticated", and the roles; empty if the user is anonymous."""
        principal = self._authentication.principal
        return ["authenticated", *principal.roles] if principal.is_authenticated else []


def sign_in(request: HTTPConnection, principal: Principal, properties: AuthenticationProperties | None = None) -> None:
    """Sign ``principal`` in with the response to this request; the session is renewed."""
    _authentication(request).sign_in(principal, properties)


def sign_out(request: HTTPConnection, properties: AuthenticationProperties | None = None) -> None:
    """Sign the user out with the response to this request; the session is emptied."""
    _authentication(request).sign_out(properties)


def authenticate(request: HTTPConnection) -> AuthenticateResult:
    """What the request's cookie contained: the ticket with its properties, or the reason why there is none."""
    return _authentication(request).result


def challenge(request: HTTPConnection, properties: AuthenticationProperties | None = None) -> Response:
    """Return the response that redirects a browser to the login page, and answers 401 to a program."""
    _authentication(request).challenge(properties, endpoint=request.scope.get("endpoint"))
    return Response(status_code=401)


def forbid(request: HTTPConnection, properties: AuthenticationProperties | None = None) -> Response:
    """Return the response that redirects a browser to the access-denied page, and answers 403 to a program."""
    _authentication(request).forbid(properties, endpoint=request.scope.get("endpoint"))
    return Response(status_code=403)


def current_principal(request: HTTPConnection) -> Principal:
    """The user of the request; ``Principal()`` if anonymous. A FastAPI dependency."""
    return _authentication(request).principal


def require_principal(request: HTTPConnection) -> Principal:
    """The user of the request. Users who are not signed in are challenged. A FastAPI dependency."""
    principal = current_principal(request)
    if not principal.is_authenticated:
        raise HTTPException(challenge(request).status_code)
    return principal


@checked
def require_role(*roles: str) -> Callable[[HTTPConnection], Principal]:
    """Return a FastAPI dependency: the user of the request, who must have one of these roles."""
    if not roles:
        raise ConfigurationError("require_role() names no role, so every user would be refused", hint=_ROLES)

    def dependency(request: HTTPConnection) -> Principal:
        principal = require_principal(request)
        if not any(principal.is_in_role(role) for role in roles):
            raise HTTPException(forbid(request).status_code)
        return principal

    dependency.__annotations__ = {"request": HTTPConnection, "return": Principal}  # FastAPI reads them as objects
    return dependency


class _Unfinished:
    """What FastAPI finds as the type of ``*roles`` where it gets `require_role` itself, and asks for a schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> NoReturn:
        raise ConfigurationError("require_role is not a dependency; what it returns is one", hint=_ROLES)


_unfinished: Final = Parameter("roles", Parameter.VAR_POSITIONAL, annotation=_Unfinished)
setattr(require_role, "__signature__", Signature([_unfinished]))  # noqa: B010 (functions have it only for inspect)


@checked
def login_required(endpoint: _Endpoint) -> _Endpoint:
    """Challenge users who are not signed in. For functions that take the request (or websocket) first."""

    @wraps(endpoint)
    async def guarded(request: HTTPConnection, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request, Request) and not current_principal(request).is_authenticated:
            return challenge(request)
        require_principal(request)
        if iscoroutinefunction(endpoint):
            return await endpoint(request, *args, **kwargs)
        return await run_in_threadpool(endpoint, request, *args, **kwargs)

    return cast("_Endpoint", guarded)


def _authentication(request: HTTPConnection) -> RequestAuthentication:
    try:
        found = request.scope.get(AUTHENTICATION_KEY)
    except AttributeError as error:
        raise explain(current_principal, error, request=request) from None
    if not isinstance(found, RequestAuthentication):
        raise ConfigurationError(
            "this request did not pass through CookieAuthenticationMiddleware",
            hint="call app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp)",
        )
    return found
