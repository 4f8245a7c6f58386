"""One small site per shell, each with a sign-in of its own; another one may be mounted in it, under ``/admin``.

Pages: ``/`` (the user's name), ``/in``, ``/again`` (signs the present user in again), ``/confirm`` (they authenticated
again), ``/out``, and ``/closed``, which sends anonymous users to the login page. Who authenticated more than five
minutes ago has to do it again for ``/fresh`` (decorated) and ``/inside`` (which asks in the middle of a page).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import flask
import quart
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from dpmiddleware import asgi, starlette, wsgi
from dpmiddleware import django as ours_django
from dpmiddleware import flask as ours_flask
from dpmiddleware import quart as ours_quart
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, PRINCIPAL_KEY, RequestAuthentication
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties

Options = dict[str, Any]
MOUNT: Final = "/admin"
FIVE_MINUTES: Final = timedelta(minutes=5)
_in_turn: Final = asyncio.Lock()
_COOKIES: Final = ["dpmiddleware.django.CookieAuthenticationMiddleware"]


def administrations(shop: DataProtection, other: DataProtection) -> dict[str, Options]:
    """How the sign-in of an administration may differ from that of the shop that it is mounted in."""
    return {
        "same scheme, other cookie": {"data_protection": shop, "cookie": "admin", "login_path": "/admin-login"},
        "other scheme": {"data_protection": shop, "scheme": "Admin", "login_path": "/admin-login"},
        "other ring": {"data_protection": other, "cookie": "admin", "login_path": "/admin-login"},
    }


def persistent() -> AuthenticationProperties:
    return AuthenticationProperties(is_persistent=True)


def _visit(page: str, authentication: RequestAuthentication, present: Any, user: Principal) -> tuple[int, str]:
    """What a site without a framework does: status and text. ``present``: the user as applications find them."""
    if page == "/in":
        authentication.sign_in(user, persistent())
    elif page == "/again":
        authentication.sign_in(present, persistent())
    elif page == "/out":
        authentication.sign_out()
    elif page == "/confirm":
        authentication.reauthenticate()
    elif page == "/inside":
        authentication.require_fresh(FIVE_MINUTES)
    elif page == "/closed" and not present.is_authenticated:
        authentication.challenge()
        return 401, ""
    return 200, str(present.name)


def wsgi_site(user: Principal, options: Options, inner: Any = None) -> Any:
    def pages(environ: Any, start_response: Any) -> list[bytes]:
        found = environ[AUTHENTICATION_KEY], environ[PRINCIPAL_KEY]
        status, text = _visit(environ["PATH_INFO"], *found, user)
        start_response(f"{status} OK", [])
        return [text.encode()]

    mounted = {"/fresh": wsgi.fresh_login_required(minutes=5)(pages)}
    app = DispatcherMiddleware(pages, mounted if inner is None else {**mounted, MOUNT: inner})
    return wsgi.CookieAuthenticationMiddleware(app, **options)


def flask_site(user: Principal, options: Options, inner: Any = None) -> Any:
    app = flask.Flask("site")
    ours_flask.CookieAuthentication(app, **options)

    @app.get("/", defaults={"page": ""})
    @app.get("/<page>")
    def pages(page: str) -> str:
        if page == "in":
            ours_flask.sign_in(user, persistent())
        elif page == "again":
            ours_flask.sign_in(ours_flask.current_principal, persistent())
        elif page == "confirm":
            ours_flask.reauthenticate()
        elif page == "inside":
            ours_flask.require_fresh(FIVE_MINUTES)
        elif page == "out":
            ours_flask.sign_out()
        return str(ours_flask.current_principal.name)

    app.get("/closed")(ours_flask.login_required(lambda: "inside"))
    app.get("/fresh", endpoint="fresh")(ours_flask.fresh_login_required(minutes=5)(lambda: "inside"))
    if inner is not None:
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {MOUNT: inner})  # type: ignore[method-assign]  # as Flask's docs do
    return app


def _django_settings(user: Principal, options: Options) -> override_settings:
    def pages(request: HttpRequest, page: str = "") -> HttpResponse:
        if page == "in":
            ours_django.sign_in(request, user, persistent())
        elif page == "again":
            ours_django.sign_in(request, request.principal, persistent())  # type: ignore[attr-defined]  # ours
        elif page == "confirm":
            ours_django.reauthenticate(request)
        elif page == "inside":
            ours_django.require_fresh(request, FIVE_MINUTES)
        elif page == "out":
            ours_django.sign_out(request)
        return HttpResponse(str(ours_django.current_principal(request).name))

    closed = ours_django.login_required(lambda request: HttpResponse("inside"))
    fresh = ours_django.fresh_login_required(minutes=5)(lambda request: HttpResponse("inside"))
    return override_settings(
        ROOT_URLCONF=(path("", pages), path("closed", closed), path("fresh", fresh), path("<page>", pages)),
        MIDDLEWARE=_COOKIES,
        DATA_PROTECTION=options["data_protection"],
        DATA_PROTECTION_COOKIE_AUTHENTICATION={k: v for k, v in options.items() if k != "data_protection"},
    )


def django_site(user: Principal, options: Options) -> Any:
    settings = _django_settings(user, options)
    with settings:
        handler = WSGIHandler()

    def app(environ: Any, start_response: Any) -> Any:
        with settings:
            return handler(environ, start_response)

    return app


def asgi_site(user: Principal, options: Options, inner: Any = None) -> Any:
    async def pages(request: Request) -> Response:
        found = request.scope[AUTHENTICATION_KEY], request.scope[PRINCIPAL_KEY]
        status, text = _visit(f"/{request.path_params['page']}", *found, user)
        return PlainTextResponse(text, status)

    mounted = [] if inner is None else [Mount(MOUNT, inner)]
    plain = Starlette(routes=[*mounted, Route("/{page:path}", pages)])
    guarded = asgi.fresh_login_required(minutes=5)(plain)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/inside":
            scope[AUTHENTICATION_KEY].require_fresh(FIVE_MINUTES)
        await (guarded if scope["path"] == "/fresh" else plain)(scope, receive, send)

    return asgi.CookieAuthenticationMiddleware(app, **options)


def starlette_site(user: Principal, options: Options, inner: Any = None) -> Any:
    async def pages(request: Request) -> Response:
        page = request.path_params["page"]
        if page == "in":
            starlette.sign_in(request, user, persistent())
        elif page == "again":
            starlette.sign_in(request, request.user.principal, persistent())
        elif page == "confirm":
            starlette.reauthenticate(request)
        elif page == "inside":
            starlette.require_fresh(request, FIVE_MINUTES)
        elif page == "out":
            starlette.sign_out(request)
        return PlainTextResponse(str(starlette.current_principal(request).name))

    @starlette.login_required
    async def closed(request: Request) -> Response:
        return PlainTextResponse("inside")

    @starlette.fresh_login_required(minutes=5)
    def fresh(request: Request) -> Response:
        return PlainTextResponse("inside")

    mounted = [] if inner is None else [Mount(MOUNT, inner)]
    routes = [*mounted, Route("/closed", closed), Route("/fresh", fresh), Route("/{page:path}", pages)]
    app = Starlette(routes=routes)
    app.add_middleware(starlette.CookieAuthenticationMiddleware, **options)
    return app


def quart_site(user: Principal, options: Options, inner: Any = None) -> Any:
    app = quart.Quart("site")
    ours_quart.CookieAuthentication(app, **options)

    @app.get("/", defaults={"page": ""})
    @app.get("/<page>")
    async def pages(page: str) -> str:
        if page == "in":
            ours_quart.sign_in(user, persistent())
        elif page == "again":
            ours_quart.sign_in(ours_quart.current_principal, persistent())
        elif page == "confirm":
            ours_quart.reauthenticate()
        elif page == "inside":
            ours_quart.require_fresh(FIVE_MINUTES)
        elif page == "out":
            ours_quart.sign_out()
        return str(ours_quart.current_principal.name)

    app.get("/closed")(ours_quart.login_required(lambda: "inside"))
    app.get("/fresh", endpoint="fresh")(ours_quart.fresh_login_required(minutes=5)(lambda: "inside"))
    if inner is not None:
        around: Any = app
        around.asgi_app = _mounted(app.asgi_app, inner)
    return app


def _mounted(pages: Any, inner: Any) -> Any:
    """``inner`` below a path of an ASGI application."""
    mount = Mount(MOUNT, inner)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        match, child = mount.matches(scope) if scope["type"] == "http" else (Match.NONE, {})
        if match is Match.FULL:
            scope.update(child)
            await mount.handle(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return dispatch


def django_asgi_site(user: Principal, options: Options) -> Any:
    settings = _django_settings(user, options)
    with settings:
        handler = ASGIHandler()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with _in_turn:  # the settings are those of the process
            with settings:
                await handler(scope, receive, send)

    return app


Builder = Callable[..., Any]
WSGI: Final[dict[str, Builder]] = {"WSGI": wsgi_site, "Flask": flask_site, "Django": django_site}
ASGI: Final[dict[str, Builder]] = {
    "ASGI": asgi_site,
    "Starlette": starlette_site,
    "Quart": quart_site,
    "Django": django_asgi_site,
}
"""The builders by name. Nothing can be mounted in Django."""


def pairs(builders: dict[str, Builder]) -> list[tuple[str, str]]:
    """Names of an outer and an inner site."""
    return [(outer, inner) for outer in builders if outer != "Django" for inner in builders]
