"""Somebody with a browser: a cookie jar, a sign-in, and a look at who the site thinks it is talking to."""

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
    """What ``/who`` says: the name the visitor is signed in under (or ``None``), the slot and version that answered,
    and the id of the key that the visitor's session cookie names (or ``None``: no cookie).
    """

    signed_in_as: str | None
    slot: str
    version: str
    cookie_key: str | None

    @property
    def signed_in(self) -> bool:
        """Whether the site knows the visitor."""
        return self.signed_in_as is not None


class Visitor:
    """A client that keeps cookies as a browser does, at the site with the address ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.jar = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar)
        )

    def sign_in(self, name: str, password: str) -> Answer:
        """Fill in the form, and see whether it worked."""
        self._send("sign-in", {"name": name, "password": password})
        return self.come_back()

    def sign_out(self) -> Answer:
        """Press the button."""
        self._send("sign-out", {})
        return self.come_back()

    def come_back(self) -> Answer:
        """Ask the site who one is."""
        with self._opener.open(urllib.parse.urljoin(self._url, "who"), timeout=REQUEST_TIMEOUT) as response:
            return Answer(**json.load(response))

    def _send(self, path: str, form: dict[str, str]) -> None:
        body = urllib.parse.urlencode(form).encode("ascii")
        with self._opener.open(urllib.parse.urljoin(self._url, path), body, timeout=REQUEST_TIMEOUT) as response:
            response.read()
