"""``dpm --app module:name``: which objects have a ring, and what ``dpm check`` sees in an application's cookies."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import quart
from django.core.handlers.wsgi import WSGIHandler
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware

from dpmiddleware import asgi, wsgi
from dpmiddleware import flask as our_flask
from dpmiddleware import quart as our_quart
from dpmiddleware.cli import main
from dpmiddleware.cli.application import application_of
from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.starlette import CookieAuthenticationMiddleware, CookieSettings, SessionMiddleware
from tests.cli.commands import in_project

ALWAYS = CookieSettings("sid", secure="always")
NEVER = CookieSettings("sid", secure="never")


def of_flask(dp: DataProtection, cookie: CookieSettings | None = None) -> flask.Flask:
    app = flask.Flask("shop")
    our_flask.ProtectedSessions(data_protection=dp, cookie=cookie).init_app(app)
    our_flask.CookieAuthentication(data_protection=dp, cookie=cookie or "id").init_app(app)
    return app


def of_quart(dp: DataProtection, cookie: CookieSettings | None = None) -> quart.Quart:
    app = quart.Quart("shop")
    our_quart.ProtectedSessions(data_protection=dp, cookie=cookie).init_app(app)
    our_quart.CookieAuthentication(data_protection=dp, cookie=cookie or "id").init_app(app)
    return app


def of_starlette(dp: DataProtection, cookie: CookieSettings | None = None) -> Starlette:
    more: dict[str, Any] = {} if cookie is None else {"cookie": cookie}
    return Starlette(
        middleware=[
            Middleware(SessionMiddleware, data_protection=dp, **more),
            Middleware(CookieAuthenticationMiddleware, data_protection=dp, **more),
        ]
    )


def of_fastapi(dp: DataProtection, cookie: CookieSettings | None = None) -> FastAPI:
    more: dict[str, Any] = {} if cookie is None else {"cookie": cookie}
    app = FastAPI()
    app.add_middleware(SessionMiddleware, data_protection=dp, **more)
    app.add_middleware(CookieAuthenticationMiddleware, data_protection=dp, **more)
    return app


def of_wsgi(dp: DataProtection, cookie: CookieSettings | None = None) -> Any:
    more: dict[str, Any] = {} if cookie is None else {"cookie": cookie}
    inner = wsgi.SessionMiddleware(flask.Flask("inner"), data_protection=dp, **more)
    return wsgi.CookieAuthenticationMiddleware(inner, data_protection=dp, **more)


def of_asgi(dp: DataProtection, cookie: CookieSettings | None = None) -> Any:
    more: dict[str, Any] = {} if cookie is None else {"cookie": cookie}
    inner = asgi.SessionMiddleware(Starlette(), data_protection=dp, **more)
    return asgi.CookieAuthenticationMiddleware(inner, data_protection=dp, **more)


APPLICATIONS: dict[str, Callable[..., Any]] = {
    "Flask": of_flask,
    "Quart": of_quart,
    "Starlette": of_starlette,
    "FastAPI": of_fastapi,
    "WSGI": of_wsgi,
    "ASGI": of_asgi,
}


@pytest.fixture
def dp() -> DataProtection:
    return DataProtection("shop", repository="memory:")


def findings(served: Any) -> list[Finding]:
    look = application_of(served, "shop:app").findings
    assert look is not None
    return list(look())


@pytest.mark.parametrize("kind", APPLICATIONS)
def test_the_ring_of_an_application_is_its_own_object(kind: str, dp: DataProtection) -> None:
    assert application_of(APPLICATIONS[kind](dp), "shop:app").data_protection is dp


def test_the_ring_of_a_django_project_is_that_of_its_settings(dp: DataProtection) -> None:
    with in_project(dp):
        handler = WSGIHandler()
        assert application_of(handler, "shop:app").data_protection is dp
        assert "dpmiddleware.W005" in {one.code for one in findings(handler)}
        around = wsgi.CookieProtectionMiddleware(handler, data_protection=dp, cookies=["csrftoken"])
        assert {"scripts_read_cookie", "dpmiddleware.W005"} <= {one.code for one in findings(around)}


@pytest.mark.parametrize("kind", APPLICATIONS)
def test_a_cookie_without_secure_is_found(kind: str, dp: DataProtection) -> None:
    assert findings(APPLICATIONS[kind](dp, ALWAYS)) == []
    assert {(one.code, one.level) for one in findings(APPLICATIONS[kind](dp))} == {("cookie_secure_as_request", "note")}
    insecure = findings(APPLICATIONS[kind](dp, NEVER))
    assert [(one.code, one.level) for one in insecure] == [("cookie_not_secure", "problem")] * 2
    assert {one.text.partition(" cookie")[0] for one in insecure} == {"the session", "the sign-in"}


@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
def test_a_cookie_policy_that_adds_secure_counts(kind: str, dp: DataProtection) -> None:
    around: Any = {"WSGI": wsgi.CookiePolicyMiddleware, "ASGI": asgi.CookiePolicyMiddleware}[kind]
    assert findings(around(APPLICATIONS[kind](dp), secure="always")) == []


def test_the_session_cookie_of_flask_is_that_of_its_configuration(dp: DataProtection) -> None:
    app = of_flask(dp)
    app.config["SESSION_COOKIE_SECURE"] = True
    assert [one.text.partition(" cookie")[0] for one in findings(app)] == ["the sign-in"]


@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
@pytest.mark.parametrize(
    ("cookies", "level"), [(["sid", "csrftoken"], "problem"), (["sid", "csrf*"], "note"), (["sid"], None)]
)
def test_a_sealed_cookie_that_scripts_read_is_found(
    kind: str, cookies: list[str], level: str | None, dp: DataProtection
) -> None:
    around: Any = {"WSGI": wsgi.CookieProtectionMiddleware, "ASGI": asgi.CookieProtectionMiddleware}[kind]
    app = around(APPLICATIONS[kind](dp, ALWAYS), data_protection=dp, cookies=cookies)
    found = findings(app)
    assert [one.level for one in found] == ([] if level is None else [level])
    assert all("csrftoken" in one.text for one in found)


def test_an_application_with_two_rings_is_refused(dp: DataProtection) -> None:
    other = DataProtection("blog", repository="memory:")
    inner = wsgi.SessionMiddleware(flask.Flask("inner"), data_protection=dp)
    with pytest.raises(UsageError, match="has 2 different rings"):
        application_of(wsgi.CookieAuthenticationMiddleware(inner, data_protection=other), "shop:app")


# --- module:name ------------------------------------------------------------------------------------------------------

SOURCE = """
from dpmiddleware import DataProtection
from dpmiddleware.errors import ConfigurationError

