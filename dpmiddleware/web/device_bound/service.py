"""`DeviceBinding`: what an application has for device-bound sign-ins, made once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.answer import Answer
from dpmiddleware.web.device_bound.binding import Binding
from dpmiddleware.web.device_bound.bound_cookie import BoundCookie
from dpmiddleware.web.device_bound.challenge import Challenges
from dpmiddleware.web.device_bound.instructions import REFRESH, REGISTRATION, instructions
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.sign_in import records, validity
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.sign_in.ticket_cookie import CookieSource, ReadTicket, TicketCookie
from dpmiddleware.web.steps import Call, Steps

__all__ = ["DeviceBinding", "Visit"]

RESPONSE: Final = "secure-session-response"
"""The header with a proof, in lower case."""


class Visit(CookieSource, Protocol):
    """One request; `dpmiddleware.web.sign_in.authentication.RequestAuthentication` is one."""

    now: datetime

    @property
    def request(self) -> WebRequest:
        """All of it."""
        ...


class DeviceBinding:
    """Device binding of one application.

    bound: its options.
    options: those of its sign-ins.
    ticket: the cookie with the ticket.
    now: the clock.
    """

    def __init__(
        self,
        data_protection: DataProtection,
        bound: DeviceBound,
        options: CookieAuthenticationOptions,
        ticket: TicketCookie,
        now: Callable[[], datetime],
    ) -> None:
        self.bound, self.options, self.ticket = bound, options, ticket
        self.cookie = BoundCookie(data_protection, options.scheme, ticket.settings, bound, now)
        self.challenges = Challenges(data_protection, bound.challenge_max_age, now)
        self.ring = data_protection.provider
        self.registration, self.refresh = bound.path + REGISTRATION, bound.path + REFRESH
        self.endings = (self.registration, self.refresh)

    def binding(self, ticket: Ticket) -> Binding | None:
        """The binding of a ticket; ``None`` if it does not count as bound."""
        return Binding.of(ticket.properties, self.bound.since)

    def read(self, visit: Visit) -> Steps[ReadTicket]:
        """The ticket of a request to an endpoint, proven or not, if the application accepts it."""
        if self.ring.wait_is_due(None):  # to seal the answer
            yield Call(self.ring.wait, (None,))
        found = yield from self.ticket.read(visit.cookies, visit.now)
        if found.ticket is not None and self.options.events.judges:
            judged, _ = yield from validity.judge(found.ticket, visit.now, self.options, visit.request.native)
            if judged is None:
                return ReadTicket(failure=records.REJECTED)
        return found

    def rewritten(self, visit: Visit, found: ReadTicket, binding: Binding) -> Steps[list[str] | None]:
        """The Set-Cookie lines of the ticket with this binding; ``None`` if the session store no longer has it."""
        assert found.ticket is not None  # noqa: S101 (for the type checker)
        properties = found.ticket.properties.copy()
        binding.put_into(properties)
        ticket = Ticket(found.ticket.scheme, found.ticket.principal, properties)
        return (yield from self.ticket.rewrite(ticket, visit, visit.now, found.key))

    def told(self, visit: Visit, binding: Binding, set_cookies: list[str]) -> Answer:
        """The instructions for the browser's session."""
        base = visit.request.path_base
        return instructions(self.bound, base, binding.identifier, self.cookie.credential, set_cookies)

    def offers_at(self, visit: Visit) -> bool:
        """Whether a session can be offered: over https, and where the ticket's cookie reaches the endpoints."""
        reach = (self.ticket.settings.path or "/").rstrip("/")
        return visit.https and f"{visit.request.path_base}{self.registration}".startswith(f"{reach}/")
