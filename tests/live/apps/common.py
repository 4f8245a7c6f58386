"""What the applications share: a ring from the environment, and a calendar that the browser's requests move.

    RING    the repository of the ring
    READER  if set, this process creates no keys
    POLL    seconds between two polls

Log records of the package are printed with their event: ``… event=ring_stale``. `browser.Browser` sends the header
``X-Days``: how many days the application's calendar is ahead in this request.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

from dpmiddleware import DataProtection, RotationPolicy

Environ = dict[str, Any]
WSGI = Callable[[Environ, Any], Iterable[bytes]]

_handler = logging.StreamHandler()
_handler.setFormatter(logging.Formatter("%(message)s event=%(event)s", defaults={"event": "none"}))
logging.getLogger("dpmiddleware").addHandler(_handler)

_days: ContextVar[float] = ContextVar("days", default=0.0)


class Calendar:
    """The clock of the application."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(days=_days.get())

    def monotonic(self) -> float:
        return time.monotonic()


def data_protection(name: str = "RING", **parts: Any) -> DataProtection:
    """The ring that the environment describes."""
    policy = RotationPolicy(poll=timedelta(seconds=float(os.environ.get("POLL", "10"))))
    parts = {"policy": policy, "clock": Calendar(), "auto_create_keys": "READER" not in os.environ, **parts}
    return DataProtection("shop", **{"repository": os.environ.get(name), **parts})


def query(environ: Environ) -> dict[str, str]:
    """The parameters in the URL of a WSGI request."""
    return dict(parse_qsl(environ.get("QUERY_STRING", "")))


def respond(start_response: Any, text: object, status: str = "200 OK", *cookies: str) -> list[bytes]:
    """The response of a WSGI application. ``cookies``: Set-Cookie lines."""
    headers = [("Content-Type", "text/plain; charset=utf-8"), *(("Set-Cookie", line) for line in cookies)]
    start_response(status, headers)
    return [str(text).encode()]


def dated(app: WSGI) -> WSGI:
    """A WSGI application whose calendar the requests move."""

    def serve(environ: Environ, start_response: Any) -> Iterable[bytes]:
        _days.set(float(environ.get("HTTP_X_DAYS", "0")))
        return app(environ, start_response)

    return serve


def dated_asgi(app: Any) -> Any:
    """The same for ASGI."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            _days.set(float(dict(scope["headers"]).get(b"x-days", b"0")))
        await app(scope, receive, send)

    return serve
