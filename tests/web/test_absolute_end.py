"""The absolute end of a sign-in: counted from when the user authenticated, whoever renews, with the clock moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.protection import base64url
from dpmiddleware.purposes import authentication_cookie
from dpmiddleware.web.cookies.text import CookieSettings, SetCookie
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Principal, Ticket
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.fakes import NOON, StoppedClock
from tests.web.browser import Visitor
from tests.web.test_authentication import ADA, failure, look, sign_in, user

MONTH, HOUR, SECOND = timedelta(days=30), timedelta(hours=1), timedelta(seconds=1)
FIVE_MINUTES = timedelta(minutes=5)
ENDED = "Sign-in ended"


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository="memory:", key_wrapper="plain:", clock=clock)


def visitor_with(dp: DataProtection, **options: Any) -> Visitor:
    return Visitor(CookieAuthenticator(dp, CookieAuthenticationOptions(**options)))


def ticket_of(visitor: Visitor, dp: DataProtection) -> Ticket:
    """What the browser's cookie contains."""
    protector = dp.create_protector(*authentication_cookie("Cookies"))
    return Ticket.deserialize(protector.unprotect(base64url.decode(visitor.jar[".AspNetCore.Cookies"])))


def give(visitor: Visitor, dp: DataProtection, properties: AuthenticationProperties) -> None:
    """Let the browser bring this ticket."""
    protector = dp.create_protector(*authentication_cookie("Cookies"))
    ticket = Ticket("Cookies", ADA, properties)
    visitor.jar[".AspNetCore.Cookies"] = base64url.encode(protector.protect(ticket.serialize()))


def renew_as_aspnet_core(visitor: Visitor, dp: DataProtection, now: datetime) -> None:
    """What .NET does at a renewal: it moves both dates by the ticket's lifetime, and carries other items along."""
    old = ticket_of(visitor, dp).properties
    assert old.issued_utc is not None
    assert old.expires_utc is not None
    items = AuthenticationProperties(old.items)
    items.issued_utc, items.expires_utc = now, now + (old.expires_utc - old.issued_utc)
    give(visitor, dp, items)


def use_until(visitor: Visitor, clock: StoppedClock, end: datetime, step: timedelta) -> None:
    """Look at a page again and again, the last time at ``end``."""
    while clock.moment < end:
        clock.moment = min(clock.moment + step, end)
        assert user(visitor) == "ada", clock.moment


# --- the boundary -------------------------------------------------------------------------------------------

SPANS = {
    "an hour, sliding, within 30 days": (HOUR, MONTH, timedelta(minutes=31)),
    "14 days, sliding, within 30 days": (timedelta(days=14), MONTH, timedelta(days=8)),
    "15 minutes, sliding, within 12 hours (AAL3)": (timedelta(minutes=15), 12 * HOUR, timedelta(minutes=8)),
    "as long as the absolute end": (MONTH, MONTH, timedelta(days=10)),
    "a span that the absolute end is not a multiple of": (timedelta(days=7), timedelta(days=31), timedelta(days=4)),
}


@pytest.mark.parametrize("store", [None, MemoryTicketStore], ids=["in the cookie", "in a store"])
@pytest.mark.parametrize(("span", "absolute", "step"), SPANS.values(), ids=SPANS)
def test_a_sign_in_in_use_ends_at_its_absolute_end_to_the_second(  # noqa: PLR0917 (a row of the table)
    dp: DataProtection,
    clock: StoppedClock,
    span: timedelta,
    absolute: timedelta,
    step: timedelta,
    store: Callable[[], MemoryTicketStore] | None,
) -> None:
    visitor = visitor_with(
        dp, expire_time_span=span, absolute_time_span=absolute, session_store=store and store(), clock=clock
    )
    visitor.visit(sign_in())
    use_until(visitor, clock, NOON + absolute, step)
    clock.moment += SECOND
    assert user(visitor) is None


def test_without_an_absolute_end_a_sign_in_in_use_does_not_end(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, expire_time_span=timedelta(days=14), absolute_time_span=None)
    visitor.visit(sign_in())
    use_until(visitor, clock, NOON + timedelta(days=400), timedelta(days=8))


