"""Requests to a site on behalf of a browser: with its cookies, and with what the site sets handed back to it.

Browsers send a cookie to all ports of a host, so a page on one port sees the cookies of the sites on the others.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Final

from .visitor import REQUEST_TIMEOUT, Answer

__all__ = ["sign_in", "who"]

_FORM: Final = "application/x-www-form-urlencoded"


def who(site: str, cookies: str) -> Answer | None:
    """Who is signed in; ``None`` if the site does not answer. cookies: the Cookie header of the browser."""
    response, body = _ask(site, "GET", "/who", {"Cookie": cookies})
    return Answer(**json.loads(body)) if response is not None and response.status == 200 else None


def sign_in(site: str, cookies: str, name: str, password: str) -> list[str]:
    """Send the sign-in form. The Set-Cookie lines for the browser; none if the site refuses or does not answer."""
    form = urllib.parse.urlencode({"name": name, "password": password})
    response, _ = _ask(site, "POST", "/sign-in", {"Cookie": cookies, "Content-Type": _FORM}, form)
    return [] if response is None else response.headers.get_all("Set-Cookie", [])


def _ask(
    site: str, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> tuple[http.client.HTTPResponse | None, bytes]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(site).netloc, timeout=REQUEST_TIMEOUT)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response, response.read()
    except OSError:
        return None, b""
    finally:
        connection.close()
