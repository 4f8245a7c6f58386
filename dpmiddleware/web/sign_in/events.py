"""The events of cookie authentication, in ASP.NET Core's terms: what an application can change.

Pass functions (``CookieAuthenticationEvents(validate_principal=check)``) or override methods. With ASGI they may be
coroutine functions; plain functions run in a worker thread there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dpmiddleware.arguments import checked
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.steps import Call, Steps

__all__ = [
    "CookieAuthenticationEvents",
    "DeviceContext",
    "RedirectContext",
    "SignedInContext",
    "SigningInContext",
    "SigningOutContext",
    "SlidingExpirationContext",
    "ValidatePrincipalContext",
]


@dataclass(slots=True)
class SigningInContext:
    """Before the ticket is created. ``principal``, ``properties`` and ``cookie`` may be changed or replaced."""

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
    """Before the cookie is deleted. ``cookie`` may be replaced: a browser deletes only a cookie that matches."""

    request: Any
    scheme: str
    properties: AuthenticationProperties
    cookie: CookieSettings


@dataclass(slots=True)
class SlidingExpirationContext:
    """A valid ticket that may be renewed.

    ``should_renew``: whether more than half of its lifetime has passed; may be changed.
    """

    request: Any
    scheme: str
    principal: Principal
    properties: AuthenticationProperties
    elapsed_time: timedelta
    remaining_time: timedelta
    should_renew: bool


@dataclass(slots=True)
class ValidatePrincipalContext:
    """A valid ticket. ``principal`` may be replaced, or rejected by setting ``None``.

    ``should_renew``: set it to write the cookie again. Rejecting does not delete the cookie; sign out to do that.
    """

    request: Any
    scheme: str
    principal: Principal | None
    properties: AuthenticationProperties
    should_renew: bool = False


@dataclass(slots=True)
class RedirectContext:
    """A redirect that is about to be sent. ``status`` and ``redirect_uri`` may be changed; ``None`` leaves one out.

    ``is_api``: a program asks (a script's call, an ``@api`` route), so ``status`` is not a redirect.
    ``max_age``: the user is signed in, but has to have authenticated not longer ago than this; otherwise ``None``.
    """

    request: Any
    scheme: str
    properties: AuthenticationProperties
    redirect_uri: str | None
    status: int | None
    is_api: bool
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """A device-bound sign-in: a browser registered or used its key, or a request did not prove it (``reason``)."""

    request: Any
    scheme: str
    principal: Principal
    reason: str = ""


@checked
class CookieAuthenticationEvents:
    """The events; each does nothing until a function is given for it or its method is overridden.

    The redirect events get the computed result in their context: status 302, or 401, 403, 200 where ``is_api``.
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
        device_registered: Callable[[DeviceContext], Any] | None = None,
        device_refreshed: Callable[[DeviceContext], Any] | None = None,
        device_unproven: Callable[[DeviceContext], Any] | None = None,
    ) -> None:
        given = {name: handler for name, handler in locals().items() if name not in {"self", "__class__"} and handler}
        for name, handler in given.items():
            setattr(self, name, handler)

    def handler(self, name: str) -> Callable[[Any], Any] | None:
        """The application's function for the event ``name``, or ``None``."""
        given: Callable[[Any], Any] = getattr(self, name)
        untouched = getattr(given, "__func__", None) is getattr(CookieAuthenticationEvents, name)
        return None if untouched else given

    def call(self, name: str, context: object) -> Steps[None]:
        """Call the application's function for the event ``name``, if there is one."""
        handler = self.handler(name)
        if handler is not None:
            yield Call(handler, (context,))

    @property
    def judges(self) -> bool:
        """Whether the application decides which tickets count."""
        if not self.__dict__ and type(self) is CookieAuthenticationEvents:  # the usual case, decided quickly
            return False
        names = ("validate_principal", "check_sliding_expiration", "device_unproven")
        return any(self.handler(name) for name in names)

    def signing_in(self, context: SigningInContext) -> Any:
        """Before the ticket is created."""

    def signed_in(self, context: SignedInContext) -> Any:
        """After the cookie has been written."""

    def validate_principal(self, context: ValidatePrincipalContext) -> Any:
        """With every valid ticket whose user a request looks at."""

    def check_sliding_expiration(self, context: SlidingExpirationContext) -> Any:
        """Before `validate_principal`, if the ticket may be renewed."""

    def signing_out(self, context: SigningOutContext) -> Any:
        """Before the cookie is deleted."""

    def redirect_to_login(self, context: RedirectContext) -> Any:
        """At a challenge."""

    def redirect_to_access_denied(self, context: RedirectContext) -> Any:
        """When a user who is signed in is refused."""

    def redirect_to_return_url(self, context: RedirectContext) -> Any:
        """After signing in or out, if there is a page to go to."""

    def device_registered(self, context: DeviceContext) -> Any:
        """A browser has registered its key for a sign-in."""

    def device_refreshed(self, context: DeviceContext) -> Any:
        """A browser has proven that it has its key."""

    def device_unproven(self, context: DeviceContext) -> Any:
        """With each request that has a bound ticket, but no proof."""
