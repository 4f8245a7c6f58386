"""FastAPI's dependencies: an API's answers by default, redirects where a router asks for them, and OpenAPI."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.testclient import TestClient

from dpmiddleware import starlette
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.starlette import (
    CookieAuthenticationMiddleware,
    CurrentPrincipal,
    Principal,
    RequirePrincipal,
    SignedIn,
    allow_cookie_redirect,
    api,
    dependencies,
    redirect_browsers,
    require_fresh_principal,
    require_principal,
    require_role,
    sign_in,
)
from tests.fakes import StoppedClock

RING = DataProtection("shop", repository=MemoryKeyRepository())
REDIRECTS = [Depends(redirect_browsers)]


def application(*, app_wide: bool = False, **options: Any) -> FastAPI:
    """An application with its pages under / and, with redirects, under /pages."""
    app = FastAPI(dependencies=REDIRECTS if app_wide else [])
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=RING, login_path="/login", **options)

    @app.get("/login")
    def login(request: Request, role: str = "") -> None:
        sign_in(request, Principal("ada", roles=[role] if role else []))

    app.include_router(pages())
    app.include_router(pages(), prefix="/pages", dependencies=REDIRECTS)
    return app


def pages() -> APIRouter:
    router = APIRouter()

    @router.get("/who")
    def who(user: CurrentPrincipal) -> str | None:
        return user.name

    @router.get("/me")
    def me(user: SignedIn) -> str | None:
        return user.name

    @router.get("/classic")
    async def classic(user: Annotated[Principal, Depends(require_principal)]) -> str | None:
        return user.name

    @router.get("/staff", dependencies=[Depends(require_role("admin", "staff"))])
    def staff() -> str:
        return "staff"

    @router.get("/keys", dependencies=[Depends(require_fresh_principal(minutes=5))])
    def keys() -> str:
        return "keys"

    @router.get("/data")
    @api
    def data(user: SignedIn) -> str | None:
        return user.name

    @router.get("/html")
    @allow_cookie_redirect
    def html(user: SignedIn) -> str | None:
        return user.name

    @router.websocket("/socket")
    async def socket(websocket: WebSocket, user: SignedIn) -> None:
        await websocket.accept()
        await websocket.send_text(user.name or "")
        await websocket.close()

    return router


@pytest.fixture
def browser() -> TestClient:
    return TestClient(application(), headers={"Sec-Fetch-Mode": "navigate"}, follow_redirects=False)


ANONYMOUS = {
    "/who": 200,
    "/me": 401,
    "/classic": 401,
    "/staff": 401,
    "/keys": 401,
    "/data": 401,
    "/html": 302,
    "/pages/who": 200,
    "/pages/me": 302,
    "/pages/classic": 302,
    "/pages/staff": 302,
    "/pages/keys": 302,
    "/pages/data": 401,
    "/pages/html": 302,
}


@pytest.mark.parametrize("path", ANONYMOUS)
def test_an_anonymous_user_is_told_401_and_redirected_only_where_the_router_or_the_route_asks_for_it(
    path: str, browser: TestClient
) -> None:
    answer = browser.get(path)
    assert answer.status_code == ANONYMOUS[path]
    if answer.status_code == 401:
        assert answer.json() == {"detail": "Unauthorized"}
    elif answer.status_code == 302:
        assert answer.headers["location"].startswith("/login?ReturnUrl=")


def test_a_user_without_the_role_is_told_403_or_sent_to_the_page_that_says_so(browser: TestClient) -> None:
    browser.get("/login?role=guest")
    assert browser.get("/me").json() == browser.get("/pages/classic").json() == "ada"
    answer = browser.get("/staff")
    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})
    answer = browser.get("/pages/staff")
    assert (answer.status_code, answer.headers["location"]) == (302, "/Account/AccessDenied?ReturnUrl=%2Fpages%2Fstaff")
    browser.get("/login?role=staff")
    assert browser.get("/staff").json() == browser.get("/pages/staff").json() == "staff"


def test_who_authenticated_too_long_ago_is_told_401_with_the_reason_or_sent_to_the_login_page() -> None:
    clock = StoppedClock()
    browser = TestClient(application(clock=clock), headers={"Sec-Fetch-Mode": "navigate"}, follow_redirects=False)
    browser.get("/login")
    assert browser.get("/keys").json() == browser.get("/pages/keys").json() == "keys"
    clock.advance(seconds=301)
    answer = browser.get("/keys")
    assert (answer.status_code, answer.json()["detail"]) == (401, "sign in again: you authenticated too long ago")
    assert answer.headers["www-authenticate"] == 'Cookie error="insufficient_user_authentication", max_age="300"'
    answer = browser.get("/pages/keys")
    assert (answer.status_code, answer.headers["location"]) == (302, "/login?ReturnUrl=%2Fpages%2Fkeys&prompt=login")
    assert browser.get("/me").json() == "ada"


def test_a_whole_application_redirects_browsers_but_not_scripts() -> None:
    client = TestClient(application(app_wide=True), follow_redirects=False)
    assert client.get("/me", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 302
    assert client.get("/me", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
    assert client.get("/me", headers={"X-Requested-With": "XMLHttpRequest"}).status_code == 401


def test_where_redirects_are_asked_for_the_predicate_still_says_what_an_api_is() -> None:
    client = TestClient(
        application(app_wide=True, is_api_request=lambda request: request.url.path == "/me"), follow_redirects=False
    )
    assert client.get("/me").status_code == 401
    assert client.get("/staff").status_code == 302


def test_a_websocket_gets_its_user(browser: TestClient) -> None:
    browser.get("/login")
    with browser.websocket_connect("/socket") as socket:
        assert socket.receive_text() == "ada"


# --- OpenAPI --------------------------------------------------------------------------------------------------------


def test_the_routes_that_need_a_user_have_a_security_scheme(browser: TestClient) -> None:
    document = browser.get("/openapi.json").json()
    scheme = {"type": "apiKey", "in": "cookie", "name": ".AspNetCore.Cookies"}
    assert document["components"]["securitySchemes"] == {"CookieAuthentication": scheme}
    secured = {path for path, methods in document["paths"].items() if "security" in methods["get"]}
    assert secured == {path for path, status in ANONYMOUS.items() if status != 200}
    assert document["paths"]["/staff"]["get"]["security"] == [{"CookieAuthentication": []}]
    assert "parameters" not in document["paths"]["/me"]["get"]


def test_another_cookie_and_scheme_have_their_names_in_the_document() -> None:
    app = FastAPI()
    app.get("/", dependencies=[Depends(RequirePrincipal("admin", cookie="sid", scheme_name="Shop"))])(lambda: "page")
    document = TestClient(app).get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"Shop": {"type": "apiKey", "in": "cookie", "name": "sid"}}


# --- FastAPI is imported where it is used ---------------------------------------------------------------------------


def test_starlette_alone_does_not_import_fastapi() -> None:
    code = "import sys, dpmiddleware.starlette as s; s.login_required; assert 'fastapi' not in sys.modules; s.SignedIn"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'fastapi' in sys.modules"], check=True)


def test_without_fastapi_the_error_names_the_extra_and_the_other_names_are_there() -> None:
    code = """
import sys
sys.modules["fastapi"] = None
from dpmiddleware.starlette import *
login_required
try:
    from dpmiddleware.starlette import SignedIn
except ImportError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "install it: pip install 'dpmiddleware[fastapi]'"


def test_the_names_of_fastapi_are_those_of_its_module() -> None:
    assert starlette._OF_FASTAPI == set(dependencies.__all__) <= set(starlette.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'require_roll'"):
        starlette.require_roll  # type: ignore[attr-defined]  # noqa: B018
