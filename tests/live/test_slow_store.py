"""Issue: the waits of one request added up. A forged Cookie header held a thread for a minute while the store was slow.

Two such requests made gunicorn kill its workers. The right outcome: a request waits for the store once, whatever it
brings; while the store is known to be slow, nobody waits for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest

from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import head_of
from tests.frameworks import sites
from tests.live.browser import Browser, ask
from tests.live.serving import Site
from tests.servers import Server

MANY = 149
"""Key ids in a Cookie header of 5 KB."""
COOKIE = ".AspNetCore.Cookies"
SLOW = 0.7
"""Seconds of a call of the slow store: more than a request waits."""
SHELLS = [("gunicorn", shell) for shell in sites.WSGI] + [("uvicorn", shell) for shell in sites.ASGI]

_numbers = itertools.count()


def forged(count: int) -> str:
    """A Cookie header with so many key ids that nobody has, in the sign-in's cookie and in the application's own."""
    values = [base64url.encode(head_of(uuid4().bytes_le)) for _ in range(count)]
    names = [COOKIE if number % 40 == 0 else f"own{number}" for number in range(count)]
    return "; ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


class Shop:
    """A site with a ring of its own, which has been loaded."""

    def __init__(self, site: Site, shell: str) -> None:
        self.port, self.ring = site.port, f"ring-{next(_numbers)}"
        self.headers = {"Host": "www.shop.example", "X-Outer": shell, "X-Ring": self.ring}
        self.user = Browser(site.port, headers=self.headers)
        assert self.user.get("/in").text == "ada"
        assert self.user.get("/").text == "ada"

    def page(self, cookie: str) -> float:
        """The seconds of a request with this header."""
        answer = ask(self.port, "/", {**self.headers, "Cookie": cookie})
        assert (answer.status, answer.text) == (200, "None"), answer
        return answer.seconds

    def state(self, page: str = "state", **query: Any) -> dict[str, Any]:
        """How the ring is."""
        said = "&".join(f"{name}={value}" for name, value in query.items())
        found: dict[str, Any] = ask(self.port, f"/{page}?ring={self.ring}&{said}", {"Host": "x"}).json()
        return found


@pytest.fixture(params=SHELLS, ids="-".join)
def shops(request: pytest.FixtureRequest, small_sites: dict[str, Site]) -> Iterator[tuple[Shop, Shop]]:
    """Two sites of one kind in one process, whose rings have nothing to do with each other."""
    server, shell = request.param
    site = small_sites[server]
    yield Shop(site, shell), Shop(site, shell)
    assert site.process.poll() is None
    assert "WORKER TIMEOUT" not in site.log()


@pytest.mark.parametrize("store", ["slow", "silent"])
def test_many_forged_cookies_wait_no_longer_than_one(shops: tuple[Shop, Shop], store: str, redis: Server) -> None:
    first, second = shops
    before = [shop.state("slow", seconds=SLOW if store == "slow" else 0)["calls"] for shop in shops]
    worker = ask(first.port, "/", {"Host": "x"}).text
    with redis.paused() if store == "silent" else nullcontext():
        one, many = first.page(forged(1)), second.page(forged(MANY))
        assert many < 3 * one
        assert [shop.state()["calls"] for shop in shops] == [calls + 1 for calls in before]
        again = [second.page(forged(MANY)) for _ in range(5)]  # nobody waits for a store that is known to be slow
        assert sum(again) < one
        assert second.user.get("/").text == "ada"
    assert ask(first.port, "/", {"Host": "x"}).text == worker


def test_others_are_answered_while_forged_requests_come(shops: tuple[Shop, Shop]) -> None:
    """All of them together take hardly longer than one request that waits."""
    first, second = shops
    for shop in shops:
        shop.state("slow", seconds=SLOW)
    one = first.page(forged(1))
    with ThreadPoolExecutor(9) as pool:
        forgers = [pool.submit(second.page, forged(MANY)) for _ in range(6)]
        others = [pool.submit(second.user.get, "/") for _ in range(3)]
        assert [other.result().text for other in others] == ["ada"] * 3
        assert max(other.result().seconds for other in others) < 4 * one
        assert max(forger.result() for forger in forgers) < 4 * one
