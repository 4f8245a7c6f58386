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
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware import asgi, wsgi
from dpmiddleware import flask as ours_flask
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY
from dpmiddleware.web.sign_in.claims import Principal
from tests.frameworks import sites

ADA, ROOT = Principal("ada"), Principal("root")
SHOP = DataProtection("shop", repository=MemoryKeyRepository())
OTHER_RING = DataProtection("administration", repository=MemoryKeyRepository())
ADMINS = sites.administrations(SHOP, OTHER_RING)
CUSTOMERS: dict[str, Any] = {"data_protection": SHOP, "login_path": "/shop-login"}


class Visitor:
    """A browser with a client of either protocol: text of a page, and where it was sent."""

    def __init__(self, shop: Any, *, is_asgi: bool = False) -> None:
        if is_asgi:
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


PAIRS = [(builders, *pair) for builders in (sites.WSGI, sites.ASGI) for pair in sites.pairs(builders)]


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


@pytest.fixture(params=ADMINS, ids=str)
def admin_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return ADMINS[request.param]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[2]} in {pair[1]}")
def site(request: pytest.FixtureRequest, admin_options: dict[str, Any]) -> Visitor:
    builders, outer, inner = request.param
    shop = builders[outer](ADA, CUSTOMERS, builders[inner](ROOT, admin_options))
    return Visitor(shop, is_asgi=builders is sites.ASGI)


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

    site = Visitor(sites.wsgi_site(ADA, CUSTOMERS, app))
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

    shop = wsgi.CookieAuthenticationMiddleware(
        logged(sites.wsgi_site(ROOT, ADMINS["other ring"])), data_protection=SHOP
    )
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
