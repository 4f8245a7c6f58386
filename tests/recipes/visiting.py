"""What a user does in an application: sends a form, follows a link, looks at a page."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from tests.live.browser import SECONDS, Answer, Browser
from tests.servers import LOOPBACK

__all__ = ["Form", "Link", "Redirects", "Step", "hears", "in_order", "shows"]

Step = Callable[[Browser], Answer]


@dataclass(frozen=True)
class Link:
    """GET of ``path``; what it answers is not followed."""

    path: str

    def __call__(self, browser: Browser) -> Answer:
        """Follow it."""
        answer = browser.get(self.path)
        assert answer.status < 400, answer
        return answer


@dataclass(frozen=True)
class Redirects:
    """GET of ``path``, and of where it leads, until there is a page."""

    path: str

    def __call__(self, browser: Browser) -> Answer:
        """Follow them; the host that they name is this server, whatever its port."""
        answer = browser.get(self.path)
        while answer.status in {302, 303, 307}:
            parts = urlsplit(answer.location)
            answer = browser.get(f"{parts.path}?{parts.query}")
        return answer


@dataclass(frozen=True)
class Form:
    """The form on the page ``path``, with ``fields`` filled in and its hidden fields as they are, sent to ``to``.

    to: by default ``path``
    """

    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    to: str = ""

    def __call__(self, browser: Browser) -> Answer:
        """Send it. A browser names the page that the form was on."""
        hidden = _HiddenFields()
        hidden.feed(browser.get(self.path).text)
        origin = f"http://{browser.host}"
        answer = browser.post(
            self.to or self.path, {**hidden.found, **self.fields}, origin=origin, referer=f"{origin}{self.path}"
        )
        assert answer.status < 400, answer
        return answer


class _HiddenFields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("type") == "hidden" and given.get("name"):
            self.found[given["name"] or ""] = given.get("value") or ""


def in_order(*steps: Step) -> Step:
    """Some steps after each other."""

    def go(browser: Browser) -> Answer:
        return [step(browser) for step in steps][-1]

    return go


def shows(path: str, text: str) -> Callable[[Browser], bool]:
    """Whether the page contains ``text``; one that redirects does not."""

    def look(browser: Browser) -> bool:
        answer = browser.get(path)
        assert answer.status < 500, answer
        return answer.status == 200 and text in answer.text

    return look


def hears(path: str, text: str) -> Callable[[Browser], bool]:
    """Whether the first message on the websocket is ``text`` (RFC 6455, 4.1 and 5.2)."""

    def listen(browser: Browser) -> bool:
        with socket.create_connection((LOOPBACK, browser.port), timeout=SECONDS) as connection:
            lines = [f"GET {path} HTTP/1.1", f"Host: {browser.host}", "Upgrade: websocket", "Connection: Upgrade"]
            lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
            lines += [f"Cookie: {browser.header(path)}", "", ""]
            connection.sendall("\r\n".join(lines).encode())
            with connection.makefile("rb") as received:
                status = received.readline()
                assert b" 101 " in status, status
                while received.readline().strip():
                    pass
                _, length = received.read(2)
                return received.read(length).decode() == text

    return listen
