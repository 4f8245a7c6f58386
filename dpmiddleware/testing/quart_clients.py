"""Visits with the test client of Quart."""

from __future__ import annotations

from email.message import Message
from http.client import HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import Request

from quart.testing import QuartClient

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.testing.asgi_clients import answered, path_in, scope_of
from dpmiddleware.testing.visits import Use

__all__ = ["visit"]


def visit(client: QuartClient, use: Use, base_url: str | None) -> int:
    """Make one request, and return the status of the response."""
    application, jar = client.app, client.cookie_jar
    if jar is None:
        raise ConfigurationError("this client keeps no cookies", hint="create it with use_cookies=True")
    base = urlsplit(base_url or f"http://{application.config['SERVER_NAME'] or 'localhost'}")
    url = base._replace(path=path_in(application))
    headers = [(b"host", url.netloc.encode("latin-1"))]
    headers += [(b"cookie", f"{cookie.name}={cookie.value}".encode("latin-1")) for cookie in jar]  # all, as it does
    answer = answered(application, use, scope_of(url, headers))
    asked = Request(url.geturl())  # noqa: S310 (nothing is opened)
    jar.extract_cookies(cast("HTTPResponse", _Response(answer.headers)), asked)
    return answer.status


class _Response:
    """What a cookie jar reads of a response."""

    def __init__(self, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._message: Any = Message()
        for name, value in headers:
            self._message[name.decode("latin-1")] = value.decode("latin-1")

    def info(self) -> Message:
        return cast("Message", self._message)
