"""What the middleware of this package does to Django's responses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from http.cookies import Morsel

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from dpmiddleware import telemetry
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.caching import Headers, additions, with_cookies
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY

__all__ = ["SESSION_KEY", "add_cookies", "apply", "cookie_header", "is_outage", "unavailable"]

SESSION_KEY = "dpmiddleware.session"
"""Where the session stands in ``request.META``."""


class _Written(Morsel[str]):
    """A cookie whose Set-Cookie text is given: Django writes it as it is."""

    def __init__(self, line: str) -> None:
        super().__init__()
        cookie, _, attributes = line.partition("; ")
        name, _, value = cookie.partition("=")
        self.set(name, value, value)
        dict.update(self, _attributes(attributes))
        self._line = line

    def __reduce__(self) -> tuple[type[_Written], tuple[str]]:
        """Copied and pickled (by Django's cache) as what it was made from."""
        return _Written, (self._line,)

    def OutputString(self, attrs: object = None) -> str:  # noqa: N802 (the library's name)
        """The text behind ``Set-Cookie:``."""
        return self._line


@lru_cache(maxsize=64)
def _attributes(text: str) -> dict[str, str]:
    """The attributes of a Set-Cookie line as `Morsel` holds them. They differ by their date at most."""
    morsel: Morsel[str] = Morsel()
    for attribute in text.split("; "):
        name, equals, value = attribute.partition("=")
        if morsel.isReservedKey(name):
            morsel[name] = value if equals else True
    return dict(morsel)


def cookie_header(request: HttpRequest) -> bytes:
    """The Cookie header of a request."""
    return str(request.META.get("HTTP_COOKIE", "")).encode("latin-1", "replace")


def add_cookies(response: HttpResponseBase, lines: Sequence[str]) -> None:
    """What `with_cookies` does, in place where it only adds."""
    added = additions(response.headers, lines)
    if added is None:
        apply(response, with_cookies([*response.items()], lines))
        return
    for name, value in added:
        if name == "set-cookie":
            _set_cookie(response, value)
        else:
            response.headers[name] = value


def apply(response: HttpResponseBase, headers: Headers) -> None:
    """Give ``response`` these headers in the place of its own; ``Set-Cookie`` lines become its cookies.

    Where its own stand at the beginning, as they mostly do, they are left as they are.
    """
    before = [*response.items()]
    kept = len(before) if headers[: len(before)] == before else 0
    for name, _ in before[kept:]:
        del response[name]
    for name, value in headers[kept:]:
        if name.lower() == "set-cookie":
            _set_cookie(response, value)
        else:
            response[name] = f"{response[name]}, {value}" if response.has_header(name) else value


def _set_cookie(response: HttpResponseBase, line: str) -> None:
    cookie = _Written(line)
    response.cookies[cookie.key] = cookie


def is_outage(request: HttpRequest, error: KeyManagementError) -> bool:
    """Whether there is no ring (or no ticket store); else an application's own dealings with keys went wrong."""
    parts = (request.META.get(SESSION_KEY), request.META.get(AUTHENTICATION_KEY))
    met = any(getattr(part, "failure", None) is error for part in parts)
    return met or not get_data_protection().health().ready


def unavailable(error: KeyManagementError) -> HttpResponse:
    """503: an outage is nobody's sign-out."""
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    return HttpResponse(UNAVAILABLE, status=503, headers=dict(RETRY_AFTER))
