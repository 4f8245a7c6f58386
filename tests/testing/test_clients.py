"""The verbs for test clients do what a request to the application would have done, in every framework."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import django
import flask
import httpx2
import pytest
import starlette.applications
import starlette.testclient
from django.test import Client, override_settings

from dpmiddleware import ConfigurationError
from dpmiddleware import flask as ours_flask
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.testing import RingInMemory, StoppedClock, principal_of, session_of, set_session, sign_in
from dpmiddleware.web.sign_in.claims import Claim, Principal
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.fakes import data_protection, ring_of
from tests.testing.shops import SHOPS, Shop

LONG = "x" * 5000
ADA = Principal("ada", claims={"sub": "7"})


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> RingInMemory:
    return RingInMemory("shop", clock=clock)


@pytest.fixture(params=SHOPS)
def shop(request: pytest.FixtureRequest, dp: RingInMemory) -> Iterator[Shop]:
    with SHOPS[request.param](dp, {}) as made:
        yield made


def test_after_sign_in_the_next_request_is_the_users(shop: Shop) -> None:
    assert shop.get("/who") == "None"
    sign_in(shop.client, ADA)
    assert shop.get("/who") == "ada"


def test_another_user_takes_the_place_of_the_first(shop: Shop) -> None:
    sign_in(shop.client, ADA)
    sign_in(shop.client, Principal("bob"))
    assert shop.get("/who") == "bob"


def test_the_principal_is_the_one_that_the_application_sees(shop: Shop) -> None:
    assert not principal_of(shop.client).is_authenticated
    sign_in(shop.client, ADA)
    assert principal_of(shop.client).value("sub") == "7"


def test_a_principal_of_many_claims_is_signed_in_with_chunks(shop: Shop) -> None:
    sign_in(shop.client, Principal("ada", claims=[Claim("note", LONG)]))
    assert shop.get("/who") == "ada"
    assert principal_of(shop.client).value("note") == LONG


def test_a_sign_in_ends_when_the_clock_says_so(shop: Shop, clock: StoppedClock) -> None:
    sign_in(shop.client, ADA)
    clock.advance(days=30)
    assert shop.get("/who") == "None"


def test_the_session_is_what_the_application_put_there(shop: Shop) -> None:
    assert session_of(shop.client) == {}
    shop.get("/put")
    assert session_of(shop.client) == {"apples": 3}


@pytest.mark.parametrize("values", [{"pears": [1, 2]}, {"note": LONG}, {}], ids=["short", "in chunks", "empty"])
def test_the_application_sees_the_session_that_was_set(shop: Shop, values: dict[str, Any]) -> None:
    shop.get("/put")
    set_session(shop.client, values)
    assert json.loads(shop.get("/session")) == values
    assert session_of(shop.client) == values


def test_looking_at_a_session_does_not_change_it(shop: Shop) -> None:
    set_session(shop.client, {"nested": {"list": [1]}})
    session_of(shop.client)["nested"]["list"].append(2)
    session_of(shop.client).clear()
    assert session_of(shop.client) == {"nested": {"list": [1]}}


def test_a_sign_in_treats_the_session_as_a_request_would(shop: Shop) -> None:
    """A cart that was filled before the sign-in stays; it does not become another user's."""
    set_session(shop.client, {"apples": 3})
    sign_in(shop.client, ADA)
    assert json.loads(shop.get("/session")) == {"apples": 3}
    sign_in(shop.client, Principal("bob"))
    assert json.loads(shop.get("/session")) == {}


@pytest.mark.parametrize("name", SHOPS)
def test_a_sign_in_passes_through_the_ticket_store_and_the_events(name: str, dp: RingInMemory) -> None:
    store, seen = MemoryTicketStore(), []
    events = CookieAuthenticationEvents(signing_in=lambda context: seen.append(context.principal.name))
    options = {"session_store": store, "events": events}
    with SHOPS[name](dp, options) as shop:
        sign_in(shop.client, ADA)
        assert seen == ["ada"]
        assert len(store) == 1
        assert shop.get("/who") == "ada"


@pytest.mark.parametrize("name", SHOPS)
def test_an_application_without_a_ring_is_an_error_and_not_an_anonymous_user(name: str) -> None:
    store = ring_of()
    store.go_down()
    with SHOPS[name](data_protection(store), {}) as shop:
        with pytest.raises(KeyManagementError):
            sign_in(shop.client, ADA)
        with pytest.raises(KeyManagementError):
            set_session(shop.client, {"a": 1})
        assert (
            len(getattr(shop.client, "_cookies", shop.client.cookies if hasattr(shop.client, "cookies") else ())) == 0
        )


