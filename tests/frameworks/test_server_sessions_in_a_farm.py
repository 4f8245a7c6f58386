"""A farm that is changed one server at a time: sessions of Flask-Session and starsessions go on in both directions.

*old*: the extension. *both*: ours, with ``writes_old=True``. *new*: ours, without it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
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
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starsessions.stores.redis import RedisStore

from dpmiddleware import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.starlette import (
    CookieAuthenticationMiddleware,
    Principal,
    ServerSessions,
    SessionMiddleware,
    sign_in,
)
from tests.servers import Server

UNTIL = datetime.now(timezone.utc) + timedelta(days=7)
SERVERS = ("old", "both", "new")


class Farm:
    """Servers of all kinds in front of one Redis, and one browser. ``threads``: which thread wrote or deleted."""

    def __init__(self, dp: DataProtection, server: Server) -> None:
        self.dp, self.address, self.prefix = dp, server.address, f"dpm_test_{uuid4().hex}:"
        self.store: Any = redis.Redis.from_url(server.address)
        self.cookie = ""
        self.threads: list[int] = []

    def encode(self, mapping: dict[str, Any]) -> bytes:
        return json.dumps(mapping).encode()

    def decode(self, data: bytes) -> Any:
        return json.loads(data)

    def read(self, key: str) -> Any:
        kept = self.store.get(self.prefix + key)
        return None if kept is None else self.decode(kept)

    def write(self, key: str, mapping: dict[str, Any]) -> None:
        self.threads.append(threading.get_ident())
        self.store.set(self.prefix + key, self.encode(mapping), ex=3600)

    def forget(self, key: str) -> None:
        self.threads.append(threading.get_ident())
        self.store.delete(self.prefix + key)

    def migration(self, server: str) -> ServerSessions:
        return ServerSessions(self.read, until=UNTIL, forget=self.forget, write=self.write, writes_old=server == "both")

    def __call__(self, server: str, page: str) -> str:
        """The browser asks a server for a page."""
        raise NotImplementedError

    def kept(self) -> set[str]:
        """The keys in Redis."""
        return {name.decode().removeprefix(self.prefix) for name in self.store.scan_iter(f"{self.prefix}*")}


class FlaskFarm(Farm):
    """Flask-Session, with its default serializer."""

    def encode(self, mapping: dict[str, Any]) -> bytes:
        return msgspec.msgpack.encode(mapping)

    def decode(self, data: bytes) -> Any:
        return msgspec.msgpack.decode(data)

    def app_of(self, server: str) -> flask.Flask:
        app = flask.Flask("shop")
        app.testing = True
        if server == "old":
            app.config.update(SESSION_TYPE="redis", SESSION_REDIS=self.store, SESSION_KEY_PREFIX=self.prefix)
            flask_session.Session(app)
        else:
            ProtectedSessions(app, data_protection=self.dp, migration=self.migration(server))

        @app.get("/<page>")
        def pages(page: str) -> str:
            session: Any = flask.session
            if page == "add":
                session["apples"] = session.get("apples", 0) + 1
            elif page == "leave":
                session.clear()
            return str(session.get("apples", 0))

        return app

    def __call__(self, server: str, page: str) -> str:
        client = self.app_of(server).test_client()
        if self.cookie:
            client.set_cookie("session", self.cookie)
        answer = client.get(f"/{page}")
        assert answer.status_code == 200
        found = client.get_cookie("session")
        self.cookie = found.value if found is not None else ""
        return answer.text


class FlaskFarmWithJson(FlaskFarm):
    """Flask-Session, with its other serializer."""

    encode, decode = Farm.encode, Farm.decode

    def app_of(self, server: str) -> flask.Flask:
        app = super().app_of(server)
        if server == "old":
            app.config["SESSION_SERIALIZATION_FORMAT"] = "json"
            flask_session.Session(app)
        return app


class StarletteFarm(Farm):
    """Starsessions."""

    async def page(self, request: Request) -> PlainTextResponse:
        session, page = request.session, request.path_params["page"]
        if page == "add":
            session["apples"] = session.get("apples", 0) + 1
        elif page == "leave":
            session.clear()
        elif page == "in":
            sign_in(request, Principal("ada", claims={"sub": "7"}))
        elif page == "thread":
            session["apples"] = 1
            return PlainTextResponse(str(threading.get_ident()))
        return PlainTextResponse(str(session.get("apples", 0)))

    def app_of(self, server: str, *, signs_in: bool = False) -> Starlette:
        app = Starlette(routes=[Route("/{page}", self.page)])
        if server == "old":
            kept = RedisStore(connection=AsyncRedis.from_url(self.address), prefix=self.prefix)
            app.add_middleware(starsessions.SessionAutoloadMiddleware)
            app.add_middleware(starsessions.SessionMiddleware, store=kept, cookie_https_only=False, lifetime=3600)
        else:
            app.add_middleware(SessionMiddleware, data_protection=self.dp, migration=self.migration(server))
        if signs_in:
            app.add_middleware(CookieAuthenticationMiddleware, data_protection=self.dp)
        return app

    def __call__(self, server: str, page: str) -> str:
        with TestClient(self.app_of(server), cookies={"session": self.cookie} if self.cookie else {}) as client:
            answer = client.get(f"/{page}")
            assert answer.status_code == 200
            for line in answer.headers.get_list("set-cookie"):
                value = line.partition("=")[2].partition(";")[0]
                self.cookie = "" if "1970" in line or value in {"", "null"} else value
        return answer.text


FARMS: dict[str, type[Farm]] = {
    "Flask-Session": FlaskFarm,
    "Flask-Session with JSON": FlaskFarmWithJson,
    "starsessions": StarletteFarm,
}


def given_farm(kind: type[Farm], dp: DataProtection, server: Server) -> Iterator[Farm]:
    farm = kind(dp, server)
    yield farm
    for key in farm.kept():
        farm.store.delete(farm.prefix + key)


@pytest.fixture(params=FARMS)
def farm(request: pytest.FixtureRequest, dp: DataProtection, redis_server: Server) -> Iterator[Farm]:
    yield from given_farm(FARMS[request.param], dp, redis_server)


@pytest.fixture
def starlette_farm(dp: DataProtection, redis_server: Server) -> Iterator[Farm]:
    yield from given_farm(StarletteFarm, dp, redis_server)


@pytest.mark.parametrize(
    ("one", "other"),
    [("old", "both"), ("both", "old"), ("both", "both"), ("both", "new"), ("new", "both"), ("new", "new")],
)
def test_a_session_goes_from_server_to_server(farm: Farm, one: str, other: str) -> None:
    for apples in range(1, 6):
        server = (one, other)[apples % 2]
        assert farm(server, "add") == str(apples)
        assert farm((other, one)[apples % 2], "look") == str(apples)


def test_the_whole_deployment_loses_no_session(farm: Farm) -> None:
    for apples, server in enumerate(["old", "both", "old", "both", "both", "new", "both", "new", "new"], 1):
        assert farm(server, "add") == str(apples)
    assert farm.cookie.startswith("CfDJ8")


def test_while_the_old_form_is_written_the_key_stays(farm: Farm) -> None:
    farm("old", "add")
    key = farm.cookie
    farm("both", "add")
    assert farm.cookie == key
    assert farm.kept() == {key}


def test_a_page_that_only_reads_writes_nothing(farm: Farm) -> None:
    farm("old", "add")
    assert farm("both", "look") == "1"
    assert farm.threads == []


@pytest.mark.parametrize("server", ["both", "new"])
def test_a_session_that_is_ended_is_ended_on_every_server(farm: Farm, server: str) -> None:
    farm("old", "add")
    copied = farm.cookie
    farm(server, "add")
    farm(server, "leave")
    assert farm.cookie == ""
    assert farm.kept() == set()
    for each in SERVERS:
        farm.cookie = copied
        assert farm(each, "look") == "0"


# --- what is asked of the store ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["both", "new"])
def test_on_asgi_the_store_is_asked_off_the_event_loop(starlette_farm: StarletteFarm, server: str) -> None:
    with TestClient(starlette_farm.app_of(server)) as client:
        loop = int(client.get("/thread").text)
        client.get("/add")
        client.get("/leave")
    assert loop not in starlette_farm.threads
    assert len(starlette_farm.threads) == (3 if server == "both" else 1)


def test_a_session_of_a_user_is_bound_to_them_while_the_old_form_is_written(starlette_farm: StarletteFarm) -> None:
    """Without the binding, the session would be renewed in each request, and a user who signs out would leave it."""
    with TestClient(starlette_farm.app_of("both", signs_in=True), base_url="https://shop.example") as client:
        client.get("/add")
        client.get("/in")
        keys = set()
        for apples in (2, 3, 4):
            assert client.get("/add").text == str(apples)
            keys.add(client.cookies["session"])
        assert len(keys) == 1
        assert starlette_farm.kept() == keys
        client.cookies = {"session": client.cookies["session"]}  # the sign-in is gone
        assert client.get("/look").text == "0"


@pytest.mark.parametrize("kind", [FlaskFarm, StarletteFarm])
def test_a_store_that_cannot_be_written_to_fails_the_page(
    kind: type[Farm], dp: DataProtection, redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("Redis is down")

    for farm in given_farm(kind, dp, redis_server):
        monkeypatch.setattr(farm, "write", fail)
        with pytest.raises(ConnectionError):
            farm("both", "add")
        assert farm("both", "look") == "0"
        assert farm.cookie == ""


def test_the_old_form_is_not_written_without_a_function_that_writes() -> None:
    with pytest.raises(ConfigurationError, match="needs the function that writes") as raised:
        ServerSessions(lambda _: None, until=UNTIL, writes_old=True)
    assert raised.value.hint == "pass write=, and forget= as well"
