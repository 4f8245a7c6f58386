"""Issue: under WSGI our headers had names in lower case, so Flask-Security's helper did not find our ``Set-Cookie``."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django
import flask
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from dpmiddleware import asgi, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.flask import CookieAuthentication, ProtectedSessions, challenge, sign_in
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY
from dpmiddleware.web.sign_in.claims import Principal
from tests.clients import DownRepository, StoppedClock, ask_wsgi, set_cookies

Names = list[str]
USUAL = re.compile(r"[A-Z][a-z]+(-[A-Z][a-z]+)*")
PAGES = {
    "session": ["Cache-Control", "Set-Cookie", "Vary"],
    "sign-in": ["Cache-Control", "Expires", "Pragma", "Set-Cookie", "Vary"],
    "challenge": ["Content-Length", "Location", "Vary"],
    "wrapped": ["Cache-Control", "Set-Cookie", "Vary"],
}


def stacked(module: Any, app: Any, dp: DataProtection) -> Any:
    app = module.SessionMiddleware(app, data_protection=dp)
    app = module.CookieAuthenticationMiddleware(app, data_protection=dp)
    return module.CookieProtectionMiddleware(app, data_protection=dp, cookies=["sid"])


def act(page: str, request: Any, session: Any) -> tuple[int, list[tuple[str, str]]]:
    if page == "session":
        session["a"] = 1
    if page == "sign-in":
        request[AUTHENTICATION_KEY].sign_in(Principal("ada"))
    if page == "challenge":
        request[AUTHENTICATION_KEY].challenge()
        return 401, []
    return 200, [("set-cookie", "sid=1")] if page == "wrapped" else []


def in_wsgi(page: str, dp: DataProtection, cookie: str = "") -> Names:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, headers = act(page, environ, environ["dpmiddleware.session"])
        start_response(f"{status} Whatever", headers)
        return [b""]

    return [name for name, _ in ask_wsgi(stacked(wsgi, app, dp), {"PATH_INFO": "/", "HTTP_COOKIE": cookie}).headers]


def in_asgi(page: str, dp: DataProtection, cookie: str = "") -> Names:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, headers = act(page, scope, scope["session"])
        raw = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/", "headers": [(b"cookie", cookie.encode())]}
        await stacked(asgi, app, dp)(scope, None, send)

    asyncio.run(ask())
    return [name.decode() for name, _ in sent[0]["headers"]]


def in_flask(page: str, dp: DataProtection, cookie: str = "") -> Names:
    app = flask.Flask("shop")
    app.wsgi_app = wsgi.CookieProtectionMiddleware(app.wsgi_app, data_protection=dp, cookies=["sid"])  # type: ignore[method-assign]
    ProtectedSessions(app, data_protection=dp)
    CookieAuthentication(app, data_protection=dp)

    @app.get("/")
    def view() -> Any:
        if page == "session":
            flask.session["a"] = 1
        if page == "sign-in":
            sign_in(Principal("ada"))
        response = challenge() if page == "challenge" else flask.make_response("")
        if page == "wrapped":
            response.set_cookie("sid", "1")
        return response

    response = app.test_client().get("/", headers={"Cookie": cookie})
    return [name for name, _ in response.headers if page == "challenge" or not name.startswith("Content-")]


@pytest.mark.parametrize(("ask", "page"), [*((in_wsgi, page) for page in PAGES), *((in_flask, page) for page in PAGES)])
def test_names_under_wsgi_were_in_lower_case(page: str, ask: Callable[..., Names], dp: DataProtection) -> None:
    assert sorted(set(ask(page, dp))) == PAGES[page]


@pytest.mark.parametrize("page", PAGES)
def test_names_under_asgi_stay_in_lower_case(page: str, dp: DataProtection) -> None:
    assert sorted(set(in_asgi(page, dp))) == list(map(str.lower, PAGES[page]))


@pytest.mark.parametrize("ask", [in_wsgi, in_flask])
def test_an_outage_has_the_usual_names_too(ask: Callable[..., Names]) -> None:
    down = DataProtection("shop", repository=DownRepository(), clock=StoppedClock())
    names = ask("session", down, "session=CfDJ8" + "A" * 103)
    assert "Retry-After" in names
    assert all(map(USUAL.fullmatch, names))


# --- Django ---------------------------------------------------------------------------------------------------------


def put(request: HttpRequest) -> HttpResponse:
    request.session["a"] = 1
    if "expiry" in request.GET:
        request.session.set_expiry(int(request.GET["expiry"]))
    return HttpResponse()


def end(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse()


urlpatterns = [path("put", put), path("end", end)]


def lines(page: str, middleware: str, **changed: Any) -> list[list[str]]:
    """The attributes of the session's cookie that say when it ends, in lower case; without the seconds of dates."""
    engine = "dpmiddleware.django.sessions" if middleware.startswith("dpm") else "django.contrib.sessions.backends.file"
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[middleware], SESSION_ENGINE=engine, **changed):
        client = Client()
        client.get("/put")
        response = client.get(page)
        found = set_cookies([("set-cookie", morsel.OutputString()) for morsel in response.cookies.values()])
    return [
        sorted(text.lower()[: len("expires=sun, 01 mar")] for text in each.attributes if text[:7].lower() in _ENDS)
        for each in found
    ]


_ENDS = {"expires", "max-age"}


@pytest.mark.parametrize(
    ("page", "changed"),
    [
        ("/put", {}),
        ("/put", {"SESSION_COOKIE_AGE": 3600}),
        ("/put", {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True}),
        ("/put?expiry=86400", {}),
        ("/put?expiry=0", {}),
        ("/end", {}),
    ],
)
def test_djangos_session_cookie_had_a_date_and_no_max_age(page: str, changed: dict[str, Any], tmp_path: Any) -> None:
    """It says when it ends as Django's own does: both, or neither."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    changed = {"SESSION_FILE_PATH": str(tmp_path), **changed}
    ours = lines(page, "dpmiddleware.django.sessions.SessionMiddleware", **changed)
    theirs = lines(page, "django.contrib.sessions.middleware.SessionMiddleware", **changed)
    assert ours == theirs
    assert len(ours) == 1


def test_max_age_is_that_of_the_session(clock: StoppedClock) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    dp = DataProtection("shop", repository="memory:", clock=clock)
    with override_settings(ROOT_URLCONF=__name__, DATA_PROTECTION=dp):
        client = Client()
        morsel = client.get("/put?expiry=60").cookies["sessionid"]
        assert (int(morsel["max-age"]), morsel["expires"]) == (60, "Sun, 01 Mar 2026 12:01:00 GMT")
        clock.forward(timedelta(seconds=30))
        assert client.get("/put").cookies["sessionid"]["max-age"] == 60