class Shop:
    ring = DataProtection("shop", repository="keys")

def create():
    return Shop.ring

def create_wrongly():
    raise ConfigurationError("no such drawer", hint="open another")
"""
REFUSED = {
    "shop": ("--app does not name an object in a module", "write --app module:name"),
    "no_such_shop:dp": ("--app: there is no module no_such_shop", "run dpm in the folder"),
    "a_shop:dp": ("--app: the module a_shop has no dp", "write --app module:name"),
    "a_shop:create": ("a_shop:create is a function without data protection", "write a_shop:create() if it is"),
    "a_shop:create_wrongly()": (
        "--app: a_shop:create_wrongly() fails: ConfigurationError: no such drawer",
        "open another",
    ),
    "a_shop:Shop": ("a_shop:Shop is a type without data protection", "name its DataProtection"),
    "broken_shop:dp": (
        "--app: the module broken_shop cannot be imported: ZeroDivisionError",
        "correct the application",
    ),
    "redis://:hunter2@localhost": ("--app does not name an object in a module", "write --app module:name"),
}


@pytest.fixture
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "a_shop.py").write_text(SOURCE)
    (tmp_path / "broken_shop.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("a_shop", "broken_shop"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize("target", ["a_shop:Shop.ring", "a_shop:create()"])
def test_a_target_is_an_attribute_or_what_a_factory_returns(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--app", target, "keys", "create"]) == 0
    assert main(["keys", "list", "--app", target]) == 0, "after the verb as well"
    assert "1 key" in capsys.readouterr().out


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize("target", REFUSED)
def test_a_target_that_is_none_is_explained(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--app", target, "keys", "list"]) == 2
    printed = capsys.readouterr().err
    text, hint = REFUSED[target]
    assert printed.startswith(f"dpm: error: {text}")
    assert f"dpm: hint: {hint}" in printed
    assert "hunter2" not in printed
