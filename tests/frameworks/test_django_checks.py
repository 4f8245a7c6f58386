"""Issue: settings of Django that fail in every request passed ``manage.py check``."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from dpmiddleware.django import Principal, challenge, sign_in
from dpmiddleware.django.apps import report_findings
from dpmiddleware.django.sessions import SessionMiddleware, SessionStore
from dpmiddleware.web.sessions.migration import DjangoSessions
from tests.clients import StoppedClock

PACKAGE = Path(__file__).parents[2] / "dpmiddleware" / "django"


@pytest.fixture(scope="module", autouse=True)
def _project() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    with override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[
            "dpmiddleware.django.sessions.SessionMiddleware",
            "dpmiddleware.django.authentication.CookieAuthenticationMiddleware",
        ],
        DATA_PROTECTION={"application": "shop", "repository": "memory:"},
    ):
        yield


def put(request: HttpRequest) -> HttpResponse:
    request.session["a"] = 1
    return HttpResponse()


def get(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.session.get("a")))


def enter(request: HttpRequest) -> HttpResponse:
    sign_in(request, Principal("ada"))
    return HttpResponse()


def look(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.is_authenticated))


def away(request: HttpRequest) -> HttpResponse:
    return challenge(request)


def signed(request: HttpRequest) -> HttpResponse:
    response = HttpResponse()
    response.set_signed_cookie("tea", "green")
    return response


PAGES = (put, get, enter, look, away, signed)
urlpatterns = [path(page.__name__, page) for page in PAGES]


class Text:
    """A serializer that writes text, where Django's write bytes."""

    def dumps(self, obj: Any) -> str:
        return json.dumps(obj)

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class Never(SessionStore):
    """An engine of the project."""

    def get_session_cookie_age(self) -> Any:
        return None


def account(principal: Principal) -> None:
    """No principal has an account."""


def with_options(**options: Any) -> dict[str, Any]:
    return {"DATA_PROTECTION_COOKIE_AUTHENTICATION": options}


