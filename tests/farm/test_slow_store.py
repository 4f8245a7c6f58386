"""A slow store: a flood of forged cookies delays no other request on the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from dpmiddleware.asgi import CookieProtectionMiddleware, Message, Receive, Scope, Send
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import head_of
from tests.fakes import WatchedRepository, key_document, ring_of

SECONDS = 60


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns the cookies that it sees; sets one if there is none."""
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    made = [] if cookies else [(b"set-cookie", b"sid=apples")]
    await send({"type": "http.response.start", "status": 200, "headers": made})
    await send({"type": "http.response.body", "body": cookies})


class Client:
    """Calls an ASGI application in this event loop."""

    def __init__(self, dp: DataProtection) -> None:
        self._app = CookieProtectionMiddleware(application, data_protection=dp, cookies=["sid"])

    async def get(self, cookie: str = "") -> tuple[int, bytes, list[bytes]]:
        """Status, body and Set-Cookie lines of a GET."""
        sent: list[Message] = []
        headers = [(b"host", b"shop.example")] + ([(b"cookie", cookie.encode())] if cookie else [])
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "https", "headers": headers}

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        lines = [value for name, value in sent[0]["headers"] if name == b"set-cookie"]
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]), lines


@pytest.fixture
def store() -> Iterator[WatchedRepository]:
    store = ring_of(key_document())
    yield store
    if store.gate is not None:
        store.gate.set()


def forged() -> str:
    return "sid=" + base64url.encode(head_of(os.urandom(16)) + os.urandom(80))


def test_a_flood_of_forged_cookies_on_a_store_that_hangs_delays_no_other_request(store: WatchedRepository) -> None:
    """While the store does not answer, requests with valid cookies are served, and so are requests with forged ones."""
    dp = DataProtection("shop", repository=store)

    async def scene() -> None:
        client = Client(dp)
        _, _, (line,) = await client.get()
        good = line.decode().partition(";")[0]
        store.gate = threading.Event()
        store.entered.clear()
        flood = [asyncio.create_task(client.get(forged())) for _ in range(200)]
        await asyncio.to_thread(store.entered.wait, SECONDS)
        for _ in range(100):
            assert await asyncio.wait_for(client.get(good), SECONDS) == (200, b"sid=apples", [])
        forgers = await asyncio.wait_for(asyncio.gather(*flood), SECONDS)
        assert not store.gate.is_set()  # all of this while the store hangs
        assert {status for status, _, _ in forgers} == {200}
        # each is a visitor without a cookie; no cookie is deleted, as another ring might read it
        assert all(b"apples" not in body for _, body, _ in forgers)
        assert not any(b"Max-Age=0" in line or b"1970" in line for _, _, lines in forgers for line in lines)

    asyncio.run(scene())
    assert store.reads <= 2
    assert store.versions == 1


def test_before_the_first_load_requests_wait_together_and_not_on_the_loop(store: WatchedRepository) -> None:
    """A server that starts with a slow store: the loop is not blocked, and one load serves all requests."""
    store.gate = threading.Event()
    dp = DataProtection("shop", repository=store)

    async def scene() -> None:
        client = Client(dp)
        waiting = [asyncio.create_task(client.get(forged())) for _ in range(20)]
        await asyncio.to_thread(store.entered.wait, SECONDS)
        ticks = 0
        for _ in range(50):
            await asyncio.sleep(0)
            ticks += 1
        assert ticks == 50
        assert not any(task.done() for task in waiting)
        assert store.gate is not None
        store.gate.set()
        answers = await asyncio.wait_for(asyncio.gather(*waiting), SECONDS)
        assert {status for status, _, _ in answers} == {200}

    asyncio.run(scene())
    assert store.reads == 1
