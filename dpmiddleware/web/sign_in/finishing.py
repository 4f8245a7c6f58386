"""`Finishing`: do what the application asked for (sign in, sign out, challenge, forbid) when the response starts.

It runs once per request, and only in requests that asked for something or renew a ticket in a session store. It yields
the calls that may have to wait (the store, the application's events); what is left for the response is in ``lines`` and
``decision``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in import records, redirects, validity
from dpmiddleware.web.sign_in.claims import Principal, itself
from dpmiddleware.web.sign_in.events import SignedInContext, SigningInContext, SigningOutContext
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.redirects import Decision, Redirect
from dpmiddleware.web.sign_in.return_urls import WebRequest, is_local
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.sign_in.ticket_cookie import TicketCookie
from dpmiddleware.web.steps import Steps

__all__ = ["Asked", "BoundSession", "Finishing"]


class BoundSession(Protocol):
    """The session that goes with a sign-in; `dpmiddleware.web.sessions.session.Session` is one.

    is_frozen: set to leave the session that the browser has as it is, unless the user signs in or out after this.
    """

    is_frozen: bool

    def bind(self, owner: Callable[[], str | None]) -> None:
        """Show the user of this request, whose subject ``owner`` returns, no other user's session."""
        ...

    def renew(self, subject: str | None = None) -> None:
        """A user signed in."""
        ...

    def empty(self) -> None:
        """The user signed out."""
        ...


class DeviceInSignIn(Protocol):
    """Device binding in a request; `dpmiddleware.web.device_bound.request.RequestDevice` is it."""

    def signing_in(self, principal: Principal, properties: AuthenticationProperties) -> None:
        """A ticket for ``principal`` with these properties is about to be created."""
        ...

    def signed_out(self) -> list[str]:
        """The user signed out: Set-Cookie lines that delete further cookies."""
        ...


class Asked(NamedTuple):
    """One call of a verb by the application."""

    verb: Literal["sign_in", "sign_out", "reauthenticate", "challenge", "forbid"]
    properties: AuthenticationProperties
    principal: Principal = Principal()
    endpoint: object = None
    max_age: timedelta | None = None
    ticket: Ticket | None = None


