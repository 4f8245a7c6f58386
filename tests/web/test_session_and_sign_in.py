"""Sessions beside cookie authentication: each user sees their own, whatever the browser brings along."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import RepositoryError
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionCookie
from dpmiddleware.web.sessions.session import CSRF_KEYS, Session
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.ticket import Principal
from tests.clients import Headers, Jar, StoppedClock
from tests.fakes import WatchedTicketStore
from tests.web.browser import finished

App = Callable[[RequestAuthentication, Session], object]
ADA, BOB = Principal("ada"), Principal("bob")


class Browser:
    """Requests to an application with both, in one order of the two or the other."""

    def __init__(self, dp: DataProtection, clock: StoppedClock, **options: Any) -> None:
        self.sessions = SessionCookie(dp, CookieSettings("session"))
        self.authenticator = CookieAuthenticator(dp, CookieAuthenticationOptions(**options))
        self.jar = Jar(clock)

    def __call__(self, app: App) -> Headers:
        header = self.jar.header.encode()
        auth = self.authenticator.begin(WebRequest(header))
        part = self.sessions.begin(header, https=False)
        auth.attach(part.session)
        app(auth, part.session)
        headers = finished(auth, []).headers
        headers = finished(part, headers).headers if part.touched else headers
        self.jar.take(headers)
        return headers

    def session(self) -> dict[str, Any]:
        seen: list[dict[str, Any]] = []
        self(lambda auth, session: seen.append(dict(session)))
        return seen[0]


@pytest.fixture
def browser(dp: DataProtection, clock: StoppedClock) -> Browser:
    return Browser(dp, clock)


def put(**values: Any) -> App:
    return lambda auth, session: session.update(values)


def sign_in(principal: Principal = ADA) -> App:
    return lambda auth, session: auth.sign_in(principal)


def sign_out(auth: RequestAuthentication, session: Session) -> None:
    auth.sign_out()


def test_a_cart_goes_along_when_its_owner_signs_in(browser: Browser) -> None:
    browser(put(cart=[1]))
    browser(sign_in())
    assert browser.session() == {"cart": [1]}


@pytest.mark.parametrize("key", CSRF_KEYS)
def test_story_27_a_token_that_was_planted_before_the_sign_in_is_not_the_users_afterwards(
    browser: Browser, key: str
) -> None:
    browser(put(**{key: "planted", "cart": [1]}))
    before: dict[str, str] = {}
    browser(lambda auth, session: before.update(id=session.id))
    browser(sign_in(BOB))
    after: dict[str, str] = {}
    browser(lambda auth, session: after.update(id=session.id))
    assert browser.session() == {"cart": [1]}
    assert before["id"] != after["id"]


def test_ada_out_bob_in_bob_sees_nothing_of_adas(browser: Browser) -> None:
    browser(sign_in(ADA))
    browser(put(letter="dear ada"))
    browser(sign_out)
    assert browser.session() == {}
    assert not [name for name in browser.jar.cookies if name == "session"]
    browser(sign_in(BOB))
    assert browser.session() == {}


def test_bob_in_without_ada_out_bob_sees_nothing_of_adas(browser: Browser) -> None:
    browser(sign_in(ADA))
    browser(put(letter="dear ada"))
    browser(sign_in(BOB))
    assert browser.session() == {}


def test_a_session_planted_beside_anothers_sign_in_is_not_shown(
    browser: Browser, dp: DataProtection, clock: StoppedClock
) -> None:
    other = Browser(dp, clock)
    other(sign_in(BOB))
    other(put(letter="dear bob", csrf_token="known to bob"))
    browser(sign_in(ADA))
    browser.jar.cookies["session"] = other.jar.cookies["session"]
    assert browser.session() == {}
    browser(put(mine=1))
    assert browser.session() == {"mine": 1}


def test_when_the_ticket_has_ended_the_session_of_its_user_is_nobodys(browser: Browser, clock: StoppedClock) -> None:
    browser(sign_in(ADA))
    browser(put(letter="dear ada"))
    kept = browser.jar.cookies["session"]
    del browser.jar.cookies[".AspNetCore.Cookies"]
    assert browser.session() == {}
    assert browser.jar.cookies["session"] == kept, "what was only hidden is not taken from its owner"
    browser(sign_in(BOB))
    assert browser.session() == {}
    browser(sign_out)
    browser(sign_in(ADA))
    assert browser.session() == {"letter": "dear ada"}


def test_where_somebody_else_signed_the_user_in_an_anonymous_session_becomes_theirs(
    browser: Browser, dp: DataProtection, clock: StoppedClock
) -> None:
    """A sign-in by ASP.NET Core: no call of ours renewed the session."""
    browser(put(cart=[1], csrf_token="planted"))
    elsewhere = Browser(dp, clock)
    elsewhere(sign_in(ADA))
    browser.jar.cookies.update(elsewhere.jar.cookies)
    assert browser.session() == {"cart": [1]}
    browser(put(cart=[1, 2]))
    assert browser.session() == {"cart": [1, 2]}
    assert ADA.subject in browser_subjects(browser)


def browser_subjects(browser: Browser) -> list[str | None]:
    seen: list[str | None] = []
    browser(lambda auth, session: seen.append(session.subject))
    return seen


def test_a_new_session_of_a_user_is_theirs_from_the_start(browser: Browser) -> None:
    browser(sign_in(ADA))
    browser(sign_out)
    browser(sign_in(ADA))
    browser(put(a=1))
    assert browser_subjects(browser) == [ADA.subject]


def test_signing_in_and_out_do_not_undo_each_other_in_one_request(browser: Browser) -> None:
    def switch(auth: RequestAuthentication, session: Session) -> None:
        session["letter"] = "dear ada"
        auth.sign_out()
        auth.sign_in(BOB)
        session["cart"] = []

    browser(sign_in(ADA))
    browser(switch)
    assert browser.session() == {"cart": []}
    assert browser_subjects(browser) == [BOB.subject]


def test_a_session_nobody_looks_at_does_not_look_at_the_ticket(browser: Browser, clock: StoppedClock) -> None:
    browser(sign_in(ADA))
    assert browser(lambda auth, session: None) == []


def test_an_outage_of_the_ticket_store_does_not_give_a_session_to_anybody(
    dp: DataProtection, clock: StoppedClock
) -> None:
    store = WatchedTicketStore()
    browser = Browser(dp, clock, session_store=store)
    browser(sign_in(ADA))
    browser(put(letter="dear ada"))
    store.down = True
    with pytest.raises(RepositoryError):
        browser.session()
    store.down = False
    assert browser.session() == {"letter": "dear ada"}


def test_sessions_without_sign_in_belong_to_whoever_brings_them(dp: DataProtection, clock: StoppedClock) -> None:
    sessions = SessionCookie(dp, CookieSettings("session"), idle=timedelta(days=1))
    jar = Jar(clock)
    part = sessions.begin(b"", https=False)
    part.session.renew("ada")
    part.session["a"] = 1
    jar.take(finished(part, []).headers)
    assert sessions.begin(jar.header.encode(), https=False).session["a"] == 1
