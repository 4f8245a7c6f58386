"""What an application can have a say in: the events of ASP.NET Core's cookie authentication, in its words.

Give functions (``CookieAuthenticationEvents(validate_principal=check)``) or override methods; either may be coroutine
functions where the shell is ASGI. Plain functions run in a worker thread there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties

__all__ = [
    "CookieAuthenticationEvents",
    "RedirectContext",
    "SignedInContext",
    "SigningInContext",
    "SigningOutContext",
    "SlidingExpirationContext",
    "ValidatePrincipalContext",
]


@dataclass(slots=True)
class SigningInContext:
    """Before the ticket is made. ``principal``, ``properties`` and ``cookie`` may be changed or replaced."""

    request: Any
    scheme: str
    principal: Principal
    properties: AuthenticationProperties
    cookie: CookieSettings


@dataclass(frozen=True, slots=True)
class SignedInContext:
    """After the cookie has been written."""

    request: Any
    scheme: str
    principal: Principal
    properties: AuthenticationProperties


@dataclass(slots=True)
class SigningOutContext:
    """Before the cookie is deleted. ``cookie`` may be replaced: a browser deletes only what matches."""

    request: Any
    scheme: str
    properties: AuthenticationProperties
    cookie: CookieSettings


@dataclass(slots=True)
class SlidingExpirationContext:
    """A valid ticket that may slide. ``should_renew``: more than half of its time is gone; may be changed."""

    request: Any
    scheme: str
    principal: Principal
    properties: AuthenticationProperties
    elapsed_time: timedelta
    remaining_time: timedelta
    should_renew: bool


@dataclass(slots=True)
class ValidatePrincipalContext:
    """A valid ticket. ``principal`` may be replaced, or rejected with ``None``. should_renew: write the cookie anew.

    Rejecting does not delete the cookie; sign out for that.
    """

    request: Any
    scheme: str
    principal: Principal | None
    properties: AuthenticationProperties
    should_renew: bool = False


@dataclass(slots=True)
class RedirectContext:
    """A browser is about to be sent somewhere. ``status`` and ``redirect_uri`` may be changed; ``None`` leaves it out.

    is_api: nobody reads a login page there (a script's call, an ``@api`` route), so the status says what is wrong.
    """

    request: Any
    scheme: str
    properties: AuthenticationProperties
    redirect_uri: str | None
    status: int | None
    is_api: bool


class CookieAuthenticationEvents:
    """The events; each does nothing until it is given or overridden.

    The redirect events are called with the decision already in the context: 302, or 401, 403, 200 where ``is_api``.
    """

    def __init__(
        self,
        *,
        signing_in: Callable[[SigningInContext], Any] | None = None,
        signed_in: Callable[[SignedInContext], Any] | None = None,
        validate_principal: Callable[[ValidatePrincipalContext], Any] | None = None,
        check_sliding_expiration: Callable[[SlidingExpirationContext], Any] | None = None,
        signing_out: Callable[[SigningOutContext], Any] | None = None,
        redirect_to_login: Callable[[RedirectContext], Any] | None = None,
        redirect_to_access_denied: Callable[[RedirectContext], Any] | None = None,
        redirect_to_return_url: Callable[[RedirectContext], Any] | None = None,
    ) -> None:
        given = {name: handler for name, handler in locals().items() if name not in {"self", "__class__"} and handler}
        for name, handler in given.items():
            if not callable(handler):
                raise ConfigurationError(f"the event {name} is no function", hint=f"{name}=a function of its context")
            setattr(self, name, handler)

    def handler(self, name: str) -> Callable[[Any], Any] | None:
        """What the application wants called at the event ``name``, or ``None``."""
        given: Callable[[Any], Any] = getattr(self, name)
        untouched = getattr(given, "__func__", None) is getattr(CookieAuthenticationEvents, name)
        return None if untouched else given

    def signing_in(self, context: SigningInContext) -> Any:
        """Before the ticket is made."""

    def signed_in(self, context: SignedInContext) -> Any:
        """After the cookie has been written."""

    def validate_principal(self, context: ValidatePrincipalContext) -> Any:
        """With every valid ticket that a request looks at."""

    def check_sliding_expiration(self, context: SlidingExpirationContext) -> Any:
        """Before it, where sliding applies."""

    def signing_out(self, context: SigningOutContext) -> Any:
        """Before the cookie is deleted."""

    def redirect_to_login(self, context: RedirectContext) -> Any:
        """At a challenge."""

    def redirect_to_access_denied(self, context: RedirectContext) -> Any:
        """At a refusal of somebody who is signed in."""

    def redirect_to_return_url(self, context: RedirectContext) -> Any:
        """After signing in or out, where there is somewhere to go."""
