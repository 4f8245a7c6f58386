"""The options of cookie authentication, with ASP.NET Core's names and defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypedDict, TypeVar
from urllib.parse import quote

from dpmiddleware.arguments import checked
from dpmiddleware.clock import Clock
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.marks import mark
from dpmiddleware.printable import printable
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.device_bound.options import DeviceBound, device_bound_from
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.return_urls import is_local
from dpmiddleware.web.sign_in.ticket_store import TicketStore, ticket_store_from

__all__ = ["CookieAuthenticationOptions", "OptionArguments", "allow_cookie_redirect", "api", "is_api"]

_MARK: Final = "__dpmiddleware_api__"
_SITE_DATA: Final = ("cache", "storage", "cookies", "executionContexts", "clientHints", "*")
_KINDS: Final[dict[str, tuple[Any, ...]]] = {
    "return_url_parameter": (str,),
    "claims_issuer": (str, type(None)),
    "events": (CookieAuthenticationEvents,),
    "is_api_request": (Callable, type(None)),
}
"""Of the options that only requests use."""
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class OptionArguments(TypedDict, total=False):
    """Keyword arguments of the middleware: the fields of `CookieAuthenticationOptions`."""

    scheme: str
    cookie: CookieSettings | str | None
    login_path: str
    logout_path: str
    access_denied_path: str
    return_url_parameter: str
    expire_time_span: timedelta
    absolute_time_span: timedelta | None
    sliding_expiration: bool
    renew_after: timedelta | None
    session_store: TicketStore | str | None
    events: CookieAuthenticationEvents
    is_api_request: Callable[[Any], bool] | None
    claims_issuer: str | None
    require_authenticated_sign_in: bool
    clear_site_data: Sequence[str]
    no_store: bool
    clock: Clock | None
    device_bound: DeviceBound | str | Mapping[str, Any] | None


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAuthenticationOptions:
    """How users sign in, and for how long.

    scheme: part of the cookie's purpose. Applications that share sign-ins use the same scheme.
    cookie: its name, or all of its settings. By default the name is ``.AspNetCore.`` and the scheme, and the cookie is
    HttpOnly, SameSite=Lax, has the path ``/``, and is Secure if the request is. ``max_age`` is written even if the
    sign-in is not persistent.
    login_path, logout_path, access_denied_path: paths within the application.
    return_url_parameter: the parameter in the query of these paths that says where to return to.
    expire_time_span: how long a ticket is valid.
    absolute_time_span: how long after the user authenticated a sign-in ends, however often its ticket was renewed;
    ``None``: never, as long as it is renewed.
    sliding_expiration: renew a ticket once more than half of its time has passed.
    renew_after: renew it once it is older than this, instead. The shorter, the more exactly ``expire_time_span`` is the
    time without a request after which a user is signed out.
    session_store: keeps tickets on the server: an object, ``memory:`` or a Redis URL.
    events: the application's handlers.
    is_api_request: called with the request that events get; true if the client wants a status instead of a redirect.
    claims_issuer: the issuer of the claim that names a ticket in the session store.
    require_authenticated_sign_in: refuse to sign in a principal that has no authentication type.
    clear_site_data: what a browser deletes of the site after a sign-out: ``cache``, ``storage``, ``cookies`` …
    no_store: forbid to store a response for which the user was read, in browsers and proxies.
    clock: by default that of the data protection.
    device_bound: binds sign-ins to the browser that signed in (experimental): a level (``serve``, ``report`` or
    ``require``), a `DeviceBound`, or a mapping of its fields; ``None``: sign-ins are not bound.
    """

    scheme: str = "Cookies"
    cookie: CookieSettings | str | None = None
    login_path: str = "/Account/Login"
    logout_path: str = "/Account/Logout"
    access_denied_path: str = "/Account/AccessDenied"
    return_url_parameter: str = "ReturnUrl"
    expire_time_span: timedelta = timedelta(days=14)
    absolute_time_span: timedelta | None = timedelta(days=30)
    sliding_expiration: bool = True
    renew_after: timedelta | None = None
    session_store: TicketStore | str | None = None
    events: CookieAuthenticationEvents = field(default_factory=CookieAuthenticationEvents)
    is_api_request: Callable[[Any], bool] | None = None
    claims_issuer: str | None = None
    require_authenticated_sign_in: bool = True
    clear_site_data: Sequence[str] = ()
    no_store: bool = False
    clock: Clock | None = None
    device_bound: DeviceBound | str | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            if not isinstance(given := getattr(self, name), kinds):
                raise ConfigurationError(
                    f"{name} is of the type {type(given).__name__}", hint=f"pass a {kinds[0].__name__}"
                )
        if not self.scheme:
            raise ConfigurationError("the authentication scheme is empty", hint='use scheme="Cookies", or another name')
        for name in ("login_path", "logout_path", "access_denied_path"):
            path = getattr(self, name)
            if not is_local(path) or any(character in path for character in "?#\\"):
                raise ConfigurationError(
                    f"{name}={printable(path)!r} is not a path within the application",
                    hint="use a path like /login, without a query; a redirect event can change the target",
                )
        if not self.return_url_parameter:
            raise ConfigurationError("return_url_parameter is empty", hint='use "next", for example')
        _check_spans(self.expire_time_span, self.absolute_time_span, self.renew_after)
        object.__setattr__(self, "clear_site_data", _site_data(self.clear_site_data))
        if self.session_store is not None:
            object.__setattr__(self, "session_store", ticket_store_from(self.session_store))
        object.__setattr__(self, "device_bound", self._bound())

    def _bound(self) -> DeviceBound | None:
        if self.device_bound is None:
            return None
        bound = device_bound_from(self.device_bound)
        bound.refuse_for(self.cookie_settings, self.expire_time_span)
        return bound

    @property
    def binding(self) -> DeviceBound | None:
        """The option ``device_bound`` as an object."""
        return self.device_bound if isinstance(self.device_bound, DeviceBound) else None

    @property
    def store(self) -> TicketStore | None:
        """The session store as an object."""
        return self.session_store if not isinstance(self.session_store, str) else None

    @property
    def cookie_settings(self) -> CookieSettings:
        """The cookie, by default ASP.NET Core's."""
        if isinstance(self.cookie, CookieSettings):
            return self.cookie
        return CookieSettings(self.cookie or f".AspNetCore.{quote(self.scheme, safe='')}")


