"""How long requests wait for a store: one budget per request, and nobody waits for a store that is known to be slow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import Any
from uuid import uuid4

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware import asgi, wsgi
from dpmiddleware.asgi_response import drive
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError, NoUsableKeyError, RepositoryError, UnprotectError
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.instants import Instant
from dpmiddleware.keys import waiting
from dpmiddleware.keys.freshness import MISSED_POLLS, State
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.keys.refresh import in_thread
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import head_of
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.steps import Call
from tests.fakes import StoppedClock, WatchedRepository, events, until

INVENTED = 60


class SlowRepository(MemoryKeyRepository):
    """Takes ``seconds`` to say its version, and counts how often it is asked."""

    seconds = 0.0
    asked = 0

    def version(self) -> str:
        self.asked += 1
        time.sleep(self.seconds)
        return super().version()


def cookies(name: str, count: int = INVENTED) -> str:
    """A Cookie header of payloads under keys that nobody has: one session, the rest as the application's own."""
    values = [base64url.encode(head_of(uuid4().bytes_le) + 112 * b"x") for _ in range(count)]
    return "; ".join([f"{name}={values[0]}", *(f"own{number}={value}" for number, value in enumerate(values[1:]))])


def in_wsgi(shop: DataProtection) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        len(environ[wsgi.SESSION_KEY])
        start_response("200 OK", [])
        return [b"ok"]

    both = wsgi.SessionMiddleware(app, data_protection=shop)
    return Client(wsgi.CookieProtectionMiddleware(both, data_protection=shop, cookies=["own*"]), use_cookies=False)


def in_asgi(shop: DataProtection) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        len(scope["session"])
        await PlainTextResponse("ok")(scope, receive, send)

    both = asgi.SessionMiddleware(app, data_protection=shop)
    return TestClient(asgi.CookieProtectionMiddleware(both, data_protection=shop, cookies=["own*"]))


