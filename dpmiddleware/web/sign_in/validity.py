"""Which tickets count, and when they are renewed: sliding expiration, and the events of both."""

from __future__ import annotations

from datetime import datetime, timedelta

from dpmiddleware.web.sign_in.claims import itself
from dpmiddleware.web.sign_in.events import SlidingExpirationContext, ValidatePrincipalContext
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.steps import Steps

__all__ = ["judge", "slide"]


def slide(ticket: Ticket, now: datetime, options: CookieAuthenticationOptions) -> Ticket | None:
    """The renewed ticket if more than half of its lifetime has passed."""
    times = _times(ticket.properties, now, options)
    return None if times is None or times[1] >= times[0] else _renewed(ticket, now, options)


def judge(
    ticket: Ticket, now: datetime, options: CookieAuthenticationOptions, native: object
) -> Steps[tuple[Ticket | None, Ticket | None]]:
    """Let the application's events decide about a valid ticket.

    ticket: what was read.
    now: when the request began; aware.
    options: those of the application.
    native: what events get as the request.

    Returns the ticket that counts, and the renewed one if a renewal is due.
    """
    renewal = None
    times = _times(ticket.properties, now, options)
    if times is not None:
        copy, due = ticket.properties.copy(), times[1] < times[0]
        sliding = SlidingExpirationContext(native, options.scheme, ticket.principal, copy, *times, should_renew=due)
        yield from options.events.call("check_sliding_expiration", sliding)
        if sliding.should_renew:
            renewal = _renewed(ticket, now, options)
    context = ValidatePrincipalContext(native, options.scheme, ticket.principal, ticket.properties.copy())
    yield from options.events.call("validate_principal", context)
    if context.principal is None:
        return None, None
    ticket = Ticket(options.scheme, itself(context.principal), context.properties)
    if context.should_renew:
        renewal = _renewed(ticket, now, options) or renewal
    return ticket, renewal


def _times(
    properties: AuthenticationProperties, now: datetime, options: CookieAuthenticationOptions
) -> tuple[timedelta, timedelta] | None:
    """How long ago a ticket was issued, and how long it is still valid; ``None`` if it does not slide."""
    lifetime = properties.lifetime if options.sliding_expiration else None
    if lifetime is None or properties.allow_refresh is False:
        return None
    return now - lifetime[0], lifetime[1] - now


def _renewed(ticket: Ticket, now: datetime, options: CookieAuthenticationOptions) -> Ticket | None:
    """The ticket with its own lifetime again, from now on. A ticket without dates is not renewed."""
    lifetime = ticket.properties.lifetime
    if lifetime is None:
        return None
    return Ticket(options.scheme, ticket.principal, ticket.properties.renewed(now, lifetime[1] - lifetime[0]))
