"""The member in Starlette, at /starlette/."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from dpmiddleware import DataProtection
from dpmiddleware.clock import Clock
from dpmiddleware.starlette import (
    CookieAuthenticationMiddleware,
    CookieSettings,
    CrossOriginProtectionMiddleware,
    authenticate,
    login_required,
    sign_in,
    sign_out,
)
from example_apps.plants.stock import customer
from example_apps.shared_login.page import page, who

__all__ = ["make_app"]

NAME: Final = "Starlette"


def make_app(data_protection: DataProtection, *, aspnet: bool, clock: Clock | None = None) -> Starlette:
    """The application. aspnet: whether ASP.NET Core runs, too. clock: the clock for tickets."""
    routes = [
        Route("/", home),
        Route("/sign-in", home),
        Route("/sign-in", enter, methods=["POST"]),
        Route("/sign-out", leave, methods=["POST"]),
        Route("/who", say_who),
        Route("/private", private),
    ]
    app = Starlette(routes=[Mount("/starlette", routes=routes)])
    app.state.aspnet = aspnet
    app.add_middleware(
        CookieAuthenticationMiddleware,
        data_protection=data_protection,
        cookie=CookieSettings(".AspNetCore.Cookies", max_total=16_000),
        login_path="/starlette/sign-in",
        logout_path="/starlette/sign-out",
        clock=clock,
    )
    app.add_middleware(CrossOriginProtectionMiddleware)
    return app


def show(request: Request, *, problem: str = "", is_private: bool = False) -> str:
    """The page of this member."""
    return page(NAME, authenticate(request), aspnet=request.app.state.aspnet, problem=problem, private=is_private)


async def home(request: Request) -> Response:
    """The user, or the sign-in form."""
    return HTMLResponse(show(request))


async def say_who(request: Request) -> Response:
    """The same as JSON."""
    return JSONResponse(who(NAME, authenticate(request)))


async def enter(request: Request) -> Response:
    """Sign in, here and at all other members."""
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    principal = customer(form.get("name", ""), form.get("password", ""))
    if principal is None:
        return HTMLResponse(show(request, problem="The name or the password is wrong."), 403)
    sign_in(request, principal)
    return RedirectResponse("/starlette/", 303)


async def leave(request: Request) -> Response:
    """Sign out, here and at all other members."""
    sign_out(request)
    return RedirectResponse("/starlette/", 303)


@login_required
async def private(request: Request) -> Response:
    """A page for users who are signed in."""
    return HTMLResponse(show(request, is_private=True), headers={"Cache-Control": "no-store"})
