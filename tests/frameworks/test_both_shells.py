"""Sessions and wrapped cookies of a plain application, the same on WSGI and on ASGI."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import CookieTooLargeError, KeyManagementError
from dpmiddleware.web.cookies.text import CookieSettings
from tests.clients import DownRepository, Request, Site, StoppedClock

Refusals = Callable[[], dict[str, int]]
pytestmark = pytest.mark.parametrize("shell", ["wsgi", "asgi"])


def put(**values: object) -> Callable[[Request], object]:
    return lambda request: request.session.update(values)


def sets(*lines: str) -> Callable[[Request], object]:
    return lambda request: request.response.extend(("Set-Cookie", line) for line in lines)


def ignore(request: Request) -> None:
    pass


def session_site(shell: str, dp: DataProtection) -> Site:
    return Site(shell, "SessionMiddleware", dp)


def wrapped_site(shell: str, dp: DataProtection) -> Site:
    return Site(shell, "CookieProtectionMiddleware", dp, cookies=["sid", "auth*"])


def seen(site: Site, cookie: str | None = None) -> dict[str, str]:
    """The cookies that the application sees."""
    found: dict[str, str] = {}
    site.get(lambda request: found.update(request.cookies), cookie=cookie)
    return found


def held(site: Site, cookie: str | None = None) -> dict[str, object]:
    """What is in the session."""
    found: dict[str, object] = {}
    site.get(lambda request: found.update(request.session), cookie=cookie)
    return found


# --- sessions -----------------------------------------------------------------------------------------------


def test_a_session_lasts_from_request_to_request(shell: str, dp: DataProtection) -> None:
    site = session_site(shell, dp)
    site.get(put(cart=["apples"]))
    site.get(lambda request: request.session["cart"].append("pears"))
    assert held(site) == {"cart": ["apples", "pears"]}


def test_story_31_an_untouched_page_says_nothing_and_one_that_reads_says_vary(shell: str, dp: DataProtection) -> None:
    site = session_site(shell, dp)
    site.get(put(a=1))
    assert site.get(ignore).headers == []
    vary = "Vary" if shell == "wsgi" else "vary"
    assert site.get(lambda request: request.session.get("a")).headers == [(vary, "Cookie")]


def test_what_writes_stays_out_of_caches_and_private_is_respected(shell: str, dp: DataProtection) -> None:
    site = session_site(shell, dp)

    def saying(cache_control: str) -> Callable[[Request], object]:
        def write(request: Request) -> None:
            request.session["a"] = cache_control
            request.response.append(("Cache-Control", cache_control))

        return write

    for said, becomes in (("public, max-age=60", "no-store"), ("private", "private")):
        answer = site.get(saying(said))
        assert (answer.header("cache-control"), answer.header("vary")) == (becomes, "Cookie")


@pytest.mark.parametrize("cookie", ["session=garbage", "session=", "session=" + "x" * 60_000, "session=chunks-9"])
def test_story_26_a_bad_session_cookie_is_an_anonymous_page(
    shell: str, dp: DataProtection, cookie: str, refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    answer = session_site(shell, dp).get(lambda request: request.session.get("a"), cookie=cookie)
    assert (answer.status, answer.body) == (200, b"ok")
    assert refusals() == ({} if cookie.endswith("=") else {"malformed": 1})
    assert not any(record.exc_info for record in caplog.records)


def test_secure_follows_the_scheme(shell: str, dp: DataProtection) -> None:
    site = session_site(shell, dp)
    assert site.get(put(a=1), https=False).cookies[0].attribute("secure") is None
    assert site.get(put(a=2), https=True).cookies[0].attribute("secure") == ""


def test_story_30_an_ended_session_ends_with_the_attributes_that_set_it(shell: str, dp: DataProtection) -> None:
    settings = CookieSettings("s", domain="shop.example", path="/app", secure="always", partitioned=True)
    site = Site(shell, "SessionMiddleware", dp, cookie=settings)
    [made] = site.get(put(a=1)).cookies
    *elsewhere, ended = site.get(lambda request: request.session.clear()).cookies
    assert ended.attributes == ("expires=Thu, 01 Jan 1970 00:00:00 GMT", "max-age=0", *made.attributes)
    assert all(cookie.name == "s" and cookie.attribute("max-age") == "0" for cookie in elsewhere)


def test_a_session_that_is_too_large_is_an_error_of_the_application(shell: str, dp: DataProtection) -> None:
    with pytest.raises(CookieTooLargeError):
        session_site(shell, dp).get(put(a="x" * 9000))


def test_a_session_cookie_is_no_wrapped_cookie(shell: str, dp: DataProtection, refusals: Refusals) -> None:
    sessions = Site(shell, "SessionMiddleware", dp, cookie="sid")
    sessions.get(put(a=1))
    assert seen(wrapped_site(shell, dp), cookie=sessions.jar.header) == {}
    wrapped = wrapped_site(shell, dp)
    wrapped.get(sets("sid=1"))
    assert held(sessions, cookie=wrapped.jar.header) == {}
    assert refusals() == {"tampered": 2}


def test_idle_and_absolute_time_are_those_given(shell: str, dp: DataProtection, clock: StoppedClock) -> None:
    site = Site(shell, "SessionMiddleware", dp, idle=timedelta(minutes=20), absolute=timedelta(minutes=30))
    site.get(put(a=1))
    clock.forward(timedelta(minutes=15))
    assert held(site) == {"a": 1}
    clock.forward(timedelta(minutes=16))
    assert held(site) == {}


# --- wrapped cookies ----------------------------------------------------------------------------------------


def test_an_application_never_notices_that_its_cookies_are_wrapped(shell: str, dp: DataProtection) -> None:
    site = wrapped_site(shell, dp)
    site.get(sets("sid=secret; Path=/", "auth.x=" + "y" * 4500, "theme=dark"))
    assert "secret" not in site.jar.header
    assert set(site.jar.cookies) == {"sid", "auth.x", "auth.xC1", "auth.xC2", "theme"}
    assert seen(site) == {"sid": "secret", "auth.x": "y" * 4500, "theme": "dark"}
    site.get(sets("sid=; Max-Age=0", "auth.x=; Max-Age=0"))
    assert site.jar.cookies == {"theme": "dark"}


def test_a_plain_value_never_reaches_the_application(shell: str, dp: DataProtection, refusals: Refusals) -> None:
    site = wrapped_site(shell, dp)
    assert seen(site, cookie="sid=admin; theme=dark; auth=root") == {"theme": "dark"}
    assert seen(site, cookie="sid=admin") == {}
    assert refusals() == {"malformed": 3}


def test_an_hour_and_a_second_after_max_age_3600_a_cookie_is_not_passed_on(
    shell: str, dp: DataProtection, clock: StoppedClock
) -> None:
    site = wrapped_site(shell, dp)
    site.get(sets("sid=1; Max-Age=3600"))
    kept = site.jar.header
    clock.forward(timedelta(seconds=3600))
    assert seen(site, cookie=kept) == {"sid": "1"}
    clock.forward(timedelta(seconds=1))
    assert seen(site, cookie=kept) == {}


def test_a_page_with_nothing_wrapped_is_left_as_it_is(shell: str, dp: DataProtection) -> None:
    def view(request: Request) -> None:
        request.response += [("X", "1"), ("Set-Cookie", "theme=dark;path=/")]

    assert wrapped_site(shell, dp).get(view, cookie="theme=light").headers == [
        ("X", "1"),
        ("Set-Cookie", "theme=dark;path=/"),
    ]


# --- outages ------------------------------------------------------------------------------------------------


@pytest.fixture
def down(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository=DownRepository(), clock=clock)


@pytest.fixture
def old_cookies(shell: str, dp: DataProtection) -> dict[str, str]:
    """What a visitor has from before the outage."""
    sessions, wrapped = session_site(shell, dp), wrapped_site(shell, dp)
    sessions.get(put(a=1))
    wrapped.get(sets("sid=1"))
    return {"session": sessions.jar.header, "sid": wrapped.jar.header}


def swallowing(request: Request) -> None:
    """An application that takes an outage for nobody being there."""
    try:
        request.session.get("a")
    except KeyManagementError:
        request.response.append(("X-User", "anonymous"))


@pytest.mark.parametrize("view", [put(b=2), lambda request: request.session.get("a"), swallowing])
def test_with_the_store_down_a_session_that_is_needed_is_503_and_nobody_is_signed_out(
    shell: str,
    down: DataProtection,
    old_cookies: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    view: Callable[[Request], object],
) -> None:
    answer = session_site(shell, down).get(view, cookie=old_cookies["session"])
    assert answer.status == 503
    assert int(answer.header("retry-after")) > 0
    assert answer.cookies == []
    assert "keys.example" not in answer.body.decode()
    assert any(record.levelname == "ERROR" and "keys.example" in record.getMessage() for record in caplog.records)
    assert ("unavailable", "") in telemetry.counts()


def test_with_the_store_down_a_first_session_is_503_too(shell: str, down: DataProtection) -> None:
    assert session_site(shell, down).get(put(b=2)).status == 503


def test_with_the_store_down_pages_that_need_no_session_go_on(
    shell: str, down: DataProtection, old_cookies: dict[str, str]
) -> None:
    answer = session_site(shell, down).get(ignore, cookie=old_cookies["session"])
    assert (answer.status, answer.headers) == (200, [])


def test_with_the_store_down_a_wrapped_cookie_is_503(
    shell: str, down: DataProtection, old_cookies: dict[str, str]
) -> None:
    assert wrapped_site(shell, down).get(ignore, cookie=old_cookies["sid"]).status == 503
    assert wrapped_site(shell, down).get(sets("sid=2")).status == 503
    assert wrapped_site(shell, down).get(sets("theme=dark"), cookie="theme=light").status == 200


def test_with_a_ring_an_error_of_key_management_is_the_applications_own(shell: str, dp: DataProtection) -> None:
    """It asked the store for something, and gets to hear what came of it."""

    def view(request: Request) -> None:
        DataProtection("other", repository=DownRepository()).create_protector("x").protect("y")

    with pytest.raises(KeyManagementError):
        session_site(shell, dp).get(view)


def test_nothing_is_asked_of_the_store_before_the_first_request(shell: str, down: DataProtection) -> None:
    """Constructing does no I/O: a store that is down does not keep an application from starting."""
    session_site(shell, down)
    wrapped_site(shell, down)
