"""Sign-in for Starlette and FastAPI: the middleware, its user and credentials, and the verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Final, TypeVar, cast

from starlette.authentication import AuthCredentials, BaseUser
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from dpmiddleware import asgi
from dpmiddleware.arguments import checked, explain
from dpmiddleware.asgi import Receive, Scope
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, RequestAuthentication
from dpmiddleware.web.sign_in.claims import ClaimTypes, Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.verbs import AuthenticateResult, age_of

__all__ = [
    "CookieAuthenticationMiddleware",
    "Credentials",
    "User",
    "authenticate",
    "challenge",
    "current_principal",
    "forbid",
    "fresh_login_required",
    "login_required",
    "reauthenticate",
    "require",
    "require_fresh",
    "sign_in",
    "sign_out",
]

_AGAIN: Final = "sign in again: you authenticated too long ago"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class CookieAuthenticationMiddleware(asgi.CookieAuthenticationMiddleware):
    """The user of a request: ``request.user`` (`User`) and ``request.auth`` (`Credentials`), read at first use.

    Options: see `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`. Events get a Starlette ``Request``.
    """

    _foreign_names: ClassVar = {
        "backend": "pass data_protection=: the user comes from the cookie that sign_in writes",
        "on_error": "pass events=, to handle a challenge or a refusal",
    }

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


def reauthenticate(request: HTTPConnection) -> None:
    """Make the user's sign-in fresh, after checking the password or passkey again; the session stays as it is."""
    _authentication(request).reauthenticate()


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
    """The user of the request; ``Principal()`` if anonymous. Also a FastAPI dependency."""
    return _authentication(request).principal


@checked
def require_fresh(request: HTTPConnection, max_age: timedelta) -> None:
    """Go on only if the user authenticated within ``max_age``; others are challenged to do it again."""
    require(request, endpoint=request.scope.get("endpoint"), max_age=max_age)


def require(
    request: HTTPConnection, roles: Sequence[str] = (), *, endpoint: object, max_age: timedelta | None = None
) -> Principal:
    """The user of the request; others are challenged or, if signed in without one of ``roles``, forbidden.

    endpoint: the function whose mark (`api`) decides between redirect and status.
    max_age: how long ago the user may have authenticated; who did so earlier is challenged, too.
    """
    authentication = _authentication(request)
    if not authentication.admit(endpoint=endpoint):
        raise HTTPException(401)
    principal = authentication.principal
    if roles and not any(principal.is_in_role(role) for role in roles):
        authentication.forbid(endpoint=endpoint)
        raise HTTPException(403)
    if max_age is not None and not authentication.admit(max_age, endpoint=endpoint):
        raise HTTPException(401, _AGAIN)
    return principal


@checked
def login_required(endpoint: _Endpoint) -> _Endpoint:
    """Challenge users who are not signed in. For functions that take the request (or websocket) first."""
    return _guarded(endpoint, None)


@checked
def fresh_login_required(*, minutes: float = 5) -> Callable[[_Endpoint], _Endpoint]:
    """As `login_required`; also challenge users who authenticated longer ago than ``minutes``."""
    max_age = age_of(minutes)
    return lambda endpoint: _guarded(endpoint, max_age)


def _guarded(endpoint: _Endpoint, max_age: timedelta | None) -> _Endpoint:
    @wraps(endpoint)
    async def guarded(request: HTTPConnection, *args: Any, **kwargs: Any) -> Any:
        mark = request.scope.get("endpoint")
        if not isinstance(request, Request):
            require(request, endpoint=mark, max_age=max_age)
        elif not _authentication(request).admit(max_age, endpoint=mark):
            return Response(status_code=401)
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
