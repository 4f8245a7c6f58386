"""Issue: a Redis that sends a byte per second was *ok* forever. The probe shows it, and pages are served meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from tests.live.browser import Browser, ask
from tests.live.serving import gunicorn, uvicorn
from tests.servers import LOOPBACK, Server, wait_for


class Tap:
    """Between a client and a Redis. ``drips``: whether answers come a byte per second."""

    def __init__(self, server: Server) -> None:
        host, _, port = server.address.removeprefix("redis://").rpartition(":")
        self._server = (host, int(port))
        self.drips = threading.Event()
        self.closed = threading.Event()
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self.listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, job: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=job, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self._server)
                self._start(self._carry, client, server, False)
                self._start(self._carry, server, client, True)

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while data:
                    size = 1 if is_answer and self.drips.is_set() else len(data)
                    target.sendall(data[:size])
                    data = data[size:]
                    if size == 1 and self.closed.wait(1):
                        return
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def tap(redis: Server) -> Iterator[Tap]:
    made = Tap(redis)
    yield made
    made.closed.set()
    made.listener.close()


@pytest.mark.parametrize("start", [gunicorn, uvicorn])
def test_pages_are_answered_while_redis_drips_and_the_probe_shows_it(start: Any, tap: Tap) -> None:
    ring = f"redis://{LOOPBACK}:{tap.port}/0?key={uuid4()}"
    app = "wsgi" if start is gunicorn else "asgi"
    with start(f"tests.live.apps.watched:{app}", RING=ring, POLL="0.3") as site:

        def health() -> dict[str, Any]:
            found: dict[str, Any] = ask(site.port, "/health", {"Host": "x"}).json()
            return found

        user = Browser(site.port)
        assert user.get("/").text == "1"
        assert health() == {"status": "ok", "ready": True, "problem": ""}
        tap.drips.set()
        wait_for("the probe to show it", lambda: health()["status"] == "stale")
        assert health()["ready"]
        assert "no answer within" in health()["problem"] or "still hang" in health()["problem"]
        assert [user.get("/").text for _ in range(20)] == [str(number) for number in range(2, 22)]
        wait_for("the log line", lambda: "event=ring_stale" in site.log())
        tap.drips.clear()
        wait_for("the ring to be current again", lambda: health()["status"] == "ok")
        assert user.get("/").text == "22"
