"""Sessions in their cookie: when they are written, when they end, what the response says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware import purposes
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError
from dpmiddleware.protection import base64url
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionCookie
from dpmiddleware.web.sessions.session import Session
from tests.clients import Headers, Jar, StoppedClock, set_cookies
from tests.web.browser import finished


class Browser:
    """Requests one after the other against one `SessionCookie`."""

    def __init__(self, dp: DataProtection, clock: StoppedClock, **options: Any) -> None:
        settings = options.pop("settings", CookieSettings("session"))
        self.cookie = SessionCookie(dp, settings, **options)
        self.jar = Jar(clock)

    def __call__(self, view: Callable[[Session], object], *, https: bool = False) -> Headers:
        part = self.cookie.begin(self.jar.header.encode(), https=https)
        view(part.session)
        headers = finished(part, []).headers if part.touched else []
        self.jar.take(headers)
        return headers

    def holds(self) -> dict[str, Any]:
        return dict(self.cookie.begin(self.jar.header.encode(), https=False).session)


@pytest.fixture
def browser(dp: DataProtection, clock: StoppedClock) -> Browser:
    return Browser(dp, clock, absolute=timedelta(days=30))


def put(**values: Any) -> Callable[[Session], object]:
    return lambda session: session.update(values)


def read(session: Session) -> object:
    return session.get("a")


def test_what_one_request_puts_in_the_next_one_reads(browser: Browser) -> None:
    browser(put(a=1))
    assert browser.holds() == {"a": 1}


def test_reading_writes_nothing_and_says_vary(browser: Browser) -> None:
    browser(put(a=1))
    assert browser(read) == [("vary", "Cookie")]


def test_an_untouched_session_says_nothing(browser: Browser) -> None:
    browser(put(a=1))
    assert browser(lambda session: None) == []


def test_writing_sets_one_cookie_and_keeps_the_page_out_of_caches(browser: Browser) -> None:
    headers = browser(put(a=1), https=True)
    assert [name for name, _ in headers] == ["set-cookie", "vary", "cache-control"]
    [cookie] = set_cookies(headers)
    assert (cookie.name, cookie.attributes) == ("session", ("path=/", "secure", "samesite=lax", "httponly"))


def test_emptying_ends_the_cookie_with_its_chunks(browser: Browser) -> None:
    browser(put(a="x" * 4500))
    assert len(browser.jar.cookies) == 3
    browser(lambda session: session.clear())
    assert browser.jar.cookies == {}


def test_emptying_what_was_never_there_says_nothing_to_the_client(browser: Browser) -> None:
    assert set_cookies(browser(lambda session: session.clear())) == []


def test_story_31_an_invalid_cookie_is_ended_with_vary(browser: Browser) -> None:
    browser(put(a=1))
    value = browser.jar.cookies["session"]
    browser.jar.cookies["session"] = value[:60] + ("A" if value[60] != "A" else "B") + value[61:]
    headers = browser(read)
    assert ("vary", "Cookie") in headers
    assert ("cache-control", "no-store") in headers
    assert browser.jar.cookies == {}


def test_a_session_of_an_unknown_key_is_left_to_those_who_know_it(browser: Browser, clock: StoppedClock) -> None:
    """Another slot's: it is not deleted, and a visitor who goes back there is still signed in."""
    other = Browser(DataProtection("shop", repository="memory:", clock=clock), clock)
    other(put(a=1))
    browser.jar.cookies |= other.jar.cookies
    assert browser(read) == [("vary", "Cookie")]


def test_a_new_session_takes_the_place_of_an_unreadable_one(browser: Browser) -> None:
    browser.jar.cookies["session"] = "garbage"
    browser(put(b=2))
    assert browser.holds() == {"b": 2}


def test_a_large_session_grows_and_shrinks(browser: Browser) -> None:
    for size in (10, 4500, 100):
        browser(put(a="x" * size))
        assert browser.holds() == {"a": "x" * size}
    assert list(browser.jar.cookies) == ["session"]


def test_a_session_that_is_too_large_is_an_error_when_written(browser: Browser) -> None:
    with pytest.raises(CookieTooLargeError, match="session"):
        browser(put(a="x" * 6000))


# --- time ---------------------------------------------------------------------------------------------------


def test_a_session_that_nobody_uses_ends(browser: Browser, clock: StoppedClock) -> None:
    browser(put(a=1))
    clock.forward(timedelta(days=14))
    assert browser.holds() == {"a": 1}
    clock.forward(timedelta(seconds=1))
    assert browser.holds() == {}


