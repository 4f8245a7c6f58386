"""A Starlette site before and after a release that changes how its cookie is set; see `tests.live.apps.releases`."""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dpmiddleware.starlette import (
    CookieAuthenticationMiddleware,
    CookieProtectionMiddleware,
    SessionMiddleware,
    current_principal,
    sign_in,
    sign_out,
)
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.live.apps.common import data_protection, dated_asgi
from tests.live.changes import CHANGES

NAME = "auth"
DP, STORE = data_protection(), MemoryTicketStore()


async def session_pages(request: Request) -> Response:
    session, page = request.session, request.path_params["page"]
    if page in {"login", "logout"}:
        session.clear()
    if page == "login":
        session["user"] = request.query_params["name"]
    elif page == "write":
        session.update(request.query_params)
    return PlainTextResponse(f"{session.get('user', 'nobody')} {session.get('cart', '')}".strip())


async def ticket_pages(request: Request) -> Response:
    page = request.path_params["page"]
    if page == "login":
        name = request.query_params["name"]
        sign_in(request, Principal(name, claims={"sub": name}), AuthenticationProperties(is_persistent=True))
    elif page == "logout":
        sign_out(request)
    return PlainTextResponse(current_principal(request).name or "nobody")


def application_cookie_pages(cookie: CookieSettings) -> Any:
    async def pages(request: Request) -> Response:
        page, name = request.path_params["page"], request.query_params.get("name", "")
        response = PlainTextResponse(name or request.cookies.get(NAME, "nobody"))
        if page != "me":
            age = "max-age=0" if page == "logout" else "max-age=1000000"
            line = "; ".join((f"{NAME}={name}", *cookie.attributes(https=True), age))
            response.headers.append("set-cookie", line)
        return response

    return pages


@cache
def site(kind: str, change: str, release: str) -> Starlette:
    cookie = CookieSettings(NAME, **CHANGES[change][release])
    pages = {"session": session_pages, "wrapped": application_cookie_pages(cookie)}.get(kind, ticket_pages)
    app = Starlette(routes=[Route("/app/{page}", pages)])
    if kind == "session":
        app.add_middleware(SessionMiddleware, data_protection=DP, cookie=cookie)
    elif kind == "wrapped":
        app.add_middleware(CookieProtectionMiddleware, data_protection=DP, cookies=[NAME])
    else:
        store = STORE if kind == "reference" else None
        app.add_middleware(CookieAuthenticationMiddleware, data_protection=DP, cookie=cookie, session_store=store)
    return app


async def choose(scope: Any, receive: Any, send: Any) -> None:
    headers = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
    if "x-kind" in headers:
        await site(headers["x-kind"], headers["x-change"], headers["x-release"])(scope, receive, send)
    else:
        await Starlette()(scope, receive, send)


app = dated_asgi(choose)
