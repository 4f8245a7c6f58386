"""Who the user of a Django request is, once the request has signed in or out; what a sign-in does to the session."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model, login, logout
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django import sign_in, sign_out
from dpmiddleware.django.authentication import CookieAuthenticationMiddleware, PrincipalUser
from dpmiddleware.django.sessions import SessionStore
from dpmiddleware.web.sign_in.claims import Principal
from tests.clients import StoppedClock

# errors, but for connections that other tests left to the garbage collector, which may run here
pytestmark = pytest.mark.filterwarnings("error", "default::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", autouse=True)
def _accounts() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    get_user_model().objects.get_or_create(username="bob")
    with override_settings(ROOT_URLCONF=__name__):
        yield
    connection.close()


def bob() -> Any:
    return get_user_model().objects.get(username="bob")


def act(request: HttpRequest, step: str) -> None:
    {
        "ada": lambda: sign_in(request, Principal("ada")),
        "eve": lambda: sign_in(request, Principal("eve")),
        "out": lambda: sign_out(request),
        "bob": lambda: login(request, bob(), backend="django.contrib.auth.backends.ModelBackend"),
        "leave": lambda: logout(request),
    }[step]()


def shown(request: HttpRequest, user: Any) -> list[str]:
    principal: Principal = request.principal  # type: ignore[attr-defined]  # ours
    return [user.get_username() if user.is_authenticated else "", principal.name or ""]


def steps(request: HttpRequest) -> HttpResponse:
    seen = []
    for step in request.GET["do"].split(","):
        if step == "look":
            seen.append(shown(request, request.user))
        else:
            act(request, step)
    return JsonResponse(seen, safe=False)


async def steps_async(request: HttpRequest) -> HttpResponse:
    seen = []
    for step in request.GET["do"].split(","):
        if step == "look":
            seen.append(shown(request, await request.auser()))
        else:
            act(request, step)
    return JsonResponse(seen, safe=False)


def put(request: HttpRequest) -> HttpResponse:
    request.session.update(request.GET.dict())
    request.session.set_expiry(int(request.GET.get("expiry", "0")) or None)
    return HttpResponse()


def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.session))


def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


urlpatterns = [path(view.__name__, view) for view in (steps, steps_async, put, get, token)]

TICKETS = {
    "look,ada,look": [["", ""], ["ada", "ada"]],
    "ada,look,out,look": [["ada", "ada"], ["", ""]],
    "ada,look,eve,look": [["ada", "ada"], ["eve", "eve"]],
    "look,out,look": [["", ""], ["", ""]],
    "ada,out,look": [["", ""]],
    "out,ada,look": [["ada", "ada"]],
}
ACCOUNTS = {
    "bob,look,ada,look": [["bob", ""], ["ada", "ada"]],
    "bob,look,out,look": [["bob", ""], ["", ""]],
    "bob,out,look": [["", ""]],
    "bob,look,ada,out,look": [["bob", ""], ["", ""]],
    "ada,look,bob,look": [["ada", "ada"], ["bob", "ada"]],
    "bob,leave,ada,look": [["ada", "ada"]],
}


@pytest.mark.parametrize("do", [*TICKETS, *ACCOUNTS])
def test_the_user_stayed_as_before_a_sign_in_or_out(do: str) -> None:
    assert Client().get("/steps", {"do": do}).json() == {**TICKETS, **ACCOUNTS}[do]


@pytest.mark.parametrize("do", TICKETS)
def test_auser_stayed_as_before_a_sign_in_or_out(do: str) -> None:
    async def visit() -> Any:
        return (await AsyncClient().get("/steps_async", {"do": do})).json()

    assert asyncio.run(visit()) == TICKETS[do]


def test_an_account_that_was_found_before_stayed_after_a_sign_out() -> None:
    """In the request after the login; a middleware between Django's and ours has already looked."""
    client = Client()
    client.get("/steps", {"do": "bob"})
    assert client.get("/steps", {"do": "look,out,look"}).json() == [["bob", ""], ["", ""]]
    assert client.get("/steps", {"do": "look"}).json() == [["", ""]]


def request_through_ours(before: Any = None) -> HttpRequest:
    request = RequestFactory().get("/")
    if before is not None:
        request.user = before
    CookieAuthenticationMiddleware(lambda _: HttpResponse()).process_request(request)
    return request


def test_a_user_that_was_taken_before_stays_who_it_was() -> None:
    """As with Django's ``logout``: an application may note who has left."""
    request = request_through_ours()
    sign_in(request, Principal("ada"))
    user = request.user
    assert user.get_username() == "ada"
    sign_out(request)
    assert (user.get_username(), request.user.is_authenticated) == ("ada", False)


def test_nobody_is_djangos_anonymous_user_where_accounts_are_installed() -> None:
    from django.contrib.auth.models import AnonymousUser  # once the settings are there

    request = request_through_ours(before=bob())
    sign_out(request)
    assert request.user == AnonymousUser()
    with override_settings(INSTALLED_APPS=["dpmiddleware.django"]):
        request = request_through_ours(before=object())
        sign_out(request)
        assert isinstance(request.user, PrincipalUser)
        assert not request.user.is_authenticated


