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
from django.test import override_settings
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware

from dpmiddleware import asgi, wsgi
from dpmiddleware import flask as our_flask
from dpmiddleware import quart as our_quart
from dpmiddleware.cli import main
from dpmiddleware.cli.application import application_of
from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.server_limits import LIMITS, findings_of_limits
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.starlette import CookieAuthenticationMiddleware, CookieSettings, SessionMiddleware
from tests.cli.commands import in_project
from tests.servers import ROOT

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


# --- server limits ----------------------------------------------------------------------------------------------------

LARGE = CookieSettings("sid", secure="always", max_total=20_000)


def limits_found(app: Any) -> list[Finding]:
    return [one for one in findings(app) if one.code == "server_limit"]


@pytest.mark.parametrize("kind", APPLICATIONS)
def test_a_budget_above_the_defaults_of_servers_is_a_note(kind: str, dp: DataProtection) -> None:
    (finding,) = limits_found(APPLICATIONS[kind](dp, LARGE))
    assert finding.level == "note"
    assert finding.text == (
        "the cookies may take 20,000 bytes, more than the default limit of gunicorn (8,190), nginx (8,192), "
        "Apache (8,190), Uvicorn with h11 (16,384), Hypercorn (16,384)"
    )


@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
def test_the_budget_of_sealed_cookies_counts(kind: str, dp: DataProtection) -> None:
    around: Any = {"WSGI": wsgi.CookieProtectionMiddleware, "ASGI": asgi.CookieProtectionMiddleware}[kind]
    app = around(APPLICATIONS[kind](dp, ALWAYS), data_protection=dp, cookies=["own"], max_total=9000)
    (finding,) = limits_found(app)
    assert "the cookies may take 9,000 bytes" in finding.text
    assert "Hypercorn" not in finding.text


def test_the_budgets_of_django_count(dp: DataProtection) -> None:
    with in_project(dp), override_settings(SESSION_COOKIE_MAX_TOTAL=9000):
        assert "9,000 bytes" in limits_found(WSGIHandler())[0].text
    ours = "dpmiddleware.django.CookieAuthenticationMiddleware"
    options = {"cookie": CookieSettings("auth", max_total=10_000)}
    with in_project(dp), override_settings(MIDDLEWARE=[ours], DATA_PROTECTION_COOKIE_AUTHENTICATION=options):
        assert "10,000 bytes" in limits_found(WSGIHandler())[0].text
    with in_project(dp):
        assert limits_found(WSGIHandler()) == []


ENVIRONMENTS: dict[str, tuple[dict[str, str], int, list[tuple[str, str]]]] = {
    "nothing is set": ({}, 8000, []),
    "gunicorn's is too small": (
        {"GUNICORN_CMD_ARGS": "--limit-request-field_size 4094"},
        8000,
        [("problem", "gunicorn")],
    ),
    "gunicorn's is large enough": ({"GUNICORN_CMD_ARGS": "-w 4 --limit-request-field_size=32768"}, 8180, []),
    "the last one counts": (
        {"GUNICORN_CMD_ARGS": "--limit-request-field_size 32768 --limit-request-field_size 5000"},
        8000,
        [("problem", "gunicorn")],
    ),
    "0 is the default of gunicorn": ({"GUNICORN_CMD_ARGS": "--limit-request-field_size 0"}, 8000, []),
    "another option": ({"GUNICORN_CMD_ARGS": "--limit-request-line 100"}, 8000, []),
    "not a number": ({"GUNICORN_CMD_ARGS": "--limit-request-field_size lots"}, 8000, []),
    "Uvicorn's is too small": (
        {"UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE": "8192"},
        8000,
        [("problem", "Uvicorn")],
    ),
    "Uvicorn's is large enough": (
        {"UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE": "65536"},
        20_000,
        [("note", "gunicorn (8,190), nginx (8,192), Apache (8,190), Hypercorn (16,384)")],
    ),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_a_limit_that_the_environment_sets_counts(case: str) -> None:
    environment, budget, expected = ENVIRONMENTS[case]
    found = list(findings_of_limits([100, budget], environment))
    assert [one.level for one in found] == [level for level, _ in expected]
    assert all(words in one.text for one, (_, words) in zip(found, expected, strict=True))


def test_what_is_said_to_be_enough_is_enough() -> None:
    (finding,) = findings_of_limits([8000], {"GUNICORN_CMD_ARGS": "--limit-request-field_size 4094"})
    assert finding.hint == "set --limit-request-field_size 8192 there"
    assert list(findings_of_limits([8000], {"GUNICORN_CMD_ARGS": finding.hint})) == []


def test_the_documentation_has_the_same_limits() -> None:
    page = (ROOT / "docs/deployment.md").read_text("utf-8").partition("## Limits of servers")[2]
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for limit in LIMITS:
        row = next(line for line in rows if line.startswith(f"| {limit.server} |"))
        assert f"{limit.bytes:,} bytes" in row or f"{limit.bytes // 1024} KB" in row
        assert limit.setting in row


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
