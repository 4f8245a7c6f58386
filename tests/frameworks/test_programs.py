"""In every shell, a request that does not go to another page is a program's: it gets 401, and not the login page.

Browsers say so in ``Sec-Fetch-Mode``. A script that was redirected took the login page for its answer.
"""

from __future__ import annotations

import os
from typing import Any

import django
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.starlette import (
    CookieAuthenticationEvents,
    CookieAuthenticationMiddleware,
    Principal,
    RedirectContext,
    allow_cookie_redirect,
    login_required,
    sign_in,
)
from tests.frameworks import sites

RING = DataProtection("shop", repository=MemoryKeyRepository())
OPTIONS: dict[str, Any] = {"data_protection": RING, "login_path": "/login"}
MODES = {
    "navigate": 302,
    "": 302,
    "cors": 401,
    "same-origin": 401,
    "no-cors": 401,
    "websocket": 401,
}
"""``Sec-Fetch-Mode``, and the answer to an anonymous user; empty: a client that does not send it."""
SHELLS = [*((builder, False) for builder in sites.WSGI.values()), *((builder, True) for builder in sites.ASGI.values())]


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


@pytest.mark.parametrize(("builder", "is_asgi"), SHELLS, ids=lambda value: getattr(value, "__name__", ""))
def test_only_a_navigation_is_redirected(builder: Any, is_asgi: bool) -> None:
    site = builder(Principal("ada"), OPTIONS)
    client: Any = TestClient(site, follow_redirects=False) if is_asgi else Client(site)
    for mode, status in MODES.items():
        answer = client.get("/closed", headers={"Sec-Fetch-Mode": mode} if mode else {})
        assert (mode, answer.status_code) == (mode, status)
        assert answer.headers["location"] == "/login?ReturnUrl=%2Fclosed"


def site_with(**options: Any) -> TestClient:
    @login_required
    async def closed(_: Request) -> Response:
        return PlainTextResponse("inside")

    async def login(request: Request) -> Response:
        sign_in(request, Principal("ada"))
        return PlainTextResponse("in")

    marked = allow_cookie_redirect(login_required(lambda _: PlainTextResponse("inside")))
    app = Starlette(routes=[Route("/closed", closed), Route("/marked", marked), Route("/login", login)])
    app.add_middleware(CookieAuthenticationMiddleware, **OPTIONS, **options)
    return TestClient(app, headers={"Sec-Fetch-Mode": "cors"}, follow_redirects=False)


def test_a_mark_on_the_route_or_an_event_redirects_scripts_too() -> None:
    """For pages that a library fetches in place of navigations, such as Turbo."""

    def redirect(context: RedirectContext) -> None:
        context.status = 302

    assert site_with().get("/marked").status_code == 302
    events = CookieAuthenticationEvents(redirect_to_login=redirect)
    assert site_with(events=events).get("/closed").status_code == 302


def test_a_script_that_signs_in_is_sent_back_as_a_browser_is() -> None:
    answer = site_with().get("/login?ReturnUrl=/closed")
    assert (answer.status_code, answer.headers["location"]) == (302, "/closed")
