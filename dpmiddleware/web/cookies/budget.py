"""The budget of cookies: what the cookies of a response leave in the browser must fit into the next Cookie header.

Servers limit that header: gunicorn takes 8,190 bytes, nginx 8 KB. A user whose browser sends more gets an error for
each page, the one for signing out included. So what does not fit is an error when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.web.cookies.text import MAX_PARTITIONED

__all__ = ["check"]

_HINT: Final = (
    "keep less in cookies; keep sign-ins on the server (session_store=); or raise max_total (Flask and Django: "
    "SESSION_COOKIE_MAX_TOTAL) and the limits of the servers, such as gunicorn's --limit-request-field_size and "
    "nginx's large_client_header_buffers and proxy_buffer_size"
)


def check(header: bytes, lines: Sequence[str], limit: int, name: str) -> None:
    """`CookieTooLargeError` if a browser would then send a Cookie header that is longer than ``limit``.

    A header that is longer already may stay as long as it is: the server evidently takes it.

    header: the Cookie header of the request.
    lines: the Set-Cookie lines of the response, in order.
    limit: bytes.
    name: the cookie that is being written, for the message.
    """
    if len(header) + sum(map(len, lines)) <= limit:
        return
    sizes: dict[str, int] = {}
    for part in header.decode("latin-1").split(";"):
        text = part.strip()
        key = text.partition("=")[0].rstrip()
        sizes[key] = sizes.get(key, 0) + len(text) + 2
    for line in lines:
        first, _, attributes = line.partition(";")
        key, _, value = first.partition("=")
        sizes.pop(key, None)
        if value:
            sizes[key] = len(first) + 2
        if attributes.lower().endswith("partitioned"):
            limit = min(limit, MAX_PARTITIONED)
    total = sum(sizes.values()) - 2
    if total > max(limit, len(header)):
        raise CookieTooLargeError(
            f"with cookie {name!r}, a browser would send {total} bytes of cookies, but only {limit} are allowed",
            hint=_HINT,
        )
