"""From Django's own sessions on the server to ours, one process at a time, without a logout.

Servers: *old* has Django's engine, *both* reads both forms and writes the old one, *new* reads both and writes ours. A
farm has old and both, then both and new.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model, login, logout
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django import DjangoSessions
from dpmiddleware.django.sessions import SessionStore
from dpmiddleware.errors import ConfigurationError

STORES = ["db", "cache", "cached_db"]
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
SOON = datetime.now(timezone.utc) + timedelta(days=5)


# --- the application --------------------------------------------------------------------------------------------------


def enter(request: HttpRequest) -> HttpResponse:
    ada: Any = get_user_model().objects.get_or_create(username="ada")[0]
    login(request, ada, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


def look(request: HttpRequest) -> HttpResponse:
    """Who it is, how much is in the cart, and the key, by which applications find rows of their own."""
    name = request.user.get_username()
    return JsonResponse([name, request.session.get("cart", 0), request.session.session_key], safe=False)


def add(request: HttpRequest) -> HttpResponse:
    request.session["cart"] = request.session.get("cart", 0) + 1
    return HttpResponse()


async def add_async(request: HttpRequest) -> HttpResponse:
    await request.session.aset("cart", await request.session.aget("cart", 0) + 1)
    return HttpResponse()


def ended_meanwhile(request: HttpRequest) -> HttpResponse:
    """Another request signs out while this one runs."""
    request.session["cart"] = 99
    apps.get_model("sessions", "Session").objects.filter(session_key=request.session.session_key).delete()
    cache.clear()
    return HttpResponse()


PAGES = (enter, leave, look, add, add_async, ended_meanwhile)
urlpatterns = [path(page.__name__, page) for page in PAGES]


@pytest.fixture(scope="module", autouse=True)
def _project() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    protection = DataProtection("shop", repository="memory:")
    with override_settings(ROOT_URLCONF=__name__, DATA_PROTECTION=protection):
        yield


# --- the farm ---------------------------------------------------------------------------------------------------------


class Farm:
    """Servers of all kinds, and one browser."""

    def __init__(self, store: Any, *, asgi: bool = False, until: datetime = SOON) -> None:
        self.store, self.asgi, self.until = store, asgi, until
        self.cookies = Client().cookies

    def settings_of(self, server: str) -> dict[str, Any]:
        if server == "old":
            ours, engine, migration = (
                "django.contrib.sessions.middleware",
                f"django.contrib.sessions.backends.{self.store}",
                None,
            )
        else:
            ours = engine = "dpmiddleware.django.sessions"
            migration = DjangoSessions(store=self.store, until=self.until, writes_old=server == "both")
        return {
            "MIDDLEWARE": [f"{ours}.SessionMiddleware", AUTH],
            "SESSION_ENGINE": engine,
            "DATA_PROTECTION_SESSION_MIGRATION": migration,
        }

    def __call__(self, server: str, page: str) -> Any:
        """The browser asks a server for a page."""
        with override_settings(**self.settings_of(server)):
            client: Any = (AsyncClient if self.asgi else Client)()
            client.cookies = self.cookies
            response = async_to_sync(client.get)(f"/{page}") if self.asgi else client.get(f"/{page}")
        self.set = response.cookies
        return response.json() if response.headers["Content-Type"] == "application/json" else response.status_code

    @property
    def cookie(self) -> str:
        morsel = self.cookies.get("sessionid")
        return morsel.value if morsel is not None else ""


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["WSGI", "ASGI"])
def farm(request: pytest.FixtureRequest, store: str) -> Farm:
    return Farm(store, asgi=request.param)


# --- from one server to another ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("old", "both"), ("both", "old"), ("both", "both"), ("both", "new"), ("new", "both"), ("new", "new")],
)
def test_a_user_goes_from_server_to_server(farm: Farm, one: str, other: str) -> None:
    farm(one, "enter")
    for cart in range(4):
        name, found, _ = farm((one, other)[cart % 2], "look")
        assert (name, found) == ("ada", cart)
        farm((other, one)[cart % 2], "add_async" if cart == 2 else "add")
    assert farm(other, "look")[:2] == ["ada", 4]


def test_a_session_is_taken_over_at_first_sight_and_keeps_its_key(farm: Farm) -> None:
    farm("old", "enter")
    farm("old", "add")
    before, key = farm("old", "look"), farm.cookie
    assert farm("new", "look") == before == ["ada", 1, key]
    assert farm.cookie.startswith("CfDJ8")
    assert farm("new", "look") == before


def test_the_whole_deployment_signs_nobody_out(farm: Farm) -> None:
    farm("old", "enter")
    for number, server in enumerate(["old", "both", "old", "both", "both", "new", "both", "new", "new"]):
        assert farm(server, "look")[:2] == ["ada", number]
        farm(server, "add")


def test_an_anonymous_session_keeps_its_content_and_its_key(farm: Farm) -> None:
    farm("old", "add")
    key = farm.cookie
    assert farm("both", "look") == farm("new", "look") == ["", 1, key]


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_request_that_only_reads_writes_nothing_while_the_old_form_is_written(farm: Farm) -> None:
    farm("old", "enter")
    with CaptureQueriesContext(connection) as queries:
        farm("both", "look")
    assert farm.set == {}
    assert [each["sql"] for each in queries if not each["sql"].startswith("SELECT")] == []


@pytest.mark.parametrize("server", ["both", "new"])
def test_a_cookie_of_django_that_is_not_known_is_left_alone(farm: Farm, server: str) -> None:
    """Another server may know it."""
    farm.cookies["sessionid"] = "a" * 32
    assert farm(server, "look")[:2] == ["", 0]
    assert farm.set == {}
    assert farm.cookie == "a" * 32


@pytest.mark.parametrize("junk", ["", "a" * 31 + "!", "short", "a" * 41, "../etc/passwd", "CfDJ8" + "a" * 90])
def test_what_cannot_be_a_key_is_not_looked_up(junk: str) -> None:
    farm = Farm("db")
    farm.cookies["sessionid"] = junk
    with CaptureQueriesContext(connection) as queries:
        assert farm("new", "look")[:2] == ["", 0]
    assert len(queries) == 0


def test_no_request_asks_the_store_more_than_four_times() -> None:
    header = "; ".join(f"sessionid={letter * 32}" for letter in "abcdefgh")
    with override_settings(**Farm("db").settings_of("new")), CaptureQueriesContext(connection) as queries:
        Client(headers={"cookie": header}).get("/look")
    assert len(queries) == 4


# --- the end of a session ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["both", "new"])
@pytest.mark.parametrize("taken_over", [False, True], ids=["at once", "after it was taken over"])
def test_signing_out_ends_the_old_session_everywhere(farm: Farm, server: str, taken_over: bool) -> None:
    farm("old", "enter")
    copied = farm.cookie
    if taken_over:
        farm("new", "look")
    farm(server, "leave")
    assert farm.cookie == ""
    for each in ("old", "both", "new"):
        farm.cookies["sessionid"] = copied
        assert farm(each, "look")[0] == ""


@pytest.mark.parametrize("server", ["both", "new"])
def test_signing_in_renews_the_key_and_ends_the_old_one(farm: Farm, server: str) -> None:
    farm("old", "add")
    anonymous = farm.cookie
    farm(server, "enter")
    name, cart, key = farm(server, "look")
    assert (name, cart) == ("ada", 1)
    assert key != anonymous
    farm.cookies["sessionid"] = anonymous
    assert farm("old", "look")[:2] == ["", 0]


def test_a_session_that_another_request_ended_is_not_brought_back(store: str) -> None:
    farm = Farm(store)
    farm("old", "enter")
    key = farm.cookie
    assert farm("both", "ended_meanwhile") == 400  # Django's own answer
    farm.cookies["sessionid"] = key
    assert farm("old", "look")[:2] == ["", 0]


def test_an_outage_of_the_store_is_not_an_end_of_the_session(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm("old", "enter")
    key = farm.cookie
    with monkeypatch.context() as patch:
        patch.setattr(f"django.contrib.sessions.backends.{farm.store}.SessionStore.load", outage)
        for server in ("both", "new"):
            with pytest.raises(OperationalError):
                farm(server, "look")
    assert farm.cookie == key
    assert farm("new", "look")[0] == "ada"


def outage(_: object) -> None:
    raise OperationalError("the database is away")


def test_a_store_that_an_application_makes_for_a_key_has_the_old_session(store: str) -> None:
    farm = Farm(store)
    farm("old", "add")
    key = farm.cookie
    with override_settings(**farm.settings_of("new")):
        assert SessionStore(key)["cart"] == 1
        SessionStore(key).flush()
    assert farm("old", "look")[1] == 0


@pytest.mark.parametrize("server", ["both", "new"])
def test_a_session_that_had_ended_is_not_taken_over(server: str) -> None:
    farm = Farm("db")
    farm("old", "enter")
    past = datetime.now(timezone.utc) - timedelta(seconds=1)
    apps.get_model("sessions", "Session").objects.filter(session_key=farm.cookie).update(expire_date=past)
    assert farm(server, "look")[0] == ""


def test_after_until_no_old_session_is_read() -> None:
    farm = Farm("db", until=datetime.now(timezone.utc) - timedelta(seconds=1))
    farm("old", "enter")
    for server in ("both", "new"):
        assert farm(server, "look")[0] == ""


def test_how_many_are_left_is_counted() -> None:
    farm, name = Farm("db"), ("session_migrated", "django")
    farm("old", "enter")
    before = telemetry.counts().get(name, 0)
    for _ in range(3):
        farm("new", "look")
    assert telemetry.counts()[name] == before + 1


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "or else a store"),
        ({"secret_key": "x" * 20, "store": "db"}, "or else a store"),
        ({"store": "db", "fallbacks": ["x" * 20]}, "or else a store"),
        ({"store": "file"}, "'file'"),
        ({"store": "database"}, "'database'"),
        ({"store": "db", "until": SOON + timedelta(days=30)}, "later than the end"),
        ({"store": "db", "until": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001 (that is the mistake)
    ],
)
def test_a_migration_that_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        DjangoSessions(**{"until": SOON, **arguments})
    assert caught.value.hint


def test_a_store_whose_app_is_not_installed_is_a_finding() -> None:
    installed = [
        each for each in settings.INSTALLED_APPS if each not in {"django.contrib.sessions", "django.contrib.admin"}
    ]
    with override_settings(INSTALLED_APPS=installed, **Farm("db").settings_of("new")):
        found = {str(each.id): each for each in run_checks()}
    assert "django.contrib.sessions" in found["dpmiddleware.E003"].msg
