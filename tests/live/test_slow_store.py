"""Issue: the waits of one request added up. A forged Cookie header held a thread for a minute while the store was slow.

Two such requests made gunicorn kill its workers. The right outcome: a request waits for the store once, whatever it
brings; while the store is known to be slow, nobody waits for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from dpmiddleware.keys.waiting import REFRESH
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

    def page(self, cookie: str) -> str:
        """A request with this header is answered. Returns what `waits` calls it."""
        visit = f"visit-{next(_numbers)}"
        answer = ask(self.port, "/", {**self.headers, "Cookie": cookie, "X-Visit": visit})
        assert (answer.status, answer.text) == (200, "None"), answer
        return visit

    def state(self, page: str = "state", **query: Any) -> dict[str, Any]:
        """How the ring is."""
        said = "&".join(f"{name}={value}" for name, value in query.items())
        found: dict[str, Any] = ask(self.port, f"/{page}?ring={self.ring}&{said}", {"Host": "x"}).json()
        return found

    def calls(self) -> int:
        """How often the store was asked, which no request did by itself: each call is made beside the requests."""
        found = self.state()
        assert found["in_requests"] == 0
        return int(found["calls"])

    def waits(self) -> dict[str, float]:
        """The seconds that each visit has waited, as its budget counts them. A visit that did not wait is not there."""
        return dict(self.state()["waits"])


@pytest.fixture
def shops(request: pytest.FixtureRequest, small_sites: dict[str, Site]) -> Iterator[tuple[Shop, Shop]]:
    """Two sites of one kind in one process, whose rings have nothing to do with each other."""
    server, shell = request.param
    site = small_sites[server]
    both = Shop(site, shell), Shop(site, shell)
    yield both
    for shop in both:
        shop.state("release")
    assert site.process.poll() is None
    assert "WORKER TIMEOUT" not in site.log()


@contextmanager
def slow(shops: tuple[Shop, Shop], redis: Server) -> Generator[None]:
    """The stores answer after a time that is longer than a request waits."""
    for shop in shops:
        shop.state("slow", seconds=SLOW)
    yield


@contextmanager
def silent(shops: tuple[Shop, Shop], redis: Server) -> Generator[None]:
    """The server of the stores accepts connections and does not answer."""
    with redis.paused():
        yield


@contextmanager
def hanging(shops: tuple[Shop, Shop], redis: Server) -> Generator[None]:
    """No call returns before all requests have been answered: a request that waited for one would never be."""
    for shop in shops:
        shop.state("hold")
    yield
    for shop in shops:
        shop.state("release")


def is_one_budget(seconds: float) -> bool:
    """Whether a request has waited, and no longer than one request may. Its budget counts, not this machine's clock."""
    return 0 < seconds <= REFRESH + 0.001


@pytest.mark.parametrize("store", [slow, silent, hanging])
@pytest.mark.parametrize("shops", SHELLS, ids="-".join, indirect=True)
def test_many_forged_cookies_wait_no_longer_than_one(shops: tuple[Shop, Shop], store: Any, redis: Server) -> None:
    first, second = shops
    before = [shop.calls() for shop in shops]
    worker = ask(first.port, "/", {"Host": "x"}).text
    with store(shops, redis):
        one, many = first.page(forged(1)), second.page(forged(MANY))
        assert is_one_budget(first.waits()[one])
        assert is_one_budget(second.waits()[many])
        assert [shop.calls() for shop in shops] == [calls + 1 for calls in before]
        for _ in range(5):
            second.page(forged(MANY))
        assert second.user.get("/", x_visit="user").text == "ada"
        assert set(second.waits()) == {many}  # nobody waits for a store that is known to be slow
        second.calls()
    assert ask(first.port, "/", {"Host": "x"}).text == worker


@pytest.mark.parametrize("shops", SHELLS, ids="-".join, indirect=True)
def test_others_are_answered_while_forged_requests_come(shops: tuple[Shop, Shop], redis: Server) -> None:
    """While the store hangs: six forged requests wait at most one budget each, and nobody else waits."""
    _, shop = shops
    with hanging(shops, redis), ThreadPoolExecutor(9) as pool:
        forgers = [pool.submit(shop.page, forged(MANY)) for _ in range(6)]
        others = [pool.submit(shop.user.get, "/", x_visit=f"other-{number}") for number in range(3)]
        assert [other.result().text for other in others] == ["ada"] * 3
        names = {forger.result() for forger in forgers}
        waits = shop.waits()
        assert waits
        assert set(waits) <= names
        assert all(is_one_budget(seconds) for seconds in waits.values())
        shop.calls()
