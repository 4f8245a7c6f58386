"""A browser over real HTTP: its cookie jar follows RFC 6265, and RFC 6265bis for partitioned cookies.

    ada = Browser(site.port, "www.shop.example")
    ada.get("/sign-in?name=ada")
    assert ada.get("/me").text == "ada"

Every request goes to loopback; the name of the host is only in the ``Host`` header and in the jar.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from tests.servers import LOOPBACK

__all__ = ["Answer", "Browser", "Jar", "ask"]

SECONDS: Final = 60.0
_DAY: Final = 86_400.0
_MOST: Final = 4096
"""Bytes of name and value; a longer cookie is dropped."""


class Answer(NamedTuple):
    """The response to one request. status: 0 if the server closed the connection. seconds: from the request on."""

    status: int
    headers: list[tuple[str, str]]
    text: str
    seconds: float

    def all(self, name: str) -> list[str]:
        """The values of every header of this name (in lower case)."""
        return [value for each, value in self.headers if each.lower() == name]

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return ", ".join(self.all("location"))

    def json(self) -> Any:
        """The body as JSON; an assertion if the status is not 200."""
        assert self.status == 200, self
        return json.loads(self.text)


def ask(
    port: int, path: str, headers: Mapping[str, str], *, body: bytes | None = None, timeout: float = SECONDS
) -> Answer:
    """GET, or POST of ``body``, with exactly these headers. `TimeoutError` after ``timeout`` seconds without a byte."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.putrequest("GET" if body is None else "POST", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        return Answer(response.status, response.getheaders(), text, time.monotonic() - began)
    except (ConnectionError, http.client.RemoteDisconnected) as error:
        return Answer(0, [], repr(error), time.monotonic() - began)
    finally:
        connection.close()


@dataclass(frozen=True)
class _Place:
    """What makes two cookies different to a browser."""

    name: str
    domain: str
    host_only: bool
    path: str
    partitioned: bool


@dataclass
class _Cookie:
    value: str
    secure: bool
    expires: float
    created: int


@dataclass
class Jar:
    """The cookies of one browser."""

    cookies: dict[_Place, _Cookie] = field(default_factory=dict)
    _count: int = 0

    def take(self, host: str, path: str, lines: Iterable[str], now: float, *, secure: bool = True) -> None:
        """Process the Set-Cookie lines of a response to a request for ``path`` (RFC 6265, 5.2 and 5.3)."""
        for line in lines:
            self._take(host, path, line, now, secure)

    def _take(self, host: str, path: str, line: str, now: float, secure: bool) -> None:
        pair, *rest = line.split(";")
        name, equals, value = (part.strip(" \t") for part in pair.partition("="))
        if not (equals and name) or len(name) + len(value) > _MOST:
            return
        said = {key.strip().lower(): value.strip() for key, _, value in (text.partition("=") for text in rest)}
        domain = said.get("domain", "").removeprefix(".").lower()
        needs_secure = "partitioned" in said or said.get("samesite", "").lower() == "none"
        refused = (
            (domain and not _is_within(host, domain)),
            ("secure" in said and not secure),
            (needs_secure and "secure" not in said),
            (name.startswith("__Host-") and (domain or said.get("path") != "/" or "secure" not in said)),
        )
        if any(refused):
            return
        own_path = said.get("path", "")
        place = _Place(
            name,
            domain or host,
            not domain,
            own_path if own_path[:1] == "/" else _directory(path),
            "partitioned" in said,
        )
        expires = _end(said, now)
        if expires <= now:
            self.cookies.pop(place, None)
            return
        before = self.cookies.get(place)
        self._count += 1
        self.cookies[place] = _Cookie(value, "secure" in said, expires, before.created if before else self._count)

    def header(self, host: str, path: str, now: float, *, secure: bool = True) -> str:
        """The Cookie header of a request (RFC 6265, 5.4): longer paths first, then the order in which they came."""
        sent = [
            (-len(place.path), cookie.created, f"{place.name}={cookie.value}")
            for place, cookie in self.cookies.items()
            if (host == place.domain or (not place.host_only and _is_within(host, place.domain)))
            and _is_below(path, place.path)
            and (secure or not cookie.secure)
            and now < cookie.expires
        ]
        return "; ".join(text for _, _, text in sorted(sent))

    def names(self) -> list[str]:
        """The names of all cookies, in order, repeated ones too."""
        return sorted(place.name for place in self.cookies)


def _is_within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _directory(path: str) -> str:
    """The default path of a cookie (RFC 6265, 5.1.4)."""
    return path[: path.rfind("/")] or "/"


def _end(said: Mapping[str, str], now: float) -> float:
    """When a cookie ends: Max-Age counts before Expires; without both, not while the browser runs."""
    age = said.get("max-age", "")
    if age.removeprefix("-").isdecimal():
        return now + int(age)
    if "expires" in said:
        end = parsedate_to_datetime(said["expires"])
        return end.replace(tzinfo=end.tzinfo or timezone.utc).timestamp()
    return float("inf")


@dataclass
class Browser:
    """A user with a cookie jar, at one host.

    port: of the server that answers; another one may take over. headers: sent with every request. days: how far the
    calendar of the browser and of the application (header ``X-Days``) is ahead.
    """

    port: int
    host: str = "www.shop.example"
    headers: dict[str, str] = field(default_factory=dict)
    days: float = 0.0
    jar: Jar = field(default_factory=Jar)

    def get(self, path: str, *, timeout: float = SECONDS, **headers: str) -> Answer:
        """One request, with the cookies of the jar; those of the response go into it. ``headers``: ``x_days="1"``."""
        return self._request(path, headers, None, timeout)

    def post(self, path: str, form: Mapping[str, str], *, timeout: float = SECONDS, **headers: str) -> Answer:
        """The same with a form."""
        content = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request(path, content | headers, urlencode(form).encode(), timeout)

    def _request(self, path: str, headers: Mapping[str, str], body: bytes | None, timeout: float) -> Answer:
        where = path.partition("?")[0]
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Host": self.host, "X-Forwarded-Proto": "https", "X-Days": str(self.days), **self.headers, **more}
        cookie = self.header(where)
        if cookie:
            sent["Cookie"] = cookie
        answer = ask(self.port, path, sent, body=body, timeout=timeout)
        self.jar.take(self.host, where, answer.all("set-cookie"), self.now)
        return answer

    def header(self, path: str = "/") -> str:
        """The Cookie header that it would send."""
        return self.jar.header(self.host, path, self.now)

    @property
    def now(self) -> float:
        """Seconds since 1970 by the browser's calendar."""
        return datetime.now(timezone.utc).timestamp() + self.days * _DAY
