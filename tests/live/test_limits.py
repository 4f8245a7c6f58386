"""Issue: the default limits locked users out: a sign-in was answered 200, and every page after it 431 or 400.

What a response leaves in the browser comes back in requests that the server takes. What does not fit is an error when
it is written, and leaves everything as it was.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dpmiddleware.cli.server_limits import LIMITS, REST_OF_REQUEST
from tests.live.browser import Answer, Browser, Jar
from tests.live.serving import Site, gunicorn, hypercorn, nginx, uvicorn
from tests.servers import LOOPBACK, wait_for

DEFAULT = 8000
"""Bytes of Cookie header that the default allows."""
SIZES = range(500, 12_001, 500)
"""Characters that are written, one size after the other."""
FITS = 5000
"""Characters of a session or a ticket alone that fit into the default."""

RAISED = 20_000
"""Bytes of Cookie header that the application allows, with these settings of the servers:"""
GUNICORN_RAISED = ("--limit-request-field_size", "32768")
UVICORN_RAISED = ("--h11-max-incomplete-event-size", "65536")
HYPERCORN_RAISED = "h11_max_incomplete_size = 65536\n"
NGINX_RESPONSES = ("proxy_buffer_size 32k;", "proxy_buffers 8 32k;", "proxy_busy_buffers_size 64k;")
NGINX_RAISED = ("large_client_header_buffers 4 32k;", *NGINX_RESPONSES)


class Shop(NamedTuple):
    """Where a browser asks. log: whose output has the errors of the application. nginx may be in front of it."""

    front: Site
    application: Site

    @property
    def too_large(self) -> int:
        """How many cookies were refused because of their size."""
        return self.application.log().count("CookieTooLargeError: ")


def shops(folder: Path, hypercorn_file: str | None, **settings: str) -> Iterator[dict[str, Shop]]:
    """One per server, by name. ``hypercorn_file``: its configuration; with one, all have raised settings."""
    raised, app = hypercorn_file is not None, "tests.live.apps.limits"
    settings["RING"] = str(folder / "ring")
    (folder / "hypercorn.toml").write_text(hypercorn_file or "", "utf-8")
    file = ("--config", str(folder / "hypercorn.toml"))
    with ExitStack() as stack:
        start = stack.enter_context
        one = start(gunicorn(f"{app}:wsgi", *(GUNICORN_RAISED if raised else ()), **settings))
        two = start(uvicorn(f"{app}:asgi", *(UVICORN_RAISED if raised else ()), **settings))
        three = start(hypercorn(f"{app}:asgi", *(file if raised else ()), **settings))
        front = start(nginx(one.port, *(NGINX_RAISED if raised else NGINX_RESPONSES)))
        bare = start(nginx(one.port))
        yield {
            "gunicorn": Shop(one, one),
            "uvicorn": Shop(two, two),
            "hypercorn": Shop(three, three),
            "nginx": Shop(front, one),
            "nginx, all defaults": Shop(bare, one),
        }


@pytest.fixture(scope="module")
def default_shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    yield from shops(tmp_path_factory.mktemp("shops"), None)


@pytest.fixture(scope="module")
def raised_shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    yield from shops(tmp_path_factory.mktemp("shops"), HYPERCORN_RAISED, BUDGET=str(RAISED))


@pytest.fixture(params=["gunicorn", "nginx", "uvicorn", "hypercorn"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class User:
    """A user of a shop, and what they have in their cookies as far as it was written."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.browser = Browser(shop.front.port)
        self.has: dict[str, int] = {}

    def write(self, **sizes: int) -> bool:
        """Write texts of these sizes. ``False`` if that was refused as too large; then everything is as it was."""
        before, refused = self.browser.header(), self.shop.too_large
        answer = self.browser.get("/write?" + "&".join(f"{name}={size}" for name, size in sizes.items()))
        assert answer.status in {200, 500}, self._described(answer, sizes)
        if answer.status == 200:
            self.has |= sizes
        else:
            wait_for("the error in the log", lambda: self.shop.too_large > refused)
            assert self.browser.header() == before
        self.look()
        return answer.status == 200

    def look(self) -> None:
        """The next page is served, and all that was written is there."""
        answer = self.browser.get("/me")
        assert answer.status == 200, self._described(answer, self.has)
        assert answer.json() == self.has

    def _described(self, answer: Answer, sizes: dict[str, int]) -> str:
        header = len(self.browser.header())
        return f"{answer.status} for {sizes} in a browser that sends {header} bytes of cookies: {answer.text[:100]!r}"


