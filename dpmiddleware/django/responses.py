"""What the middleware of this package does to Django's responses.

Before: `dpmiddleware.django.sessions`, `dpmiddleware.django.authentication`. After: Django.
"""

from __future__ import annotations

from http.cookies import Morsel

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from dpmiddleware import telemetry
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.authentication import AUTHENTICATION_KEY
from dpmiddleware.web.caching import Headers
from dpmiddleware.web.cookies import SetCookie
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE

__all__ = ["SESSION_KEY", "apply", "cookie_header", "is_outage", "unavailable"]

SESSION_KEY = "dpmiddleware.session"
"""Where the session stands in ``request.META``."""


class _Written(Morsel[str]):
    """A cookie whose Set-Cookie text is given: Django writes it as it is."""

    def __init__(self, cookie: SetCookie) -> None:
        super().__init__()
        self.set(cookie.name, cookie.value, cookie.value)
        for text in cookie.attributes:
            name, equals, value = text.partition("=")
            if self.isReservedKey(name):
                self[name] = value if equals else True
        self._line = str(cookie)

    def OutputString(self, attrs: object = None) -> str:  # noqa: N802 (the library's name)
        """The text behind ``Set-Cookie:``."""
        return self._line


def cookie_header(request: HttpRequest) -> bytes:
    """The Cookie header of a request."""
    return str(request.META.get("HTTP_COOKIE", "")).encode("latin-1", "replace")


def apply(response: HttpResponseBase, headers: Headers) -> None:
    """Give ``response`` these headers in the place of its own; ``Set-Cookie`` lines become its cookies.

    Where its own stand at the beginning, as they mostly do, they are left as they are.
    """
    before = [*response.items()]
    kept = len(before) if headers[: len(before)] == before else 0
    for name, _ in before[kept:]:
        del response[name]
    for name, value in headers[kept:]:
        if name.lower() != "set-cookie":
            response[name] = f"{response[name]}, {value}" if response.has_header(name) else value
            continue
        cookie = SetCookie.parse(value)
        response.cookies[cookie.name] = _Written(cookie)


def is_outage(request: HttpRequest, error: KeyManagementError) -> bool:
    """Whether there is no ring (or no ticket store); else an application's own dealings with keys went wrong."""
    parts = (request.META.get(SESSION_KEY), request.META.get(AUTHENTICATION_KEY))
    met = any(getattr(part, "failure", None) is error for part in parts)
    return met or not get_data_protection().health().ready


def unavailable(error: KeyManagementError) -> HttpResponse:
    """503: an outage is nobody's sign-out."""
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    return HttpResponse(UNAVAILABLE, status=503, headers=dict(RETRY_AFTER))