def test_the_cookie_of_a_session_that_has_ended_is_ended(
    browser: Browser, clock: StoppedClock, refusals: Callable[[], dict[str, int]]
) -> None:
    browser(put(a=1))
    clock.forward(timedelta(days=15))
    browser(read)
    assert browser.jar.cookies == {}
    assert refusals() == {"expired": 1}


def test_reading_renews_the_idle_time_once_half_of_it_is_gone(browser: Browser, clock: StoppedClock) -> None:
    browser(put(a=1))
    clock.forward(timedelta(days=7))
    assert set_cookies(browser(read)) == []
    clock.forward(timedelta(seconds=1))
    assert ("cache-control", "no-store") in browser(read)
    clock.forward(timedelta(days=13))
    assert browser.holds() == {"a": 1}


def test_a_session_ends_however_busy_it_is(browser: Browser, clock: StoppedClock) -> None:
    browser(put(a=0))
    for day in range(30):
        clock.forward(timedelta(days=1))
        browser(put(a=day))
    assert browser.holds() == {"a": 29}
    clock.forward(timedelta(seconds=1))
    assert browser.holds() == {}


def test_signing_in_starts_the_absolute_time_anew(browser: Browser, clock: StoppedClock) -> None:
    browser(put(a=1))
    clock.forward(timedelta(days=10))
    browser(lambda session: session.renew("ada"))
    for _ in range(3):
        clock.forward(timedelta(days=10))
        browser(read)
    assert browser.holds() == {"a": 1}


def test_without_limits_a_session_lasts(dp: DataProtection, clock: StoppedClock) -> None:
    browser = Browser(dp, clock, idle=None, absolute=None)
    browser(put(a=1))
    clock.forward(timedelta(days=1000))
    assert browser.holds() == {"a": 1}
    assert set_cookies(browser(read)) == []


@pytest.mark.parametrize("limit", ["idle", "absolute"])
def test_a_time_of_nothing_is_refused(dp: DataProtection, clock: StoppedClock, limit: str) -> None:
    with pytest.raises(ConfigurationError, match=limit):
        Browser(dp, clock, **{limit: timedelta(0)})


# --- story 27: a response that comes late -------------------------------------------------------------------


def test_story_27_a_slow_response_that_only_read_does_not_undo_a_sign_in(browser: Browser) -> None:
    browser(put(a=1))
    slow = browser.cookie.begin(browser.jar.header.encode(), https=False)
    assert slow.session["a"] == 1
    browser(lambda session: session.renew("ada"))
    browser.jar.take(finished(slow, []).headers)
    assert browser.cookie.begin(browser.jar.header.encode(), https=False).session.subject == "ada"


def test_story_27_two_tabs_that_sign_in_together_end_signed_in(browser: Browser) -> None:
    browser(put(a=1))
    header = browser.jar.header.encode()
    tabs = [browser.cookie.begin(header, https=False) for _ in range(2)]
    for tab in tabs:
        tab.session.renew("ada")
    for tab in tabs:
        browser.jar.take(finished(tab, []).headers)
    assert browser.cookie.begin(browser.jar.header.encode(), https=False).session.subject == "ada"


# --- purposes -----------------------------------------------------------------------------------------------


class OtherFormat:
    """JSON under another name."""

    name = "other"

    def dumps(self, mapping: Any) -> bytes:
        return b"{}"

    def loads(self, data: bytes) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(purposes.cookie("session"), id="a-wrapped-cookie"),
        pytest.param(purposes.session("json", "other"), id="a-session-of-another-name"),
        pytest.param(purposes.session("flask", "session"), id="another-value-format"),
        pytest.param(purposes.serializer("session"), id="a-serializer"),
        pytest.param(purposes.authentication_cookie("Cookies"), id="a-ticket"),
    ],
)
def test_a_value_sealed_for_something_else_is_no_session(
    browser: Browser, dp: DataProtection, chain: tuple[str, ...], refusals: Callable[[], dict[str, int]]
) -> None:
    plain = b"\x01" + b"\0\0\1\x9c" * 4 + b'{"a":1}'
    browser.jar.cookies["session"] = base64url.encode(dp.create_protector(*chain).protect(plain))
    assert browser.holds() == {}
    assert refusals() == {"tampered": 1}


def test_sessions_in_another_format_are_not_read(dp: DataProtection, clock: StoppedClock, browser: Browser) -> None:
    browser(put(a=1))
    other = Browser(dp, clock, value_format=OtherFormat())
    other.jar = browser.jar
    assert other.holds() == {}
