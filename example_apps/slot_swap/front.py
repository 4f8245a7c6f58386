"""The front end of the App Service: it forwards requests for *production* to one slot, until the slots are swapped."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Final

from .loopback import LoopbackServer
from .slot import Slot

__all__ = ["Front", "passing_on"]

REQUEST_TIMEOUT: Final = 30.0
_OF_ONE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"})
"""Headers that a proxy does not forward (RFC 9110, section 7.6.1)."""
_LARGEST_BODY: Final = 64 * 1024


class Front(LoopbackServer):
    """A reverse proxy.

    `swap` exchanges the slots. After `serve_in_turn`, the slots answer alternately, as in A/B testing or during a
    rolling upgrade.
    """

    def __init__(self, production: Slot, staging: Slot) -> None:
        self._slots = [production, staging]
        self._turns: Iterator[Slot] | None = None
        self._lock = threading.Lock()
        super().__init__(passing_on(lambda _: self.next_slot().port))

    @property
    def production(self) -> Slot:
        """The slot that is *production* now."""
        return self._slots[0]

    @property
    def staging(self) -> Slot:
        """The other slot."""
        return self._slots[1]

    def swap(self) -> None:
        """Exchange the names of the slots. No file moves, no process restarts, and no key is copied."""
        with self._lock:
            self._slots.reverse()

    def serve_in_turn(self) -> None:
        """Let the slots answer alternately, the current production first."""
        with self._lock:
            self._turns = itertools.cycle(list(self._slots))

    def next_slot(self) -> Slot:
        """The slot that answers the next request."""
        with self._lock:
            return self._slots[0] if self._turns is None else next(self._turns)


def passing_on(port_for: Callable[[str], int]) -> type[BaseHTTPRequestHandler]:
    """A request handler that forwards each request to the local port that ``port_for`` returns for its path."""

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= _LARGEST_BODY:
                self.send_error(413)
                return
            body = self.rfile.read(length)
            connection = http.client.HTTPConnection("127.0.0.1", port_for(self.path), timeout=REQUEST_TIMEOUT)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _OF_ONE_CONNECTION:
                        connection.putheader(name, value)
                connection.endheaders(body)
                self._answer(connection.getresponse())
            except OSError:
                self.send_error(502)
            finally:
                connection.close()

        def _answer(self, response: http.client.HTTPResponse) -> None:
            body = response.read()
            self.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                if name.lower() not in _OF_ONE_CONNECTION | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _pass_on  # noqa: N815 (the names are those of http.server)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is that of http.server)
            """Requests are not logged."""

    return Handler
