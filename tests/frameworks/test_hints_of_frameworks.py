"""An error about a setting of a framework, or about an argument of its middleware, uses the name that it has there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import flask
import pytest

from dpmiddleware import DataProtection, asgi, starlette, wsgi
from dpmiddleware.errors import ConfigurationError, WrongTypeError
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.naming import SESSION_COOKIE, replaced
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import STARLETTE_NAMES

RING = DataProtection("shop", repository="memory:")
SECURE = {"SESSION_COOKIE_SECURE": True}
LIFETIME = "set PERMANENT_SESSION_LIFETIME = timedelta(hours=1), or a number of seconds"
FLASK: dict[str, tuple[dict[str, Any], str, str]] = {
    "a lifetime as text": ({"PERMANENT_SESSION_LIFETIME": "1h"}, "PERMANENT_SESSION_LIFETIME='1h'", LIFETIME),
    "no lifetime": ({"PERMANENT_SESSION_LIFETIME": None}, "PERMANENT_SESSION_LIFETIME=None", LIFETIME),
    "a lifetime of nothing": ({"PERMANENT_SESSION_LIFETIME": 0}, "PERMANENT_SESSION_LIFETIME", "positive"),
    "a lifetime beyond time": ({"PERMANENT_SESSION_LIFETIME": 10**15}, "PERMANENT_SESSION_LIFETIME=1", LIFETIME),
    "None without Secure": (
        {"SESSION_COOKIE_SAMESITE": "None"},
        "SESSION_COOKIE_SAMESITE='none'",
        "set SESSION_COOKIE_SECURE = True",
    ),
    "an unknown SameSite": ({"SESSION_COOKIE_SAMESITE": "Laxx"}, "SESSION_COOKIE_SAMESITE='Laxx'", "strict, lax"),
    "a number as SameSite": ({"SESSION_COOKIE_SAMESITE": 5}, "as SESSION_COOKIE_SAMESITE, not int", "'strict'"),
    "a name with a space": ({"SESSION_COOKIE_NAME": "a b"}, "'a b': SESSION_COOKIE_NAME", "letters"),
    "a prefix without Secure": (
        {"SESSION_COOKIE_NAME": "__Host-sid"},
        "the prefix of SESSION_COOKIE_NAME requires Secure",
        "set SESSION_COOKIE_SECURE = True",
    ),
    "a prefix with a domain": (
        {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_DOMAIN": "shop.example", **SECURE},
        "SESSION_COOKIE_DOMAIN='shop.example'",
        "leave out SESSION_COOKIE_DOMAIN",
    ),
    "a prefix with a path": (
        {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_PATH": "/shop", **SECURE},
        "requires SESSION_COOKIE_PATH='/', not '/shop'",
        "set SESSION_COOKIE_PATH='/'",
    ),
    "a prefix that scripts read": (
        {"SESSION_COOKIE_NAME": "__Http-sid", "SESSION_COOKIE_HTTPONLY": False, **SECURE},
        "the prefix of SESSION_COOKIE_NAME requires HttpOnly",
        "set SESSION_COOKIE_HTTPONLY = True",
    ),
    "a path without a slash": ({"SESSION_COOKIE_PATH": "shop"}, "SESSION_COOKIE_PATH='shop'", "absolute"),
    "a domain that is no text": ({"SESSION_COOKIE_DOMAIN": 5}, "as SESSION_COOKIE_DOMAIN, not int", "text"),
    "a domain with a semicolon": ({"SESSION_COOKIE_DOMAIN": "a;b"}, "SESSION_COOKIE_DOMAIN='a;b'", "ASCII"),
    "Partitioned without Secure": (
        {"SESSION_COOKIE_PARTITIONED": True},
        "SESSION_COOKIE_PARTITIONED=True",
        "set SESSION_COOKIE_SECURE = True",
    ),
    "a budget as text": ({"SESSION_COOKIE_MAX_TOTAL": "8k"}, "as SESSION_COOKIE_MAX_TOTAL, not str", "number"),
    "a budget of nothing": ({"SESSION_COOKIE_MAX_TOTAL": 0}, "SESSION_COOKIE_MAX_TOTAL=0", "positive"),
    "a budget that browsers do not have": (
        {"SESSION_COOKIE_MAX_TOTAL": 20_000, "SESSION_COOKIE_PARTITIONED": True, **SECURE},
        "10240",
        "set SESSION_COOKIE_MAX_TOTAL to at most 10240",
    ),
}


@pytest.mark.parametrize("case", FLASK)
def test_an_error_about_flasks_configuration_names_flasks_setting(case: str) -> None:
    configured, said, hint = FLASK[case]
    app = flask.Flask("shop")
    app.config.update(configured, TESTING=True)
    ProtectedSessions(app, data_protection=RING)
    app.add_url_rule("/", view_func=lambda: str(flask.session.get("a")))
    with pytest.raises(ConfigurationError) as caught:
        app.test_client().get("/")
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_settings_that_are_given_as_an_object_are_named_as_arguments() -> None:
    with pytest.raises(ConfigurationError) as caught:
        CookieSettings("sid", same_site="none")
    assert caught.value.hint == "set secure='always'"


ALONE = {
    "path=/x": "SESSION_COOKIE_PATH=/x",
    "name='a b'": "SESSION_COOKIE_NAME='a b'",
    "see path=": "see SESSION_COOKIE_PATH",
    "domain=.": "SESSION_COOKIE_DOMAIN.",
    "text as name, not int": "text as SESSION_COOKIE_NAME, not int",
}
INSIDE = ("redis://h/0?name=1", "redis://h/0?a=1&name=1", "--name=2", "a.name=3", "hostname=4", "as name, but")


@pytest.mark.parametrize("text", ALONE)
def test_a_name_that_stands_alone_is_replaced(text: str) -> None:
    assert replaced(text, SESSION_COOKIE) == ALONE[text]


@pytest.mark.parametrize("text", INSIDE)
def test_a_name_inside_of_something_else_is_left_alone(text: str) -> None:
    assert replaced(text, SESSION_COOKIE) == text


# --- arguments of other libraries -------------------------------------------------------------------------------------


def _app(*_: object) -> list[bytes]:
    return []


MIDDLEWARE: dict[str, Callable[..., object]] = {
    "starlette": lambda **more: starlette.SessionMiddleware(_app, **more),  # type: ignore[arg-type]  # is not called
    "asgi": lambda **more: asgi.SessionMiddleware(_app, **more),  # type: ignore[arg-type]  # is not called
    "wsgi": lambda **more: wsgi.SessionMiddleware(_app, **more),
}


@pytest.mark.parametrize("middleware", MIDDLEWARE)
@pytest.mark.parametrize("name", STARLETTE_NAMES)
@pytest.mark.parametrize("beside", [{}, {"data_protection": RING}], ids=["alone", "with a ring"])
def test_an_argument_of_starlettes_middleware_is_refused_with_what_to_pass(
    middleware: str, name: str, beside: dict[str, Any]
) -> None:
    with pytest.raises(WrongTypeError, match=f"the argument '{name}' is unknown") as caught:
        MIDDLEWARE[middleware](**{name: "x" * 20}, **beside)
    assert caught.value.hint == STARLETTE_NAMES[name]


def test_everything_that_starlettes_own_middleware_takes_has_such_a_hint() -> None:
    import inspect

    from starlette.middleware.sessions import SessionMiddleware

    assert set(inspect.signature(SessionMiddleware).parameters) - {"app"} == set(STARLETTE_NAMES)


def test_what_the_hints_say_works() -> None:
    cookie = CookieSettings("session", secure="always", same_site="lax", path="/", domain="shop.example")
    for make in MIDDLEWARE.values():
        assert make(data_protection=RING, cookie=cookie, idle=timedelta(days=14))
        assert make(data_protection=RING, cookie="sid")


def test_arguments_of_starlettes_middleware_for_users_have_hints_too() -> None:
    import inspect

    from starlette.middleware.authentication import AuthenticationMiddleware

    for name in set(inspect.signature(AuthenticationMiddleware).parameters) - {"app"}:
        foreign: dict[str, Any] = {name: object()}
        with pytest.raises(WrongTypeError, match=f"'{name}' is unknown") as caught:
            starlette.CookieAuthenticationMiddleware(_app, **foreign)  # type: ignore[arg-type]  # is not called
        assert caught.value.hint.startswith("pass ")


def test_flasks_extension_needs_no_secret_key_and_says_so() -> None:
    secret: dict[str, Any] = {"secret_key": "x" * 20}
    with pytest.raises(WrongTypeError, match="'secret_key' is unknown") as caught:
        ProtectedSessions(**secret)
    assert caught.value.hint.startswith("pass data_protection=")


MISSPELT: dict[str, tuple[Callable[[], object], str]] = {
    "an option": (lambda: MIDDLEWARE["wsgi"](data_protection=RING, absolut=5), "use absolute"),
    "a required argument": (lambda: MIDDLEWARE["wsgi"](data_protecton=RING), "use data_protection"),
    "of the ring": (lambda: DataProtection("shop", repositry="memory:"), "use repository"),  # type: ignore[call-arg]  # the point
    "a time span": (lambda: DataProtection("shop", life_time="30d"), "use lifetime"),  # type: ignore[call-arg]  # the point
}


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_argument_is_found_before_a_missing_one(case: str) -> None:
    make, hint = MISSPELT[case]
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.hint == hint
