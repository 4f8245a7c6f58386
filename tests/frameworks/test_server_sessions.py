"""Sessions that Flask-Session, starsessions or an application kept on the server are taken over at first sight."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import flask
import flask_session  # type: ignore[import-untyped]
import msgspec
import pytest
import redis
import starsessions
from redis.asyncio import Redis as AsyncRedis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starsessions.stores.redis import RedisStore

from dpmiddleware import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.starlette import ServerSessions, SessionMiddleware
from tests.servers import Server

UNTIL = datetime.now(timezone.utc) + timedelta(days=7)
KEY = "Q2VydGFpbmx5LW5vdC1ndWVzc2Vk"


@pytest.fixture
def store(redis_server: Server) -> Iterator[Any]:
    """A client for Redis, and a prefix of this test."""
    client: Any = redis.Redis.from_url(redis_server.address)
    client.prefix = f"dpm_test_{uuid4().hex}:"
    yield client
    for key in client.scan_iter(f"{client.prefix}*"):
        client.delete(key)


# --- Flask-Session ----------------------------------------------------------------------------------------------------


def flask_shop() -> flask.Flask:
    app = flask.Flask("shop")

    @app.get("/add")
    def add() -> str:
        flask.session["apples"] = flask.session.get("apples", 0) + 1
        return str(flask.session["apples"])

    @app.get("/leave")
    def leave() -> str:
        flask.session.clear()
        return "bye"

    return app


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_flask_sessions_of_flask_session_go_on(store: Any, dp: DataProtection, serializer: str) -> None:
    before = flask_shop()
    before.config.update(
        SESSION_TYPE="redis",
        SESSION_REDIS=store,
        SESSION_KEY_PREFIX=store.prefix,
        SESSION_SERIALIZATION_FORMAT=serializer,
    )
    flask_session.Session(before)
    old = before.test_client()
    old.get("/add")
    key = old.get_cookie("session").value  # type: ignore[union-attr]
    decode = msgspec.msgpack.decode if serializer == "msgpack" else json.loads

    def read(name: str) -> Any:
        kept = store.get(store.prefix + name)
        return None if kept is None else decode(kept)

    after = flask_shop()
    migration = ServerSessions(read, until=UNTIL, forget=lambda name: store.delete(store.prefix + name))
    ProtectedSessions(after, data_protection=dp, migration=migration)
    new = after.test_client()
    new.set_cookie("session", key)
    assert new.get("/add").text == "2"
    assert new.get_cookie("session").value.startswith("CfDJ8")  # type: ignore[union-attr]
    assert store.exists(store.prefix + key)
    new.get("/leave")
    assert not store.exists(store.prefix + key)
    new.set_cookie("session", key)
    assert new.get("/add").text == "1"


# --- starsessions -----------------------------------------------------------------------------------------------------


async def add(request: Request) -> PlainTextResponse:
    request.session["apples"] = request.session.get("apples", 0) + 1
    return PlainTextResponse(str(request.session["apples"]))


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def everything(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


ROUTES = [Route("/add", add), Route("/hello", hello), Route("/", everything)]


def test_starlette_sessions_of_starsessions_go_on(store: Any, dp: DataProtection, redis_server: Server) -> None:
    before = Starlette(routes=ROUTES)
    kept = RedisStore(connection=AsyncRedis.from_url(redis_server.address), prefix=store.prefix)
    before.add_middleware(starsessions.SessionAutoloadMiddleware)
    before.add_middleware(starsessions.SessionMiddleware, store=kept, cookie_https_only=False, lifetime=3600)
    with TestClient(before) as old:
        old.get("/add")
        key = old.cookies["session"]

    def read(name: str) -> Any:
        data = store.get(store.prefix + name)
        return None if data is None else json.loads(data)

    after = Starlette(routes=ROUTES)
    after.add_middleware(SessionMiddleware, data_protection=dp, migration=ServerSessions(read, until=UNTIL))
    with TestClient(after, headers={"cookie": f"session={key}"}) as new:
        page = new.get("/add")
    assert page.text == "2"
    assert page.cookies["session"].startswith("CfDJ8")


# --- any application --------------------------------------------------------------------------------------------------

Read = Callable[[str], Mapping[str, Any] | None]


def client_of(dp: DataProtection, read: Any, cookie: str = KEY, **options: Any) -> TestClient:
    app = Starlette(routes=ROUTES)
    migration = ServerSessions(read, until=UNTIL, **options)
    app.add_middleware(SessionMiddleware, data_protection=dp, migration=migration)
    return TestClient(app, headers={"cookie": f"session={cookie}"} if cookie else {}, raise_server_exceptions=False)


def test_on_asgi_the_store_is_asked_once_and_off_the_event_loop(dp: DataProtection) -> None:
    threads: list[int] = []

    def read(_: str) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return {"apples": 4}

    async def here(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.session['apples']} {threading.get_ident()}")

    app = Starlette(routes=[Route("/", here)])
    app.add_middleware(SessionMiddleware, data_protection=dp, migration=ServerSessions(read, until=UNTIL))
    apples, loop = TestClient(app, headers={"cookie": f"session={KEY}"}).get("/").text.split()
    assert apples == "4"
    assert len(threads) == 1
    assert threads[0] != int(loop)


def test_a_key_that_the_store_does_not_have_is_asked_for_once(dp: DataProtection) -> None:
    asked: list[str] = []
    assert client_of(dp, asked.append).get("/").json() == {}
    assert asked == [KEY]


def test_a_store_that_is_down_fails_the_pages_that_use_the_session_and_no_others(dp: DataProtection) -> None:
    def read(_: str) -> None:
        raise ConnectionError("Redis is down")

    client = client_of(dp, read)
    assert client.get("/hello").text == "hello"
    failed = client.get("/")
    assert failed.status_code == 500
    assert "set-cookie" not in failed.headers


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param("", id="none"),
        pytest.param("short", id="one-that-can-be-guessed"),
        pytest.param("a" * 257, id="one-that-is-too-long"),
        pytest.param("../../../../etc/passwd", id="a-path"),
        pytest.param("*" * 20, id="a-pattern"),
        pytest.param("CfDJ8" + "A" * 100, id="a-payload"),
    ],
)
def test_the_store_is_not_asked_for_what_cannot_be_a_key(dp: DataProtection, cookie: str) -> None:
    asked: list[str] = []
    assert client_of(dp, asked.append, cookie).get("/").json() == {}
    assert asked == []


def test_names_that_are_reserved_are_not_taken_over(dp: DataProtection) -> None:
    found = {"apples": 1, "_dpm_subject": "somebody else", "_dpm_id": "x", "_dpm_ends": 1}
    assert client_of(dp, lambda _: found).get("/").json() == {"apples": 1}


def test_a_function_that_returns_no_mapping_is_named(dp: DataProtection) -> None:
    wrong: Any = lambda _: b"{}"
    with pytest.raises(ConfigurationError, match="returned a bytes"):
        ServerSessions(wrong, until=UNTIL).loads(KEY, UNTIL - timedelta(days=1))


def test_after_the_date_the_store_is_not_asked(dp: DataProtection) -> None:
    asked: list[str] = []
    migration = ServerSessions(asked.append, until=UNTIL)
    assert migration.loads(KEY, UNTIL) is None
    assert asked == []