def test_the_account_of_a_principal_follows_too() -> None:
    def account_of(principal: Principal) -> Any:
        return bob() if principal.name == "ada" else None

    with override_settings(DATA_PROTECTION_COOKIE_AUTHENTICATION={"user": account_of}):
        looks = Client().get("/steps", {"do": "look,ada,look,out,look,eve,look"}).json()
    assert looks == [["", ""], ["bob", "ada"], ["", ""], ["", "eve"]]


def test_a_wrapper_of_the_request_and_the_request_show_the_same_user() -> None:
    """As Django REST framework's request, which sets the user in both."""

    class Wrapper:
        def __init__(self, request: HttpRequest) -> None:
            self.__dict__["_request"] = request

        def __getattr__(self, name: str) -> Any:
            return getattr(self._request, name)

        def __setattr__(self, name: str, value: Any) -> None:
            self.__dict__[name] = value
            if name == "user":
                self._request.user = value

    request = request_through_ours()
    wrapper: Any = Wrapper(request)
    assert (wrapper.user.is_authenticated, bool(wrapper.principal.is_authenticated)) == (False, False)
    sign_in(wrapper, Principal("ada"))
    for each in (wrapper, request):
        assert shown(each, each.user) == ["ada", "ada"]


# --- the session and the CSRF token of a sign-in --------------------------------------------------------------------


class AnHour(SessionStore):
    """A project's own engine."""

    def get_session_cookie_age(self) -> int:
        return 60 if self.get("short") else 3600


def test_a_sign_in_renews_the_csrf_token() -> None:
    """As Django's ``login`` does: a form from before the sign-in does not count afterwards."""
    for in_session in (False, True):
        with override_settings(CSRF_USE_SESSIONS=in_session):
            client = Client(enforce_csrf_checks=True)
            form = {"csrfmiddlewaretoken": client.get("/token").content.decode()}
            assert client.post("/token", form).status_code == 200
            client.get("/steps", {"do": "ada"})
            assert client.post("/token", form).status_code == 403
            form = {"csrfmiddlewaretoken": client.get("/token").content.decode()}
            assert client.post("/token", form).status_code == 200


ENDED = {
    "the setting": ({}, timedelta(days=1, seconds=1)),
    "its own expiry": ({"expiry": "60"}, timedelta(seconds=61)),
}


@pytest.mark.parametrize("how", ENDED)
@pytest.mark.parametrize("do", ["ada", "look,ada", "ada,look", "ada,eve", "out,ada"])
def test_a_sign_in_revived_a_session_that_had_ended(how: str, do: str) -> None:
    clock, (given, passes) = StoppedClock(), ENDED[how]
    dp = DataProtection("shop", repository="memory:", clock=clock)
    with override_settings(DATA_PROTECTION=dp, SESSION_COOKIE_AGE=24 * 3600):
        client = Client()
        client.get("/put", {"cart": "apples", **given})
        clock.forward(passes)
        client.get("/steps", {"do": do})
        assert "cart" not in client.get("/get").json()
        client.get("/put", {"cart": "pears"})
        assert client.get("/get").json()["cart"] == "pears"


def test_a_session_that_has_not_ended_is_kept_by_a_sign_in() -> None:
    clock = StoppedClock()
    dp = DataProtection("shop", repository="memory:", clock=clock)
    with override_settings(DATA_PROTECTION=dp, SESSION_COOKIE_AGE=24 * 3600):
        client = Client()
        client.get("/put", {"cart": "apples"})
        clock.forward(timedelta(days=1))
        client.get("/steps", {"do": "ada"})
        assert client.get("/get").json() == {"cart": "apples"}


@pytest.mark.parametrize(
    ("values", "passes", "left"), [({}, 3600, True), ({}, 3601, False), ({"short": "1"}, 61, False)]
)
def test_the_age_that_an_engine_of_the_project_says_counts(
    values: Any, passes: int, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StoppedClock()
    dp = DataProtection("shop", repository="memory:", clock=clock)
    monkeypatch.setitem(sys.modules, "an_engine", SimpleNamespace(SessionStore=AnHour))
    with override_settings(DATA_PROTECTION=dp, SESSION_ENGINE="an_engine"):
        client = Client()
        client.get("/put", {"cart": "apples", **values})
        clock.forward(timedelta(seconds=passes))
        client.get("/steps", {"do": "ada"})
        assert ("cart" in client.get("/get").json()) is left


def test_a_session_that_its_store_has_left_ends_too() -> None:
    """An application has put another store in its place, as django-allauth does."""
    clock = StoppedClock()
    dp = DataProtection("shop", repository="memory:", clock=clock)

    def replaced(request: HttpRequest) -> HttpResponse:
        request.session = SessionStore()
        sign_in(request, Principal("ada"))
        return HttpResponse(str(request.META["dpmiddleware.session"].get("cart")))

    with override_settings(DATA_PROTECTION=dp, ROOT_URLCONF=(path("put", put), path("replaced", replaced))):
        client = Client()
        client.get("/put", {"cart": "apples"})
        clock.forward(timedelta(seconds=settings.SESSION_COOKIE_AGE + 1))
        assert client.get("/replaced").content == b"None"


def test_djangos_own_way_to_sign_a_test_client_in_works_with_the_engine() -> None:
    """docs/testing.md says so."""
    client = Client()
    client.force_login(bob())
    assert client.get("/steps", {"do": "look"}).json()[0][0] == "bob"
