"""An application with a sign-in of its own, mounted in another one with a sign-in: neither takes the other's place.

The outer application is a shop whose customer is ada; the inner one is its administration.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import django
import flask
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse as DjangoResponse
from django.test import override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from dpmiddleware import asgi, starlette, wsgi
from dpmiddleware import flask as ours_flask
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django import authentication as ours_django
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY
from dpmiddleware.web.sign_in.claims import Principal

ADA, ROOT = Principal("ada"), Principal("root")
SHOP = DataProtection("shop", repository=MemoryKeyRepository())
OTHER_RING = DataProtection("administration", repository=MemoryKeyRepository())
ADMINS: dict[str, dict[str, Any]] = {
    "same scheme, other cookie": {"data_protection": SHOP, "cookie": "admin", "login_path": "/admin-login"},
    "other scheme": {"data_protection": SHOP, "scheme": "Admin", "login_path": "/admin-login"},
    "other ring": {"data_protection": OTHER_RING, "cookie": "admin", "login_path": "/admin-login"},
}
"""How the sign-in of the administration differs from that of the shop."""


def wsgi_admin(options: dict[str, Any]) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        authentication = environ[AUTHENTICATION_KEY]
        if environ["PATH_INFO"].endswith("/in"):
            authentication.sign_in(ROOT)
        if environ["PATH_INFO"].endswith("/closed"):
            authentication.challenge()
            start_response("401 Unauthorized", [])
            return []
        start_response("200 OK", [])
        return [str(authentication.principal.name).encode()]

    return wsgi.CookieAuthenticationMiddleware(app, **options)


def flask_admin(options: dict[str, Any]) -> Any:
    app = flask.Flask("admin")
    ours_flask.CookieAuthentication(app, **options)

    @app.get("/in")
    def sign_in() -> str:
        ours_flask.sign_in(ROOT)
        return str(ours_flask.current_principal.name)

    @app.get("/closed")
    @ours_flask.login_required
    def closed() -> str:
        return "inside"

    app.get("/")(lambda: str(ours_flask.current_principal.name))
    return app


def django_admin(options: dict[str, Any]) -> Any:
    given = {name: value for name, value in options.items() if name != "data_protection"}
    settings = override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["dpmiddleware.django.authentication.CookieAuthenticationMiddleware"],
        DATA_PROTECTION=options["data_protection"],
        DATA_PROTECTION_COOKIE_AUTHENTICATION=given,
    )
    with settings:
        handler = WSGIHandler()

    def app(environ: Any, start_response: Any) -> Any:
        with settings:
            return handler(environ, start_response)

    return app


def _name(request: Any) -> DjangoResponse:
    return DjangoResponse(str(request.principal.name))


def _in(request: Any) -> DjangoResponse:
    ours_django.sign_in(request, ROOT)
    return DjangoResponse("ok")


urlpatterns = [
    path("", _name),
    path("in", _in),
    path("closed", ours_django.login_required(lambda request: DjangoResponse("inside"))),
]


def starlette_admin(options: dict[str, Any]) -> Starlette:
    async def sign_in(request: Request) -> Response:
        starlette.sign_in(request, ROOT)
        return PlainTextResponse(starlette.current_principal(request).name or "None")

    @starlette.login_required
    async def closed(request: Request) -> Response:
        return PlainTextResponse("inside")

    async def name(request: Request) -> Response:
        return PlainTextResponse(str(starlette.current_principal(request).name))

    app = Starlette(routes=[Route("/in", sign_in), Route("/closed", closed), Route("/", name)])
    app.add_middleware(starlette.CookieAuthenticationMiddleware, **options)
    return app


class Visitor:
    """A browser with a client of either protocol: text of a page, and where it was sent."""

    def __init__(self, shop: Any) -> None:
        if isinstance(shop, Starlette):
            self._client: Any = TestClient(shop, base_url="https://shop.example", follow_redirects=False)
            self._get: Callable[[str], Any] = self._client.get
        else:
            self._client = Client(shop)
            self._get = lambda path: self._client.get(path, base_url="https://shop.example")

    def see(self, path: str) -> str:
        return str(self._get(path).text)

    def sent_to(self, path: str) -> str:
        response = self._get(path)
        assert response.status_code == 302
        return str(response.headers["location"])


def wsgi_shop(admin: Any) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        authentication = environ[AUTHENTICATION_KEY]
        if environ["PATH_INFO"] == "/in":
            authentication.sign_in(ADA)
        start_response("200 OK", [])
        return [str(authentication.principal.name).encode()]

    both = DispatcherMiddleware(app, {"/admin": admin})
    return wsgi.CookieAuthenticationMiddleware(both, data_protection=SHOP, login_path="/shop-login")


def flask_shop(admin: Any) -> Any:
    app = flask.Flask("shop")
    ours_flask.CookieAuthentication(app, data_protection=SHOP, login_path="/shop-login")

    @app.get("/in")
    def sign_in() -> str:
        ours_flask.sign_in(ADA)
        return str(ours_flask.current_principal.name)

    app.get("/")(lambda: str(ours_flask.current_principal.name))
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/admin": admin})  # type: ignore[method-assign]  # as Flask's docs do
    return app


def starlette_shop(admin: Any) -> Starlette:
    async def sign_in(request: Request) -> Response:
        starlette.sign_in(request, ADA)
        return PlainTextResponse(request.user.display_name)

    async def name(request: Request) -> Response:
        return PlainTextResponse(str(starlette.current_principal(request).name))

    app = Starlette(routes=[Mount("/admin", admin), Route("/in", sign_in), Route("/", name)])
    app.add_middleware(starlette.CookieAuthenticationMiddleware, data_protection=SHOP, login_path="/shop-login")
    return app


PAIRS = {
    "WSGI in WSGI": (wsgi_shop, wsgi_admin),
    "Flask in WSGI": (wsgi_shop, flask_admin),
    "Django in WSGI": (wsgi_shop, django_admin),
    "WSGI in Flask": (flask_shop, wsgi_admin),
    "Flask in Flask": (flask_shop, flask_admin),
    "Django in Flask": (flask_shop, django_admin),
    "Starlette in Starlette": (starlette_shop, starlette_admin),
}


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


@pytest.fixture(params=ADMINS, ids=str)
def admin_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return ADMINS[request.param]


@pytest.fixture(params=PAIRS, ids=str)
def site(request: pytest.FixtureRequest, admin_options: dict[str, Any]) -> Visitor:
    shop, admin = PAIRS[request.param]
    return Visitor(shop(admin(admin_options)))


def test_a_customer_of_the_outer_application_is_a_stranger_to_the_inner_one(site: Visitor) -> None:
    site.see("/in")
    assert site.see("/") == "ada"
    assert site.see("/admin/") == "None"
    assert site.sent_to("/admin/closed").startswith("/admin/admin-login?")


def test_who_signs_in_inside_is_a_stranger_outside(site: Visitor) -> None:
    site.see("/admin/in")
    assert site.see("/admin/") == "root"
    assert site.see("/") == "None"


def test_both_sign_ins_live_side_by_side(site: Visitor) -> None:
    site.see("/in")
    site.see("/admin/in")
    assert (site.see("/"), site.see("/admin/")) == ("ada", "root")


def test_an_inner_application_without_a_sign_in_has_the_outer_one() -> None:
    app = flask.Flask("page")

    @app.get("/")
    def page() -> str:
        return str(ours_flask.current_principal.name)

    site = Visitor(wsgi_shop(app))
    site.see("/in")
    assert site.see("/admin/") == "ada"


def test_the_outer_application_keeps_its_user_while_the_inner_one_answers() -> None:
    """What an outer middleware logs after the inner application has run is its own user."""
    seen: list[str | None] = []

    def logged(inner: Any) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            body = list(inner(environ, start_response))
            seen.append(environ[AUTHENTICATION_KEY].principal.name)
            return body

        return app

    shop = wsgi.CookieAuthenticationMiddleware(logged(wsgi_admin(ADMINS["other ring"])), data_protection=SHOP)
    Client(shop).get("/in")
    assert seen == [None]


def test_in_asgi_the_outer_scope_keeps_its_user() -> None:
    seen: list[str | None] = []

    def logged(inner: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await inner(scope, receive, send)
            seen.append(scope[AUTHENTICATION_KEY].principal.name)

        return app

    async def page(scope: Any, receive: Any, send: Any) -> None:
        scope[AUTHENTICATION_KEY].sign_in(ROOT)
        await PlainTextResponse("ok")(scope, receive, send)

    inner = asgi.CookieAuthenticationMiddleware(page, **ADMINS["other ring"])
    shop = asgi.CookieAuthenticationMiddleware(logged(inner), data_protection=SHOP)
    TestClient(shop).get("/")
    assert seen == [None]
