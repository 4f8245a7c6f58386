"""Which tickets count, and when they are renewed: expiry, the absolute end, sliding expiration, and their events.

A ticket has two ends. Sliding moves the first, its expiry. Nothing moves the second, the absolute end: it is
``absolute_time_span`` after the user authenticated. It is computed when a ticket is read, from the option of the
application that reads, so a member that does not know of it (.NET) cannot prolong a sign-in here.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

from dpmiddleware.web.sign_in.claims import itself
from dpmiddleware.web.sign_in.events import SlidingExpirationContext, ValidatePrincipalContext
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.steps import Steps

__all__ = ["SKEW", "begin", "failure", "judge", "limit", "reauthenticated", "slide", "time_left"]

SKEW: Final = timedelta(minutes=5)
"""How far the clocks of two members may differ, as in the ring."""
_AHEAD: Final = -SKEW
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)


def failure(properties: AuthenticationProperties, now: datetime, absolute: timedelta | None) -> str | None:
    """Why a ticket with these properties does not count; ``None`` if it does.

    now: when the request began; aware.
    absolute: the option ``absolute_time_span``.
    """
    authenticated, expires = properties.bounds
    if authenticated is not None:
        age = now - authenticated
        if absolute is not None and age > absolute:
            return "Sign-in ended"
        if age < _AHEAD:
            return "Authenticated in the future"
    return "Ticket expired" if expires is not None and expires < now else None


def begin(properties: AuthenticationProperties, now: datetime, options: CookieAuthenticationOptions) -> None:
    """Set the dates of a new sign-in that the application has not set itself, and its id."""
    issued = properties.issued_utc
    if issued is None:
        issued = properties.issued_utc = now
    if not properties.says_when_authenticated:
        properties.authenticated_utc = min(issued, now)
    properties.identify()
    if properties.expires_utc is None:
        properties.expires_utc = _later(issued, options.expire_time_span)


def limit(properties: AuthenticationProperties, now: datetime, options: CookieAuthenticationOptions) -> datetime | None:
    """Let a new sign-in end at its absolute end at the latest. Returns when the browser deletes its cookie."""
    ends = properties.expires_utc or _later(properties.issued_utc or now, options.expire_time_span)
    end = _absolute_end(properties, options)
    if end is not None:
        properties.expires_utc, ends = min(properties.expires_utc or end, end), min(ends, end)
    return ends if properties.is_persistent else None


def time_left(
    properties: AuthenticationProperties, now: datetime, options: CookieAuthenticationOptions
) -> timedelta | None:
    """How long it is until the absolute end; ``None`` if there is none."""
    end = _absolute_end(properties, options)
    return None if end is None else end - now


def _absolute_end(properties: AuthenticationProperties, options: CookieAuthenticationOptions) -> datetime | None:
    authenticated, span = properties.authenticated_utc, options.absolute_time_span
    return None if authenticated is None or span is None else _later(authenticated, span)


def _later(moment: datetime, span: timedelta) -> datetime:
    """``span`` after ``moment``; where no date is that late, the last one. .NET writes 9999-12-31 for "never"."""
    return moment + span if span < _LAST - moment else _LAST


def slide(ticket: Ticket, now: datetime, options: CookieAuthenticationOptions) -> Ticket | None:
    """The renewed ticket if more than half of its lifetime has passed, or more than ``renew_after``."""
    lifetime = ticket.properties.lifetime if options.sliding_expiration else None
    if lifetime is None or not _is_due(now - lifetime[0], lifetime[1] - now, options):  # so it is in most requests
        return None
    return None if _times(ticket.properties, now, options) is None else _renewed(ticket, now, options)


def reauthenticated(ticket: Ticket, now: datetime, options: CookieAuthenticationOptions) -> Ticket:
    """The ticket of a user who has authenticated again: with a new absolute end, and renewed unless it must not be."""
    properties, lifetime = ticket.properties.copy(), ticket.properties.lifetime
    properties.authenticated_utc = now
    if lifetime is not None and properties.allow_refresh is not False:
        old_end = _absolute_end(ticket.properties, options)
        is_cut = old_end is not None and lifetime[1] >= old_end  # its own lifetime is not known any more
        is_cut = is_cut or lifetime[1] < lifetime[0]
        span = options.expire_time_span if is_cut else lifetime[1] - lifetime[0]
        properties = _prolonged(properties, span, now, options)
    return Ticket(options.scheme, ticket.principal, properties)


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
        copy, due = ticket.properties.copy(), _is_due(*times, options)
        sliding = SlidingExpirationContext(native, options.scheme, ticket.principal, copy, *times, should_renew=due)
        yield from options.events.call("check_sliding_expiration", sliding)
        if sliding.should_renew:
            renewal = _renewed(ticket, now, options)
    context = ValidatePrincipalContext(native, options.scheme, ticket.principal, ticket.properties.copy())
    yield from options.events.call("validate_principal", context)
    if context.principal is None:
        return None, None
    _keep_sign_in(context.properties, ticket.properties)
    ticket = Ticket(options.scheme, itself(context.principal), context.properties)
    if context.should_renew:
        renewal = _renewed(ticket, now, options) or renewal
    return ticket, renewal


def _keep_sign_in(given: AuthenticationProperties, read: AuthenticationProperties) -> None:
    """Keep when the user authenticated, and the id, where a handler has put other properties in place of those read."""
    if not given.says_when_authenticated and given.authenticated_utc != read.authenticated_utc:
        given.authenticated_utc = read.authenticated_utc
    if given.sign_in_id is None and read.sign_in_id is not None:
        given.sign_in_id = read.sign_in_id


def _times(
    properties: AuthenticationProperties, now: datetime, options: CookieAuthenticationOptions
) -> tuple[timedelta, timedelta] | None:
    """How long ago a ticket was issued, and how long it is still valid; ``None`` if it does not slide.

    One that is valid until its absolute end does not: a renewal would not prolong it.
    """
    lifetime = properties.lifetime if options.sliding_expiration else None
    if lifetime is None or properties.allow_refresh is False:
        return None
    times = now - lifetime[0], lifetime[1] - now
    if _is_due(*times, options):  # then the end matters
        end = _absolute_end(properties, options)
        if end is not None and lifetime[1] >= end:
            return None
    return times


def _is_due(elapsed: timedelta, remaining: timedelta, options: CookieAuthenticationOptions) -> bool:
    """Whether to renew a ticket that was issued so long ago, and is still valid for so long."""
    return remaining < elapsed if options.renew_after is None else elapsed > options.renew_after


def _renewed(ticket: Ticket, now: datetime, options: CookieAuthenticationOptions) -> Ticket | None:
    """The ticket with its own lifetime again, from now on, but not beyond its absolute end.

    A ticket without dates, or with dates in the wrong order, is not renewed.
    """
    lifetime = ticket.properties.lifetime
    if lifetime is None or lifetime[1] < lifetime[0]:
        return None
    renewed = _prolonged(ticket.properties, lifetime[1] - lifetime[0], now, options)
    return Ticket(options.scheme, ticket.principal, renewed)


def _prolonged(
    properties: AuthenticationProperties, span: timedelta, now: datetime, options: CookieAuthenticationOptions
) -> AuthenticationProperties:
    """The same, issued now and valid for ``span``, but not beyond the absolute end."""
    expires, end = _later(now, span), _absolute_end(properties, options)
    return properties.renewed(now, expires if end is None else min(expires, end))
