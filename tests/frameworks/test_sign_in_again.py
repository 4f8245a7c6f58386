"""Signing the present user in again, to renew their claims: what the frameworks return for the user is lazy."""

from __future__ import annotations

import copy
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.local import LocalProxy
from werkzeug.test import Client

from dpmiddleware import asgi, starlette, wsgi
from dpmiddleware import flask as ours_flask
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, PRINCIPAL_KEY
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents, SigningInContext, ValidatePrincipalContext

ADA = Principal("ada", claims={"sub": "7"})


@pytest.fixture
def shop() -> DataProtection:
    return DataProtection("shop", repository=MemoryKeyRepository())


def in_wsgi(shop: DataProtection, **options: Any) -> Client:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        authentication, user = environ[AUTHENTICATION_KEY], environ[PRINCIPAL_KEY]
        if environ["PATH_INFO"] == "/in":
            authentication.sign_in(ADA)
        if environ["PATH_INFO"] == "/again":
            authentication.sign_in(user)
        start_response("200 OK", [])
        return [str(user.name).encode()]

    return Client(wsgi.CookieAuthenticationMiddleware(app, data_protection=shop, **options))


def in_asgi(shop: DataProtection) -> TestClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        authentication, user = scope[AUTHENTICATION_KEY], scope[PRINCIPAL_KEY]
        if scope["path"] == "/in":
            authentication.sign_in(ADA)
        if scope["path"] == "/again":
            authentication.sign_in(user)
        await PlainTextResponse(str(user.name))(scope, receive, send)

    return TestClient(asgi.CookieAuthenticationMiddleware(app, data_protection=shop))


def in_flask(shop: DataProtection) -> Any:
    app = flask.Flask("shop")
    ours_flask.CookieAuthentication(app, data_protection=shop)

    @app.get("/<what>")
    def page(what: str) -> str:
        if what == "in":
            ours_flask.sign_in(ADA)
        if what == "again":
            ours_flask.sign_in(ours_flask.current_principal)
        return str(ours_flask.current_principal.name)

    return app.test_client()


def in_starlette(shop: DataProtection) -> TestClient:
    async def page(request: Request) -> Response:
        if request.path_params["what"] == "in":
            starlette.sign_in(request, ADA)
        if request.path_params["what"] == "again":
            starlette.sign_in(request, request.user.principal)
        return PlainTextResponse(str(starlette.current_principal(request).name))

    app = Starlette(routes=[Route("/{what}", page)])
    app.add_middleware(starlette.CookieAuthenticationMiddleware, data_protection=shop)
    return TestClient(app)


@pytest.mark.parametrize("make", [in_wsgi, in_asgi, in_flask, in_starlette])
def test_the_present_user_can_be_signed_in_again(make: Any, shop: DataProtection) -> None:
    client = make(shop)
    client.get("/in")
    assert client.get("/again").text == "ada"
    assert client.get("/look").text == "ada"


def test_an_event_may_put_the_lazy_user_of_the_request_in(shop: DataProtection) -> None:
    """What an application keeps of the request's user in a handler is the principal behind it, not a proxy."""

    def keep(context: SigningInContext | ValidatePrincipalContext) -> None:
        context.principal = LocalProxy(lambda: ADA)  # type: ignore[assignment]  # it behaves as a principal

    client = in_wsgi(shop, events=CookieAuthenticationEvents(signing_in=keep, validate_principal=keep))
    client.get("/in")
    assert client.get("/again").text == "ada"
    assert client.get("/look").text == "ada"


def test_a_proxy_tells_the_principal_behind_it() -> None:
    proxy: Any = LocalProxy(lambda: ADA)
    assert proxy.itself is ADA
    assert ADA.itself is ADA
    assert copy.copy(ADA) == ADA


@pytest.mark.parametrize("user", ["ada", None, {"name": "ada"}, 7], ids=repr)
def test_what_is_not_a_principal_is_refused_with_a_hint(user: Any, shop: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ[AUTHENTICATION_KEY].sign_in(user)
        return []

    client = Client(wsgi.CookieAuthenticationMiddleware(app, data_protection=shop))
    with pytest.raises(ConfigurationError, match=f"not {type(user).__name__}") as refused:
        client.get("/")
    assert "Principal" in refused.value.hint