KINDS: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "session": ({}, ("session",)),
    "ticket": ({}, ("ticket",)),
    "sealed": ({}, ("sealed",)),
    "both": ({}, ("session", "ticket")),
    "ticket-beside-a-session": ({"session": 4000}, ("ticket",)),
    "session-beside-a-ticket": ({"ticket": 2000}, ("session",)),
    "sealed-beside-both": ({"ticket": 1500, "session": 1500}, ("sealed",)),
}
"""What is there at first, and what grows."""


def status_of(port: int, cookies: int, rest: int = 0, *, whole: bool = True) -> int:
    """The answer to a request with so many bytes of cookies, and of other headers. whole: whether its end is sent."""
    lines = [
        f"GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Rest: {'x' * rest}",
        f"Cookie: a={'x' * (cookies - 2)}",
    ]
    with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode() + (b"\r\n\r\n" if whole else b""))
        answer = connection.recv(64)
    return int(answer.split()[1]) if answer else 0


def test_the_limits_that_dpm_check_knows_are_those_of_the_servers(default_shops: dict[str, Shop], server: str) -> None:
    """What `dpm check` says to be below a limit is taken, and what is above it is refused.

    h11 refuses what is above it unless the whole request arrives at once, so there the end is not sent.
    """
    [limit] = [each for each in LIMITS if each.server.lower().startswith(server)]
    port, is_h11 = default_shops[server].front.port, limit.beside == REST_OF_REQUEST
    most = limit.bytes - limit.beside
    assert limit.takes(most, limit.bytes)
    assert not limit.takes(most + 1, limit.bytes)
    most -= 2 if server == "nginx" else 0  # behind it is gunicorn
    assert status_of(port, most, REST_OF_REQUEST - 100 if is_h11 else 0) == 200
    assert status_of(port, limit.bytes + 1, whole=not is_h11) in {0, 400, 431}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_comes_back(default_shops: dict[str, Shop], server: str, kind: str) -> None:
    user = User(default_shops[server])
    first, growing = KINDS[kind]
    if first:
        assert user.write(**first)
    for size in SIZES:
        written = user.write(**dict.fromkeys(growing, size))
        assert len(user.browser.header()) <= DEFAULT
        assert written or size > FITS / len(growing) - sum(first.values()), f"{size} characters should fit"


def test_cookies_of_others_count(default_shops: dict[str, Shop], server: str) -> None:
    """Another application on the host, or an analytics script, has filled a part of the header."""
    user = User(default_shops[server])
    user.browser.jar.take(user.browser.host, "/", [f"other={'x' * 3500}"], user.browser.now)
    for size in SIZES:
        user.write(session=size)
        assert len(user.browser.header()) <= DEFAULT


@pytest.mark.parametrize("grows", ["ticket", "session"])
def test_chunks_left_over_count(default_shops: dict[str, Shop], server: str, grows: str) -> None:
    """Two responses cross: one writes the session in several cookies, the other in one; the chunks stay."""
    user = User(default_shops[server])
    assert user.write(session=10)
    twin = Browser(user.shop.front.port, jar=Jar(dict(user.browser.jar.cookies)))
    assert twin.get("/write?session=4500").status == 200  # its response arrives first
    assert user.browser.get("/write?session=1000").status == 200
    user.browser.jar.cookies = {**twin.jar.cookies, **user.browser.jar.cookies}
    user.has = {"session": 1000}
    assert len(user.browser.header()) > 4500
    user.look()
    for size in SIZES:
        user.write(**{grows: size})
        assert len(user.browser.header()) <= DEFAULT


def test_an_error_of_size_says_what_to_do(default_shops: dict[str, Shop], server: str) -> None:
    user = User(default_shops[server])
    assert not user.write(ticket=12_000)
    log = user.shop.application.log()
    assert "session_store" in log[log.rindex("CookieTooLargeError: ") :]


@pytest.mark.parametrize("kind", KINDS)
def test_with_raised_settings_more_comes_back(raised_shops: dict[str, Shop], server: str, kind: str) -> None:
    user = User(raised_shops[server])
    first, growing = KINDS[kind]
    if first:
        assert user.write(**first)
    written = [user.write(**dict.fromkeys(growing, size)) for size in range(2000, 20_001, 2000)]
    assert DEFAULT < len(user.browser.header()) <= RAISED
    assert not all(written)


def test_nginx_without_larger_buffers_for_responses_locks_nobody_out(default_shops: dict[str, Shop]) -> None:
    """Its default takes 4 KB of response headers, less than one chunked cookie."""
    shop = default_shops["nginx, all defaults"]
    user = Browser(shop.front.port)
    has: Any = {}
    for size in range(500, 8001, 500):
        answer = user.get(f"/write?ticket={size}")
        assert answer.status in ({200} if size <= 2000 else {200, 500, 502})
        has = {"ticket": size} if answer.status == 200 else has
        assert user.get("/me").json() == has