def test_idle_users_are_signed_out_long_before(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, expire_time_span=HOUR)
    visitor.visit(sign_in())
    clock.moment += HOUR + SECOND
    assert failure(visitor) == "Ticket expired"


def test_the_default_is_30_days_and_none_must_be_said() -> None:
    assert CookieAuthenticationOptions().absolute_time_span == MONTH
    assert CookieAuthenticationOptions(absolute_time_span=None).absolute_time_span is None


def test_a_span_that_the_absolute_end_would_cut_is_an_error_at_start() -> None:
    with pytest.raises(ConfigurationError, match=r"expire_time_span=.*is longer than absolute_time_span") as caught:
        CookieAuthenticationOptions(expire_time_span=timedelta(days=90))
    assert "absolute_time_span=None" in caught.value.hint
    CookieAuthenticationOptions(expire_time_span=timedelta(days=90), absolute_time_span=None)


def test_an_option_that_is_shortened_ends_the_sign_ins_that_are_there(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    clock.advance(days=2)
    assert user(visitor) == "ada"
    stricter = Visitor(
        CookieAuthenticator(dp, CookieAuthenticationOptions(expire_time_span=HOUR, absolute_time_span=12 * HOUR)),
        visitor.jar,
    )
    assert failure(stricter) == ENDED


# --- who renews ---------------------------------------------------------------------------------------------


def test_renewals_by_us_keep_when_the_user_authenticated(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    for _ in range(2):
        clock.advance(days=8)
        assert visitor.visit(look).cookies
        properties = ticket_of(visitor, dp).properties
        assert (properties.authenticated_utc, properties.issued_utc) == (NOON, clock.moment)


def test_renewals_by_aspnet_core_do_not_move_the_end(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    for _ in range(3):
        clock.advance(days=10)
        renew_as_aspnet_core(visitor, dp, clock.moment)
    assert user(visitor) == "ada"
    clock.moment += SECOND
    assert failure(visitor) == ENDED


def test_a_ticket_of_aspnet_core_counts_from_its_issue_and_from_our_renewal_on_from_the_same_moment(
    dp: DataProtection, clock: StoppedClock
) -> None:
    visitor = visitor_with(dp)
    give(visitor, dp, AuthenticationProperties(issued_utc=NOON, expires_utc=NOON + timedelta(days=14)))
    clock.advance(days=8)
    assert visitor.visit(look).cookies
    assert ticket_of(visitor, dp).properties.authenticated_utc == NOON
    use_until(visitor, clock, NOON + MONTH, timedelta(days=5))
    clock.moment += SECOND
    assert user(visitor) is None


def test_a_ticket_of_aspnet_core_that_says_365_days_ends_after_30(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    give(visitor, dp, AuthenticationProperties(issued_utc=NOON, expires_utc=NOON + timedelta(days=365)))
    clock.moment += MONTH
    assert user(visitor) == "ada"
    clock.moment += SECOND
    assert failure(visitor) == ENDED


def test_a_last_renewal_reaches_the_end_and_no_further_one_is_written(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in(is_persistent=True))
    clock.advance(days=10)
    visitor.visit(look)
    clock.advance(days=10)
    [line] = visitor.visit(look).cookies
    end = NOON + MONTH
    assert ticket_of(visitor, dp).properties.expires_utc == end
    assert SetCookie.parse(line).end(clock.moment) == end
    clock.advance(days=9)
    assert visitor.visit(look).cookies == []


@pytest.mark.parametrize("replaces", [True, False], ids=["other properties", "the same properties"])
def test_a_handler_that_renews_cannot_lose_when_the_user_authenticated(
    dp: DataProtection, clock: StoppedClock, replaces: bool
) -> None:
    def renew(context: Any) -> None:
        if replaces:
            later = clock.moment + timedelta(days=14)
            context.properties = AuthenticationProperties(issued_utc=clock.moment, expires_utc=later)
        context.should_renew = True

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=renew))
    visitor.visit(sign_in())
    use_until(visitor, clock, NOON + MONTH, timedelta(days=3))
    clock.moment += SECOND
    assert user(visitor) is None


def test_claims_that_are_written_again_with_the_tickets_own_terms_keep_its_end(
    dp: DataProtection, clock: StoppedClock
) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    clock.advance(days=10)

    def promote(auth: Any) -> None:
        auth.sign_in(Principal("ada", roles=["admin"]), auth.result.ticket.properties)

    visitor.visit(promote)
    assert ticket_of(visitor, dp).properties.authenticated_utc == NOON


# --- what a sign-in writes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [timedelta(days=365), timedelta(days=2)], ids=["beyond the end", "before the end"])
def test_an_expiry_of_the_applications_own_lies_not_beyond_the_end(
    dp: DataProtection, clock: StoppedClock, wanted: timedelta
) -> None:
    visitor = visitor_with(dp)
    [line] = visitor.visit(sign_in(is_persistent=True, expires_utc=NOON + wanted)).cookies
    end = NOON + min(wanted, MONTH)
    assert ticket_of(visitor, dp).properties.expires_utc == end
    assert SetCookie.parse(line).end(clock.moment) == end


def test_the_browser_keeps_no_cookie_beyond_the_end(dp: DataProtection, clock: StoppedClock) -> None:
    cookie = CookieSettings(".AspNetCore.Cookies", max_age=timedelta(days=20))
    visitor = visitor_with(dp, cookie=cookie)
    assert "; max-age=1728000;" in visitor.visit(sign_in()).cookies[0]
    clock.advance(days=8)
    assert "; max-age=1728000;" in visitor.visit(look).cookies[0]
    clock.advance(days=8)
    [line] = visitor.visit(look).cookies
    assert "; max-age=1209600;" in line, "14 days are left"


def test_when_a_user_authenticated_elsewhere_can_be_said(dp: DataProtection, clock: StoppedClock) -> None:
    """As an identity provider states it (``auth_time``)."""
    visitor = visitor_with(dp)
    visitor.visit(sign_in(authenticated_utc=NOON - timedelta(days=29)))
    clock.advance(days=1)
    assert user(visitor) == "ada"
    clock.moment += SECOND
    assert failure(visitor) == ENDED


# --- clocks -------------------------------------------------------------------------------------------------

TIMES = {
    "exactly five minutes ahead": (FIVE_MINUTES, None),
    "a second more": (FIVE_MINUTES + SECOND, "Authenticated in the future"),
    "a year ahead": (timedelta(days=365), "Authenticated in the future"),
    "now": (timedelta(0), None),
    "at the end": (-MONTH, None),
    "a second after the end": (-MONTH - SECOND, ENDED),
}


@pytest.mark.parametrize("zone", [timezone.utc, timezone(timedelta(hours=13)), timezone(timedelta(hours=-11))], ids=str)
@pytest.mark.parametrize("names", [("authenticated_utc", "issued_utc"), ("issued_utc",)], ids=["ours", "theirs"])
@pytest.mark.parametrize(("ahead", "why"), TIMES.values(), ids=TIMES)
def test_a_ticket_of_a_member_with_another_clock(
    dp: DataProtection, ahead: timedelta, why: str | None, names: tuple[str, ...], zone: timezone
) -> None:
    visitor = visitor_with(dp)
    moment = (NOON + ahead).astimezone(zone)
    terms: dict[str, Any] = dict.fromkeys(names, moment)
    give(visitor, dp, AuthenticationProperties(expires_utc=NOON + timedelta(days=400), **terms))
    assert (failure(visitor), user(visitor)) == (why, None if why else "ada")


def test_a_time_that_cannot_be_read_is_long_past(dp: DataProtection) -> None:
    visitor = visitor_with(dp)
    give(visitor, dp, AuthenticationProperties({".dpm_authenticated": "yesterday"}, issued_utc=NOON))
    assert failure(visitor) == ENDED


def test_the_cookie_of_a_sign_in_that_ended_stays_where_it_is(dp: DataProtection, clock: StoppedClock) -> None:
    """As one that expired does: only a sign-out deletes it."""
    visitor = visitor_with(dp)
    visitor.visit(sign_in(expires_utc=NOON + MONTH))
    clock.moment += MONTH + SECOND
    assert visitor.visit(look).cookies == []