HERE = "tests.frameworks.test_django_checks"
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("E003", {"SESSION_COOKIE_SAMESITE": "None"}),
    ("E003", {"SESSION_COOKIE_SAMESITE": "none", "SESSION_COOKIE_SECURE": False}),
    ("E003", {"SESSION_COOKIE_SAMESITE": "Laxer"}),
    ("E003", {"SESSION_COOKIE_SAMESITE": True}),
    ("E003", {"SESSION_COOKIE_NAME": "my session"}),
    ("E003", {"SESSION_COOKIE_NAME": ""}),
    ("E003", {"SESSION_COOKIE_NAME": None}),
    ("E003", {"SESSION_COOKIE_NAME": "__Host-sid"}),
    ("E003", {"SESSION_COOKIE_NAME": "__Secure-sid"}),
    ("E003", {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_PATH": "/shop"}),
    ("E003", {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_DOMAIN": "shop.io"}),
    ("E003", {"SESSION_COOKIE_NAME": "__Http-sid", "SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_HTTPONLY": False}),
    ("E003", {"SESSION_COOKIE_NAME": "s" * 4040}),
    ("E003", {"SESSION_COOKIE_PATH": "shop"}),
    ("E003", {"SESSION_COOKIE_PATH": "/shöp"}),
    ("E003", {"SESSION_COOKIE_PATH": ["/"]}),
    ("E003", {"SESSION_COOKIE_DOMAIN": "shop.example; secure"}),
    ("E003", {"SESSION_COOKIE_DOMAIN": 7}),
    ("E003", {"SESSION_COOKIE_MAX_TOTAL": "8000"}),
    ("E003", {"SESSION_COOKIE_MAX_TOTAL": 0}),
    ("E003", {"SESSION_COOKIE_MAX_TOTAL": None}),
    ("E003", {"SESSION_COOKIE_AGE": "1209600"}),
    ("E003", {"SESSION_COOKIE_AGE": timedelta(days=14)}),
    ("E003", {"SESSION_COOKIE_AGE": None}),
    ("E003", {"SESSION_COOKIE_AGE": 10**12}),
    ("E003", {"SESSION_SERIALIZER": "django.core.signing.JSONSerialiser"}),
    ("E003", {"SESSION_SERIALIZER": "json"}),
    ("E003", {"SESSION_SERIALIZER": "json.dumps"}),
    ("E003", {"SESSION_SERIALIZER": None}),
    ("E003", {"SESSION_SERIALIZER": f"{HERE}.Text"}),
    ("E003", {"SESSION_ENGINE": "dpmiddleware.django.session"}),
    ("E003", {"SESSION_ENGINE": "a_project_with_never"}),
    ("E003", {"DATA_PROTECTION_SESSION_MIGRATION": "the old secret of the project"}),
    ("E003", {"DATA_PROTECTION_SESSION_MIGRATION": {"secret_key": "x"}}),
    ("E004", with_options(user="shop.users.of_principal")),
    ("E004", with_options(user=7)),
    ("E004", with_options(user=f"{HERE}.HERE")),
    ("E004", with_options(events={"signing_in": print})),
    ("E004", with_options(is_api_request="shop.api")),
    ("E004", with_options(claims_issuer=7, session_store="memory:")),
    ("E004", with_options(return_url_parameter=7)),
    ("E004", with_options(login_path="https://login.example/")),
    ("E004", with_options(expire_time_span=None)),
    ("E004", with_options(expire_time_span=90 * 86_400)),  # the absolute end would cut it
    ("E004", with_options(absolute_time_span="a month")),
    ("E004", with_options(renew_after=15 * 86_400)),
    ("E004", with_options(clear_site_data=["cach"])),
    ("E004", with_options(no_store="always")),
    ("E004", with_options(cookie={"name": "sid"})),
    ("E004", with_options(session_store="no-such-store://x")),
    ("E004", with_options(clock=datetime)),
    ("E004", {"DATA_PROTECTION_COOKIE_AUTHENTICATION": None}),
    ("E005", {"SIGNING_BACKEND": "dpmiddleware.django.signing.Signer"}),
    ("E005", {"SECURE_PROXY_SSL_HEADER": "HTTP_X_FORWARDED_PROTO"}),
]
RIGHT: list[dict[str, Any]] = [
    {},
    with_options(expire_time_span=3600, absolute_time_span=12 * 3600, renew_after=60, no_store=True),
    with_options(expire_time_span=90 * 86_400, absolute_time_span=None, clear_site_data=("cache", "storage")),
    {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
    {"SESSION_COOKIE_SAMESITE": "Strict"},
    {"SESSION_COOKIE_SAMESITE": False},
    {"SESSION_COOKIE_SAMESITE": None},
    {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_SECURE": True},
    {"SESSION_COOKIE_PATH": None},
    {"SESSION_COOKIE_DOMAIN": ".shop.example"},
    {"SESSION_COOKIE_AGE": 0.5},
    {"SESSION_COOKIE_MAX_TOTAL": 16_000},
    {"SESSION_SAVE_EVERY_REQUEST": True},
    {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
    {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies", "SESSION_COOKIE_SAMESITE": "None"},
    {
        "DATA_PROTECTION_SESSION_MIGRATION": DjangoSessions(
            "the old secret of the project", until=datetime(2026, 3, 8, tzinfo=timezone.utc), now=StoppedClock().now()
        )
    },
    {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
    with_options(user=f"{HERE}.account", session_store="memory:", claims_issuer="shop"),
]
HARMLESS = {
    "DATA_PROTECTION": "a check of its own: E001",
    "SESSION_COOKIE_SECURE": "any value is true or false",
    "SESSION_COOKIE_HTTPONLY": "the same",
    "SESSION_SAVE_EVERY_REQUEST": "the same",
    "SESSION_EXPIRE_AT_BROWSER_CLOSE": "the same",
    "MIDDLEWARE": "Django refuses it when it starts",
    "INSTALLED_APPS": "the same",
    "SESSION_KEY": "not a setting, but a key of META",
    "SECRET_KEY": "Django refuses an empty one when it is read, and signing does without",
    "SECRET_KEY_FALLBACKS": "read beside it, with the same meaning as in Django",
}


def named(value: Any) -> str:
    return "+".join(value) if isinstance(value, dict) else str(value)


def found() -> dict[str, Any]:
    return {str(each.id): each for each in run_checks() if str(each.id).startswith("dpmiddleware.E")}


def failures() -> list[str]:
    """The pages that fail; all of them if no request can be answered."""
    try:
        client = Client(raise_request_exception=False)
        return [page.__name__ for page in PAGES if client.get(f"/{page.__name__}").status_code == 500]
    except Exception:  # noqa: BLE001 (the server would not start)
        return [page.__name__ for page in PAGES]


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a_project_with_never", SimpleNamespace(SessionStore=Never))


@pytest.mark.parametrize(("number", "changed"), WRONG, ids=named)
def test_a_setting_that_fails_in_requests_passed_the_check(number: str, changed: dict[str, Any]) -> None:
    with override_settings(**changed):
        assert failures()
        errors = found()
        assert list(errors) == [f"dpmiddleware.{number}"]
        assert errors[f"dpmiddleware.{number}"].hint


@pytest.mark.parametrize(("number", "changed"), [case for case in WRONG if case[0] in {"E003", "E005"}], ids=named)
def test_the_error_or_its_hint_names_a_setting_that_was_changed(number: str, changed: dict[str, Any]) -> None:
    with override_settings(**changed):
        [error] = found().values()
    said = f"{error.msg} {error.hint}"
    assert any(re.search(rf"\b{name}\b", said) for name in changed), said


@pytest.mark.parametrize("given", ["shop", ["application", "shop"], 7], ids=repr)
def test_a_data_protection_that_is_no_mapping_is_not_said_to_be_missing(given: Any) -> None:
    with override_settings(DATA_PROTECTION=given):
        error = found()["dpmiddleware.E001"]
    assert error.msg == f"settings.DATA_PROTECTION is not a mapping: it is of the type {type(given).__name__}"


@pytest.mark.parametrize("changed", RIGHT, ids=named)
def test_a_setting_that_works_in_requests_passes_the_check(changed: dict[str, Any]) -> None:
    with override_settings(**changed):
        assert found() == {}
        assert failures() == []


class OfTheShop(SessionMiddleware):
    """A middleware that an application derives from ours."""


MIDDLEWARE = {
    "dpmiddleware.django.sessions.SessionMiddleware": False,
    "dpmiddleware.django.SessionMiddleware": False,
    f"{__name__}.OfTheShop": False,
    "django.contrib.sessions.middleware.SessionMiddleware": True,
    "shop.there_is_none.SessionMiddleware": True,
}


@pytest.mark.parametrize(("path", "is_missed"), MIDDLEWARE.items())
def test_the_middleware_of_sessions_is_missed_only_where_it_is_missing(path: str, is_missed: bool) -> None:
    with override_settings(MIDDLEWARE=[path]):
        assert ("dpmiddleware.W003" in {message.id for message in report_findings()}) is is_missed


def test_hints_name_the_settings_of_django() -> None:
    with override_settings(SESSION_COOKIE_SAMESITE="None"):
        [error] = found().values()
    assert error.hint == "set SESSION_COOKIE_SECURE = True"
    assert "SameSite=None requires Secure" in error.msg


def test_every_setting_that_the_package_reads_is_in_the_table() -> None:
    sources = "".join(path.read_text("utf-8") for path in PACKAGE.glob("*.py"))
    read = set(re.findall(r"settings\.([A-Z][A-Z_]+)\b", sources))
    read |= set(re.findall(r'"((?:SESSION|DATA_PROTECTION|SIGNING|SECURE)_?[A-Z_]+)"', sources))
    assert read - {name for _, changed in WRONG for name in changed} - set(HARMLESS) == set()
