"""How old a sign-in is: from the sign-in, through renewals, until the user authenticates again; the clock is moved."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dpmiddleware import asgi, django, flask, quart, starlette, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sign_in.authentication import RequestAuthentication
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.options import api
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Principal
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from dpmiddleware.web.sign_in.verbs import FreshSignInRequired
from tests.fakes import NOON, StoppedClock
from tests.web.browser import Visitor
from tests.web.test_absolute_end import FIVE_MINUTES, MONTH, SECOND, give, ticket_of, visitor_with
from tests.web.test_authentication import ADA, BOB, look, sign_in, sign_out, user


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository="memory:", key_wrapper="plain:", clock=clock)


def is_fresh(visitor: Visitor, max_age: timedelta | int = FIVE_MINUTES) -> bool:
    seen: list[bool] = []
    visitor.visit(lambda auth: seen.append(auth.is_fresh(max_age)))  # type: ignore[arg-type]  # seconds fit, too
    return seen[0]


def confirm(auth: RequestAuthentication) -> None:
    auth.reauthenticate()


def guarded(auth: RequestAuthentication) -> int:
    """A page behind `require_fresh`."""
    try:
        auth.require_fresh(FIVE_MINUTES)
    except FreshSignInRequired:
        return 401
    return 200


AGES = {
    "at once": (timedelta(0), True),
    "exactly five minutes": (FIVE_MINUTES, True),
    "a second more": (FIVE_MINUTES + SECOND, False),
    "a member's clock is five minutes behind": (-FIVE_MINUTES, True),
    "after a renewal": (timedelta(days=8), False),
}


@pytest.mark.parametrize(("age", "fresh"), AGES.values(), ids=AGES)
def test_a_sign_in_is_fresh_for_some_time(dp: DataProtection, clock: StoppedClock, age: timedelta, fresh: bool) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    clock.moment += age
    assert is_fresh(visitor) is fresh
    assert is_fresh(visitor) is fresh, "with the cookie of a renewal as well"


def test_seconds_are_a_maximum_age_too(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    clock.advance(seconds=60)
    assert (is_fresh(visitor, 60), is_fresh(visitor, 59)) == (True, False)


def test_nobody_is_not_fresh(dp: DataProtection) -> None:
    visitor = visitor_with(dp)
    assert not is_fresh(visitor, MONTH)
    visitor.visit(sign_in())
    visitor.visit(sign_out)
    assert not is_fresh(visitor, MONTH)


def test_a_ticket_without_any_date_is_not_fresh(dp: DataProtection) -> None:
    visitor = visitor_with(dp)
    give(visitor, dp, AuthenticationProperties())
    assert (user(visitor), is_fresh(visitor, MONTH)) == ("ada", False)


def test_the_age_of_the_sign_in_follows_what_the_request_has_done(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    clock.advance(hours=1)
    seen: list[datetime | None] = []

    def page(auth: RequestAuthentication) -> None:
        seen.append(auth.authenticated_at)
        auth.reauthenticate()
        seen.append(auth.authenticated_at)
        auth.sign_out()
        seen.append(auth.authenticated_at)
        auth.sign_in(BOB, AuthenticationProperties(authenticated_utc=NOON))
        seen.append(auth.authenticated_at)

    visitor.visit(page)
    assert seen == [NOON, clock.moment, None, NOON]
    assert user(visitor) == "bob", "the last word counts"


# --- authenticating again -----------------------------------------------------------------------------------


def test_authenticating_again_keeps_the_sign_in_and_its_terms(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    ada = Principal("ada", roles=["admin"])
    visitor.visit(lambda auth: auth.sign_in(ada, AuthenticationProperties({"theme": "dark", ".persistent": ""})))
    clock.advance(hours=1)
    [line] = visitor.visit(confirm).cookies
    ticket = ticket_of(visitor, dp)
    assert ticket.principal == ada
    assert ticket.properties.items["theme"] == "dark"
    assert ticket.authenticated_at == ticket.properties.issued_utc == clock.moment
    assert ticket.properties.expires_utc == clock.moment + timedelta(days=14)
    assert "; expires=" in line, "it is still kept when the browser is closed"


class Watched(Session):
    """A session that counts what a sign-in does to it."""

    renewals = 0

    def renew(self, subject: str | None = None) -> None:
        self.renewals += 1
        super().renew(subject)


def test_the_session_stays_as_it_is(dp: DataProtection) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    session = visitor.session = Watched(lambda: None)
    visitor.visit(confirm)
    assert session.renewals == 0


def test_the_absolute_end_counts_from_the_last_authentication(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    for _ in range(5):
        clock.advance(days=6)
        assert user(visitor) == "ada"
    visitor.visit(confirm)
    properties = ticket_of(visitor, dp).properties
    assert properties.expires_utc == clock.moment + timedelta(days=14), "not the rest of the time before the old end"
    clock.advance(days=14)
    assert user(visitor) == "ada"


def test_a_ticket_that_must_not_be_renewed_becomes_fresh_and_ends_when_it_would(
    dp: DataProtection, clock: StoppedClock
) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in(allow_refresh=False, expires_utc=NOON + timedelta(hours=2)))
    clock.advance(hours=1)
    visitor.visit(confirm)
    assert is_fresh(visitor)
    assert ticket_of(visitor, dp).properties.expires_utc == NOON + timedelta(hours=2)


def test_a_ticket_with_a_long_life_of_its_own_ends_at_the_new_absolute_end(
    dp: DataProtection, clock: StoppedClock
) -> None:
    days = timedelta(days=1)
    visitor = visitor_with(dp)
    terms = AuthenticationProperties(issued_utc=NOON - 20 * days, authenticated_utc=NOON, expires_utc=NOON + 29 * days)
    give(visitor, dp, terms)
    clock.advance(days=1)
    visitor.visit(confirm)
    assert ticket_of(visitor, dp).properties.expires_utc == clock.moment + MONTH


def test_a_copied_cookie_does_not_become_fresh_with_the_users(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    thief = Visitor(visitor.authenticator, dict(visitor.jar))
    clock.advance(hours=1)
    visitor.visit(confirm)
    assert (is_fresh(visitor), is_fresh(thief), user(thief)) == (True, False, "ada")


def test_with_a_session_store_the_copied_cookie_ends(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, session_store=MemoryTicketStore())
    visitor.visit(sign_in())
    thief = Visitor(visitor.authenticator, dict(visitor.jar))
    clock.advance(hours=1)
    visitor.visit(confirm)
    assert (user(visitor), is_fresh(visitor), user(thief)) == ("ada", True, None)


@pytest.mark.parametrize("first", [look, sign_out], ids=["nobody is signed in", "after a sign-out"])
def test_only_a_user_who_is_signed_in_can_authenticate_again(dp: DataProtection, first: Any) -> None:
    visitor = visitor_with(dp)

    def page(auth: RequestAuthentication) -> None:
        first(auth)
        with pytest.raises(ConfigurationError, match="nobody is signed in") as caught:
            auth.reauthenticate()
        assert "sign_in" in caught.value.hint

    visitor.visit(page)


def test_after_a_sign_in_authenticating_again_changes_nothing(dp: DataProtection) -> None:
    visitor = visitor_with(dp)

    def page(auth: RequestAuthentication) -> None:
        auth.sign_in(ADA)
        auth.reauthenticate()

    assert len(visitor.visit(page).cookies) == 1
    assert user(visitor) == "ada"


def test_a_rejected_user_cannot_authenticate_again(dp: DataProtection) -> None:
    def reject(context: Any) -> None:
        context.principal = None

    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    strict = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=reject))
    strict.jar = visitor.jar

    def page(auth: RequestAuthentication) -> None:
        with pytest.raises(ConfigurationError, match="nobody is signed in"):
            auth.reauthenticate()

    strict.visit(page)


@pytest.mark.parametrize("minutes", [0, -5, float("nan"), float("inf")])
def test_a_time_within_which_nobody_can_authenticate_is_an_error_at_start(minutes: float) -> None:
    """The user would be sent to the login page again and again."""
    for package in (flask, quart, django, starlette, wsgi, asgi):
        with pytest.raises(ConfigurationError, match="minutes="):
            package.fresh_login_required(minutes=minutes)
    with pytest.raises(ConfigurationError, match="minutes="):
        starlette.require_fresh_principal(minutes=minutes)


# --- the challenge ------------------------------------------------------------------------------------------


def test_the_login_page_is_marked_and_leads_back(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, login_path="/login", return_url_parameter="next")
    visitor.visit(sign_in())
    assert visitor.visit(guarded).status == 200
    clock.advance(seconds=301)
    answer = visitor.visit(guarded, "/keys?id=7")
    assert (answer.status, answer["location"]) == (302, "/login?next=%2Fkeys%3Fid%3D7&prompt=login")
    assert answer["www-authenticate"] is None
    answer = visitor.visit(confirm, answer["location"] or "")
    assert (answer.status, answer["location"]) == (302, "/keys?id=7")
    assert visitor.visit(guarded, "/keys?id=7").status == 200


def test_an_event_learns_the_age_and_may_go_elsewhere(dp: DataProtection, clock: StoppedClock) -> None:
    """For a login at an identity provider, which has ``max_age`` as well."""
    ages: list[timedelta | None] = []

    def elsewhere(context: Any) -> None:
        ages.append(context.max_age)
        context.redirect_uri = "https://login.example/authorize?prompt=login&max_age=300"

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(redirect_to_login=elsewhere))
    visitor.visit(guarded)
    visitor.visit(sign_in())
    clock.advance(seconds=301)
    answer = visitor.visit(guarded)
    assert answer["location"] == "https://login.example/authorize?prompt=login&max_age=300"
    assert ages == [None, FIVE_MINUTES], "who is not signed in at all is not asked again"


def test_a_route_of_programs_answers_401_with_the_reason(dp: DataProtection, clock: StoppedClock) -> None:
    @api
    def route() -> None: ...

    def page(auth: RequestAuthentication) -> int:
        with pytest.raises(FreshSignInRequired):
            auth.require_fresh(FIVE_MINUTES, endpoint=route)
        return 401

    visitor = visitor_with(dp)
    visitor.visit(sign_in())
    clock.advance(seconds=301)
    answer = visitor.visit(page)
    assert answer.status == 401
    assert answer["www-authenticate"] == 'Cookie error="insufficient_user_authentication", max_age="300"'
    assert not answer.replaces_body
