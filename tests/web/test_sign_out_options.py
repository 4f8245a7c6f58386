"""Options of signing out and of what is left in the browser, and how exactly a user is signed out after some time."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.answer import Part
from dpmiddleware.web.sign_in import records
from dpmiddleware.web.sign_in.authentication import RequestAuthentication
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest
from tests.fakes import StoppedClock
from tests.web.browser import Visitor, finished
from tests.web.test_absolute_end import visitor_with
from tests.web.test_authentication import ADA, NO_CACHE, look, sign_in, sign_out, user

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository="memory:", key_wrapper="plain:", clock=clock)


# --- Clear-Site-Data ----------------------------------------------------------------------------------------


def test_a_sign_out_lets_the_browser_delete_what_it_has_of_the_site(dp: DataProtection) -> None:
    visitor = visitor_with(dp, clear_site_data=("cache", "storage"))
    assert visitor.visit(sign_in())["clear-site-data"] is None
    assert visitor.visit(look)["clear-site-data"] is None
    assert visitor.visit(sign_out)["clear-site-data"] == '"cache", "storage"'


def test_without_the_option_nothing_is_said(dp: DataProtection) -> None:
    assert visitor_with(dp).visit(sign_out)["clear-site-data"] is None


def test_a_sign_in_after_the_sign_out_keeps_what_the_browser_has(dp: DataProtection) -> None:
    def switch(auth: RequestAuthentication) -> None:
        auth.sign_out()
        auth.sign_in(ADA)

    assert visitor_with(dp, clear_site_data=["storage"]).visit(switch)["clear-site-data"] is None


def test_a_redirect_after_the_sign_out_says_it_too(dp: DataProtection) -> None:
    visitor = visitor_with(dp, clear_site_data=("cache",), logout_path="/out")
    answer = visitor.visit(sign_out, "/out?ReturnUrl=/", headers={"Clear-Site-Data": '"cookies"'})
    assert (answer.status, answer["location"], answer["clear-site-data"]) == (302, "/", '"cache"')


def test_a_word_that_browsers_do_not_know_is_an_error_at_start() -> None:
    with pytest.raises(ConfigurationError, match="clear_site_data='cach' is unknown") as caught:
        CookieAuthenticationOptions(clear_site_data=("cach",))
    assert "cache, storage" in caught.value.hint
    assert CookieAuthenticationOptions(clear_site_data=["cache"]).clear_site_data == ("cache",)


# --- no_store -----------------------------------------------------------------------------------------------

CACHING = {
    "nothing": (None, "no-store"),
    "public": ("public, max-age=60", "no-store"),
    "private": ("private, max-age=60", "no-store"),
    "not stored already": ("no-store, max-age=0", "no-store, max-age=0"),
}


@pytest.mark.parametrize(("said", "sent"), CACHING.values(), ids=CACHING)
def test_a_page_that_looked_at_the_user_is_not_stored(dp: DataProtection, said: str | None, sent: str) -> None:
    visitor = visitor_with(dp, no_store=True)
    visitor.visit(sign_in())
    answer = visitor.visit(look, headers={"Cache-Control": said} if said else None)
    assert (answer["cache-control"], answer["vary"], answer.cookies) == (sent, "Cookie", [])


def test_a_page_that_did_not_look_is_left_as_it_is(dp: DataProtection) -> None:
    visitor = visitor_with(dp, no_store=True)
    visitor.visit(sign_in())
    assert visitor.visit(headers={"Cache-Control": "public"}).headers == [("Cache-Control", "public")]


def test_a_renewal_says_what_it_says_without_the_option(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, no_store=True)
    visitor.visit(sign_in())
    clock.advance(days=8)
    answer = visitor.visit(look)
    assert {name: answer[name] for name in NO_CACHE} == NO_CACHE


# --- a sign-out by GET --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "warned"), [("GET", 1), ("HEAD", 1), ("POST", 0), ("", 0)])
def test_a_sign_out_that_any_page_can_cause_is_a_warning_once(
    dp: DataProtection, caplog: pytest.LogCaptureFixture, method: str, warned: int
) -> None:
    records._warn_of_get.cache_clear()
    visitor = visitor_with(dp)
    for _ in range(3):
        visitor.visit(sign_in())
        _visit_by(visitor, method)
    lines = [record for record in caplog.records if vars(record).get("event") == "sign_out_by_get"]
    assert [(record.levelno, vars(record)["method"]) for record in lines] == [(logging.WARNING, method)] * warned
    assert visitor.jar == {}, "they are signed out all the same"


def _visit_by(visitor: Visitor, method: str) -> None:
    part: Part = visitor.authenticator.begin(WebRequest(visitor.header, method=method))
    assert isinstance(part, RequestAuthentication)
    part.sign_out()
    visitor.take(finished(part, []))


# --- renew_after --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("renew_after", "earliest"),
    [(None, timedelta(minutes=30)), (MINUTE, timedelta(minutes=59))],
    ids=["by default after half of the time", "renewed each minute"],
)
def test_how_long_an_idle_user_stays_signed_in(
    dp: DataProtection, clock: StoppedClock, renew_after: timedelta | None, earliest: timedelta
) -> None:
    """The shortest time is that of a user whose last request came just before a renewal was due."""
    visitor = visitor_with(dp, expire_time_span=timedelta(hours=1), renew_after=renew_after)
    visitor.visit(sign_in())
    clock.moment += timedelta(hours=1) - earliest
    assert visitor.visit(look).cookies == [], "the last request renews nothing"
    clock.moment += earliest
    assert user(Visitor(visitor.authenticator, dict(visitor.jar))) == "ada"
    clock.advance(seconds=1)
    assert user(visitor) is None


def test_a_user_who_comes_back_is_renewed_after_that_time(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, expire_time_span=timedelta(hours=1), renew_after=MINUTE)
    visitor.visit(sign_in())
    clock.moment += MINUTE
    assert visitor.visit(look).cookies == []
    clock.advance(seconds=1)
    assert visitor.visit(look).cookies
    assert visitor.visit(look).cookies == []


def test_the_absolute_end_stays_where_it_is(dp: DataProtection, clock: StoppedClock) -> None:
    hour = timedelta(hours=1)
    visitor = visitor_with(dp, expire_time_span=hour, absolute_time_span=3 * hour, renew_after=MINUTE)
    visitor.visit(sign_in())
    for _ in range(6):
        clock.moment += hour / 2
        assert user(visitor) == "ada"
    clock.advance(seconds=1)
    assert user(visitor) is None


@pytest.mark.parametrize("wrong", [timedelta(0), -MINUTE, timedelta(days=14)], ids=str)
def test_a_time_after_which_no_ticket_could_be_renewed_is_an_error_at_start(wrong: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="renew_after="):
        CookieAuthenticationOptions(renew_after=wrong)
