"""Sign-in for Django: ``request.principal`` and ``request.user`` from tickets, which ASP.NET Core can share.

    MIDDLEWARE = […, "dpmiddleware.django.authentication.CookieAuthenticationMiddleware"]
    DATA_PROTECTION_COOKIE_AUTHENTICATION = {"login_path": "/login", "user": "shop.users.of_principal"}

The options are those of `dpmiddleware.web.sign_in.options.CookieAuthenticationOptions`, and ``user``: a function (or
its name) that returns a user for a `Principal`, or ``None`` for an anonymous user. By default ``request.user`` is a
`PrincipalUser`, which has no permissions: a name in a ticket never becomes an account of the database by itself.

``django.contrib.auth`` and the admin work beside it. Put this middleware after theirs: their user stays if there is no
ticket. `sign_in` and `sign_out` replace ``request.user`` at once, as Django's ``login`` and ``logout`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, TypeVar, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import rotate_token
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from dpmiddleware.arguments import checked, explain
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.django.responses import answer_outage, cookie_header, finish, response_of
from dpmiddleware.django.users import PrincipalUser, UserOfRequest
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.names import refuse_unknown
from dpmiddleware.web import parts
from dpmiddleware.web.sign_in.authentication import (
    AUTHENTICATION_KEY,
    CookieAuthenticator,
    RequestAuthentication,
)
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.verbs import AuthenticateResult, FreshSignInRequired, age_of
from dpmiddleware.web.steps import drive

__all__ = [
    "CookieAuthenticationMiddleware",
    "PrincipalUser",
    "authenticate",
    "challenge",
    "current_principal",
    "forbid",
    "fresh_login_required",
    "login_required",
    "reauthenticate",
    "require_fresh",
    "sign_in",
    "sign_out",
]

_View = TypeVar("_View", bound=Callable[..., Any])

_USER: Final = "dpmiddleware.user"
"""Where ``request.META`` has the `UserOfRequest`."""


class CookieAuthenticationMiddleware(MiddlewareMixin):
    """``request.principal`` and ``request.user``, read at first use; sign-in, renewal and redirects in the response."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        given: Mapping[str, Any] = getattr(settings, "DATA_PROTECTION_COOKIE_AUTHENTICATION", {})
        refuse_unknown(given, ("user", *OptionArguments.__annotations__))
        options = {name: value for name, value in given.items() if name != "user"}
        self._user_of: Any = given.get("user", PrincipalUser)
        if isinstance(self._user_of, str):
            self._user_of = import_string(self._user_of)
        if not callable(self._user_of):
            raise ConfigurationError(
                f"user={self._user_of!r} is not a function", hint="name a function that returns a user for a Principal"
            )
        self.authenticator = CookieAuthenticator(get_data_protection(), CookieAuthenticationOptions(**options))

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Put the user into the request; answer a browser whose sign-in is bound to it."""
        authentication = self.authenticator.begin(_web_request(request))
        request.META[AUTHENTICATION_KEY] = authentication
        parts.join(request.META, authentication)
        user = UserOfRequest(self._user_of, authentication, getattr(request, "user", None))
        request.META[_USER] = user
        user.show_in(request)
        if self.async_mode and authentication.must_read_ahead:
            try:
                drive(authentication.read())  # in a thread here; an async view would read on the event loop
            except KeyManagementError as error:
                authentication.failure = error
        steps = authentication.instead(request.path_info, request.method or "")
        answer = None if steps is None else drive(steps)
        return None if answer is None else response_of(answer)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 if a view met an outage; challenge a user if it asked for a fresh sign-in."""
        if isinstance(exception, FreshSignInRequired):
            return HttpResponse(status=401)
        return answer_outage(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Sign in, sign out, renew or redirect."""
        authentication = parts.sign_in_of(request.META, self.authenticator)
        if authentication is not None and (part := parts.together(authentication)).touched:
            return finish(response, part)
        return response


def sign_in(request: HttpRequest, principal: Principal, properties: AuthenticationProperties | None = None) -> None:
    """Sign ``principal`` in with the response to this request; the session and the CSRF token are renewed."""
    _authentication(request).sign_in(principal, properties)
    rotate_token(request)
    if (user := request.META.get(_USER)) is not None:
        user.show_in(request)


def sign_out(request: HttpRequest, properties: AuthenticationProperties | None = None) -> None:
    """Sign the user out with the response to this request; the session is emptied."""
    _authentication(request).sign_out(properties)
    if (user := request.META.get(_USER)) is not None:
        user.leave()
        user.show_in(request)


def reauthenticate(request: HttpRequest) -> None:
    """Make the user's sign-in fresh, after checking the password or passkey again; the session stays as it is."""
    _authentication(request).reauthenticate()


@checked
def require_fresh(request: HttpRequest, max_age: timedelta) -> None:
    """Go on only if the user authenticated within ``max_age``; others are challenged to do it again."""
    _authentication(request).require_fresh(max_age, endpoint=_endpoint(request))


def authenticate(request: HttpRequest) -> AuthenticateResult:
    """What the request's cookie said: the ticket with its properties, or why there is none."""
    return _authentication(request).result


def current_principal(request: HttpRequest) -> Principal:
    """The user of the request; ``Principal()`` if anonymous."""
    return _authentication(request).principal


def challenge(request: HttpRequest, properties: AuthenticationProperties | None = None) -> HttpResponse:
    """The response that sends a browser to the login page, and tells a program 401."""
    _authentication(request).challenge(properties, endpoint=_endpoint(request))
    return HttpResponse(status=401)


def forbid(request: HttpRequest, properties: AuthenticationProperties | None = None) -> HttpResponse:
    """The response that sends a browser to the access-denied page, and tells a program 403."""
    _authentication(request).forbid(properties, endpoint=_endpoint(request))
    return HttpResponse(status=403)


@checked
def login_required(view: _View) -> _View:
    """Challenge users who are not signed in. For plain and ``async`` views."""
    return _guarded(view, None)


@checked
def fresh_login_required(*, minutes: float = 5) -> Callable[[_View], _View]:
    """As `login_required`; also challenge users who authenticated longer ago than ``minutes``."""
    max_age = age_of(minutes)
    return lambda view: _guarded(view, max_age)


def _guarded(view: _View, max_age: timedelta | None) -> _View:
    if iscoroutinefunction(view):

        @wraps(view)
        async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not _authentication(request).admit(max_age, endpoint=_endpoint(request)):
                return HttpResponse(status=401)
            return await view(request, *args, **kwargs)

        return cast("_View", guarded_async)

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not _authentication(request).admit(max_age, endpoint=_endpoint(request)):
            return HttpResponse(status=401)
        return view(request, *args, **kwargs)

    return cast("_View", guarded)


def _authentication(request: HttpRequest) -> RequestAuthentication:
    try:
        found = request.META.get(AUTHENTICATION_KEY)
    except AttributeError as error:
        raise explain(current_principal, error, request=request) from None
    if not isinstance(found, RequestAuthentication):
        raise ConfigurationError(
            "this request has not come through CookieAuthenticationMiddleware",
            hint="MIDDLEWARE += ['dpmiddleware.django.authentication.CookieAuthenticationMiddleware']",
        )
    return found


def _endpoint(request: HttpRequest) -> object:
    return None if request.resolver_match is None else request.resolver_match.func


def _web_request(request: HttpRequest) -> WebRequest:
    base = request.path.removesuffix(request.path_info).rstrip("/")
    return WebRequest(
        cookie_header(request),
        bool(request.is_secure()),
        base,
        request.path_info,
        str(request.META.get("QUERY_STRING", "")),
        lambda name: str(request.headers.get(name, "")),
        request,
        request.method or "",
    )
