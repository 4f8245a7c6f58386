"""One connection as an ASGI server describes it, and an answer in place of the application's. No ring, no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from dpmiddleware.web.answer import FIXED, Answer, Headers

__all__ = [
    "ENCRYPTED",
    "ASGIApp",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "answer_instead",
    "cookie_header",
    "decoded",
    "encoded",
    "is_https",
    "where",
]

Message = MutableMapping[str, Any]
"""An event of ASGI."""
Scope = MutableMapping[str, Any]
"""What ASGI says about a connection."""
Receive = Callable[[], Awaitable[Message]]
"""What an application waits for messages with."""
Send = Callable[[Message], Awaitable[None]]
"""What an application sends messages with."""
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""

ENCRYPTED: Final = {"https", "wss"}
"""Schemes of encrypted connections."""
_FIXED: Final = {header: (header[0].encode("latin-1"), header[1].encode("latin-1")) for header in FIXED}
_TRY_AGAIN_LATER: Final = (1013, "try again later")
"""Code and reason of a websocket that is closed in an outage."""


def where(scope: Scope) -> tuple[str, str]:
    """The Host header and the decoded path of a connection."""
    host: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    path, base = scope.get("path", ""), scope.get("root_path", "").rstrip("/")
    is_whole = not base or path == base or path.startswith(f"{base}/")
    return host.decode("latin-1"), path if is_whole else base + path


def cookie_header(scope: Scope) -> bytes:
    """The Cookie header of a connection; several lines (HTTP/2 may split it) as one."""
    header: bytes = b""
    for name, value in scope["headers"]:
        if name == b"cookie":
            header = header + b"; " + value if header else value
    return header


def is_https(scope: Scope) -> bool:
    """Whether the connection is encrypted, according to the server or a proxy that it trusts."""
    return scope.get("scheme") in ENCRYPTED


async def answer_instead(scope: Scope, send: Send, answer: Answer, closing: tuple[int, str] = _TRY_AGAIN_LATER) -> None:
    """Answer in place of the application.

    closing: code and reason for a websocket that cannot be answered so, and is closed.
    """
    if scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": closing[0], "reason": closing[1]})
        return
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{prefix}.response.start", "status": answer.status, "headers": encoded(answer.added)})
    await send({"type": f"{prefix}.response.body", "body": answer.body})


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers of ASGI as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [
        (b"set-cookie", header[1].encode("latin-1"))
        if header[0] == "set-cookie"  # long, and always different
        else _FIXED.get(header) or (header[0].encode("latin-1"), header[1].encode("latin-1"))
        for header in headers
    ]
