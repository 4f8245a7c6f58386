"""The options of cookie authentication, in ASP.NET Core's words and with its defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypedDict, TypeVar
from urllib.parse import quote

from dpmiddleware.clock import Clock
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.return_urls import is_local
from dpmiddleware.web.sign_in.ticket_store import TicketStore, ticket_store_from

__all__ = ["CookieAuthenticationOptions", "OptionArguments", "allow_cookie_redirect", "api", "is_api"]

_MARK: Final = "__dpmiddleware_api__"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class OptionArguments(TypedDict, total=False):
    """What the middleware takes as keyword arguments: the fields of `CookieAuthenticationOptions`."""

    scheme: str
    cookie: CookieSettings | str | None
    login_path: str
    logout_path: str
    access_denied_path: str
    return_url_parameter: str
    expire_time_span: timedelta
    sliding_expiration: bool
    session_store: TicketStore | str | None
    events: CookieAuthenticationEvents
    is_api_request: Callable[[Any], bool] | None
    claims_issuer: str | None
    require_authenticated_sign_in: bool
    clock: Clock | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAuthenticationOptions:
    """How people sign in, and for how long.

    scheme: part of the cookie's purpose; all who share sign-ins have the same.
    cookie: its name, or all of its settings; by default ``.AspNetCore.`` and the scheme, HttpOnly, SameSite=Lax, path
    ``/``, Secure as the request. Its ``max_age`` is written whether the sign-in is persistent or not.
    login_path, logout_path, access_denied_path: within the application. return_url_parameter: in their query.
    expire_time_span: how long a ticket holds. sliding_expiration: renew it once more than half of that is gone.
    session_store: keep tickets on the server (an object, ``memory:`` or a Redis URL).
    is_api_request: given what events are given as request; true where a status is wanted, not a redirect.
    claims_issuer: issuer of the claim that names a ticket in the session store.
    require_authenticated_sign_in: refuse to sign in who has no authentication type.
    clock: that of the data protection unless given.
    """

    scheme: str = "Cookies"
    cookie: CookieSettings | str | None = None
    login_path: str = "/Account/Login"
    logout_path: str = "/Account/Logout"
    access_denied_path: str = "/Account/AccessDenied"
    return_url_parameter: str = "ReturnUrl"
    expire_time_span: timedelta = timedelta(days=14)
    sliding_expiration: bool = True
    session_store: TicketStore | str | None = None
    events: CookieAuthenticationEvents = field(default_factory=CookieAuthenticationEvents)
    is_api_request: Callable[[Any], bool] | None = None
    claims_issuer: str | None = None
    require_authenticated_sign_in: bool = True
    clock: Clock | None = None

    def __post_init__(self) -> None:
        if not self.scheme:
            raise ConfigurationError("an authentication scheme without a name", hint='scheme="Cookies"')
        for name in ("login_path", "logout_path", "access_denied_path"):
            path = getattr(self, name)
            if not is_local(path) or any(character in path for character in "?#\\"):
                raise ConfigurationError(
                    f"{name}={printable(path)!r} is no path within the application",
                    hint="a path like /login, without a query; the redirect events can send elsewhere",
                )
        if not self.return_url_parameter:
            raise ConfigurationError("an empty return_url_parameter", hint='return_url_parameter="next"')
        if self.expire_time_span < timedelta(seconds=1):
            raise ConfigurationError("an expire_time_span under a second", hint="timedelta(days=14)")
        if self.session_store is not None:
            object.__setattr__(self, "session_store", ticket_store_from(self.session_store))

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


def api(endpoint: _Endpoint) -> _Endpoint:
    """Mark a route's function: programs call it, so who is not signed in gets 401 or 403 and no redirect."""
    if is_api(endpoint) is None:  # allow_cookie_redirect wins, whichever comes first
        setattr(endpoint, _MARK, True)
    return endpoint


def allow_cookie_redirect(endpoint: _Endpoint) -> _Endpoint:
    """Redirect here after all, whatever `api` (in any order) and ``is_api_request`` say."""
    setattr(endpoint, _MARK, False)
    return endpoint


def is_api(endpoint: object) -> bool | None:
    """The mark on a route's function; ``None`` where it has none."""
    mark = getattr(endpoint, _MARK, None)
    return mark if isinstance(mark, bool) else None
