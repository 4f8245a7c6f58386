"""A client with a cookie jar that signs in and asks the site who is signed in."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Final

__all__ = ["Answer", "Visitor"]

REQUEST_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of ``/who``: the name that the visitor is signed in with and the version where they signed in (or
    ``None``), the slot and version that answered, and the id of the key that protects the session cookie (``None``
    without a cookie).
    """

    signed_in_as: str | None
    signed_in_at: str | None
    slot: str
    version: str
    cookie_key: str | None

    @property
    def signed_in(self) -> bool:
        """Whether the visitor is signed in."""
        return self.signed_in_as is not None


class Visitor:
    """A client of the site at ``url`` that keeps cookies as a browser does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.jar = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar)
        )

    def sign_in(self, name: str, password: str) -> Answer:
        """Send the sign-in form, then ask who is signed in."""
        self._send("sign-in", {"name": name, "password": password})
        return self.come_back()

    def sign_out(self) -> Answer:
        """Send the sign-out form, then ask who is signed in."""
        self._send("sign-out", {})
        return self.come_back()

    def come_back(self) -> Answer:
        """Ask the site who is signed in."""
        with self._opener.open(urllib.parse.urljoin(self._url, "who"), timeout=REQUEST_TIMEOUT) as response:
            return Answer(**json.load(response))

    def _send(self, path: str, form: dict[str, str]) -> None:
        body = urllib.parse.urlencode(form).encode("ascii")
        with self._opener.open(urllib.parse.urljoin(self._url, path), body, timeout=REQUEST_TIMEOUT) as response:
            response.read()
