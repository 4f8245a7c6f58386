"""One request as a WSGI server describes it, and an answer in place of the application's. No ring, no framework."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Final

from dpmiddleware.web.answer import Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["ExcInfo", "Write", "answer_instead", "cookie_header", "decoded_path", "is_https", "status_line", "where"]

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
Write = Callable[[bytes], object]


def where(environ: WSGIEnvironment) -> tuple[str, str]:
    """The Host header and the decoded path of a request."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return str(environ.get("HTTP_HOST", "")), decoded_path(path)


def decoded_path(native: str) -> str:
    """A path of PEP 3333 as text."""
    return native.encode("latin-1", "replace").decode("utf-8", "replace")


def cookie_header(environ: WSGIEnvironment) -> bytes:
    """The Cookie header of a request."""
    return str(environ.get("HTTP_COOKIE", "")).encode("latin-1", "replace")


def is_https(environ: WSGIEnvironment) -> bool:
    """Whether the connection is encrypted, according to the server or a proxy that it trusts."""
    return environ.get("wsgi.url_scheme") == "https"


def status_line(status: int | None) -> str:
    """What WSGI takes as the status of a response."""
    return f"{status} {_REASONS.get(status or 0, 'Unknown')}"


def answer_instead(start_response: StartResponse, answer: Answer) -> list[bytes]:
    """Answer in place of the application."""
    start_response(status_line(answer.status), [*answer.titled])
    return [answer.body or b""]
