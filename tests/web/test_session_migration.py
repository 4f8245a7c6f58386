"""Sessions in another framework's cookie: read once, written in our format, or back in the old one if configured."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionCookie
from dpmiddleware.web.sessions.migration import DjangoSessions, FlaskSessions, SignedSessions, StarletteSessions
from dpmiddleware.web.sessions.session import Session
from tests.clients import Headers, Jar, StoppedClock
from tests.web.browser import finished

SECRET = "the secret that was used until now"
DAY = timedelta(days=1)
KINDS = [FlaskSessions, StarletteSessions, DjangoSessions]


class Browser:
    def __init__(self, dp: DataProtection, clock: StoppedClock, migration: SignedSessions | None) -> None:
        self.cookie = SessionCookie(dp, CookieSettings("session"), migration=migration)
        self.jar = Jar(clock)

    def __call__(self, view: Callable[[Session], object] = lambda session: None) -> Headers:
        part = self.cookie.begin(self.jar.header.encode(), https=False)
        view(part.session)
        headers = finished(part, []).headers if part.touched else []
        self.jar.take(headers)
        return headers

    def holds(self) -> dict[str, Any]:
        seen: list[dict[str, Any]] = []
        self(lambda session: seen.append(dict(session)))
        return seen[0]


@pytest.fixture(params=KINDS, ids=[kind.framework for kind in KINDS])
def migration(request: pytest.FixtureRequest, clock: StoppedClock) -> SignedSessions:
    made: SignedSessions = request.param(SECRET, until=clock.now() + 5 * DAY, max_age=14 * DAY, now=clock.now())
    return made


@pytest.fixture
def browser(dp: DataProtection, clock: StoppedClock, migration: SignedSessions) -> Browser:
    """A browser with an old session, signed two days ago."""
    browser = Browser(dp, clock, migration)
    browser.jar.cookies["session"] = migration.dumps({"user": "ada", "n": 1}, clock.now() - 2 * DAY)
    return browser


def test_story_17_an_old_session_is_read_and_ours_from_the_first_look_on(browser: Browser) -> None:
    assert browser.holds() == {"user": "ada", "n": 1}
    assert browser.jar.cookies["session"].startswith("CfDJ8")
    assert browser.holds() == {"user": "ada", "n": 1}


def test_an_old_session_nobody_looks_at_stays(browser: Browser) -> None:
    before = dict(browser.jar.cookies)
    assert browser() == []
    assert browser.jar.cookies == before


def test_a_change_of_an_old_session_is_kept(browser: Browser) -> None:
    browser(lambda session: session.update(n=2))
    assert browser.holds() == {"user": "ada", "n": 2}


def test_an_old_session_that_is_emptied_ends(browser: Browser) -> None:
    browser(lambda session: session.clear())
    assert browser.jar.cookies == {}


def test_a_migrated_session_ends_when_the_old_one_would_have_renewed_or_not(
    browser: Browser, clock: StoppedClock
) -> None:
    browser(lambda session: session.update(n=2))
    for day in range(11):
        clock.forward(1 * DAY)
        assert browser.holds()["n"] == 2 + day
        browser(lambda session: session.update(n=session["n"] + 1))
        if day == 5:
            browser(lambda session: session.renew("ada"))
    clock.forward(DAY + timedelta(seconds=1))
    assert browser.holds() == {}


def test_after_until_an_old_session_is_none(browser: Browser, clock: StoppedClock) -> None:
    clock.forward(5 * DAY)
    assert browser.holds() == {}


def test_an_old_cookie_counts_only_where_none_of_ours_stands_beside_it(
    browser: Browser, dp: DataProtection, clock: StoppedClock
) -> None:
    """Otherwise an old cookie that someone kept would return, for example after a sign-out."""
    old = browser.jar.cookies["session"]
    browser(lambda session: session.update(n=2))
    ours = browser.jar.cookies["session"]
    assert browser.cookie.begin(f"session={old}; session={ours}".encode(), https=False).session["n"] == 2
    damaged = ours[:-4] + ("aaaa" if not ours.endswith("aaaa") else "bbbb")
    for header in (f"session={old}; session={damaged}", f"session={old}; session=chunks-2"):
        assert browser.cookie.begin(header.encode(), https=False).session == {}


def test_without_a_migration_an_old_cookie_is_nothing(
    browser: Browser, dp: DataProtection, clock: StoppedClock
) -> None:
    assert SessionCookie(dp, CookieSettings("session")).begin(browser.jar.header.encode(), https=False).session == {}


def test_how_many_are_left_is_counted(browser: Browser, migration: SignedSessions) -> None:
    name = ("session_migrated", migration.framework)
    before = telemetry.counts().get(name, 0)
    for _ in range(3):
        browser.holds()
    assert telemetry.counts()[name] == before + 1


@pytest.fixture
def going_back(dp: DataProtection, clock: StoppedClock, migration: SignedSessions) -> Browser:
    until, now = clock.now() + 5 * DAY, clock.now()
    return Browser(dp, clock, type(migration)(SECRET, until=until, max_age=14 * DAY, writes_old=True, now=now))


def test_story_25_while_the_old_format_is_written_members_of_both_kinds_read_the_session(
    browser: Browser, going_back: Browser, migration: SignedSessions, clock: StoppedClock
) -> None:
    going_back.jar = browser.jar
    going_back(lambda session: session.update(n=2))
    old = migration.loads(browser.jar.cookies["session"], clock.now())
    assert old is not None
    assert (old.data["user"], old.data["n"]) == ("ada", 2)
    assert going_back.holds() == {"user": "ada", "n": 2}
    assert browser.holds() == {"user": "ada", "n": 2}, "a member that writes the new format continues from there"
    going_back(lambda session: session.update(n=3))
    assert going_back.holds() == {"user": "ada", "n": 3}, "and a new cookie is read where the old one is written"


def test_after_until_the_old_format_is_not_written_any_more(going_back: Browser, clock: StoppedClock) -> None:
    clock.forward(6 * DAY)
    going_back(lambda session: session.update(n=1))
    assert going_back.jar.cookies["session"].startswith("CfDJ8")


def test_a_session_too_long_for_the_old_format_is_refused_when_it_is_written(going_back: Browser) -> None:
    text = random.Random(1).randbytes(4000).hex()  # nothing that compresses below a cookie's size
    with pytest.raises(CookieTooLargeError, match="old format") as caught:
        going_back(lambda session: session.update(text=text))
    assert caught.value.hint


def test_a_machine_without_sha1_is_an_error_at_start_and_not_a_silent_sign_out(
    monkeypatch: pytest.MonkeyPatch, clock: StoppedClock
) -> None:
    """Flask's cookies were all refused there as if they were not JSON."""

    def unsupported(*_: object, **__: object) -> None:
        raise ValueError("[digital envelope routines] unsupported")

    monkeypatch.setattr("hashlib.sha1", unsupported)
    until = clock.now() + DAY
    for kind in (FlaskSessions, StarletteSessions):
        with pytest.raises(ConfigurationError, match=f"no SHA-1, with which {kind.framework.title()} signs") as caught:
            kind(SECRET, until=until)
        assert "sign in again" in caught.value.hint
    DjangoSessions(SECRET, until=until)
    monkeypatch.delattr("hashlib.sha1")  # as in a Python that was built without it
    with pytest.raises(ConfigurationError, match="no SHA-1"):
        FlaskSessions(SECRET, until=until)
