"""Cookies of an application, wrapped without its knowing: which, what comes in, what goes out."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import cookie_parser as starlettes
from werkzeug.http import parse_cookie as werkzeugs

from dpmiddleware import purposes
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError
from dpmiddleware.protection import base64url
from dpmiddleware.web.answer import UNCHANGED
from dpmiddleware.web.cookies.application_cookies import MOST_NAMES, CookieProtection
from dpmiddleware.web.cookies.text import SetCookie
from tests.clients import Headers, Jar, StoppedClock, set_cookies
from tests.web.browser import finished

LATER = timedelta(days=1)


class Browser:
    """An application behind `CookieProtection`, and the jar of its visitor."""

    def __init__(self, dp: DataProtection, clock: StoppedClock, *cookies: str, **options: Any) -> None:
        self.protection = CookieProtection(dp, cookies or ("sid",), **options)
        self.jar = Jar(clock)

    def sets(self, *lines: str, https: bool = False, headers: Headers | None = None) -> Headers:
        """The application answers with these Set-Cookie lines."""
        part = self.protection.begin(self.jar.header.encode(), https=https)
        out = finished(part, [*(headers or []), *(("Set-Cookie", line) for line in lines)]).headers
        self.jar.take(out)
        return out

    def sees(self, header: str | None = None) -> str:
        """The Cookie header that reaches the application."""
        sent = self.jar.header if header is None else header
        return self.protection.begin(sent.encode("latin-1"), https=False).header.decode("latin-1")


@pytest.fixture
def browser(dp: DataProtection, clock: StoppedClock) -> Browser:
    return Browser(dp, clock)


def sealed(dp: DataProtection, name: str, value: str) -> str:
    return base64url.encode(dp.create_protector(*purposes.cookie(name)).time_limited().protect(value.encode()))


# --- in and out ---------------------------------------------------------------------------------------------


def test_the_application_sees_what_it_set_and_the_client_does_not(browser: Browser) -> None:
    [cookie] = set_cookies(browser.sets("sid=secret; Path=/; HttpOnly", "theme=dark"))[1:]
    assert cookie.attributes == ("Path=/", "HttpOnly")
    assert "secret" not in browser.jar.header
    assert browser.sees() == "theme=dark; sid=secret"


def test_other_cookies_pass_byte_for_byte(browser: Browser) -> None:
    odd = 'a="b c"; strange, part;; =x; __host-sid=1;flag; sidecar=2'
    assert browser.sees(odd) == odd
    assert ("Set-Cookie", "sidecar=2;Path=/ ;X") in browser.sets("sidecar=2;Path=/ ;X")


def test_a_page_without_wrapped_cookies_keeps_its_headers(browser: Browser) -> None:
    headers = [("Cache-Control", "public"), ("Set-Cookie", "other=1")]
    assert browser.protection.begin(b"other=1", https=False).answer(200, headers) is UNCHANGED


@pytest.mark.parametrize(
    "value", ["plain", "", "a=b=c", "%41%20", '"quoted"', '"a\\054b \\"c\\""', "!#$%&'()*+-./:<=>?@[]^_`{|}~"]
)
def test_every_value_that_a_cookie_header_can_hold_comes_back(browser: Browser, value: str) -> None:
    browser.sets(f"sid={value}; Path=/")
    assert browser.sees() == f"sid={value}"


@given(text=st.text(min_size=1, max_size=40))
def test_whatever_http_cookies_quotes_comes_back(text: str) -> None:
    clock = StoppedClock()
    dp = DataProtection("shop", repository="memory:", clock=clock)
    browser = Browser(dp, clock)
    cookie: SimpleCookie = SimpleCookie()
    cookie["sid"] = text
    quoted = cookie["sid"].OutputString()
    if quoted.isascii():
        browser.sets(quoted)
        assert browser.sees() == quoted


@pytest.mark.parametrize("value", ["a b", "a,b", 'a"b', "é", "a\\b", "a\x00b"])
def test_a_value_that_could_not_come_back_is_an_error_when_it_is_set(browser: Browser, value: str) -> None:
    with pytest.raises(ConfigurationError, match="sid"):
        browser.sets(f"sid={value}")


@pytest.mark.parametrize("value", ["x; admin=1", "x\r\nHost: evil", "a b", "é", '"'])
def test_what_is_no_cookie_value_never_gets_into_the_header(
    browser: Browser, dp: DataProtection, value: str, refusals: Callable[[], dict[str, int]]
) -> None:
    """Even if it was sealed for this cookie."""
    assert browser.sees(f"a=1; sid={sealed(dp, 'sid', value)}") == "a=1"
    assert refusals() == {"malformed": 1}


# --- what does not get in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("sid=plain", id="not-sealed"),
        pytest.param("sid=", id="empty"),
        pytest.param("sid=" + "x" * 60_000, id="60-KB"),
        pytest.param("sid=chunks-2; sidC1=a", id="chunks-missing"),
        pytest.param('sid="plain', id="an-open-quote"),
        pytest.param("sid=plain text", id="a-space-inside"),
        pytest.param("sid = plain", id="spaces-around-the-equals-sign"),
        pytest.param("\x0bsid=plain", id="a-vertical-tab"),
        pytest.param("\xa0sid=plain", id="a-no-break-space"),
        pytest.param("a=1 sid=plain", id="after-a-space"),
        pytest.param("a=1, sid=plain", id="after-a-comma"),
        pytest.param('a="x; sid=plain"', id="inside-quotes"),
    ],
)
def test_a_value_that_was_not_sealed_never_reaches_the_application(browser: Browser, header: str) -> None:
    seen = browser.sees(f"{header}; b=2")
    assert "plain" not in seen
    assert seen.endswith("b=2")
    for parse in (starlettes, werkzeugs, SimpleCookie):
        assert "sid" not in parse(seen)


@given(
    parts=st.lists(
        st.sampled_from(
            ["sid", "=", ";", " ", "\t", ",", '"', "\\", "x", "\x0b", "\x1c", "\x85", "\xa0", "\n", "$", "plain"]
        )
    )
)
def test_no_parser_of_a_framework_finds_a_value_that_was_not_sealed(parts: list[str]) -> None:
    protection = CookieProtection(DataProtection("shop", repository="memory:"), ["sid"])
    seen = protection.begin("".join(parts).encode("latin-1"), https=False).header.decode("latin-1")
    assert "sid" not in starlettes(seen)
    with suppress(UnicodeDecodeError):  # Werkzeug's own, before it looks at a name
        assert not werkzeugs(seen).get("sid")
    with suppress(CookieError):
        assert "sid" not in SimpleCookie(seen)


def test_a_prefix_in_another_case_is_another_cookie(dp: DataProtection, clock: StoppedClock) -> None:
    browser = Browser(dp, clock, "__Host-sid")
    browser.sets("__Host-sid=real; Path=/; Secure")
    value = browser.jar.cookies["__Host-sid"]
    assert browser.sees(f"__host-sid={value}") == f"__host-sid={value}"
    assert browser.sees() == "__Host-sid=real"


@pytest.mark.parametrize("good_first", [True, False])
def test_a_good_and_a_bad_one_give_the_good_one(browser: Browser, dp: DataProtection, good_first: bool) -> None:
    parts = [f"sid={sealed(dp, 'sid', 'good')}", "sid=bad"]
    part = browser.protection.begin("; ".join(parts if good_first else parts[::-1]).encode(), https=False)
    assert part.header == b"sid=good"
    assert part.expire == ()


def test_two_different_good_ones_give_none(browser: Browser, dp: DataProtection) -> None:
    header = f"sid={sealed(dp, 'sid', 'one')}; sid={sealed(dp, 'sid', 'two')}"
    part = browser.protection.begin(header.encode(), https=False)
    assert (part.header, part.expire) == (b"", ())


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(purposes.cookie("other"), id="another-cookie"),
        pytest.param(purposes.session("json", "sid"), id="a-session"),
        pytest.param(purposes.serializer("sid"), id="a-serializer"),
        pytest.param(purposes.django_signer("sid"), id="a-signer"),
        pytest.param(purposes.authentication_cookie("sid"), id="a-ticket"),
    ],
)
def test_a_value_sealed_for_something_else_is_refused(
    browser: Browser, dp: DataProtection, chain: tuple[str, ...], refusals: Callable[[], dict[str, int]]
) -> None:
    value = base64url.encode(dp.create_protector(*chain).time_limited().protect(b"moved"))
    assert browser.sees(f"sid={value}") == ""
    assert refusals() == {"tampered": 1}


# --- what the client is told to drop ------------------------------------------------------------------------


def test_what_can_never_be_opened_is_expired(browser: Browser) -> None:
    browser.sets("sid=1")
    value = browser.jar.cookies["sid"]
    browser.jar.cookies["sid"] = value[:60] + ("A" if value[60] != "A" else "B") + value[61:]
    headers = browser.sets()
    assert browser.jar.cookies == {}
    assert ("vary", "Cookie") in headers


def test_what_another_ring_may_open_is_left_alone(browser: Browser, clock: StoppedClock) -> None:
    other = Browser(DataProtection("shop", repository="memory:", clock=clock), clock)
    other.sets("sid=1")
    browser.jar.cookies |= other.jar.cookies
    assert browser.sees() == ""
    assert set_cookies(browser.sets()) == []


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [
        pytest.param("Max-Age=3600", 3600, id="max-age"),
        pytest.param("Expires=Sun, 01 Mar 2026 13:00:00 GMT", 3600, id="expires"),
        pytest.param("Expires=Sun, 01-Mar-2026 13:00:00 GMT", 3600, id="expires-with-dashes"),
        pytest.param("Max-Age=3600; Expires=Sun, 01 Mar 2027 13:00:00 GMT", 3600, id="max-age-counts-first"),
        pytest.param("Path=/", 14 * 86400, id="neither"),
        pytest.param("Max-Age=soon", 14 * 86400, id="a-max-age-that-is-none"),
        pytest.param("Expires=tomorrow", 14 * 86400, id="a-date-that-is-none"),
        pytest.param("Max-Age=99999999999", 400 * 86400, id="longer-than-browsers-keep"),
        pytest.param("Expires=Fri, 31 Dec 9999 23:59:59 GMT", 400 * 86400, id="for-ever"),
    ],
)
def test_a_value_is_not_passed_on_after_its_end(
    browser: Browser, clock: StoppedClock, attributes: str, seconds: int
) -> None:
    """Whatever the client does with the cookie."""
    browser.sets(f"sid=1; {attributes}")
    clock.forward(timedelta(seconds=seconds))
    assert browser.sees() == "sid=1"
    clock.forward(timedelta(seconds=1))
    assert browser.sees() == ""


# --- deletions and chunks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["Max-Age=0", "Max-Age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_deletion_passes_unsealed_and_takes_the_chunks_along(browser: Browser, end: str) -> None:
    browser.sets("sid=" + "x" * 4500)
    assert len(browser.jar.cookies) == 3
    cookies = set_cookies(browser.sets(f"sid=gone; Path=/; Secure; {end}"))
    assert [(cookie.name, cookie.value) for cookie in cookies] == [("sid", ""), ("sidC1", ""), ("sidC2", "")]
    assert all(cookie.attribute("path") == "/" and cookie.attribute("secure") == "" for cookie in cookies)
    assert browser.jar.cookies == {}


def test_growing_and_shrinking_leaves_no_chunk_behind(browser: Browser) -> None:
    for size in (10, 4500, 2800, 10):
        browser.sets("sid=" + "x" * size)
        assert browser.sees() == "sid=" + "x" * size
    assert list(browser.jar.cookies) == ["sid"]


def test_chunks_are_resolved_before_patterns(dp: DataProtection, clock: StoppedClock) -> None:
    browser = Browser(dp, clock, "sid*")
    browser.sets("sid=" + "x" * 4500, "side=2")
    assert browser.sees() == f"sid={'x' * 4500}; side=2"


def test_a_chunk_that_belongs_to_no_marker_is_a_cookie_of_its_own_name(dp: DataProtection, clock: StoppedClock) -> None:
    browser = Browser(dp, clock, "sid*")
    browser.sets("sidC1=mine")
    assert browser.sees() == "sidC1=mine"


def test_of_several_cookies_for_one_place_the_last_one_counts(browser: Browser) -> None:
    browser.sets("sid=" + "x" * 4500 + "; Path=/", "sid=2; Path=/")
    assert list(browser.jar.cookies) == ["sid"]
    assert browser.sees() == "sid=2"


def test_a_value_that_is_too_large_is_an_error_when_it_is_set(browser: Browser) -> None:
    with pytest.raises(CookieTooLargeError, match="sid"):
        browser.sets("sid=" + "x" * 6000)


# --- attributes and caches ----------------------------------------------------------------------------------


def test_flags_force_attributes(dp: DataProtection, clock: StoppedClock) -> None:
    browser = Browser(dp, clock, secure=True, http_only=True, same_site="none", partitioned=True)
    [cookie] = set_cookies(browser.sets("sid=1; Path=/; SameSite=Lax; HttpOnly"))
    assert cookie.attributes == ("Path=/", "secure", "samesite=none", "httponly", "partitioned")
    [deletion] = set_cookies(browser.sets("sid=; Max-Age=0; Path=/"))
    assert deletion.attributes[1:] == ("max-age=0", *cookie.attributes)


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        pytest.param([], "no-store", id="nothing"),
        pytest.param([("Cache-Control", "public, max-age=60")], "no-store", id="public"),
        pytest.param([("Cache-Control", "private, max-age=60")], "private, max-age=60", id="private"),
        pytest.param([("cache-control", "No-Store")], "No-Store", id="no-store"),
    ],
)
def test_a_page_that_sets_a_wrapped_cookie_stays_out_of_caches(browser: Browser, said: Headers, becomes: str) -> None:
    headers = browser.sets("sid=1", headers=said)
    assert [value for name, value in headers if name.lower() == "cache-control"] == [becomes]
    assert ("vary", "Cookie") in headers


@pytest.mark.parametrize("vary", ["Accept, Cookie", "cookie", "*"])
def test_vary_is_said_once(browser: Browser, vary: str) -> None:
    assert [value for name, value in browser.sets("sid=1", headers=[("Vary", vary)]) if name.lower() == "vary"] == [
        vary
    ]


# --- names that clients choose ------------------------------------------------------------------------------


def test_ten_thousand_names_that_match_a_pattern_leave_memory_flat(dp: DataProtection) -> None:
    protection, value = CookieProtection(dp, ["auth*"]), sealed(dp, "another", "v")

    def flood(start: int) -> None:
        for number in range(start, start + 2_000, 10):
            header = "; ".join(f"auth{number + n}={value if n == 0 else 'garbage'}" for n in range(10))
            protection.begin(header.encode(), https=False)

    tracemalloc.start()
    flood(0)
    before = tracemalloc.get_traced_memory()[0]
    for start in range(2_000, 12_000, 2_000):
        flood(start)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000, "not a hundredth of what it takes to keep the names"


def test_of_a_flood_of_names_a_bounded_number_is_opened(
    dp: DataProtection, refusals: Callable[[], dict[str, int]]
) -> None:
    header = "; ".join(f"auth{number}=x" for number in range(5_000)).encode()
    assert CookieProtection(dp, ["auth*"]).begin(header, https=False).header == b""
    assert refusals() == {"malformed": MOST_NAMES}


@pytest.mark.parametrize("name", ["auth" + "x" * 257, "auth" + "x" * 60_000])
def test_a_name_without_end_is_nobodys(dp: DataProtection, name: str) -> None:
    protection = CookieProtection(dp, ["a*b*c*", "auth*"])
    assert protection.begin(f"{name}=1; b=2".encode(), https=False).header == b"b=2"
    with pytest.raises(ConfigurationError, match="name"):
        protection.begin(b"", https=False).answer(200, [("Set-Cookie", f"{name}=1")])


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("sid", ["sid"], ["Sid", "sidx", "xsid"]),
        ("auth*", ["auth", "auth.x"], ["Auth", "xauth"]),
        ("*.sid", [".sid", "a.sid"], ["sid", "axsid"]),
        ("a*b*c", ["abc", "a1b2c", "abbcc"], ["ab", "acb", "abcd"]),
        ("*", ["x"], []),
    ],
)
def test_patterns(dp: DataProtection, pattern: str, matching: list[str], others: list[str]) -> None:
    protection = CookieProtection(dp, [pattern])
    for name in (*matching, *others):
        header = f"{name}={sealed(dp, name, 'v')}"
        expected = f"{name}=v" if name in matching else header
        assert protection.begin(header.encode(), https=False).header.decode() == expected


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookies", "options", "says"),
    [
        pytest.param("sid", {}, "list", id="a-text-in-place-of-a-list"),
        pytest.param([], {}, "list", id="none"),
        pytest.param(["a b"], {}, "not the name", id="a-name-that-is-none"),
        pytest.param([""], {}, "not the name", id="an-empty-name"),
        pytest.param(["sid"], {"partitioned": True}, "Secure", id="partitioned-without-secure"),
        pytest.param(["sid"], {"same_site": "none"}, "Secure", id="same-site-none-without-secure"),
        pytest.param(["sid"], {"max_age": timedelta(0)}, "max_age", id="no-life"),
        pytest.param(["sid"], {"chunk_size": 100}, "chunk_size", id="tiny-chunks"),
    ],
)
def test_what_cannot_be_is_refused_at_construction(
    dp: DataProtection, cookies: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        CookieProtection(dp, cookies, **options)


def test_key_ids_are_those_of_matching_cookies(browser: Browser, dp: DataProtection) -> None:
    default = dp.current().default
    assert default is not None
    value = sealed(dp, "sid", "1")

    def key_ids(header: str) -> list[bytes]:
        return browser.protection.key_ids(browser.protection.begin(header.encode(), https=False))

    assert key_ids(f"other={value}; sid={value}") == [default.id.bytes_le]
    assert key_ids(f"other={value}") == []
    assert SetCookie.parse("sid=1").name == "sid"