def in_flask(shop: DataProtection) -> Any:
    app = flask.Flask("shop")
    ProtectedSessions(app, data_protection=shop)
    app.get("/")(lambda: str(len(flask.session)))
    app.wsgi_app = wsgi.CookieProtectionMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, data_protection=shop, cookies=["own*"]
    )
    return app.test_client(use_cookies=False)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait, as the budget counts them."""
    seconds: list[float] = []
    real = waiting._waited

    def watched(ended: threading.Event, limit: float) -> float:
        spent = real(ended, limit)
        seconds.append(min(spent, max(limit, 0)))
        return spent

    monkeypatch.setattr(waiting, "_waited", watched)
    return seconds


@pytest.mark.parametrize("make", [in_wsgi, in_asgi, in_flask])
def test_many_invented_keys_cost_a_request_one_budget(make: Any, waited: list[float]) -> None:
    """A forged header of 60 key ids held a thread for half a second per payload."""
    store = SlowRepository()
    shop = DataProtection("shop", repository=store, clock=StoppedClock())  # a second search is due after a second
    shop.start(wait=True)
    client = make(shop)
    store.seconds = 2
    waited.clear()
    assert client.get("/", headers={"Cookie": cookies("session")}).status_code == 200
    assert sum(waited) <= waiting.REFRESH + 0.001
    assert store.asked == 1


def test_nobody_waits_for_a_check_that_others_have_waited_for_in_vain(waited: list[float]) -> None:
    store = SlowRepository()
    shop = DataProtection("shop", repository=store)
    shop.start(wait=True)
    client = in_wsgi(shop)
    store.seconds = 2
    waited.clear()
    client.get("/", headers={"Cookie": cookies("session", 1)})
    first = sum(waited)
    assert first > 0
    for _ in range(5):
        client.get("/", headers={"Cookie": cookies("session", 3)})
    assert sum(waited) == first


def test_nobody_waits_for_a_check_after_one_that_failed(waited: list[float]) -> None:
    clock, store = StoppedClock(), WatchedRepository()
    shop = DataProtection("shop", repository=store, clock=clock)
    shop.start(wait=True)
    waited.clear()
    store.failure = RepositoryError("the store is down")
    client = in_wsgi(shop)
    for _ in range(3):
        clock.advance(seconds=2)
        client.get("/", headers={"Cookie": cookies("session", 2)})
    until(lambda: shop.provider._state.failure is not None)
    until(lambda: shop.provider._refresh.running is None)
    waited.clear()
    clock.advance(seconds=2)
    client.get("/", headers={"Cookie": cookies("session", 5)})
    assert waited == []


def test_each_request_has_a_budget_of_its_own() -> None:
    never = threading.Event()
    waiting.begin({})
    waiting.budget().refresh = 0.01
    waiting.budget().wait(never)
    spent = waiting.budget()
    assert spent.refresh <= 0
    waiting.begin({})
    assert waiting.budget() is not spent
    assert waiting.budget().refresh == waiting.REFRESH
    waiting.end()


@pytest.mark.parametrize("make", [in_wsgi, in_flask])
def test_what_a_thread_does_after_a_request_is_not_part_of_it(make: Any) -> None:
    client = make(DataProtection("shop", repository=MemoryKeyRepository()))
    client.get("/")
    assert waiting.budget() is not waiting.budget()


def test_polls_of_a_farm_are_spread_and_never_later_than_promised() -> None:
    policy = RotationPolicy()
    poll = policy.poll.total_seconds()
    ring = KeyRing("", (), None, version="1", good_until=Instant.of(StoppedClock().now()))
    due = {State().after_success(ring, 0, 0, policy).next_check for _ in range(200)}
    assert len(due) > 100
    assert all(0.9 * poll <= each <= poll for each in due)
    assert max(due) - min(due) > 0.05 * poll


# --- a store that never answers -------------------------------------------------------------------------------


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> tuple[DataProtection, WatchedRepository, StoppedClock]:
    """A ring whose store stops answering; a refresh is given up at once."""
    clock, store = StoppedClock(), WatchedRepository()
    shop = DataProtection("shop", repository=store, clock=clock)
    shop.start(wait=True)
    shop.provider._refresh.start = in_thread
    monkeypatch.setattr(KeyRingProvider, "_patience", 0)
    store.gate = threading.Event()
    return shop, store, clock


def test_a_refresh_that_never_ends_makes_the_ring_stale_and_is_reported(
    hanging: tuple[DataProtection, WatchedRepository, StoppedClock], caplog: pytest.LogCaptureFixture
) -> None:
    """It was joined forever: health() said ok, nothing was logged, and no revocation was seen."""
    shop, store, clock = hanging
    caplog.set_level(logging.INFO, "dpmiddleware")
    payload = shop.create_protector("p").protect("still served")
    clock.advance(seconds=11)
    shop.health()
    until(lambda: shop.provider._refresh.running is not None)
    time.sleep(0.01)
    assert shop.health().status == "stale"
    assert "has not answered" in shop.health().problem
    assert shop.create_protector("p").unprotect(payload) == "still served"
    assert len(events(caplog, "refresh_failed")) == 1
    assert len(events(caplog, "ring_stale")) == 1
    assert store.gate is not None
    store.gate.set()
    clock.advance(seconds=11)
    until(lambda: shop.health().status == "ok")


def test_refreshes_that_hang_use_two_threads_at_most(
    hanging: tuple[DataProtection, WatchedRepository, StoppedClock],
) -> None:
    shop, store, clock = hanging
    before = threading.active_count()
    for _ in range(10):
        clock.advance(seconds=11)
        shop.health()
        time.sleep(0.01)
    assert threading.active_count() - before <= 2
    assert store.gate is not None
    store.gate.set()
    until(lambda: threading.active_count() <= before)


def test_a_result_that_comes_late_does_not_replace_a_newer_one() -> None:
    policy = RotationPolicy()
    newer = KeyRing("", (), None, version="2", good_until=Instant.of(StoppedClock().now()))
    shop = DataProtection("shop", repository=WatchedRepository())
    shop.start(wait=True)
    shop.provider._state = shop.provider._state.after_success(newer, float("inf"), 0, policy)
    shop.provider._check()
    assert shop.provider._state.ring is newer


# --- starting with a ring -------------------------------------------------------------------------------------


def test_start_can_wait_until_the_ring_protects() -> None:
    shop = DataProtection("shop", repository=MemoryKeyRepository())
    shop.start(wait=True)
    assert shop.health().status == "ok"


def test_a_store_that_cannot_be_reached_fails_the_start() -> None:
    store = WatchedRepository()
    store.failure = RepositoryError("the store is down")
    with pytest.raises(KeyManagementError, match="the store is down"):
        DataProtection("shop", repository=store).start(wait=True)


def test_a_reader_of_an_empty_store_fails_the_start_and_is_not_ok() -> None:
    shop = DataProtection("shop", repository=MemoryKeyRepository(), auto_create_keys=False)
    with pytest.raises(NoUsableKeyError):
        shop.start(wait=True)
    health = shop.health()
    assert (health.status, health.keys, health.ready) == ("down", 0, False)
    assert health.problem


def test_a_missed_poll_counts_three_times_when_it_was_abandoned() -> None:
    state = State().after_abandoning(RepositoryError("silent"), 5, RotationPolicy())
    assert state.missed == MISSED_POLLS


def test_the_budget_ends_with_a_request_of_flask() -> None:
    client = in_flask(DataProtection("shop", repository=MemoryKeyRepository()))
    assert client.get("/").status_code == 200
    assert waiting.budget() is not waiting.budget()


def test_worker_threads_of_one_request_share_its_budget() -> None:
    """On an event loop each wait runs in a thread, which has a copy of the context."""
    waits: list[waiting.Budget] = []

    def steps() -> Any:
        yield Call(lambda: waits.append(waiting.budget()))
        yield Call(lambda: waits.append(waiting.budget()))

    async def request() -> None:
        waiting.begin({})
        await drive(steps())
        await drive(steps())

    asyncio.run(request())
    assert len(waits) == 4
    assert all(each is waits[0] for each in waits)


@pytest.mark.parametrize("shell", ["asgi", "wsgi", "flask"])
def test_all_middleware_and_the_endpoint_of_a_request_share_one_budget(shell: str, waited: list[float]) -> None:
    """Each ring's session is written after an overdue check of a store that hangs; then the endpoint waits as well."""
    stores = [SlowRepository() for _ in range(3)]
    rings = [DataProtection("shop", repository=store) for store in stores]
    for ring in rings:
        ring.start(wait=True)
    for store in stores:
        store.seconds = 2

    def endpoint() -> None:
        for ring in rings:
            with contextlib.suppress(UnprotectError):
                ring.create_protector("p").unprotect(head_of(uuid4().bytes_le) + 112 * b"x")

    client = {"asgi": _on_asgi, "wsgi": _on_wsgi, "flask": _on_flask}[shell](rings, endpoint)
    waited.clear()
    assert client.get("/", headers={"Cookie": cookies("s0", 1)}).status_code == 200
    assert sum(waited) <= waiting.REFRESH + 0.001
    assert sum(store.asked for store in stores) >= len(stores)


