"""The cookie jar of the live tests does what RFC 6265 says: a wrong one would prove nothing."""

from __future__ import annotations

import pytest

from tests.live.browser import Jar

HOST, NOW = "www.shop.example", 1_800_000_000.0


def header(*lines: str, path: str = "/", host: str = HOST, asked: str = "/", secure: bool = True) -> str:
    """What a browser sends to ``path`` after a response to ``asked`` with these Set-Cookie lines."""
    jar = Jar()
    jar.take(HOST, asked, lines, NOW)
    return jar.header(host, path, NOW + 1, secure=secure)


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (["a=1"], "a=1"),
        (["a=1", "a=2"], "a=2"),
        (["a=1; Domain=shop.example"], "a=1"),
        (["a=1; Domain=.shop.example", "a=2; domain=shop.example"], "a=2"),
        (["a=1", "a=2; Domain=shop.example"], "a=1; a=2"),
        (["a=1", "a=2; Domain=www.shop.example"], "a=1; a=2"),
        (["a=1; Domain=other.example"], ""),
        (["a=1; Domain=op.example"], ""),
        (["a=1; Secure; SameSite=None", "a=2; Secure; SameSite=None; Partitioned"], "a=1; a=2"),
        (["a=1; Partitioned"], ""),
        (["a=1; Max-Age=60", "a=; Max-Age=0"], ""),
        (["a=1", "a=; Domain=shop.example; Max-Age=0"], "a=1"),
        (["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
        (["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "a=1"),
        (["a=" + "x" * 4096], ""),
        (["__Host-a=1; Secure; Path=/"], "__Host-a=1"),
        (["__Host-a=1; Secure; Path=/; Domain=shop.example"], ""),
        (["a"], ""),
    ],
)
def test_what_comes_back(lines: list[str], sent: str) -> None:
    assert header(*lines) == sent


@pytest.mark.parametrize(
    ("path", "asked", "sent"),
    [
        ("/app", "/app", True),
        ("/app", "/app/", True),
        ("/app", "/app/me", True),
        ("/app", "/apple", False),
        ("/app/", "/app/me", True),
        ("/app/", "/app", False),
        ("/", "/app", True),
    ],
)
def test_paths(path: str, asked: str, sent: bool) -> None:
    assert bool(header(f"a=1; Path={path}", path=asked)) is sent


def test_a_cookie_without_a_path_belongs_to_the_folder_of_the_request() -> None:
    assert header("a=1", asked="/app/login", path="/app/me") == "a=1"
    assert header("a=1", asked="/app/login", path="/") == ""


def test_longer_paths_come_first_then_older_cookies() -> None:
    assert header("b=1; Path=/", "a=2; Path=/", "c=3; Path=/app", path="/app/me") == "c=3; b=1; a=2"


def test_a_host_only_cookie_stays_with_its_host() -> None:
    assert header("a=1", "b=1; Domain=shop.example", host="api.shop.example") == "b=1"
    assert header("a=1", "b=1; Domain=shop.example", host="shop.example") == "b=1"


def test_a_secure_cookie_stays_away_from_http() -> None:
    assert header("a=1; Secure", "b=1", secure=False) == "b=1"
