"""How parts of a request change Django's responses, and the session of the request that is served."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from http.cookies import Morsel, SimpleCookie
from typing import Self, TypeVar

from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys import waiting
from dpmiddleware.web import parts
from dpmiddleware.web.answer import LOOKED_AT, TITLED, Answer, Part, unavailable
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.sessions.cookie import RequestSession

__all__ = [
    "SESSION_KEY",
    "answer_outage",
    "cookie_header",
    "current_session",
    "finish",
    "outage",
    "response_of",
    "where",
]

_R = TypeVar("_R", bound=HttpResponseBase)

SESSION_KEY = "dpmiddleware.session"
"""Where the session is in ``request.META``."""

current_session: ContextVar[RequestSession | None] = ContextVar("dpmiddleware_django_session", default=None)
"""The session of the request that this context serves."""


class _Written(Morsel[str]):
    """A cookie with a given Set-Cookie text, which Django writes as it is. whole: see `_Marker`."""

    def __init__(self, line: str, whole: str = "") -> None:  # not the library's: it fills in what `_attributes` has
        cookie, _, attributes = line.partition("; ")
        name, _, value = cookie.partition("=")
        self.set(name, _Marker(value, whole) if whole else value, value)
        dict.update(self, _attributes(attributes))
        self._arguments = (line, whole)

    def __reduce__(self) -> tuple[type[_Written], tuple[str, str]]:
        """Copied, and pickled by Django's cache, as the text."""
        return _Written, self._arguments

    def OutputString(self, attrs: object = None) -> str:  # noqa: N802 (the library's name)
        """The text behind ``Set-Cookie:``."""
        return self._arguments[0]


class _Marker(str):
    """The value of a cookie in chunks, ``chunks-2``. whole: what the chunks make, which Django's test client needs."""

    __slots__ = ("whole",)
    whole: str

    def __new__(cls, value: str, whole: str) -> Self:
        marker = super().__new__(cls, value)
        marker.whole = whole
        return marker


@lru_cache(maxsize=64)
def _attributes(text: str) -> dict[str, str]:
    """The attributes of a Set-Cookie line as `Morsel` holds them. Lines differ by a date at most."""
    morsel: Morsel[str] = Morsel()
    for attribute in text.split("; "):
        name, equals, value = attribute.partition("=")
        if morsel.isReservedKey(name):
            morsel[name] = value if equals else True
    if str(morsel["max-age"]).isdecimal():
        dict.__setitem__(morsel, "max-age", int(morsel["max-age"]))  # a number, as Django writes it
    return dict(morsel)


@receiver(request_finished)
def _end_request(**_: object) -> None:
    waiting.end()
    current_session.set(None)


def cookie_header(request: HttpRequest) -> bytes:
    """The Cookie header of a request."""
    return str(request.META.get("HTTP_COOKIE", "")).encode("latin-1", "replace")


def where(request: HttpRequest) -> tuple[str, str]:
    """The Host header and the decoded path of a request."""
    return str(request.META.get("HTTP_HOST", "")), request.path


def finish(response: _R, part: Part) -> _R | HttpResponse:
    """The response as a part of its request answers; in an outage, 503 in place of it."""
    changed: _R | HttpResponse = response
    headers = response.headers
    present = {name.lower() for name in headers}
    looked_at = [(name, headers[name]) for name in present & LOOKED_AT]
    if response.cookies:
        looked_at += [("set-cookie", morsel.OutputString()) for morsel in response.cookies.values()]
    try:
        answer = parts.finish(part, response.status_code, looked_at)
    except KeyManagementError as error:
        return outage(error)
    if answer.body is not None:
        changed = HttpResponse(answer.body)
        changed.cookies = SimpleCookie() if answer.drops("set-cookie") else response.cookies
        changed.headers = headers
    if answer.status is not None:
        changed.status_code = answer.status
    if answer.dropped or answer.body is not None:
        for name in filter(answer.drops, present):
            del headers[name]
    for name, value in answer.added:
        if name == "set-cookie":
            _set_cookie(changed, value, answer)
        elif name in present and not answer.drops(name):
            headers[name] += f", {value}"
        else:
            headers[TITLED[name]] = value
    return changed


def response_of(answer: Answer) -> HttpResponse:
    """An answer as a response of its own."""
    response = HttpResponse(answer.body, status=answer.status)
    del response.headers["Content-Type"]
    for name, value in answer.added:
        if name == "set-cookie":
            _set_cookie(response, value, answer)
        else:
            response.headers[TITLED[name]] = value
    return response


def _set_cookie(response: HttpResponseBase, line: str, answer: Answer) -> None:
    cookie = _Written(line)
    if chunks.announced(cookie.value):
        values = dict(each.partition(";")[0].split("=", 1) for name, each in answer.added if name == "set-cookie")
        cookie = _Written(line, chunks.join(cookie.key, lambda name: [values[name]])[0])
    key, attributes = cookie.key, line.partition("; ")[2]
    if attributes.startswith("max-age=0;"):  # expires the name at another place; Django keeps one cookie per key
        key += attributes.partition(";")[2]
    response.cookies[key] = cookie


def answer_outage(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """503 where a view met an outage; ``None`` for errors that are the application's own."""
    if isinstance(exception, KeyManagementError) and parts.is_outage(exception, request.META, get_data_protection()):
        return outage(exception)
    return None


def outage(error: KeyManagementError) -> HttpResponse:
    """503: an outage signs nobody out."""
    return response_of(unavailable(error))
