"""Visits with the two test clients of Django."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, MutableMapping
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory
from django.test.client import AsyncClient, Client
from django.utils.module_loading import import_string

from dpmiddleware.django.authentication import CookieAuthenticationMiddleware
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.testing.visits import Use, authentication_in
from dpmiddleware.web.sign_in.authentication import RequestAuthentication

__all__ = ["visit"]

_Handler = Callable[[HttpRequest], HttpResponseBase]


def visit(client: Client | AsyncClient, use: Use, base_url: str | None) -> int:
    """Make one request, and return the status of the response."""

    def view(request: HttpRequest) -> HttpResponseBase:
        use(_Request(request))
        return HttpResponse()

    handler: _Handler = view
    for middleware in reversed(_middleware()):
        handler = middleware(handler)
    request = _request(client, urlsplit(base_url or ""))
    response = contextvars.copy_context().run(handler, request)  # the engine notes the session of a request there
    client.cookies.update(cast("Any", response.cookies))
    return response.status_code


def _request(client: Client | AsyncClient, url: SplitResult) -> HttpRequest:
    factory = RequestFactory()
    if isinstance(client, Client):
        factory.defaults.update(client.defaults)
    if url.hostname:
        factory.defaults["SERVER_NAME"] = url.hostname
    factory.cookies = client.cookies
    return factory.get("/", secure=url.scheme == "https")


def _middleware() -> list[Any]:
    """The project's middleware for sessions and for sign-ins; the others have no part in a visit."""
    found = [import_string(path) for path in settings.MIDDLEWARE]
    wanted = (SessionMiddleware, CookieAuthenticationMiddleware)
    return [one for one in found if isinstance(one, type) and issubclass(one, wanted)]


class _Request:
    """A request that has come through the middleware."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def session(self) -> MutableMapping[str, Any]:
        session: Any = getattr(self._request, "session", None)
        if session is None:
            raise ConfigurationError(
                "this Django project has no sessions",
                hint="MIDDLEWARE += ['dpmiddleware.django.sessions.SessionMiddleware']",
            )
        return cast("MutableMapping[str, Any]", session)

    def authentication(self) -> RequestAuthentication:
        return authentication_in(self._request.META)
