"""A refusal is the same in every shell: 403, plain text, no script, logged and counted, before anything else runs."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import flask
import pytest
from django.http import HttpResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse

from dpmiddleware import telemetry
from dpmiddleware.asgi import CrossOriginProtectionMiddleware
from dpmiddleware.cross_origin.guard import REFUSAL
from dpmiddleware.flask import CrossOriginProtection
from tests.cross_origin.shells import (
    FOREIGN,
    OWN,
    SHELLS,
    WITH_ROUTES,
    WITH_WEBSOCKETS,
    Request,
    ask_asgi,
    told_by,
)
from tests.fakes import events

each_shell = pytest.mark.parametrize("shell", SHELLS)
FROM_ELSEWHERE = Request(headers=FOREIGN)
SOCKET_FROM_ELSEWHERE = Request("GET", headers=[("Origin", "https://attacker.example")], websocket=True)


@each_shell
def test_a_refusal_is_plain_text_that_no_cache_keeps_and_that_runs_nothing(shell: str) -> None:
    told = SHELLS[shell]()(FROM_ELSEWHERE)
    assert (told.status, told.body) == (403, REFUSAL.body)
    assert told.headers["content-type"] == "text/plain; charset=utf-8"
    assert told.headers["content-length"] == str(len(told.body))
    assert told.headers["cache-control"] == "no-store"
    assert "Sec-Fetch-Site, Origin" in told.headers["vary"]
    assert told.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in told.headers
    assert b"<" not in told.body, "no script: one that reloads would send the POST again, as one of the own origin"
    assert b"attacker" not in told.body


@each_shell
def test_pages_of_the_site_and_safe_requests_notice_nothing(shell: str) -> None:
    ask = SHELLS[shell]()
    assert ask(Request(headers=OWN)).status == 200
    assert ask(Request("GET", headers=FOREIGN)).status == 200
    assert telemetry.counts() == {}


@each_shell
def test_a_refusal_is_an_event_with_what_an_operator_needs(shell: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dpmiddleware"):
        ask = SHELLS[shell]()
        for _ in range(3):
            ask(Request("POST", "/transfer?to=eve", headers=[*FOREIGN, ("Cookie", "session=secret")]))
    (event,) = events(caplog, "cross_origin_refused")
    assert event["reason"] == "cross_site"
    assert (event["method"], event["site"], event["path"]) == ("POST", "cross-site", "/transfer")
    assert event["origin"] == "https://attacker.example"
    assert "docs/cross-origin.md" in str(event["hint"])
    assert telemetry.counts()["cross_origin_refused", "cross_site"] == 3, "all are counted, and one is logged"
    assert "secret" not in caplog.text


def test_what_a_client_sends_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dpmiddleware"):
        SHELLS["wsgi"]()(Request("POST\nforged", headers=[("Origin", "https://a\r\nforged" + "x" * 5000)]))
    (record,) = (record for record in caplog.records if record.name == "dpmiddleware")
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 500


@each_shell
def test_report_only_refuses_nothing_and_says_what_it_would_refuse(
    shell: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dpmiddleware"):
        assert SHELLS[shell](report_only=True)(FROM_ELSEWHERE).status == 200
    (event,) = events(caplog, "cross_origin_refused")
    assert event["reason"] == "cross_site"
    assert "report_only is set" in caplog.text
    assert telemetry.counts() == {("cross_origin_refused", "cross_site"): 1}


@each_shell
def test_a_browser_that_contradicts_itself_is_reported_once(shell: str, caplog: pytest.LogCaptureFixture) -> None:
    """A proxy has replaced Host: pages work, because the browser knows better, and an operator hears of it."""
    replaced = Request(host="backend:8000", headers=OWN)
    with caplog.at_level(logging.INFO, "dpmiddleware"):
        ask = SHELLS[shell]()
        assert [ask(replaced).status for _ in range(3)] == [200, 200, 200]
    (event,) = events(caplog, "cross_origin_disagreement")
    assert (event["host"], event["origin"]) == ("backend:8000", "https://app.example")
    assert "Host" in str(event["hint"])


@each_shell
def test_exempt_paths_and_trusted_origins_are_let_through(shell: str) -> None:
    ask = SHELLS[shell](exempt=["/hooks/"], trusted_origins=["https://login.example"])
    assert ask(Request(path="/hooks/payment", headers=FOREIGN)).status == 200
    assert ask(Request(path="/hooks/%61", headers=FOREIGN)).status == 403, "encoded in part"
    assert ask(Request(headers=[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://login.example")])).status == 200
    assert ask(FROM_ELSEWHERE).status == 403


@each_shell
def test_siblings_are_let_through_only_where_they_are_trusted_as_a_whole(shell: str) -> None:
    sibling = Request(headers=[("Sec-Fetch-Site", "same-site"), ("Origin", "https://blog.app.example")])
    assert SHELLS[shell]()(sibling).status == 403
    ask = SHELLS[shell](same_site="allow")
    assert ask(sibling).status == 200
    assert ask(FROM_ELSEWHERE).status == 403


@each_shell
def test_programs_pass_unless_headers_are_required(shell: str) -> None:
    program, with_cookie = Request(), Request(headers=[("Cookie", "session=a")])
    old_browser = Request(headers=[("Referer", "https://attacker.example/x"), ("Cookie", "session=a")])
    statuses = {
        required: [SHELLS[shell](require_headers=required)(each).status for each in (program, with_cookie, old_browser)]
        for required in (False, "cookies", True)
    }
    assert statuses == {False: [200, 200, 403], "cookies": [200, 403, 403], True: [403, 403, 403]}


@pytest.mark.parametrize("shell", WITH_ROUTES)
def test_a_route_with_the_mark_is_exempt_and_its_neighbours_are_not(shell: str) -> None:
    ask = SHELLS[shell]()
    assert b"marked" in ask(Request(path="/marked", headers=FOREIGN)).body
    assert b"marked" in ask(Request(path="/mounted/inner", headers=FOREIGN)).body
    for path in ("/", "/marked/", "/marke", "/mounted/other", "/mounted/inner/x"):
        assert ask(Request(path=path, headers=FOREIGN)).status == 403, path
    assert telemetry.counts()["cross_origin_refused", "cross_site"] == 5, "an exempt one is no event"


# --- websockets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", WITH_WEBSOCKETS)
def test_a_websocket_from_elsewhere_is_closed_or_answered_before_it_opens(shell: str) -> None:
    told = SHELLS[shell]()(SOCKET_FROM_ELSEWHERE)
    (closing,) = told.messages
    assert closing["type"] == "websocket.close"
    able = Request("GET", headers=FOREIGN, websocket=True, extensions={"websocket.http.response": {}})
    told = SHELLS[shell]()(able)
    assert {message["type"] for message in told.messages} <= {
        "websocket.http.response.start",
        "websocket.http.response.body",
    }
    assert (told.status, told.body) == (403, REFUSAL.body)


@pytest.mark.parametrize("shell", ["starlette", "fastapi", "quart"])
def test_a_websocket_with_the_mark_is_exempt(shell: str) -> None:
    marked = Request("GET", "/marked-socket", headers=FOREIGN, websocket=True)
    assert SHELLS[shell]()(marked).status == 101


def test_servers_without_asgi_serve_websockets_too() -> None:
    """By taking over the connection: simple-websocket and flask-sock do that, in gunicorn and werkzeug."""
    for shell in ("wsgi", "flask", "django"):
        assert SHELLS[shell]()(SOCKET_FROM_ELSEWHERE).status == 403, shell
        other_upgrade = Request("GET", headers=[*FOREIGN, ("Upgrade", "h2c")])
        assert SHELLS[shell]()(other_upgrade).status == 200, shell


# --- on_refused -------------------------------------------------------------------------------------------------------


def own_page(shell: str) -> Any:
    """A function for ``on_refused`` with the response type of a shell; for POST to "/default" it wants the default."""
    if shell == "wsgi":

        def wsgi_page(environ: Any, start_response: Any) -> list[bytes]:
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [b"own: " + environ["PATH_INFO"].encode()]

        return lambda environ, verdict: None if environ["PATH_INFO"] == "/default" else wsgi_page
    if shell in {"asgi", "starlette", "fastapi"}:

        async def asgi_page(request: Any, verdict: Any) -> Any:
            path = request["path"]
            return None if path == "/default" else PlainTextResponse(f"own: {path}", 400)

        return asgi_page
    if shell.startswith("django"):
        return "tests.cross_origin.test_refusals.django_page"
    return lambda request, verdict: None if request.path == "/default" else (f"own: {request.path}", 400)


def django_page(request: Any, verdict: Any) -> Any:
    assert (verdict.allowed, verdict.reason) == (False, "cross_site")
    return None if request.path == "/default" else HttpResponse(f"own: {request.path}", status=400)


@each_shell
def test_an_application_answers_a_refusal_itself_where_it_wants_to(shell: str) -> None:
    ask = SHELLS[shell](on_refused=own_page(shell))
    told = ask(Request(path="/mine", headers=FOREIGN))
    assert (told.status, told.body) == (400, b"own: /mine")
    told = ask(Request(path="/default", headers=FOREIGN))
    assert (told.status, told.body) == (403, REFUSAL.body)
    assert ask(Request(path="/mine", headers=OWN)).status == 200


@pytest.mark.parametrize("shell", WITH_WEBSOCKETS)
def test_it_is_not_called_for_websockets(shell: str) -> None:
    def never(request: Any, verdict: Any) -> Any:
        raise AssertionError("called")

    assert SHELLS[shell](on_refused=never)(SOCKET_FROM_ELSEWHERE).status == 403


# --- order ------------------------------------------------------------------------------------------------------------


def test_no_body_is_read_and_no_application_is_called_before_a_refusal() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("called")

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def once() -> None:
        await CrossOriginProtectionMiddleware(never)(FROM_ELSEWHERE.scope(), never, send)

    asyncio.run(once())
    assert told_by(sent).status == 403


def test_a_lifespan_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        await send({"type": "lifespan.startup.complete", "status": 0})

    async def nothing(*_: Any) -> Any:
        return None

    asyncio.run(CrossOriginProtectionMiddleware(app)({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]


def test_the_extension_of_flask_runs_before_other_functions_of_the_application() -> None:
    app, seen = flask.Flask("site"), []
    app.before_request(lambda: seen.append("other"))
    CrossOriginProtection(app)
    told = app.test_client().post("/", headers=dict(FOREIGN))
    assert (told.status_code, seen) == (403, [])


def test_cors_headers_are_on_refusals_where_cors_is_outside() -> None:
    """So a script that may read answers of the site sees the 403, and no network error."""

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    around = CORSMiddleware(CrossOriginProtectionMiddleware(page), allow_origins=["https://attacker.example"])
    told = ask_asgi(around)(FROM_ELSEWHERE)
    assert (told.status, told.headers["access-control-allow-origin"]) == (403, "https://attacker.example")
