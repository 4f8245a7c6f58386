"""Two farms side by side in the browser: one ring per slot on the left, one shared ring on the right.

Press *Sign ada in on both sides*, press *Swap the slots*, and see on which side ada is still signed in, and why. For
the verdict, the server asks both shops, with the cookies of the browser that asks for the page.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator
from dataclasses import asdict
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from . import look, on_behalf
from .loopback import LoopbackServer
from .room_page import Side, content_security_policy, room_page
from .story import NAME, PASSWORD, Farm, open_farm
from .verdict import verdict

__all__ = ["open_control_room", "serve"]

_LOG_LINES: Final = 4
_TITLES: Final = {"own": "One ring per slot", "shared": "One shared ring"}
_FILES: Final = {
    "/room.css": ("text/css; charset=utf-8", partial(look.style, "room.css")),
    "/room.js": ("text/javascript; charset=utf-8", partial(look.file, "room.js")),
}


@contextlib.contextmanager
def open_control_room(folder: Path, port: int = 0) -> Generator[str]:
    """Start both farms and the page that swaps them. The value of the context is the address of the page."""
    with contextlib.ExitStack() as stack:
        # cookies do not depend on the port: each farm needs its own cookie name
        farms = {
            name: stack.enter_context(open_farm(folder / name, shared=name == "shared", cookie=name))
            for name in _TITLES
        }
        handler = type("ControlRoom", (_Handler,), {"farms": farms})
        yield stack.enter_context(LoopbackServer(handler, port)).url


def serve(folder: Path, port: int) -> int:
    """Serve the page until Ctrl+C."""
    print("starting four servers …", flush=True)
    with open_control_room(folder, port) as url, contextlib.suppress(KeyboardInterrupt):
        print(f"open {url} in a browser; press Ctrl+C to stop", flush=True)
        threading.Event().wait()
    return 0


def _side(name: str, farm: Farm, host: str, cookies: str) -> Side:
    """One farm, for a browser that calls this machine ``host`` and sends these cookies."""
    answer = on_behalf.who(farm.front.url, cookies)
    production, staging = farm.front.production, farm.front.staging
    keys = farm.keys()
    refusals = [f"version {slot.version}: {line}" for slot in (production, staging) for line in slot.refusals()]
    return Side(
        name,
        _TITLES[name],
        farm.front.url.replace("127.0.0.1", host),
        production.version,
        staging.version,
        {"production": farm.ring_of(production), "staging": farm.ring_of(staging)},
        keys,
        None if answer is None else answer.cookie_key,
        verdict(answer, keys[farm.ring_of(production)]),
        refusals[-_LOG_LINES:],
    )


class _Handler(BaseHTTPRequestHandler):
    """The control room of ``farms``, by the names of `_TITLES`."""

    farms: dict[str, Farm]

    def do_GET(self) -> None:
        """The page, its files, and the same as JSON."""
        if self.path == "/":
            sides = self._sides()
            self._answer("text/html; charset=utf-8", room_page(sides), content_security_policy(sides))
        elif self.path == "/state":
            self._answer("application/json", json.dumps([asdict(side) for side in self._sides()]))
        elif self.path in _FILES:
            mimetype, read = _FILES[self.path]
            self._answer(mimetype, read())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Sign in on both sides, or swap the slots of both; then the browser asks for the page."""
        set_cookies: list[str] = []
        if self.path == "/swap":
            for farm in self.farms.values():
                farm.front.swap()
        elif self.path == "/sign-in":
            for farm in self.farms.values():
                set_cookies += on_behalf.sign_in(farm.front.url, self._cookies(), NAME, PASSWORD)
        else:
            self.send_error(404)
            return
        headers = [("Location", "/"), ("Content-Length", "0"), *(("Set-Cookie", line) for line in set_cookies)]
        self._begin(303, headers)

    def _cookies(self) -> str:
        return str(self.headers.get("Cookie", ""))

    def _sides(self) -> list[Side]:
        host = urlsplit(f"//{self.headers['Host']}").hostname or "127.0.0.1"
        return [_side(name, farm, host, self._cookies()) for name, farm in self.farms.items()]

    def _answer(self, mimetype: str, text: str, policy: str = "default-src 'none'") -> None:
        body = text.encode()
        headers = [
            ("Content-Type", mimetype),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ]
        self._begin(200, headers)
        self.wfile.write(body)

    def _begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is that of http.server)
        """Requests are not logged."""
