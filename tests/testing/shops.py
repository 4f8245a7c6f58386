"""The same small shop in every framework, with the test clients that people use for it.

Pages: ``/who`` (the user's name), ``/session`` (the session as JSON), ``/put`` (puts apples into it).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Self

import fastapi
import fastapi.responses
import fastapi.testclient
import flask
import httpx2
import quart
import starlette.testclient
import werkzeug.test
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dpmiddleware import DataProtection, wsgi
from dpmiddleware import django as ours_django
from dpmiddleware import flask as ours_flask
from dpmiddleware import quart as ours_quart
from dpmiddleware import starlette as ours
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sign_in.claims import Principal

Options = dict[str, Any]


class Shop:
    """An application and its client. ``get``: the text of a page, as this client is asked for it."""

    def __init__(self, client: Any, get: Callable[[str], str]) -> None:
        self.client = client
        self.get = get

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


class DjangoShop(Shop):
    """Its settings hold while it is open."""

    def __init__(self, client: Any, get: Callable[[str], str], settings: override_settings) -> None:
        super().__init__(client, get)
        self._settings = settings

    def __enter__(self) -> Self:
        self._settings.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._settings.disable()


def flask_shop(dp: DataProtection, options: Options) -> Shop:
    app = flask.Flask("shop")
    ours_flask.CookieAuthentication(app, data_protection=dp, **options)
    ours_flask.ProtectedSessions(app, data_protection=dp)
    app.add_url_rule("/who", "who", lambda: str(ours_flask.current_principal.name))
    app.add_url_rule("/session", "session", lambda: json.dumps(dict(flask.session)))
    app.add_url_rule("/put", "put", lambda: json.dumps(flask.session.update(apples=3)))
    client = app.test_client()
    return Shop(client, lambda page: client.get(page).text)


def wsgi_shop(dp: DataProtection, options: Options) -> Shop:
    def pages(environ: Any, start_response: Any) -> list[bytes]:
        session: Session = environ[wsgi.SESSION_KEY]
        if environ["PATH_INFO"] == "/put":
            session["apples"] = 3
        text = str(environ[wsgi.PRINCIPAL_KEY].name) if environ["PATH_INFO"] == "/who" else json.dumps(dict(session))
        start_response("200 OK", [])
        return [text.encode()]

    inner = wsgi.SessionMiddleware(pages, data_protection=dp)
    client = werkzeug.test.Client(wsgi.CookieAuthenticationMiddleware(inner, data_protection=dp, **options))
    return Shop(client, lambda page: client.get(page).text)


def _django_settings(dp: DataProtection, options: Options) -> override_settings:
    def who(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(ours_django.current_principal(request).name))

    def session(request: HttpRequest) -> HttpResponse:
        return HttpResponse(json.dumps(dict(request.session)))

    def put(request: HttpRequest) -> HttpResponse:
        request.session["apples"] = 3
        return HttpResponse("ok")

    return override_settings(
        ROOT_URLCONF=(path("who", who), path("session", session), path("put", put)),
        MIDDLEWARE=["dpmiddleware.django.SessionMiddleware", "dpmiddleware.django.CookieAuthenticationMiddleware"],
        DATA_PROTECTION=dp,
        DATA_PROTECTION_COOKIE_AUTHENTICATION=options,
    )


def django_shop(dp: DataProtection, options: Options) -> Shop:
    client = Client()
    return DjangoShop(client, lambda page: client.get(page).text, _django_settings(dp, options))


def django_async_shop(dp: DataProtection, options: Options) -> Shop:
    client = AsyncClient()

    async def get(page: str) -> str:
        return (await client.get(page)).content.decode()

    return DjangoShop(client, lambda page: asyncio.run(get(page)), _django_settings(dp, options))


def _starlette_app(dp: DataProtection, options: Options) -> Starlette:
    async def who(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(ours.current_principal(request).name))

    async def session(request: Request) -> PlainTextResponse:
        return PlainTextResponse(json.dumps(dict(request.session)))

    async def put(request: Request) -> PlainTextResponse:
        request.session["apples"] = 3
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/who", who), Route("/session", session), Route("/put", put)])
    app.add_middleware(ours.SessionMiddleware, data_protection=dp)
    app.add_middleware(ours.CookieAuthenticationMiddleware, data_protection=dp, **options)
    return app


def quart_shop(dp: DataProtection, options: Options) -> Shop:
    app = quart.Quart("shop")
    ours_quart.CookieAuthentication(app, data_protection=dp, **options)
    ours_quart.ProtectedSessions(app, data_protection=dp)

    async def who() -> str:
        return str(ours_quart.current_principal.name)

    async def session() -> str:
        return json.dumps(dict(quart.session))

    async def put() -> str:
        quart.session["apples"] = 3
        return "ok"

    for view in (who, session, put):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view)
    client = app.test_client()

    async def get(page: str) -> str:
        return str(await (await client.get(page)).get_data(as_text=True))

    return Shop(client, lambda page: asyncio.run(get(page)))


def starlette_shop(dp: DataProtection, options: Options) -> Shop:
    client = starlette.testclient.TestClient(_starlette_app(dp, options))
    return Shop(client, lambda page: str(client.get(page).text))


def fastapi_shop(dp: DataProtection, options: Options) -> Shop:
    app = fastapi.FastAPI()

    @app.get("/who", response_class=fastapi.responses.PlainTextResponse)
    def who(principal: Annotated[Principal, fastapi.Depends(ours.current_principal)]) -> str:
        return str(principal.name)

    @app.get("/session")
    def session(request: fastapi.Request) -> dict[str, Any]:
        return dict(request.session)

    @app.get("/put")
    def put(request: fastapi.Request) -> None:
        request.session["apples"] = 3

    app.add_middleware(ours.CookieAuthenticationMiddleware, data_protection=dp, **options)
    app.add_middleware(ours.SessionMiddleware, data_protection=dp)
    client = fastapi.testclient.TestClient(app)
    return Shop(client, lambda page: str(client.get(page).text))


def httpx_shop(dp: DataProtection, options: Options) -> Shop:
    transport = httpx2.ASGITransport(app=_starlette_app(dp, options))
    client = httpx2.AsyncClient(transport=transport, base_url="http://shop.example")

    async def get(page: str) -> str:
        return str((await client.get(page)).text)

    return Shop(client, lambda page: asyncio.run(get(page)))


SHOPS: Final[dict[str, Callable[[DataProtection, Options], Shop]]] = {
    "Flask": flask_shop,
    "Quart": quart_shop,
    "WSGI": wsgi_shop,
    "Django": django_shop,
    "Django, AsyncClient": django_async_shop,
    "Starlette": starlette_shop,
    "FastAPI": fastapi_shop,
    "httpx": httpx_shop,
}
