"""What is ASGI's own: lifespan, websockets, the event loop that nothing may hold up; Starlette as the application."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from dpmiddleware.asgi import (
    CookieAuthenticationMiddleware,
    CookiePolicyMiddleware,
    CookieProtectionMiddleware,
    SessionMiddleware,
)
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.interfaces import Snapshot
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.clients import DownRepository, StoppedClock, set_cookies


async def view(request: Request) -> Response:
    return JSONResponse({"session": request.session})


async def put(request: Request) -> Response:
    request.session.update(request.query_params)
    response = JSONResponse({"session": request.session})
    response.set_cookie("sid", request.cookies.get("sid", "") + "x")
    return response


async def late(request: Request) -> Response:
    async def body() -> Any:
        yield b"one "
        request.session["late"] = True
        yield b"two"

    return StreamingResponse(body())


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def socket(websocket: WebSocket) -> None:
    session = websocket.session
    session["visits"] = session.get("visits", 0) + 1
    await websocket.accept()
    await websocket.send_json({"session": session, "sid": websocket.cookies.get("sid")})
    try:
        session["late"] = True
    except ConfigurationError as error:
        await websocket.send_text(error.code)
    await websocket.close()


def site(dp: DataProtection) -> Starlette:
    app = Starlette(
        routes=[
            Route("/", view),
            Route("/put", put),
            Route("/late", late),
            Route("/hello", hello),
            WebSocketRoute("/ws", socket),
        ]
    )
    app.add_middleware(SessionMiddleware, data_protection=dp)
    app.add_middleware(CookieProtectionMiddleware, data_protection=dp, cookies=["sid"])
    return app


@pytest.fixture
def client(dp: DataProtection) -> Iterator[TestClient]:
    with TestClient(site(dp)) as client:
        yield client


def test_a_starlette_application_has_its_session_and_its_cookies(client: TestClient) -> None:
    assert client.get("/put?cart=apples").json() == {"session": {"cart": "apples"}}
    assert client.get("/").json() == {"session": {"cart": "apples"}}
    client.get("/put")
    assert all(client.cookies[name].startswith("CfDJ8") for name in ("session", "sid"))


def test_an_untouched_page_is_left_as_it_is(client: TestClient) -> None:
    client.get("/put?a=1")
    client.cookies.delete("sid")
    headers = client.get("/hello").headers
    assert not {"vary", "cache-control", "set-cookie"} & set(headers)


def test_a_change_in_the_middle_of_the_body_raises(client: TestClient) -> None:
    with pytest.raises(ConfigurationError, match="after the response had started"):
        client.get("/late")


def test_a_websocket_reads_the_session_and_sets_its_cookie_when_it_is_accepted(client: TestClient) -> None:
    client.get("/put?a=1")
    with client.websocket_connect("/ws") as websocket:
        assert websocket.receive_json() == {"session": {"a": "1", "visits": 1}, "sid": "x"}
        assert websocket.receive_text() == "configuration"
    extra: list[tuple[bytes, bytes]] = websocket.extra_headers or []
    accepted = [(name.decode(), value.decode()) for name, value in extra]
    assert [cookie.name for cookie in set_cookies(accepted)] == ["session"]


# --- the ring -----------------------------------------------------------------------------------------------


class SlowRepository(MemoryKeyRepository):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.asked = threading.Event()

    def read(self) -> Snapshot:
        self._wait()
        return super().read()

    def version(self) -> str:
        self._wait()
        return super().version()

    def _wait(self) -> None:
        self.asked.set()
        assert self.answers.wait(30)


def test_the_ring_begins_to_load_when_the_server_starts(clock: StoppedClock) -> None:
    repository = SlowRepository()
    repository.answers.set()
    with TestClient(site(DataProtection("shop", repository=repository, clock=clock))):
        assert repository.asked.wait(10)


def scope_of(path: str, cookie: bytes = b"", kind: str = "http") -> dict[str, Any]:
    headers = [(b"host", b"shop.example"), *([(b"cookie", cookie)] if cookie else [])]
    scheme = "http" if kind == "http" else "ws"
    return {"type": kind, "method": "GET", "path": path, "scheme": scheme, "query_string": b"a=1", "headers": headers}


async def ask(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"} if scope["type"] == "http" else {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/", "/put"])
def test_while_the_store_takes_its_time_other_requests_go_on(
    clock: StoppedClock, dp: DataProtection, path: str
) -> None:
    """A session to open, and one to seal: both wait in a worker thread."""
    repository = SlowRepository()
    app = site(DataProtection("shop", repository=repository, clock=clock))
    value = dp.create_protector("x").protect("y").encode()
    cookie = b"session=" + value if path == "/" else b""

    async def main() -> None:
        waiting = asyncio.create_task(ask(app, scope_of(path, cookie)))
        assert await asyncio.to_thread(repository.asked.wait, 30)
        for _ in range(3):
            assert (await ask(app, scope_of("/hello")))[0]["status"] == 200
        assert not waiting.done()
        repository.answers.set()
        assert (await waiting)[0]["status"] == 200

    asyncio.run(main())


def test_a_flood_of_forged_cookies_delays_nobody_while_the_store_is_slow(clock: StoppedClock) -> None:
    """And none of their holders is told to drop a cookie that another slot, or the next check, may open."""
    repository = SlowRepository()
    repository.answers.set()
    dp = DataProtection("shop", repository=repository, clock=clock)
    value = dp.create_protector("x").protect("y")
    app = site(dp)
    repository.answers.clear()
    repository.asked.clear()

    async def main() -> None:
        forged = [f"session={value[:10]}{number:04}{value[14:]}".encode() for number in range(200)]
        flood = [asyncio.create_task(ask(app, scope_of("/", cookie))) for cookie in forged]
        assert await asyncio.to_thread(repository.asked.wait, 30)
        for _ in range(3):
            assert (await ask(app, scope_of("/hello")))[0]["status"] == 200
        assert not all(task.done() for task in flood)
        for start, _ in await asyncio.gather(*flood):
            assert start["status"] == 200
            assert not any(name == b"set-cookie" for name, _ in start["headers"])
        repository.answers.set()

    asyncio.run(main())


def test_it_runs_on_trio(dp: DataProtection, clock: StoppedClock) -> None:
    cold = DataProtection("shop", repository=dp.repository, clock=clock)
    start, body = trio.run(ask, site(cold), scope_of("/put"))
    assert start["status"] == 200
    assert json.loads(body["body"]) == {"session": {"a": "1"}}


def outage(clock: StoppedClock) -> Any:
    return site(DataProtection("shop", repository=DownRepository(), clock=clock))


def test_a_starlette_application_answers_503_in_an_outage(clock: StoppedClock) -> None:
    """Its own error page does not get in between."""
    client = TestClient(outage(clock))
    answer = client.get("/put?a=1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert client.get("/hello").status_code == 200


def test_a_websocket_is_turned_away_in_an_outage(clock: StoppedClock) -> None:
    app = outage(clock)
    with pytest.raises(WebSocketDenialResponse) as caught, TestClient(app).websocket_connect("/ws"):
        pass
    plain = asyncio.run(ask(app, scope_of("/ws", kind="websocket")))
    assert plain == [{"type": "websocket.close", "code": 1013, "reason": "try again later"}]
    assert caught.value.status_code == 503


def test_cookies_in_several_header_lines_are_one(dp: DataProtection) -> None:
    """HTTP/2 lets a client cut them."""
    app = site(dp)
    sent = asyncio.run(ask(app, scope_of("/put")))
    cookies = [value.split(b";")[0] for name, value in sent[0]["headers"] if name == b"set-cookie"]
    scope = scope_of("/")
    scope["headers"] += [(b"cookie", cookie) for cookie in cookies]
    assert len(cookies) == 2
    assert json.loads(asyncio.run(ask(app, scope))[1]["body"]) == {"session": {"a": "1"}}


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An application that names no headers at all, as ASGI lets it."""
    scope.get("session", {}).update(seen=True)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda dp: SessionMiddleware(bare, data_protection=dp), id="session"),
        pytest.param(
            lambda dp: CookieProtectionMiddleware(bare, data_protection=dp, cookies=["a"]), id="wrapped cookies"
        ),
        pytest.param(lambda dp: CookieAuthenticationMiddleware(bare, data_protection=dp), id="sign-in"),
        pytest.param(lambda _: CookiePolicyMiddleware(bare, secure="always"), id="cookie policy"),
    ],
)
def test_a_response_that_names_no_headers_goes_through(wrapped: Any) -> None:
    """The headers of a response start are optional in ASGI."""
    client = TestClient(wrapped(DataProtection("shop", repository="memory:")))
    assert client.get("/", headers={"cookie": "a=b"}).text == "hello"
