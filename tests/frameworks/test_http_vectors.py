"""Everything that was recorded of ASP.NET Core over HTTP, asked of a Starlette and of a Flask application."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import flask
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from dpmiddleware import flask as on_flask
from dpmiddleware import starlette as on_starlette
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sign_in.options import OptionArguments
from tests.fakes import StoppedClock
from tests.frameworks.http_vectors import (
    HOST,
    SCENARIOS,
    Answer,
    Ask,
    Player,
    handler_clock,
    options_of,
    principal_of,
    properties_of,
    ring_of,
    theirs_of,
)
from tests.web.ticket_json import from_json, to_json


def starlette_app(dp: DataProtection, options: OptionArguments) -> Starlette:  # noqa: C901 (one view after the other)
    """The recorded application, in Starlette."""

    async def login(request: Request) -> Response:
        query = parse_qs(request.url.query)
        on_starlette.sign_in(request, principal_of(query), properties_of(query))
        return PlainTextResponse("in")

    def logout(request: Request) -> Response:
        on_starlette.sign_out(request)
        return PlainTextResponse("out")

    def me(request: Request) -> Response:
        ticket = on_starlette.authenticate(request).ticket
        return Response(status_code=401) if ticket is None else JSONResponse(to_json(ticket))

    @on_starlette.login_required
    async def secret(request: Request) -> Response:
        return PlainTextResponse(f"hello {request.user.display_name}")

    @on_starlette.login_required
    def admin(request: Request) -> Response:
        if not request.user.principal.is_in_role("admin"):
            return on_starlette.forbid(request)
        return PlainTextResponse(f"admin {request.user.display_name}")

    @on_starlette.api
    @on_starlette.login_required
    async def api(request: Request) -> Response:
        return JSONResponse({"name": request.user.display_name})

    @on_starlette.api
    @on_starlette.login_required
    async def api_admin(request: Request) -> Response:
        if "admin" not in request.auth.scopes:
            return on_starlette.forbid(request)
        return JSONResponse({"name": request.user.display_name})

    def bare(request: Request) -> Response:
        return PlainTextResponse("ok")

    views = {"login": login, "logout": logout, "me": me, "secret": secret, "admin": admin, "bare": bare, "api": api}
    routes = [Route(f"/{name}", view) for name, view in views.items()]
    routes += [Route("/api/admin", api_admin), Route("/login/", login)]
    middleware = Middleware(on_starlette.CookieAuthenticationMiddleware, data_protection=dp, **options)
    return Starlette(routes=routes, middleware=[middleware])


def starlette_client(app: Starlette) -> TestClient:
    """One that follows nothing and keeps no cookies of its own."""
    return TestClient(app, base_url=HOST, follow_redirects=False)


def starlette_site(scenario: dict[str, Any], clock: StoppedClock) -> Ask:
    """The same, to be asked."""
    app = starlette_app(ring_of(scenario), options_of(scenario, clock))

    def ask(path: str, headers: dict[str, str]) -> Answer:
        response = starlette_client(app).get(path, headers=headers)
        return Answer(response.status_code, list(response.headers.multi_items()), response.text)

    return ask


def flask_site(scenario: dict[str, Any], clock: StoppedClock) -> Ask:  # noqa: C901 (one view after the other)
    """The recorded application, in Flask."""
    app = flask.Flask(__name__)
    on_flask.CookieAuthentication(data_protection=ring_of(scenario), **options_of(scenario, clock)).init_app(app)

    @app.get("/login")
    @app.get("/login/", endpoint="login with a slash")
    def login() -> str:
        query = flask.request.args.to_dict(flat=False)
        on_flask.sign_in(principal_of(query), properties_of(query))
        return "in"

    @app.get("/logout")
    def logout() -> str:
        on_flask.sign_out()
        return "out"

    @app.get("/me")
    def me() -> flask.Response:
        ticket = on_flask.authenticate().ticket
        return flask.Response(status=401) if ticket is None else flask.jsonify(to_json(ticket))

    @app.get("/secret")
    @on_flask.login_required
    async def secret() -> str:
        return f"hello {on_flask.current_principal.name}"

    @app.get("/admin")
    @on_flask.login_required
    def admin() -> str | flask.Response:
        if not on_flask.current_principal.is_in_role("admin"):
            return on_flask.forbid()
        return f"admin {on_flask.current_principal.name}"

    @app.get("/api")
    @on_flask.api
    @on_flask.login_required
    def api() -> dict[str, str | None]:
        return {"name": on_flask.current_principal.name}

    @app.get("/api/admin")
    @on_flask.api
    @on_flask.login_required
    def api_admin() -> dict[str, str | None] | flask.Response:
        if not on_flask.current_principal.is_in_role("admin"):
            return on_flask.forbid()
        return {"name": on_flask.current_principal.name}

    @app.get("/bare")
    def bare() -> str:
        return "ok"

    def ask(path: str, headers: dict[str, str]) -> Answer:
        response = app.test_client(use_cookies=False).get(path, base_url=HOST, headers=headers)
        return Answer(response.status_code, list(response.headers), response.text)

    return ask


SITES = {"starlette": starlette_site, "flask": flask_site}
REFUSED = {"none, insecure"}
"""Browsers drop ``SameSite=None`` without ``Secure``; ASP.NET Core logs a warning, here it is an error at start."""
TAMPERED = {"a chunk is lost", "spoiled"}
"""Where the recording changed the cookies on the way: only those show it."""


class Comparing(Player):
    def compare_body(self, ours: str, theirs: str, path: str) -> None:
        if theirs.startswith("{"):
            shown = json.loads(ours)
            if "properties" in shown:
                shown = to_json(theirs_of(from_json(shown)))
            assert shown == json.loads(theirs), path
        else:
            assert ours == theirs, path


def cases() -> list[Any]:
    """(scenario, are the cookies those that we set). A ticket in ASP.NET Core's memory is not for us to find."""
    found = []
    for scenario in SCENARIOS:
        if scenario["name"] in REFUSED:
            continue
        if not scenario["options"].get("sessionStore"):
            found.append(pytest.param(scenario, False, id=f"{scenario['name']}-recorded cookies"))
        if scenario["name"] not in TAMPERED:
            found.append(pytest.param(scenario, True, id=f"{scenario['name']}-own cookies"))
    return found


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
@pytest.mark.parametrize(("scenario", "own_cookies"), cases())
def test_the_same_requests_are_answered_as_by_aspnet_core(
    site: Callable[[dict[str, Any], StoppedClock], Ask], scenario: dict[str, Any], own_cookies: bool
) -> None:
    clock = handler_clock()
    Comparing(scenario, site(scenario, clock), clock, own_cookies).play()


def test_every_scenario_is_asked() -> None:
    assert {case.values[0]["name"] for case in cases()} | REFUSED == {scenario["name"] for scenario in SCENARIOS}


def test_a_cookie_that_browsers_would_drop_is_refused_at_start() -> None:
    [scenario] = [scenario for scenario in SCENARIOS if scenario["name"] in REFUSED]
    with pytest.raises(ConfigurationError, match="SameSite=None requires Secure"):
        options_of(scenario, handler_clock())
