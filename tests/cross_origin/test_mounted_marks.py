"""Marks in Starlette count for the application that is protected: not for another one in which it is mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from dpmiddleware.asgi_exchange import ASGIApp, Receive, Scope, Send
from dpmiddleware.starlette import CrossOriginProtectionMiddleware, cross_origin_exempt
from tests.cross_origin.shells import FOREIGN

PROTECTED = Middleware(CrossOriginProtectionMiddleware)


async def transfer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("transferred")


@cross_origin_exempt
async def hook(request: Request) -> PlainTextResponse:
    return PlainTextResponse("thank you")


def route(view: Any) -> Route:
    return Route("/hook", view, methods=["POST"])


def hidden(app: ASGIApp) -> ASGIApp:
    """Middleware that is a function: nobody can see what it wraps."""

    async def through(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return through


def status(app: Any, path: str) -> int:
    return TestClient(app).post(path, headers=dict(FOREIGN)).status_code


MOUNTED: dict[str, Callable[[Any], Mount]] = {
    "middleware of the mount": lambda view: Mount("/shop", routes=[route(view)], middleware=[PROTECTED]),
    "around an application": lambda view: Mount(
        "/shop", CrossOriginProtectionMiddleware(Starlette(routes=[route(view)]))
    ),
    "of an application": lambda view: Mount("/shop", Starlette(routes=[route(view)], middleware=[PROTECTED])),
    "around hidden routes": lambda view: Mount(
        "/shop", CrossOriginProtectionMiddleware(hidden(Starlette(routes=[route(view)])))
    ),
}


@pytest.mark.parametrize("how", MOUNTED)
def test_a_mark_of_the_outer_application_exempts_no_route_of_the_same_path_in_a_mounted_one(how: str) -> None:
    app = Starlette(routes=[route(hook), MOUNTED[how](transfer)])
    assert status(app, "/hook") == 200
    assert status(app, "/shop/hook") == 403


@pytest.mark.parametrize("how", [how for how in MOUNTED if "hidden" not in how])
def test_a_mark_in_a_mounted_application_exempts_its_route(how: str) -> None:
    app = Starlette(routes=[route(transfer), MOUNTED[how](hook)])
    assert status(app, "/shop/hook") == 200


def test_a_mark_counts_where_the_middleware_is_put_around_the_whole_application() -> None:
    assert status(CrossOriginProtectionMiddleware(Starlette(routes=[route(hook)])), "/hook") == 200


@pytest.mark.parametrize("base", ["", "/shop"])
def test_middleware_that_hides_what_it_wraps_does_not_hide_the_marks(base: str) -> None:
    app = Starlette(routes=[route(hook)], middleware=[PROTECTED, Middleware(hidden)])
    outer = Starlette(routes=[Mount(base, app)]) if base else app
    assert status(outer, f"{base}/hook") == 200
