"""Refuses what other sites send to a server on this machine, through the browser of the person who runs it.

A server on 127.0.0.1 is not reachable from elsewhere, but every page in the browser can send requests to it, and a host
name whose address is changed to 127.0.0.1 (DNS rebinding) can read the answers, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dpmiddleware.cross_origin import CrossOriginRules, decide

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["GuardedHandler", "guarded_asgi", "guarded_wsgi", "why_refused"]

_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_RULES: Final = CrossOriginRules(strict=True)


def why_refused(method: str, host: str | None, origin: str | None, fetch_site: str | None) -> str:
    """Why a request is refused; an empty text if it is not.

    method: its method.
    host, origin, fetch_site: its headers Host, Origin and Sec-Fetch-Site.
    """
    if _host_name(host) not in _LOCAL:
        return "this server answers only under its own address"
    headers = {"origin": origin or "", "sec-fetch-site": fetch_site or ""}
    verdict = decide(method, "http", host or "", headers, rules=_RULES)
    return "" if verdict.allowed else "this form was sent by another site"


def _host_name(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return None


class GuardedHandler(BaseHTTPRequestHandler):
    """A request handler of `http.server` that answers 403 to such requests."""

    def parse_request(self) -> bool:
        """Read the request, and refuse it if it comes from elsewhere."""
        if not super().parse_request():
            return False
        headers = self.headers
        problem = why_refused(self.command, headers["Host"], headers["Origin"], headers["Sec-Fetch-Site"])
        if problem:
            self.send_error(403, problem)
        return not problem


def guarded_wsgi(app: WSGIApplication) -> WSGIApplication:
    """A WSGI application that answers 403 to such requests."""

    def guard(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = [environ.get(f"HTTP_{name}") for name in ("HOST", "ORIGIN", "SEC_FETCH_SITE")]
        problem = why_refused(environ["REQUEST_METHOD"], *headers)
        if not problem:
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [problem.encode()]

    return guard


def guarded_asgi(app: Any) -> Callable[..., Any]:
    """An ASGI application that answers 403 to such requests."""

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        sent = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        headers = [sent.get(name) for name in (b"host", b"origin", b"sec-fetch-site")]
        if scope["type"] != "http" or not (problem := why_refused(scope["method"], *headers)):
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": problem.encode()})

    return guard
