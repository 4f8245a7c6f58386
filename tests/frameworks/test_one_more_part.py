"""One more part of a request: written in one class, registered once, and there in every shell.

The part stands in for a device binding. It waits for a store, adds a header to responses that depend on the user, and
answers requests for its own path, for which no application has a page.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import django
import flask
import pytest
import quart
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse as DjangoResponse
from django.test import override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware import asgi, starlette, wsgi
from dpmiddleware import django as ours_django
from dpmiddleware import flask as ours_flask
from dpmiddleware import quart as ours_quart
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError, RepositoryError
from dpmiddleware.web.answer import Answer, Headers
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.steps import Call, Steps


class Device:
    """The part. It goes with a sign-in."""

    store: Callable[[str], str] = staticmethod(lambda name: f"the key of {name}")
    companions = ()

    def __init__(self, authentication: RequestAuthentication) -> None:
        self.failure: KeyManagementError | None = None
        self.authentication = authentication
        self.is_asked = authentication.request.is_at("/device")
        self.key = ""
        self.is_closed = False

    @property
    def touched(self) -> bool:
        return self.is_asked or self.authentication.touched

    def ahead(self) -> None:
        pass

    def work(self, status: int) -> Steps[None] | None:
        return self._work() if self.is_asked else None

    def _work(self) -> Steps[None]:
        self.key = yield Call(type(self).store, ("a device",))

    def answer(self, status: int, headers: Headers) -> Answer:
        if self.is_asked:
            body = self.key.encode()
            return Answer([("x-device", "registered"), ("content-length", str(len(body)))], status=201, body=body)
        return Answer([("x-device", "needed")])

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one registration."""
    make = CookieAuthenticator.__init__

    def make_with_device(self: CookieAuthenticator, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self.companions = (Device,)

    monkeypatch.setattr(CookieAuthenticator, "__init__", make_with_device)


def on_wsgi(dp: DataProtection) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/user":
            assert environ[AUTHENTICATION_KEY].principal is not None
        found = environ["PATH_INFO"] in {"/", "/user"}
        start_response(
            "200 OK" if found else "404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "4")]
        )
        return [b"page"]

    return wsgi.CookieAuthenticationMiddleware(app, data_protection=dp)


def on_asgi(dp: DataProtection) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/user":
            assert scope[AUTHENTICATION_KEY].principal is not None
        status = 200 if scope["path"] in {"/", "/user"} else 404
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"pa", "more_body": True})
        await send({"type": "http.response.body", "body": b"ge"})

    return asgi.CookieAuthenticationMiddleware(app, data_protection=dp)


def on_starlette(dp: DataProtection) -> Any:
    async def page(request: Request) -> Response:
        return PlainTextResponse("page")

    async def user(request: Request) -> Response:
        return PlainTextResponse("page" if request.user.display_name == "" else "whose?")

    app = Starlette(routes=[Route("/", page), Route("/user", user)])
    app.add_middleware(starlette.CookieAuthenticationMiddleware, data_protection=dp)
    return app


def on_flask(dp: DataProtection) -> Any:
    app = flask.Flask("shop")
    ours_flask.CookieAuthentication(app, data_protection=dp)
    app.add_url_rule("/", "page", lambda: "page")
    app.add_url_rule("/user", "user", lambda: f"page{ours_flask.current_principal.name or ''}")
    return app


def on_quart(dp: DataProtection) -> Any:
    app = quart.Quart("shop")
    ours_quart.CookieAuthentication(app, data_protection=dp)
    app.add_url_rule("/", "page", lambda: "page")
    app.add_url_rule("/user", "user", lambda: f"page{ours_quart.current_principal.name or ''}")
    return app


def on_django(dp: DataProtection) -> Any:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    settings = override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["dpmiddleware.django.CookieAuthenticationMiddleware"],
        DATA_PROTECTION=dp,
        DATA_PROTECTION_COOKIE_AUTHENTICATION={},
    )
    with settings:
        handler = WSGIHandler()

    def app(environ: Any, start_response: Any) -> Any:
        with settings:
            return handler(environ, start_response)

    return app


urlpatterns = [
    path("", lambda request: DjangoResponse("page")),
    path("user", lambda request: DjangoResponse(f"page{ours_django.current_principal(request).name or ''}")),
]

SHELLS = [on_wsgi, on_asgi, on_starlette, on_flask, on_quart, on_django]
each_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.__name__.removeprefix("on_"))


def get(app: Any, url: str) -> tuple[int, str | None, str]:
    """Status, the part's header and the body of a response."""
    if isinstance(app, asgi.CookieAuthenticationMiddleware | Starlette | quart.Quart):
        served: Any = app
        answer = TestClient(served).get(url)
        return answer.status_code, answer.headers.get("x-device"), answer.text
    told = Client(app).get(url)
    return told.status_code, told.headers.get("x-device"), told.text


@each_shell
def test_a_part_adds_to_responses_that_it_depends_on_and_leaves_others(shell: Any, dp: DataProtection) -> None:
    app = shell(dp)
    assert get(app, "/") == (200, None, "page")
    assert get(app, "/user") == (200, "needed", "page")


@each_shell
def test_a_part_waits_and_answers_in_place_of_the_application(shell: Any, dp: DataProtection) -> None:
    assert get(shell(dp), "/device") == (201, "registered", "the key of a device")


@each_shell
def test_an_outage_that_a_part_meets_is_503(shell: Any, dp: DataProtection, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> str:
        raise RepositoryError("the store of devices does not answer")

    monkeypatch.setattr(Device, "store", staticmethod(fails))
    status, header, _ = get(shell(dp), "/device")
    assert (status, header) == (503, None)
