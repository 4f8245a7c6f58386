"""An HTTP server in a thread of this process, for pages of its own and programs on this machine."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from ..demo.loopback_only import GuardedHandler

__all__ = ["LoopbackServer"]


class LoopbackServer:
    """Serves on ``port`` of 127.0.0.1 (0: any free port) while the context is open. Other sites get 403."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        guarded = type("Guarded", (GuardedHandler, handler), {})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), guarded)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """The address, with a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