@dataclass(slots=True)
class Finishing:
    """What a response gets from the sign-in of its request.

    options, cookie: of the application.
    request: what matters of the request.
    sessions: those that are bound to the sign-in.
    now: when the request began; aware.
    key: of the request's ticket in the session store.
    ticket: the one that counts in the request; ``None``: nobody is signed in.
    device: device binding in the request, if the application has it.
    target: where to go after signing in or out.
    lines: the Set-Cookie lines; ``None``: the sign-in cookie stays as it is.
    decision: the redirect, if there is one.
    is_signed_out: whether the last that was asked for is a sign-out.
    """

    options: CookieAuthenticationOptions
    cookie: TicketCookie
    request: WebRequest
    sessions: Sequence[BoundSession]
    now: datetime
    key: str | None
    ticket: Ticket | None
    device: DeviceInSignIn | None = None
    target: str | None = None
    lines: list[str] | None = None
    decision: Decision | None = None
    is_signed_out: bool = False

    def run(self, asked: Sequence[Asked], renewal: Ticket | None, status: int) -> Steps[None]:
        """Do what was asked; otherwise renew the ticket, if that is due. status: that of the response."""
        for each in asked:
            if each.verb == "sign_in":
                yield from self._sign_in(each)
            elif each.verb == "sign_out":
                yield from self._sign_out(each.properties)
            elif each.ticket is not None:
                yield from self._reauthenticate(each.ticket)
        if self.lines is None and renewal is not None:
            yield from self._renew(renewal)
        redirect = self._redirect(asked, status)
        if redirect is not None:
            self.decision = yield from redirects.decide(redirect, self.request, self.options, status)

    def _sign_in(self, asked: Asked) -> Steps[None]:
        options, properties = self.options, asked.properties
        validity.begin(properties, self.now, options)
        native, settings = self.request.native, self.cookie.settings
        context = SigningInContext(native, options.scheme, asked.principal, properties, settings)
        yield from options.events.call("signing_in", context)
        principal = itself(context.principal)  # a handler may have put in another one
        if principal.subject != asked.principal.subject:
            for session in self.sessions:
                session.renew(principal.subject)
        properties = context.properties
        if self.device is not None:
            self.device.signing_in(principal, properties)
        ends = validity.limit(properties, self.now, options)
        ticket = Ticket(options.scheme, principal, properties)
        yield from self._write(ticket, context.cookie, ends)
        self.is_signed_out = False
        records.began(ticket)
        signed_in = SignedInContext(native, options.scheme, principal, properties)
        yield from options.events.call("signed_in", signed_in)
        self._aim(properties, options.login_path)

    def _reauthenticate(self, ticket: Ticket) -> Steps[None]:
        """Write a ticket with a new age under a new key, so that no copy of the old cookie becomes fresh with it."""
        ticket = validity.reauthenticated(ticket, self.now, self.options)
        yield from self._write(ticket, self.cookie.settings, ticket.properties.cookie_expires)
        records.renewed(ticket, "reauthenticated")
        self._aim(AuthenticationProperties(), self.options.login_path)

    def _write(self, ticket: Ticket, settings: CookieSettings, expires: datetime | str | None) -> Steps[None]:
        """Write a ticket under a new key."""
        carried, self.key = yield from self.cookie.keep(ticket, self.now, self.key)
        left = validity.time_left(ticket.properties, self.now, self.options)
        self.lines = self.cookie.seal(carried, self.request, settings, expires, left=left, is_new=True)
        self.ticket = ticket

    def _sign_out(self, properties: AuthenticationProperties) -> Steps[None]:
        options = self.options
        yield from self.cookie.forget(self.key)
        self.key = None
        context = SigningOutContext(self.request.native, options.scheme, properties, self.cookie.settings)
        yield from options.events.call("signing_out", context)
        self._aim(properties, options.logout_path)
        self.lines = self.cookie.delete(self.request, context.cookie)
        if self.device is not None:
            self.lines += self.device.signed_out()
        self.is_signed_out = True
        records.signed_out(self.ticket, self.request.method)
        self.ticket = None

    def _renew(self, renewal: Ticket) -> Steps[None]:
        self.lines = yield from self.cookie.rewrite(renewal, self.request, self.now, self.key)
        if self.lines is not None:  # it is still in the session store
            records.renewed(renewal, "sliding")

    def _aim(self, properties: AuthenticationProperties, path: str) -> None:
        """Choose where to go: where the application says; otherwise, at ``path``, the client's return URL."""
        self.target = properties.redirect_uri or None
        if self.target is None and self.request.is_at(path):
            wanted = self.request.parameter(self.options.return_url_parameter)
            self.target = wanted if wanted is not None and is_local(wanted) else None

    def _redirect(self, asked: Sequence[Asked], status: int) -> Redirect | None:
        """The redirect of this response, if there is one."""
        if status == 200 and self.target is not None:
            return Redirect(redirects.RETURN, self.target, AuthenticationProperties())
        last, options = {each.verb: each for each in asked}, self.options
        if status == 401 and (challenge := last.get("challenge")) is not None:
            return self._away("redirect_to_login", options.login_path, challenge)
        if status == 403 and (forbid := last.get("forbid")) is not None:
            return self._away("redirect_to_access_denied", options.access_denied_path, forbid)
        return None

    def _away(self, event: str, path: str, asked: Asked) -> Redirect:
        return_url = asked.properties.redirect_uri or self.request.url
        target = self.request.redirect_to(path, self.options.return_url_parameter, return_url)
        if asked.max_age is not None:
            target += redirects.AGAIN
        return Redirect(event, target, asked.properties, asked.endpoint, asked.max_age)