def _on_asgi(rings: list[DataProtection], endpoint: Any) -> Any:
    def serve(request: Any) -> PlainTextResponse:
        endpoint()
        return PlainTextResponse("ok")

    app: Any = Starlette(routes=[Route("/", serve)])
    for number, ring in enumerate(rings):
        app = asgi.SessionMiddleware(app, data_protection=ring, cookie=f"s{number}")
    return TestClient(app)


def _on_wsgi(rings: list[DataProtection], endpoint: Any) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        endpoint()
        start_response("200 OK", [])
        return [b"ok"]

    served: Any = app
    for number, ring in enumerate(rings):
        served = wsgi.SessionMiddleware(served, data_protection=ring, cookie=f"s{number}")
    return Client(served, use_cookies=False)


def _on_flask(rings: list[DataProtection], endpoint: Any) -> Any:
    app = flask.Flask("shop")
    ProtectedSessions(app, data_protection=rings[0])

    @app.get("/")
    def page() -> str:
        endpoint()
        flask.session["a"] = 1
        return "ok"

    for number, ring in enumerate(rings[1:]):
        app.wsgi_app = wsgi.SessionMiddleware(  # type: ignore[method-assign]
            app.wsgi_app, data_protection=ring, cookie=f"s{number}"
        )
    return app.test_client(use_cookies=False)