def _check_spans(span: timedelta, absolute: timedelta | None, renew_after: timedelta | None) -> None:
    """`ConfigurationError` where one of the three times contradicts another."""
    if span < timedelta(seconds=1):
        raise ConfigurationError(
            f"expire_time_span={span!r} is less than a second",
            hint="use timedelta(days=14), for example",
        )
    if absolute is not None and absolute < span:
        raise ConfigurationError(
            f"expire_time_span={span!r} is longer than absolute_time_span={absolute!r}, after which every sign-in ends",
            hint="raise absolute_time_span, or pass absolute_time_span=None for sign-ins without such an end",
        )
    if renew_after is not None and not timedelta(0) < renew_after < span:
        raise ConfigurationError(
            f"renew_after={renew_after!r} is not between zero and expire_time_span={span!r}",
            hint="use timedelta(minutes=1), for example, or leave it out: then after half of the time",
        )


def _site_data(given: Sequence[str]) -> tuple[str, ...]:
    """The option ``clear_site_data``, with the words of the header (W3C Clear Site Data)."""
    words = (given,) if isinstance(given, str) else tuple(given)
    unknown = [word for word in words if word not in _SITE_DATA]
    if unknown:
        raise ConfigurationError(
            f"clear_site_data={printable(unknown[0], 40)!r} is unknown", hint=f"use {', '.join(_SITE_DATA)}"
        )
    return words


def api(endpoint: _Endpoint) -> _Endpoint:
    """Mark the function of a route that programs call: refusals are 401 or 403 there, not redirects."""
    is_new = is_api(endpoint) is None  # allow_cookie_redirect always wins
    return mark(endpoint, _MARK, value=True) if is_new else endpoint


def allow_cookie_redirect(endpoint: _Endpoint) -> _Endpoint:
    """Mark the function of a route that redirects, even if `api` or ``is_api_request`` say otherwise."""
    return mark(endpoint, _MARK, value=False)


def is_api(endpoint: object) -> bool | None:
    """The mark on the function of a route; ``None`` if there is none."""
    found = getattr(endpoint, _MARK, None)
    return found if isinstance(found, bool) else None
