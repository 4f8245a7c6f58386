"""A client of the archive, with a password or with a given cookie."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from dataclasses import dataclass
from typing import Final

from ..demo.process import ServerFailedError
from .archive import COOKIE
from .server import ArchiveServer

__all__ = ["Seen", "Visitor"]

REQUEST_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The user as the archive sees them, and the id of the key that protects their cookie."""

    name: str | None
    admin: bool
    cookie_key: str | None

    def in_words(self) -> str:
        """The user in words."""
        return "anonymous" if self.name is None else f"{self.name}{', an administrator' if self.admin else ''}"


class Visitor:
    """Sends ``cookie`` (a value) with each request, and keeps the cookie of a sign-in."""

    def __init__(self, server: ArchiveServer, cookie: str = "") -> None:
        self._server = server
        self.cookie = cookie

    def sign_in(self, name: str, password: str) -> Seen:
        """Send the sign-in form, then ask who is signed in."""
        self._send("POST", "/sign-in", urllib.parse.urlencode({"name": name, "password": password}))
        return self.look()

    def look(self) -> Seen:
        """Ask the archive who is signed in."""
        return Seen(**json.loads(self._send("GET", "/who")[1]))

    def open_sealed_files(self) -> bool:
        """Whether the archive shows the sealed files."""
        return self._send("GET", "/sealed-files")[0] == http.client.OK

    def _send(self, method: str, path: str, form: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=REQUEST_TIMEOUT)
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, form or None, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie", []):
                name, _, rest = line.partition("=")
                if name == COOKIE:
                    self.cookie = rest.partition(";")[0]
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailedError(f"{path}: {error}; the log ends:\n{self._server.log()[-2000:]}") from error
        finally:
            connection.close()
        if response.status >= http.client.INTERNAL_SERVER_ERROR:
            raise ServerFailedError(f"{path}: {response.status}; the log ends:\n{self._server.log()[-2000:]}")
        return response.status, body
