"""Issue: what replaced ``scope["session"]`` was ignored, so Litestar's ``clear_session`` did nothing.

The same in each shell: another mapping there replaces the content, an empty or false value empties the session, and
anything else is an error. What replaces the user changes no cookie: only signing in and out does.
"""

from __future__ import annotations

import os
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, cast

import django
import flask
import pytest
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client as DjangoClient
from django.test import override_settings
from django.urls import path
from flask.sessions import SecureCookieSession
from starlette.middleware.sessions import SessionMiddleware as StarlettesOwn
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware import asgi, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django.sessions import SessionStore
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, PRINCIPAL_KEY
from dpmiddleware.web.sign_in.claims import Principal


class Litestars(Enum):
    """As Litestar's ``Empty``, which ``clear_session`` puts there."""

    EMPTY = 0


class Kind(Enum):
    OTHER = 1


MAPPINGS: dict[str, Callable[[Any], Any]] = {
    "dict": lambda session: {"b": 2},
    "ordered": lambda session: OrderedDict(b=2),
    "read-only": lambda session: types.MappingProxyType({"b": 2}),
    "copy": lambda session: {**session, "b": 2},
    "nested": lambda session: {"b": [{"c": 1}]},
}
EMPTY: dict[str, Callable[[Any], Any]] = {
    "none": lambda session: None,
    "no-values": lambda session: {},
    "false": lambda session: False,
    "no-text": lambda session: "",
    "litestar": lambda session: Litestars.EMPTY,
}
WRONG: dict[str, Callable[[Any], Any]] = {
    "text": lambda session: "a=1",
    "list": lambda session: [("a", 1)],
    "true": lambda session: True,
    "enum": lambda session: Kind.OTHER,
    "object": lambda session: Principal("ada"),
}
CASES = {**MAPPINGS, **EMPTY, **WRONG}
MERGED = hasattr(flask.ctx.AppContext, "session")
"""Whether Flask has one context for applications and requests, as from 3.2. ``None`` there: not opened yet."""


def in_asgi(dp: DataProtection) -> Callable[[str], Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"][1:]
        if name == "put":
            scope["session"]["a"] = 1
        elif name == "deleted":
            del scope["session"]
        elif name in CASES:
            scope["session"] = CASES[name](scope["session"])
        await JSONResponse(dict(scope["session"]) if name == "get" else None)(scope, receive, send)

    client = TestClient(asgi.SessionMiddleware(app, data_protection=dp))
    return lambda page: client.get(f"/{page}").json()


def in_wsgi(dp: DataProtection) -> Callable[[str], Any]:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        name, key = environ["PATH_INFO"][1:], "dpmiddleware.session"
        if name == "put":
            environ[key]["a"] = 1
        elif name == "deleted":
            del environ[key]
        elif name in CASES:
            environ[key] = CASES[name](environ[key])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [flask.json.dumps(dict(environ[key])).encode() if name == "get" else b"null"]

    client = Client(wsgi.SessionMiddleware(app, data_protection=dp))
    return lambda page: client.get(f"/{page}").json


def in_flask(dp: DataProtection) -> Callable[[str], Any]:
    app = flask.Flask("shop")
    app.testing = True
    ProtectedSessions(app, data_protection=dp)

    @app.get("/<name>")
    def page(name: str) -> Any:
        if name == "put":
            flask.session["a"] = 1
        elif name in CASES:
            context: Any = flask.globals.app_ctx if MERGED else flask.globals.request_ctx
            attribute = "_session" if hasattr(context, "_session") else "session"  # Flask 3.1.0 has the latter
            setattr(context, attribute, CASES[name](flask.session))
        return flask.jsonify(dict(flask.session) if name == "get" else None)

    client = app.test_client()
    return lambda page: client.get(f"/{page}").json


def page(request: HttpRequest, name: str) -> HttpResponse:
    if name == "put":
        request.session["a"] = 1
    elif name == "deleted":
        del request.session
    elif name in CASES:
        request.session = CASES[name](request.session)
    return JsonResponse(dict(request.session) if name == "get" else None, safe=False)


def others(request: HttpRequest, name: str) -> HttpResponse:
    """Stores in place of the request's own."""
    request.session = {"ours": SessionStore, "empty": SessionStore, "files": FileStore}[name]()
    if name != "empty":
        request.session["b"] = 2
    return HttpResponse()


urlpatterns = [path("others/<name>", others), path("<name>", page)]


def in_django(dp: DataProtection) -> Callable[[str], Any]:
    client = DjangoClient()
    return lambda page: client.get(f"/{page}").json()


@pytest.fixture(autouse=True)
def _project(dp: DataProtection) -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    middleware = ["dpmiddleware.django.sessions.SessionMiddleware"]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, DATA_PROTECTION=dp):
        yield


shells = pytest.mark.parametrize("shell", [in_asgi, in_wsgi, in_flask, in_django])


@shells
@pytest.mark.parametrize("name", MAPPINGS)
def test_another_mapping_was_ignored(shell: Any, name: str, dp: DataProtection) -> None:
    get = shell(dp)
    get(name)
    assert get("get") == dict(MAPPINGS[name]({}))
    get("put")
    get(name)
    assert get("get") == dict(MAPPINGS[name]({"a": 1}))


ENDS = [(shell, name) for shell in (in_asgi, in_wsgi, in_flask, in_django) for name in (*EMPTY, "deleted")]


NOT_IN_FLASK = ("deleted", "none") if MERGED else ("deleted",)


@pytest.mark.parametrize(
    ("shell", "name"), [(shell, name) for shell, name in ENDS if shell is not in_flask or name not in NOT_IN_FLASK]
)
def test_an_empty_value_did_not_end_the_session(shell: Any, name: str, dp: DataProtection) -> None:
    get = shell(dp)
    get("put")
    get(name)
    assert get("get") == {}
    get(name)
    assert get("get") == {}


