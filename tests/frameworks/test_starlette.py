"""Starlette and FastAPI: request.user, request.auth, ``@requires``, dependencies, sync and async endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket as StarletteWebSocket
from starlette.websockets import WebSocketDisconnect

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.starlette import (
    CookieAuthenticationMiddleware,
    CookiePolicyMiddleware,
    CookieProtectionMiddleware,
    SessionMiddleware,
    api,
    authenticate,
    challenge,
    current_principal,
    login_required,
    require_principal,
    require_role,
    sign_in,
    sign_out,
)
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, ClaimTypes, Principal
from tests.clients import set_cookies

ADA = Principal("ada", roles=["admin"], claims={ClaimTypes.NAME_IDENTIFIER: "42"})


async def login(request: Request) -> Response:
    sign_in(request, ADA, AuthenticationProperties(is_persistent=True))
    request.session["since"] = "now"
    return PlainTextResponse(request.user.display_name)


def logout(request: Request) -> Response:
    sign_out(request)
    return PlainTextResponse("bye")


async def whoami(request: Request) -> Response:
    user = request.user
    return JSONResponse([user.is_authenticated, user.display_name, user.identity, list(request.auth.scopes)])


def when(request: Request) -> Response:
    result = authenticate(request)
    return PlainTextResponse(str(result.ticket and result.ticket.properties.is_persistent))


@requires("authenticated")
async def members(request: Request) -> Response:
    return PlainTextResponse("member")


@requires(["authenticated", "admin"], status_code=404)
def admins(request: Request) -> Response:
    return PlainTextResponse("admin")


@requires("root")
def roots(request: Request) -> Response:
    return PlainTextResponse("root")


@login_required
async def private(request: Request) -> Response:
    return PlainTextResponse(f"private {request.session.get('since')}")


@login_required
def private_sync(request: Request) -> Response:
    return PlainTextResponse("private")


@api
async def data(request: Request) -> Response:
    return JSONResponse({}) if request.user.is_authenticated else challenge(request)


async def bare(request: Request) -> Response:
    return PlainTextResponse("bare")


@requires("authenticated")
async def socket(websocket: StarletteWebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.display_name)
    await websocket.close()


VIEWS: dict[str, Callable[..., Any]] = {
    "login": login,
    "logout": logout,
    "whoami": whoami,
    "when": when,
    "members": members,
    "admins": admins,
    "roots": roots,
    "private": private,
    "private-sync": private_sync,
    "data": data,
    "bare": bare,
}


@pytest.fixture
def dp() -> DataProtection:
    """With the clock of the machine: the cookie jar of the test client has no other."""
    return DataProtection("shop", repository="memory:")


@pytest.fixture
def client(dp: DataProtection) -> TestClient:
    app = Starlette(
        routes=[
            *(Route(f"/{name}", view) for name, view in VIEWS.items()),
            WebSocketRoute("/socket", socket),
            Mount("/sub", routes=[Route("/private", private), Route("/data", data)]),
        ]
    )
    app.add_middleware(SessionMiddleware, data_protection=dp)
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp, login_path="/login")
    return TestClient(app, follow_redirects=False)


def test_nobody_is_nobody(client: TestClient) -> None:
    assert client.get("/whoami").json() == [False, "", "", []]


def test_who_signs_in_is_the_user_at_once_and_in_the_next_request(client: TestClient) -> None:
    assert client.get("/login").text == "ada"
    assert client.get("/whoami").json() == [True, "ada", "42", ["authenticated", "admin"]]
    assert client.get("/when").text == "True"
    client.get("/logout")
    assert client.get("/whoami").json()[0] is False


def test_requires_works_with_authenticated_and_with_roles(client: TestClient) -> None:
    assert [client.get(path).status_code for path in ("/members", "/admins", "/roots")] == [403, 404, 403]
    client.get("/login")
    assert [client.get(path).status_code for path in ("/members", "/admins", "/roots")] == [200, 200, 403]


@pytest.mark.parametrize("path", ["/private", "/private-sync", "/sub/private"])
def test_login_required_sends_a_browser_to_the_login_page(client: TestClient, path: str) -> None:
    answer = client.get(f"{path}?a=1")
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["location"] == f"/login?ReturnUrl={path.replace('/', '%2F')}%3Fa%3D1"
    client.get("/login")
    assert client.get(path).text.startswith("private")


@pytest.mark.parametrize("path", ["/data", "/sub/data"])
def test_a_marked_route_tells_its_caller_401(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (401, f"/login?ReturnUrl={path.replace('/', '%2F')}")


def test_the_session_goes_with_the_sign_in(client: TestClient) -> None:
    client.get("/login")
    assert client.get("/private").text == "private now"
    client.get("/logout")
    assert not client.cookies


def test_story_31_pages_that_look_at_nobody_may_be_cached(client: TestClient) -> None:
    client.get("/login")
    answer = client.get("/bare")
    assert "vary" not in answer.headers
    assert "cache-control" not in answer.headers
    assert client.get("/whoami").headers["vary"] == "Cookie"


def test_a_websocket_has_its_user(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket") as refused:
        refused.receive_text()
    client.get("/login")
    with client.websocket_connect("/socket") as websocket:
        assert websocket.receive_text() == "ada"


def test_without_the_middleware_the_error_says_what_is_missing() -> None:
    client = TestClient(Starlette(routes=[Route("/login", login)]))
    with pytest.raises(ConfigurationError, match="CookieAuthenticationMiddleware") as caught:
        client.get("/login")
    assert "add_middleware" in caught.value.hint


def test_events_get_starlettes_request(dp: DataProtection) -> None:
    seen: list[object] = []

    async def validate(context: Any) -> None:
        seen.append(context.request.url.path)

    events = CookieAuthenticationEvents(validate_principal=validate)
    middleware = Middleware(CookieAuthenticationMiddleware, data_protection=dp, events=events)
    app = Starlette(routes=[Route("/login", anonymous_login), Route("/whoami", whoami)], middleware=[middleware])
    client = TestClient(app)
    client.get("/login")
    client.get("/whoami")
    assert seen == ["/whoami"]


async def anonymous_login(request: Request) -> Response:
    sign_in(request, ADA)
    return PlainTextResponse("in")


def test_a_middleware_that_copies_the_scope_does_no_harm(dp: DataProtection) -> None:
    """Wrapped cookies are opened into a copy; marks of routes and the session are found all the same."""
    app = Starlette(routes=[Route(f"/{name}", view) for name, view in VIEWS.items()])
    app.add_middleware(SessionMiddleware, data_protection=dp)
    app.add_middleware(CookieProtectionMiddleware, data_protection=dp, cookies=["other"])
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp)
    app.add_middleware(CookiePolicyMiddleware, secure="always")
    client = TestClient(app, base_url="https://testserver", follow_redirects=False)
    client.cookies.set("other", dp.create_protector("another purpose").protect("x"))
    assert client.get("/data").status_code == 401
    cookies = set_cookies(client.get("/login").headers.multi_items())
    assert {cookie.name: cookie.attribute("secure") for cookie in cookies} == {
        "other": "",
        "session": "",
        ".AspNetCore.Cookies": "",
    }
    assert client.get("/private").text == "private now"
    client.get("/logout")
    assert client.get("/private").status_code == 302


# --- FastAPI ------------------------------------------------------------------------------------------------


@pytest.fixture
def fast(dp: DataProtection) -> TestClient:
    app = FastAPI()
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp, login_path="/login")

    @app.get("/login")
    def fast_login(request: Request, role: str = "") -> str:
        sign_in(request, Principal("ada", roles=[role] if role else []))
        return "in"

    @app.get("/me")
    async def me(user: Annotated[Principal, Depends(current_principal)]) -> str | None:
        return user.name

    @app.get("/private")
    async def fast_private(user: Annotated[Principal, Depends(require_principal)]) -> str | None:
        return user.name

    @app.get("/items", dependencies=[Depends(require_principal)])
    @api
    def items() -> list[int]:
        return [1]

    @app.get("/admin", dependencies=[Depends(require_role("admin", "root"))])
    def fast_admin() -> str:
        return "admin"

    @app.websocket("/socket")
    async def fast_socket(websocket: WebSocket, user: Annotated[Principal, Depends(current_principal)]) -> None:
        await websocket.accept()
        await websocket.send_text(user.name or "nobody")
        await websocket.close()

    return TestClient(app, follow_redirects=False)


def test_fastapi_injects_the_principal(fast: TestClient) -> None:
    assert fast.get("/me").json() is None
    fast.get("/login")
    assert fast.get("/me").json() == "ada"
    with fast.websocket_connect("/socket") as websocket:
        assert websocket.receive_text() == "ada"


def test_fastapi_answers_401_and_403(fast: TestClient) -> None:
    """An API by default: a program that was redirected took the login page for its answer."""
    for path in ("/private", "/admin", "/items"):
        assert fast.get(path).status_code == 401
    fast.get("/login")
    assert fast.get("/private").json() == "ada"
    assert fast.get("/items").json() == [1]
    assert (fast.get("/admin").status_code, fast.get("/admin").json()) == (403, {"detail": "Forbidden"})
    fast.get("/login?role=root")
    assert fast.get("/admin").json() == "admin"