def test_a_running_event_loop_is_no_obstacle(dp: RingInMemory) -> None:
    shop = SHOPS["httpx"](dp, {})

    async def visit() -> str:
        sign_in(shop.client, ADA)
        return str((await shop.client.get("/who")).text)

    assert asyncio.run(visit()) == "ada"


# --- what is not there ------------------------------------------------------------------------------------------------

BARE: dict[str, Callable[[], Any]] = {
    "Flask": lambda: flask.Flask("bare").test_client(),
    "Starlette": lambda: starlette.testclient.TestClient(starlette.applications.Starlette()),
    "Django": Client,
}


@pytest.mark.parametrize("name", BARE)
def test_an_application_without_our_middleware_is_told_what_to_add(name: str) -> None:
    with override_settings(MIDDLEWARE=[]):
        with pytest.raises(ConfigurationError, match="no cookie authentication") as caught:
            sign_in(BARE[name](), ADA)
        assert "CookieAuthentication" in caught.value.hint
        with pytest.raises(ConfigurationError, match="no sessions") as caught:
            session_of(BARE[name]())
        assert "Session" in caught.value.hint


@pytest.mark.parametrize("client", [None, "client", 3, httpx2.Client()], ids=lambda given: type(given).__name__)
def test_an_unknown_client_is_named_and_the_known_ones_are_listed(client: object) -> None:
    with pytest.raises(
        TypeError, match=rf"sign_in\(\) takes a test client as client, not \w+\.{type(client).__name__}"
    ) as caught:
        sign_in(client, ADA)
    hint = getattr(caught.value, "hint", "")
    assert all(name in hint for name in ("Flask", "Quart", "django.test", "Starlette", "FastAPI", "httpx.AsyncClient"))


def test_a_client_that_talks_to_the_network_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AsyncHTTPTransport") as caught:
        session_of(httpx2.AsyncClient())
    assert "ASGITransport" in caught.value.hint


def test_a_client_without_an_address_is_told_to_have_one(dp: RingInMemory) -> None:
    app = SHOPS["httpx"](dp, {}).client._transport.app
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    with pytest.raises(ConfigurationError, match="no base_url"):
        sign_in(client, ADA)
    sign_in(client, ADA, base_url="http://shop.example")
    assert principal_of(client, base_url="http://shop.example").name == "ada"
    assert principal_of(client, base_url="http://other.example").name is None


def test_a_flask_client_whose_requests_name_the_host_is_signed_in_there(dp: RingInMemory) -> None:
    app = flask.Flask("shop")
    ours_flask.CookieAuthentication(app, data_protection=dp)
    app.get("/who")(lambda: str(ours_flask.current_principal.name))
    client = app.test_client()
    sign_in(client, ADA, base_url="https://shop.example")
    assert client.get("/who", base_url="https://shop.example").text == "ada"
    assert client.get("/who").text == "None"


def test_cookies_with_a_path_of_their_own_are_found(dp: RingInMemory) -> None:
    app = flask.Flask("shop")
    app.config.update(SESSION_COOKIE_PATH="/shop/cart")
    ours_flask.ProtectedSessions(app, data_protection=dp)
    app.get("/shop/cart")(lambda: json.dumps(dict(flask.session)))
    client = app.test_client()
    set_session(client, {"apples": 3})
    assert client.get("/shop/cart").text == '{"apples": 3}'
    assert session_of(client) == {"apples": 3}


def test_functions_around_the_requests_of_a_flask_application_do_not_run(dp: RingInMemory) -> None:
    app = flask.Flask("shop")
    ours_flask.CookieAuthentication(app, data_protection=dp)
    app.before_request(lambda: flask.abort(418))
    app.after_request(lambda response: flask.g.never_set)
    client = app.test_client()
    sign_in(client, ADA)
    assert principal_of(client).name == "ada"


def test_flasks_own_signed_sessions_are_read_as_well() -> None:
    app = flask.Flask("shop")
    app.secret_key = "not ours"
    client = app.test_client()
    set_session(client, {"apples": 3})
    assert session_of(client) == {"apples": 3}
    with client.session_transaction() as session:
        assert dict(session) == {"apples": 3}