@shells
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_a_session_is_an_error(shell: Any, name: str, dp: DataProtection) -> None:
    get = shell(dp)
    get("put")
    with pytest.raises(ConfigurationError, match=rf"replaced by a {type(WRONG[name]({})).__name__}") as raised:
        get(name)
    assert raised.value.hint
    assert get("get") == {"a": 1}


def test_a_websocket_can_replace_its_session_before_it_is_accepted(dp: DataProtection) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/replace":
            scope["session"] = {"room": 7}
        text = flask.json.dumps(dict(scope["session"]))
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})

    client = TestClient(asgi.SessionMiddleware(app, data_protection=dp))
    with client.websocket_connect("/replace") as socket:
        headers: dict[bytes, bytes] = dict(socket.extra_headers or ())
        cookie = headers[b"set-cookie"].decode().partition(";")[0]
    with client.websocket_connect("/", headers={"cookie": cookie}) as socket:
        assert socket.receive_json() == {"room": 7}


def test_cookie_protection_inside_of_the_sessions_hid_what_replaced_them(dp: DataProtection) -> None:
    """The order that the documentation advises."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append([value for name, value in scope["headers"] if name == b"cookie"])
        scope["session"] = {"visits": len(seen)}
        headers = [(b"set-cookie", b"sid=secret")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        before = scope["headers"]
        await inner(scope, receive, send)
        assert scope["headers"] is before, "what is opened is for the application"

    inner = asgi.CookieProtectionMiddleware(app, data_protection=dp, cookies=["sid"])
    client = TestClient(asgi.SessionMiddleware(outer, data_protection=dp))
    client.get("/")
    first = client.cookies["session"]
    client.get("/")
    assert b"sid=secret" in seen[1][0]
    assert client.cookies["session"] != first


def test_a_session_that_a_flask_context_was_made_with_is_written(dp: DataProtection) -> None:
    app = flask.Flask("shop")
    ProtectedSessions(app, data_protection=dp)
    request, given = app.test_request_context().request, SecureCookieSession({"a": 1})
    contexts, process_response = cast("Any", flask.ctx), cast("Any", app.process_response)
    if MERGED:
        with contexts.AppContext(app, request=request, session=given) as context:
            response = process_response(context, flask.Response())
    else:
        with contexts.RequestContext(app, request.environ, session=given):
            response = process_response(flask.Response())
    cookie = response.headers["Set-Cookie"].partition(";")[0]
    with app.test_request_context(headers={"Cookie": cookie}):
        assert flask.session == {"a": 1}


def test_chunks_of_the_session_that_was_replaced_go(dp: DataProtection) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/long":
            scope["session"]["a"] = "x" * 5000
        if scope["path"] == "/short":
            scope["session"] = {"a": 1}
        await PlainTextResponse("")(scope, receive, send)

    client = TestClient(asgi.SessionMiddleware(app, data_protection=dp))
    client.get("/long")
    assert set(client.cookies) == {"session", "sessionC1", "sessionC2"}
    client.get("/short")
    assert set(client.cookies) == {"session"}


@pytest.mark.parametrize("inner", ["ours", "Starlette's"])
def test_the_session_of_another_middleware_is_left_alone(inner: str, dp: DataProtection) -> None:
    """It puts its own session into the same scope. That does not replace the one outside."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["inner"] = True
        await PlainTextResponse("")(scope, receive, send)

    within: Any = (
        asgi.SessionMiddleware(app, data_protection=dp, cookie="inner")
        if inner == "ours"
        else StarlettesOwn(app, secret_key="k", session_cookie="inner")
    )

    async def route(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/inner":
            await within(scope, receive, send)
            return
        if scope["path"] == "/put":
            scope["session"]["a"] = 1
        await JSONResponse(dict(scope["session"]))(scope, receive, send)

    client = TestClient(asgi.SessionMiddleware(route, data_protection=dp))
    client.get("/put")
    client.get("/inner")
    assert client.get("/").json() == {"a": 1}


@pytest.mark.parametrize(("name", "left"), [("ours", {"b": 2}), ("empty", {})])
def test_another_store_in_django_replaces_the_content(name: str, left: Any, dp: DataProtection) -> None:
    client = DjangoClient()
    client.get("/put")
    client.get(f"/others/{name}")
    assert client.get("/get").json() == left


def test_a_store_of_another_engine_in_django_is_an_error(dp: DataProtection) -> None:
    client = DjangoClient()
    client.get("/put")
    with pytest.raises(ConfigurationError, match="replaced by a SessionStore"):
        client.get("/others/files")


# --- the user -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["user", "auth", PRINCIPAL_KEY])
@pytest.mark.parametrize("value", [None, {}, Principal("eve"), "eve"], ids=repr)
def test_what_replaces_the_user_signs_nobody_in_or_out(key: str, value: Any, dp: DataProtection) -> None:
    """Authentication of other kinds (API keys, Starlette's own middleware) puts its user there for one request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/in":
            scope[AUTHENTICATION_KEY].sign_in(Principal("ada"))
        if scope["path"] == "/replaced":
            scope[key] = value
        name = scope[AUTHENTICATION_KEY].principal.name
        await PlainTextResponse(str(name))(scope, receive, send)

    client = TestClient(asgi.CookieAuthenticationMiddleware(app, data_protection=dp))
    assert client.get("/replaced").text == "None"
    assert not client.cookies
    client.get("/in")
    assert client.get("/replaced").text == "ada"
    assert client.get("/").text == "ada"
