"""Cookies as text: the header parser against ASP.NET Core's, the search against the parser, and impossible settings."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.cookies.text import CookieSettings, SetCookie, expired, find, pairs, render

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "cookies.json").read_text("utf-8")
)

NAMES_ARE_EXACT = {"A=1; a=2": [["A", "1"], ["a", "2"]]}
"""Where ASP.NET Core compares names without case and we do not (docs/compatibility.md)."""


# --- reading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["parse"], ids=lambda case: case["request"][:30])
def test_a_header_is_read_as_aspnet_core_reads_it(case: dict[str, Any]) -> None:
    last_of_each = dict(pairs(case["request"].encode()))
    expected = NAMES_ARE_EXACT.get(case["request"], case["cookies"])
    assert [list(pair) for pair in last_of_each.items()] == expected


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        pytest.param(b'a=""', [("a", '""')], id="empty-quotes-are-a-value"),
        pytest.param(b'a="x', [], id="a-quote-that-does-not-close"),
        pytest.param(b'c="a"b; d=x"y', [], id="quotes-in-the-middle"),
        pytest.param(b"a=1;\r\n b=2", [("a", "1"), ("b", "2")], id="a-folded-line"),
        pytest.param(b"a=1\r\n ;b=2\x0b;c=3", [("a", "1"), ("c", "3")], id="a-vertical-tab-is-no-white-space"),
        pytest.param(b"a=%ff%C3%A9%c3", [("a", "%ffé%c3")], id="escapes-that-are-no-utf-8-stay"),
        pytest.param(b"a=1; a=2; a=3", [("a", "1"), ("a", "2"), ("a", "3")], id="all-of-one-name"),
        pytest.param(b"b =2", [], id="white-space-before-the-equals-sign"),
    ],
)
def test_odd_headers_that_were_tried_on_aspnet_core(header: bytes, cookies: list[tuple[str, str]]) -> None:
    assert list(pairs(header)) == cookies


HEADERS = st.lists(
    st.sampled_from(
        [b"sid=", b"sid", b"xsid=", b"=", b";", b"; ", b" ", b"\t", b",", b'"', b"value", b"%41", b"\xe9", b"\r\n "]
    )
    | st.binary(max_size=3)
).map(b"".join)


@given(header=HEADERS)
@example(header=b"sid=1;sid=2")
@example(header=b"xsid=1; sid=sid=2; ;sid=3")
def test_find_gives_what_the_parser_gives(header: bytes) -> None:
    assert find(header, "sid") == [value for name, value in pairs(header) if name == "sid"][:4]


def test_no_more_than_four_cookies_of_a_name_are_looked_at() -> None:
    assert find(b"; ".join(b"sid=%d" % number for number in range(9)), "sid") == ["0", "1", "2", "3"]


def test_a_name_in_another_case_is_another_name() -> None:
    """Browsers protect the prefix ``__Host-``, but some do not protect ``__host-``."""
    assert find(b"__host-sid=planted; __Host-sid=real", "__Host-sid") == ["real"]


def test_a_hundred_kilobytes_of_the_name_are_read_once() -> None:
    """Each part is read once, no matter how often it contains the name: the search is not quadratic."""
    assert find(b"sid=" * 25_000, "sid") == ["sid=" * 24_999]
    assert find(b"x" + b"sid=" * 25_000, "sid") == []


# --- writing ------------------------------------------------------------------------------------------------


def test_a_rendered_value_is_percent_encoded_and_attributes_stand_in_order() -> None:
    cookie = CookieSettings(
        "c", secure="always", same_site="none", partitioned=True, max_age=timedelta(hours=1), domain="a.b"
    )
    written = render("c", "a;b é", cookie.attributes(https=False, expires=datetime(2030, 1, 1, tzinfo=timezone.utc)))
    assert written == (
        "c=a%3Bb%20%C3%A9; expires=Tue, 01 Jan 2030 00:00:00 GMT; max-age=3600; domain=a.b; path=/; "
        "secure; samesite=none; httponly; partitioned"
    )


def test_an_expiry_in_another_zone_is_written_in_gmt() -> None:
    moment = datetime(2030, 1, 1, 2, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert CookieSettings("c").attributes(https=False, expires=moment)[0] == "expires=Tue, 01 Jan 2030 00:00:00 GMT"


def test_story_30_what_ends_a_cookie_has_the_attributes_that_set_it() -> None:
    cookie = CookieSettings(
        "c", domain="a.b", path="/app", secure="always", partitioned=True, max_age=timedelta(hours=1)
    )
    assert expired(cookie.attributes(https=True)) == (
        "expires=Thu, 01 Jan 1970 00:00:00 GMT",
        *("domain=a.b", "path=/app", "secure", "samesite=lax", "httponly", "partitioned"),
    )


@pytest.mark.parametrize(
    ("policy", "https", "secure"),
    [
        ("always", False, True),
        ("same_as_request", True, True),
        ("same_as_request", False, False),
        ("never", True, False),
    ],
)
def test_secure_follows_its_policy(policy: Any, https: bool, secure: bool) -> None:
    assert ("secure" in CookieSettings("c", secure=policy).attributes(https=https)) is secure


def test_a_set_cookie_line_keeps_its_text_and_takes_attributes() -> None:
    line = SetCookie.parse("sid = a=b ; Path=/; SameSite=Lax; samesite=Strict; HttpOnly")
    assert (line.name, line.value) == ("sid", "a=b")
    assert (line.attribute("samesite"), line.attribute("httponly"), line.attribute("secure")) == ("Strict", "", None)
    assert (
        str(line.with_attribute("SameSite=None").with_attribute("Secure"))
        == "sid=a=b; Path=/; HttpOnly; SameSite=None; Secure"
    )


def test_a_set_cookie_line_without_a_name_has_none() -> None:
    assert SetCookie.parse("flag; Path=/").name == ""


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"name": ""}, "token", id="no-name"),
        pytest.param({"name": "a b"}, "token", id="a-space-in-the-name"),
        pytest.param({"name": "a;b"}, "token", id="a-semicolon-in-the-name"),
        pytest.param({"path": "/;x"}, "path", id="a-semicolon-in-the-path"),
        pytest.param({"path": "app"}, "path", id="a-path-without-slash"),
        pytest.param({"domain": "a\r\nSet-Cookie: x"}, "domain", id="a-line-break-in-the-domain"),
        pytest.param({"secure": "sometimes"}, "secure", id="an-unknown-policy"),
        pytest.param({"same_site": "Loose"}, "same_site", id="an-unknown-same-site"),
        pytest.param({"name": "__Host-c"}, "Secure", id="host-without-secure"),
        pytest.param({"name": "__host-c"}, "Secure", id="host-in-lower-case"),
        pytest.param({"name": "__Host-c", "secure": "always", "domain": "a.b"}, "domain", id="host-with-domain"),
        pytest.param({"name": "__Host-c", "secure": "always", "path": "/app"}, "path", id="host-with-path"),
        pytest.param({"name": "__Host-c", "secure": "always", "path": None}, "path", id="host-without-path"),
        pytest.param({"name": "__Secure-c"}, "Secure", id="secure-prefix-without-secure"),
        pytest.param({"name": "__Http-c", "secure": "always", "http_only": False}, "HttpOnly", id="http-prefix"),
        pytest.param({"same_site": "none"}, "Secure", id="same-site-none-without-secure"),
        pytest.param({"partitioned": True}, "Secure", id="partitioned-without-secure"),
        pytest.param(
            {"partitioned": True, "secure": "always", "max_total": 10_241}, "oldest", id="partitioned-and-large"
        ),
        pytest.param({"max_age": timedelta(0)}, "max_age", id="a-max-age-of-nothing"),
        pytest.param({"max_total": 0}, "max_total", id="room-for-nothing"),
        pytest.param({"chunk_size": 90}, "room", id="chunks-too-small"),
        pytest.param({"chunk_size": 5000}, "browsers", id="chunks-that-browsers-drop"),
    ],
)
def test_what_no_browser_would_take_is_refused_at_construction(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        CookieSettings(**{"name": "c", **settings})


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"name": "__Host-c", "secure": "always"}, id="host"),
        pytest.param({"same_site": "none", "secure": "always", "partitioned": True}, id="partitioned"),
        pytest.param({"same_site": None, "path": None, "chunk_size": None}, id="bare"),
    ],
)
def test_what_browsers_take_is_accepted(settings: dict[str, Any]) -> None:
    assert CookieSettings(**{"name": "c", **settings}).name


# --- strict cookies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [("sid", "__Host-sid"), ("__Host-sid", "__Host-sid"), ("__Host-Http-sid", "__Host-Http-sid")],
    ids=["a name", "with the prefix", "with the longer prefix"],
)
def test_a_strict_cookie_is_bound_to_its_host_and_to_https(given: str, name: str) -> None:
    cookie = CookieSettings.strict(given)
    assert cookie == CookieSettings(name, path="/", domain=None, secure="always", http_only=True, same_site="lax")
    for https in (True, False):
        assert cookie.attributes(https=https) == ("path=/", "secure", "samesite=lax", "httponly")


def test_a_strict_cookie_may_be_kept_from_links_of_other_sites_and_for_some_time() -> None:
    cookie = CookieSettings.strict("sid", same_site="strict", max_age=timedelta(hours=1), max_total=4000)
    assert cookie.attributes(https=True) == ("max-age=3600", "path=/", "secure", "samesite=strict", "httponly")
    assert cookie.max_total == 4000


@pytest.mark.parametrize("name", ["__host-sid", "__Secure-sid", "__Http-sid"])
def test_a_name_with_another_prefix_gets_the_right_one(name: str) -> None:
    """Browsers compare prefixes without case, and servers with it."""
    assert CookieSettings.strict(name).name == f"__Host-{name}"


def test_a_name_that_is_no_token_stays_an_error() -> None:
    with pytest.raises(ConfigurationError, match="not a token"):
        CookieSettings.strict("a b")
