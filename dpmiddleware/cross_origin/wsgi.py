"""Cross-origin protection for any WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from dpmiddleware.arguments import checked
from dpmiddleware.cross_origin.decision import SAFE_METHODS, Verdict
from dpmiddleware.cross_origin.guard import REFUSAL, CrossOriginGuard, CrossOriginOptions, unambiguous
from dpmiddleware.wsgi_exchange import answer_instead, where

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CrossOriginProtectionMiddleware", "browser_headers", "is_safe", "is_websocket", "raw_path", "verdict_on"]


@checked
class CrossOriginProtectionMiddleware:
    """Refuses what pages of other origins send: POST and other unsafe requests, and websockets.

    Options: see `dpmiddleware.cross_origin.guard.CrossOriginOptions`; ``on_refused`` gets the environment and the
    `Verdict`, and returns a WSGI application. Put it around sessions and authentication, and inside middleware that
    reads forwarded headers.
    """

    def __init__(self, app: WSGIApplication, **options: Unpack[CrossOriginOptions]) -> None:
        self.app = app
        self.guard = CrossOriginGuard(**options)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if is_safe(environ):
            return self.app(environ, start_response)
        verdict = verdict_on(self.guard, environ, _has_no_mark)
        if verdict.allowed:
            return self.app(environ, start_response)
        return self._refuse(environ, start_response, verdict)

    def _refuse(self, environ: WSGIEnvironment, start_response: StartResponse, verdict: Verdict) -> Iterable[bytes]:
        own = self.guard.on_refused
        instead = own(environ, verdict) if own is not None and not is_websocket(environ) else None
        if instead is not None:
            answered: Iterable[bytes] = instead(environ, start_response)
            return answered
        return answer_instead(start_response, REFUSAL)


def verdict_on(
    guard: CrossOriginGuard, environ: WSGIEnvironment, is_exempt: Callable[[WSGIEnvironment], bool]
) -> Verdict:
    """The verdict of a guard on a request. is_exempt: whether its route has a mark; called before a refusal."""
    return guard.judge(
        environ["REQUEST_METHOD"],
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST", ""),
        browser_headers(environ),
        environ,
        _path_of,
        is_exempt,
        is_websocket(environ),
    )


def _has_no_mark(environ: WSGIEnvironment) -> bool:  # noqa: ARG001 (see `CrossOriginGuard.judge`)
    """Plain WSGI has no routes."""
    return False


def is_safe(environ: Mapping[str, Any]) -> bool:
    """Whether a request is none of the checked ones, at first glance."""
    return environ["REQUEST_METHOD"] in SAFE_METHODS and "HTTP_UPGRADE" not in environ


def is_websocket(environ: Mapping[str, Any]) -> bool:
    """Whether a request is the handshake of a websocket."""
    return "websocket" in str(environ.get("HTTP_UPGRADE", "")).lower()


def browser_headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """The headers that are looked at. A server joins lines of the same name, and what they make is refused."""
    get = environ.get
    headers = {"sec-fetch-site": get("HTTP_SEC_FETCH_SITE", ""), "origin": get("HTTP_ORIGIN", "")}
    if not headers["origin"]:  # not what a browser sends
        headers |= {"referer": get("HTTP_REFERER", ""), "cookie": get("HTTP_COOKIE", "")}
    return headers


def _path_of(environ: WSGIEnvironment) -> str:
    """The path that exempt ones are compared with."""
    return unambiguous(raw_path(environ), where(environ)[1])


def raw_path(environ: Mapping[str, Any]) -> str:
    """The target of the request as the client sent it, where the server shows that."""
    return str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")
