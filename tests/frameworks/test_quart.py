"""Quart: sessions, sign-in and outages, in requests and websockets. What all shells share is in the tables beside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
import quart
from quart.sessions import SecureCookieSession
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from dpmiddleware import ConfigurationError, DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.quart import (
    CookieAuthentication,
    CookieAuthenticationEvents,
    CookieSettings,
    FlaskSessions,
    Principal,
    ProtectedSessions,
    authenticate,
    challenge,
    current_principal,
    forbid,
    get_data_protection,
    login_required,
    sign_in,
    sign_out,
)
from tests.clients import StoppedClock
from tests.fakes import data_protection, ring_of

Views = dict[str, Callable[[], Any]]
LONG = "x" * 5000


def shop(dp: DataProtection | None, views: Views | None = None, **options: Any) -> quart.Quart:
    app = quart.Quart("shop")
    app.testing = True
    CookieAuthentication(app, data_protection=dp, login_path="/login", **options)
    ProtectedSessions(app, data_protection=dp)
    for name, view in (views or {}).items():
        app.add_url_rule(f"/{name}", name, view)
    return app


def browser(app: quart.Quart, **options: Any) -> TestClient:
    served: Any = app
    return TestClient(served, **options)


def put(value: object = 1) -> Callable[[], str]:
    def view() -> str:
        quart.session["n"] = value
        return "ok"

    return view


def shown() -> dict[str, Any]:
    return dict(quart.session)


def session_itself() -> Any:
    """The session, without a look into it."""
    return cast("Any", quart.session)._get_current_object()


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_the_session_is_a_protected_cookie(dp: DataProtection) -> None:
    client = browser(shop(dp, {"put": put(), "shown": shown}))
    cookie = client.get("/put").headers["set-cookie"]
    assert cookie.startswith("session=CfDJ8")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/shown").json() == {"n": 1}


def test_a_long_session_fills_several_cookies(dp: DataProtection) -> None:
    client = browser(shop(dp, {"put": put(LONG), "shown": shown}))
    assert len(client.get("/put").headers.get_list("set-cookie")) > 1
    assert client.get("/shown").json() == {"n": LONG}


def test_a_page_that_does_not_look_at_the_session_says_nothing_of_it(dp: DataProtection) -> None:
    views = {"put": put(), "bare": lambda: "bare", "held": lambda: str(session_itself() is not None), "shown": shown}
    client = browser(shop(dp, views))
    client.get("/put")
    for page in ("bare", "held"):
        assert not {"set-cookie", "vary"} & set(client.get(f"/{page}").headers)
    assert client.get("/shown").headers["vary"] == "Cookie"


def test_a_change_of_a_nested_value_is_written(dp: DataProtection) -> None:
    def add() -> str:
        quart.session["n"].append(2)
        return "ok"

    client = browser(shop(dp, {"put": put([1]), "add": add, "shown": shown}))
    client.get("/put")
    client.get("/add")
    assert client.get("/shown").json() == {"n": [1, 2]}


def test_an_emptied_session_takes_its_cookie_away(dp: DataProtection) -> None:
    def clear() -> str:
        quart.session.clear()
        return "ok"

    client = browser(shop(dp, {"put": put(), "clear": clear}))
    client.get("/put")
    client.get("/clear")
    assert not client.cookies


def test_a_permanent_session_has_the_configured_lifetime(dp: DataProtection, clock: StoppedClock) -> None:
    def view() -> str:
        quart.session.permanent = True
        quart.session["n"] = 1
        return "ok"

    app = shop(dp, {"put": view, "shown": shown})
    app.permanent_session_lifetime = timedelta(days=3)
    client = browser(app)
    assert "expires=" in client.get("/put").headers["set-cookie"]
    clock.forward(timedelta(days=2))
    assert client.get("/shown").json()["n"] == 1
    clock.forward(timedelta(days=4))
    assert client.get("/shown").json() == {}


def test_the_cookie_is_the_one_that_the_configuration_describes(dp: DataProtection) -> None:
    app = shop(dp, {"put": put()})
    app.config.update(SESSION_COOKIE_NAME="sid", SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Strict")
    cookie = browser(app).get("/put").headers["set-cookie"]
    assert cookie.startswith("sid=")
    assert {"secure", "samesite=strict"} <= set(cookie.split("; "))


def test_settings_of_the_cookie_count_before_the_configuration(dp: DataProtection) -> None:
    app = quart.Quart("shop")
    ProtectedSessions(app, data_protection=dp, cookie=CookieSettings("basket", same_site="strict"))
    app.add_url_rule("/put", "put", put())
    assert browser(app).get("/put").headers["set-cookie"].startswith("basket=")


def test_the_sessions_that_quart_signed_are_taken_over() -> None:
    dp = DataProtection("shop", repository="memory:")

    def app_of(*, ours: bool) -> quart.Quart:
        app = quart.Quart("shop")
        app.secret_key = "the old secret of the shop"
        app.add_url_rule("/put", "put", put())
        app.add_url_rule("/shown", "shown", shown)
        if ours:
            migration = FlaskSessions("the old secret of the shop", until=dp.now() + timedelta(days=30))
            ProtectedSessions(app, data_protection=dp, migration=migration)
        return app

    theirs = browser(app_of(ours=False))
    theirs.get("/put")
    client = browser(app_of(ours=True), cookies=dict(theirs.cookies))
    assert client.get("/shown").json() == {"n": 1}


def test_what_replaces_the_session_is_written(dp: DataProtection) -> None:
    def replace() -> str:
        replaced = SecureCookieSession({"other": 2})
        if hasattr(quart.globals, "request_ctx"):
            context: Any = quart.globals.request_ctx
            context.session = replaced
        else:  # one context for all, from 0.23
            quart.globals.app_ctx._session = replaced
        return "ok"

    client = browser(shop(dp, {"put": put(), "replace": replace, "shown": shown}))
    client.get("/put")
    client.get("/replace")
    assert client.get("/shown").json() == {"other": 2}


def test_a_context_without_a_connection_has_an_empty_session(dp: DataProtection) -> None:
    async def look() -> dict[str, Any]:
        async with shop(dp).test_request_context("/"):
            return dict(quart.session)

    assert asyncio.run(look()) == {}


@pytest.mark.parametrize("value", [1, LONG], ids=["short", "long"])
def test_a_session_transaction_of_the_test_client_reads_and_writes(value: object, dp: DataProtection) -> None:
    async def visits() -> None:
        client = shop(dp, {**SIGN_IN, "shown": shown}).test_client()
        await client.get("/in")
        async with client.session_transaction() as session:
            session["n"] = value
        assert await (await client.get("/shown")).get_json() == {"n": value}
        async with client.session_transaction() as session:
            assert session.pop("n") == value
        assert await (await client.get("/shown")).get_json() == {}

    asyncio.run(visits())


def test_a_session_that_a_test_puts_in_place_of_the_session_is_written(dp: DataProtection) -> None:
    async def written() -> str:
        app = shop(dp)
        response = quart.Response("")
        async with app.test_request_context("/"):
            await app.session_interface.save_session(app, SecureCookieSession({"n": 1}), response)
        return response.headers["Set-Cookie"].partition(";")[0]

    cookie = asyncio.run(written())
    assert browser(shop(dp, {"shown": shown})).get("/shown", headers={"cookie": cookie}).json() == {"n": 1}


# --- sign-in ----------------------------------------------------------------------------------------------------------


def ada() -> str:
    sign_in(Principal("ada", roles=["staff"]))
    return "ok"


def out() -> str:
    sign_out()
    return "ok"


SIGN_IN: Views = {
    "in": ada,
    "out": out,
    "who": lambda: str(current_principal.name),
    "why": lambda: str(authenticate().failure),
    "closed": login_required(lambda: "inside"),
    "challenged": challenge,
    "forbidden": forbid,
}


def test_somebody_signs_in_and_out(dp: DataProtection) -> None:
    client = browser(shop(dp, SIGN_IN))
    assert client.get("/who").text == "None"
    client.get("/in")
    assert (client.get("/who").text, client.get("/closed").text) == ("ada", "inside")
    client.get("/out")
    assert client.get("/who").text == "None"


@pytest.mark.parametrize(
    ("page", "location", "status"),
    [
        ("closed", "/login?ReturnUrl=%2Fclosed", 401),
        ("challenged", "/login?ReturnUrl=%2Fchallenged", 401),
        ("forbidden", "/Account/AccessDenied?ReturnUrl=%2Fforbidden", 403),
    ],
)
def test_a_browser_is_redirected_and_a_program_gets_a_status(
    page: str, location: str, status: int, dp: DataProtection
) -> None:
    client = browser(shop(dp, SIGN_IN), follow_redirects=False)
    told = client.get(f"/{page}")
    assert (told.status_code, told.headers["location"]) == (302, location)
    assert client.get(f"/{page}", headers={"X-Requested-With": "XMLHttpRequest"}).status_code == status


def test_plain_and_async_views_are_guarded(dp: DataProtection) -> None:
    async def view() -> str:
        await asyncio.sleep(0)
        return "inside"

    client = browser(shop(dp, {"in": ada, "async": login_required(view)}), follow_redirects=False)
    assert client.get("/async").status_code == 302
    client.get("/in")
    assert client.get("/async").text == "inside"


def test_a_sign_in_by_another_user_empties_the_session(dp: DataProtection) -> None:
    def bob() -> str:
        sign_in(Principal("bob"))
        return "ok"

    client = browser(shop(dp, {**SIGN_IN, "bob": bob, "put": put(), "shown": shown}))
    client.get("/in")
    client.get("/put")
    client.get("/bob")
    assert client.get("/shown").json() == {}


def test_events_get_a_request_of_quart(dp: DataProtection) -> None:
    seen: list[Any] = []

    async def signing_in(context: Any) -> None:
        seen.append(context.request)

    client = browser(shop(dp, SIGN_IN, events=CookieAuthenticationEvents(signing_in=signing_in)))
    client.get("/in?from=mail")
    [request] = seen
    assert isinstance(request, quart.Request)
    assert (request.path, request.args["from"]) == ("/in", "mail")


def test_without_the_extension_the_verbs_say_what_to_call() -> None:
    def view() -> str:
        try:
            sign_in(Principal("ada"))
        except ConfigurationError as error:
            return f"{error}; {error.hint}"
        return "signed in"

    app = quart.Quart("shop")
    app.add_url_rule("/in", "in", view)
    told = browser(app).get("/in").text
    assert told.startswith("this Quart application has no cookie authentication; call CookieAuthentication(")


# --- the object, outages ----------------------------------------------------------------------------------------------


def test_the_extensions_share_one_data_protection(dp: DataProtection) -> None:
    app = shop(dp)
    assert get_data_protection(app) is dp
    with pytest.raises(ConfigurationError, match="this Quart application already has another data protection"):
        ProtectedSessions(app, data_protection=DataProtection("other", repository="memory:"))


def test_the_configuration_of_the_application_is_read() -> None:
    app = quart.Quart("shop")
    app.config.update(DATA_PROTECTION_APPLICATION="shop", DATA_PROTECTION_REPOSITORY="memory:")
    ProtectedSessions(app)
    assert get_data_protection(app).application == "shop"


def test_without_a_configuration_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="no data protection is configured for this Quart application"):
        ProtectedSessions(quart.Quart("shop"))
    with pytest.raises(ConfigurationError, match="this Quart application has no data protection"):
        get_data_protection(quart.Quart("shop"))


OUTAGES: dict[str, Callable[[], Any]] = {"put": put(), "shown": shown, "who": SIGN_IN["who"], "in": ada}


@pytest.mark.parametrize("page", OUTAGES)
@pytest.mark.parametrize("testing", [False, True])
def test_while_there_is_no_ring_a_page_that_needs_one_is_503(page: str, testing: bool) -> None:
    store = ring_of()
    store.go_down()
    app = shop(data_protection(store), {**OUTAGES, "bare": lambda: "bare"})
    app.testing = testing
    client = browser(app, cookies={"session": "CfDJ8", ".AspNetCore.Cookies": "CfDJ8" + "A" * 80})
    told = client.get(f"/{page}")
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert "set-cookie" not in told.headers
    assert client.get("/bare").text == "bare"


def test_an_error_of_the_applications_own_use_of_keys_stays_an_error(dp: DataProtection) -> None:
    def fails() -> str:
        raise KeyManagementError("another ring")

    app = shop(dp, {"fails": fails})
    app.testing = False
    assert browser(app).get("/fails").status_code == 500


# --- websockets -------------------------------------------------------------------------------------------------------


def test_a_websocket_has_the_user_and_the_session(dp: DataProtection) -> None:
    app = shop(dp, {"in": ada, "put": put()})

    @app.websocket("/ws")
    @login_required
    async def speak() -> None:
        await quart.websocket.send(f"{current_principal.name} {quart.session['n']}")

    client = browser(app)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws") as stranger:
        stranger.receive_text()
    client.get("/in")
    client.get("/put")
    with client.websocket_connect("/ws") as connection:
        assert connection.receive_text() == "ada 1"


def test_a_session_that_a_websocket_changes_before_it_is_accepted_is_written(dp: DataProtection) -> None:
    app = shop(dp, {"shown": shown})

    @app.websocket("/ws")
    async def count() -> None:
        quart.session["before"] = 1
        await quart.websocket.accept()
        quart.session["after"] = 1
        await quart.websocket.send("counted")

    client = browser(app)
    with client.websocket_connect("/ws") as connection:
        connection.receive_text()
        headers: dict[bytes, bytes] = dict(connection.extra_headers or [])
    client.cookies.set("session", headers[b"set-cookie"].decode().partition(";")[0].partition("=")[2])
    assert client.get("/shown").json() == {"before": 1}


@pytest.mark.parametrize("name", ["put", "shown", "who"])
def test_while_there_is_no_ring_a_websocket_that_needs_one_is_closed_once(name: str) -> None:
    """Where the server cannot answer it 503, as Daphne cannot."""
    store = ring_of()
    store.go_down()
    app = shop(data_protection(store))
    sent: list[Any] = []

    @app.websocket("/ws")
    async def speak() -> None:
        await quart.websocket.send(str(OUTAGES[name]()))

    async def without_answers(scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            sent.append(message["type"])
            await send(message)

        served: Any = app
        await served({**scope, "extensions": {}}, receive, counted)

    client = TestClient(without_answers, cookies={"session": "CfDJ8", ".AspNetCore.Cookies": "CfDJ8" + "A" * 80})
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/ws"):
        pass
    assert (caught.value.code, sent) == (1013, ["websocket.close"])
