"""In every shell: who authenticated too long ago is asked again, a program is told why, and the session stays."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import django
import pytest
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware import asgi, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.fakes import StoppedClock
from tests.frameworks import sites

SHELLS = [*((builder, False) for builder in sites.WSGI.values()), *((builder, True) for builder in sites.ASGI.values())]
shells = pytest.mark.parametrize(
    ("builder", "is_asgi"), SHELLS, ids=[*sites.WSGI, *(f"{name} (ASGI)" for name in sites.ASGI)]
)
guarded = pytest.mark.parametrize("page", ["/fresh", "/inside"])


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository="memory:", key_wrapper="plain:", clock=clock)


def browser(builder: Any, is_asgi: bool, dp: DataProtection, **options: Any) -> Any:
    """A client of a new site; it follows no redirect and keeps cookies."""
    site = builder(Principal("ada"), {"data_protection": dp, "login_path": "/in", **options})
    return TestClient(site, follow_redirects=False) if is_asgi else Client(site)


def answer_of(client: Any, page: str, **headers: str) -> tuple[int, str | None, str | None]:
    """Status, ``Location`` and ``WWW-Authenticate``."""
    answer = client.get(page, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status_code, answer.headers.get("location"), answer.headers.get("www-authenticate")


@shells
@guarded
def test_a_browser_is_sent_to_the_login_page_with_a_mark_and_back(
    builder: Any, is_asgi: bool, page: str, dp: DataProtection, clock: StoppedClock
) -> None:
    client, return_url = browser(builder, is_asgi, dp), page.replace("/", "%2F") + "%3Fa%3D1"
    assert answer_of(client, f"{page}?a=1") == (302, f"/in?ReturnUrl={return_url}", None), "nobody is in: no mark"
    client.get("/in")
    clock.advance(seconds=300)
    assert answer_of(client, page)[0] == 200
    clock.advance(seconds=1)
    login = f"/in?ReturnUrl={return_url}&prompt=login"
    assert answer_of(client, f"{page}?a=1") == (302, login, None)
    assert client.get("/").text == "ada", "they stay signed in"
    assert answer_of(client, login) == (302, f"{page}?a=1", None), "signed in again, and back"
    assert answer_of(client, page)[0] == 200


@shells
@guarded
def test_a_program_is_told_why(builder: Any, is_asgi: bool, page: str, dp: DataProtection, clock: StoppedClock) -> None:
    client = browser(builder, is_asgi, dp)
    login = f"/in?ReturnUrl={page.replace('/', '%2F')}"
    assert answer_of(client, page, X_Requested_With="XMLHttpRequest") == (401, login, None)
    client.get("/in")
    clock.advance(seconds=301)
    why = 'Cookie error="insufficient_user_authentication", max_age="300"'
    for headers in ({"X_Requested_With": "XMLHttpRequest"}, {"Sec_Fetch_Mode": "cors"}):
        assert answer_of(client, page, **headers) == (401, f"{login}&prompt=login", why)


@shells
@pytest.mark.parametrize("store", [None, MemoryTicketStore], ids=["in the cookie", "in a store"])
def test_who_authenticates_again_is_fresh_in_the_same_sign_in(
    builder: Any, is_asgi: bool, store: Any, dp: DataProtection, clock: StoppedClock
) -> None:
    client = browser(builder, is_asgi, dp, session_store=store and store())
    client.get("/in")
    clock.advance(hours=1)
    assert client.get("/confirm").text == "ada"
    clock.advance(seconds=300)
    assert answer_of(client, "/fresh")[0] == 200
    assert client.get("/").text == "ada"
    clock.advance(seconds=1)
    assert answer_of(client, "/fresh")[0] == 302


@shells
def test_a_renewal_makes_nobody_fresh(builder: Any, is_asgi: bool, dp: DataProtection, clock: StoppedClock) -> None:
    client = browser(builder, is_asgi, dp)
    client.get("/in")
    clock.advance(days=8)
    assert "set-cookie" in client.get("/").headers
    assert answer_of(client, "/fresh")[0] == 302


# --- what only one shell has --------------------------------------------------------------------------------


def test_the_session_that_a_page_has_changed_is_written_though_it_asks_for_a_fresh_sign_in(
    dp: DataProtection, clock: StoppedClock
) -> None:
    def page(environ: Any, start_response: Any) -> list[bytes]:
        environ[wsgi.SESSION_KEY]["tries"] = environ[wsgi.SESSION_KEY].get("tries", 0) + 1
        environ[AUTHENTICATION_KEY].require_fresh(timedelta(minutes=5))
        raise AssertionError("never reached")

    app = wsgi.CookieAuthenticationMiddleware(wsgi.SessionMiddleware(page, data_protection=dp), data_protection=dp)
    client = Client(app)
    answers = [client.get("/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert all(".AspNetCore" not in answer.headers["set-cookie"] for answer in answers)
    assert "session=" in answers[0].headers["set-cookie"]


@pytest.mark.parametrize("can_be_answered", [True, False], ids=["answered", "closed"])
def test_a_websocket_that_asks_for_a_fresh_sign_in_is_refused(dp: DataProtection, can_be_answered: bool) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("reached")

    app: Any = asgi.CookieAuthenticationMiddleware(asgi.fresh_login_required()(never), data_protection=dp)
    sent: list[Any] = []

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        extensions: Any = {"websocket.http.response": {}} if can_be_answered else {}
        headers = [(b"sec-fetch-mode", b"websocket")]
        scope = {"type": "websocket", "path": "/", "headers": headers, "scheme": "ws", "extensions": extensions}
        await app(scope, None, send)

    asyncio.run(ask())
    if can_be_answered:
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 401)
    else:
        assert sent == [{"type": "websocket.close", "code": 1008, "reason": "sign in again"}]


def test_an_error_after_the_first_byte_stays_one(dp: DataProtection) -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope[AUTHENTICATION_KEY].require_fresh(timedelta(minutes=5))

    async def ask() -> None:
        async def send(message: Any) -> None:
            assert message["status"] == 200

        app: Any = asgi.CookieAuthenticationMiddleware(late, data_protection=dp)
        await app({"type": "http", "path": "/", "headers": [], "scheme": "http"}, None, send)

    with pytest.raises(Exception, match="after the response had started"):
        asyncio.run(ask())


def test_a_question_in_a_group_of_tasks_is_answered_as_well(dp: DataProtection) -> None:
    """A framework that serves a connection in a task group raises its errors in a group."""

    async def grouped(scope: Any, receive: Any, send: Any) -> None:
        try:
            scope[AUTHENTICATION_KEY].require_fresh(timedelta(minutes=5))
        except Exception as error:  # noqa: BLE001 (as a task group does)
            raise ExceptionGroup("one", [error]) from None

    client = TestClient(asgi.CookieAuthenticationMiddleware(grouped, data_protection=dp), follow_redirects=False)
    assert client.get("/x").status_code == 302
