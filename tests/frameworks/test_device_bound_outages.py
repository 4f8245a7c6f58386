"""Device-bound sign-ins: what an outage decides (nothing), when a session is offered, and what is kept out of logs.

The numbers in brackets are those of the project's list of what must hold.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware import asgi, telemetry, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents, DeviceContext
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.wsgi import SESSION_KEY
from tests.clients import DownRepository
from tests.fakes import StoppedClock, WatchedRepository, WatchedTicketStore, data_protection, put, revocation_document
from tests.frameworks.device_sites import (
    AGAIN,
    BOUND,
    FROM_ELSEWHERE,
    NO_CORS,
    REFRESH,
    REGISTRATION,
    SHELLS,
    TICKET,
    Browser,
    Pages,
    Reply,
    challenge_in,
    exchange_with,
)

OFFERED = f"{TICKET}.Offered"
each_shell = pytest.mark.parametrize("shell", ["wsgi", "asgi", "django"])


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return data_protection(MemoryKeyRepository(), clock)


def site(dp: DataProtection, shell: str = "wsgi", device_bound: Any = "require", **options: Any) -> Any:
    return exchange_with(SHELLS[shell](dp, Pages(), {"device_bound": device_bound, **options}))


def endpoints(browser: Browser, offer: str | None) -> list[Reply]:
    """A registration and a refresh with what this browser has."""
    proof = browser.device.registration(challenge_in(offer)) if offer else "x"
    told = {**NO_CORS, "Secure-Session-Response": proof}
    return [browser.send("POST", REGISTRATION, told), browser.challenged()]


# --- outages --------------------------------------------------------------------------------------------------------


@each_shell
def test_without_a_ring_every_endpoint_is_503(dp: DataProtection, clock: StoppedClock, shell: str) -> None:
    """[38] Not the end of a session, and not an anonymous user."""
    browser = Browser(site(dp, shell)).bind()
    offer = Browser(browser.exchange).sign_in()
    browser.exchange = site(data_protection(DownRepository(), clock), shell)
    for reply in (*endpoints(browser, offer), browser.get("/who"), browser.get("/login")):
        assert (reply.status, reply["retry-after"], reply.all("set-cookie")) == (503, "5", [])
    browser.exchange = site(dp, shell)
    assert browser.refresh().status == 200


@each_shell
def test_a_ticket_of_a_key_that_is_unknown_here_is_503_at_the_endpoints(
    dp: DataProtection, clock: StoppedClock, shell: str
) -> None:
    """[7, 38] After a swap of slots without a common ring, say. A revoked key is the end."""
    browser = Browser(site(dp, shell)).bind()
    elsewhere = site(data_protection(MemoryKeyRepository(), clock), shell)
    offer = Browser(elsewhere).sign_in()
    there = Browser(elsewhere, jar=browser.jar, session=browser.session)
    for reply in endpoints(there, offer):
        assert (reply.status, reply["retry-after"]) == (503, "5")
    assert browser.refresh().status == 200
    clock.advance(minutes=1)
    repository = dp.provider.manager.repository
    put(repository, revocation_document(None, clock.now()))
    browser.exchange = site(data_protection(repository, clock), shell)
    assert browser.challenged().json["continue"] is False


@each_shell
def test_a_store_of_tickets_that_is_down_is_503(dp: DataProtection, shell: str) -> None:
    """[38, 44]"""
    store = WatchedTicketStore()
    browser = Browser(site(dp, shell, session_store=store)).bind()
    offer = Browser(browser.exchange).sign_in()
    store.down = True
    for reply in (*endpoints(browser, offer), browser.get("/who")):
        assert (reply.status, reply["retry-after"]) == (503, "5")
    store.down = False
    assert browser.who() == "ada"


def test_a_lost_offer_is_not_a_lost_sign_in(clock: StoppedClock) -> None:
    """[38] Where no session can be offered, the sign-in is as ever: over http, and below another path."""
    dp = data_protection(MemoryKeyRepository(), clock)
    plain = exchange_with(SHELLS["wsgi"](dp, Pages(), {"device_bound": "require"}), "http://shop.test")
    assert Browser(plain).sign_in() is None
    below = site(dp, cookie=CookieSettings("auth", path="/shop"))
    assert Browser(below).sign_in() is None, "the endpoints would not get this cookie"
    there = site(
        dp, cookie=CookieSettings("auth", path="/shop"), device_bound=DeviceBound("require", path="/shop/keys")
    )
    assert Browser(there).sign_in() is not None


# --- a store of tickets ---------------------------------------------------------------------------------------------


@each_shell
def test_with_a_store_copies_from_before_the_registration_are_bound_too(dp: DataProtection, shell: str) -> None:
    """[44]"""
    browser = Browser(site(dp, shell, session_store=WatchedTicketStore()))
    offer = browser.sign_in()
    thief = browser.stolen()
    assert browser.register(offer).status == 200
    assert thief.who() == "ada", "not confirmed: the answer may have been lost"
    assert browser.refresh().status == 200
    assert thief.who() is None
    assert browser.who() == "ada"


@each_shell
def test_a_ticket_that_was_taken_out_of_the_store_ends_the_session(dp: DataProtection, shell: str) -> None:
    """[24, 44] A refresh does not bring it back."""
    browser = Browser(site(dp, shell, session_store=WatchedTicketStore()))
    assert browser.register(browser.sign_in()).status == 200
    before = browser.stolen()
    before.device = browser.device
    challenge = before.challenged()["secure-session-challenge"]
    browser.get("/logout")
    reply = before.answer_to(challenge)
    assert (reply.json["continue"], reply.all("set-cookie")) == (False, [])


class EmptiedTicketStore(WatchedTicketStore):
    """Tickets are removed between reading and writing."""

    def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool:
        return False


def test_a_ticket_that_goes_during_a_registration_or_refresh_is_gone(dp: DataProtection) -> None:
    """[24]"""
    store = WatchedTicketStore()
    browser = Browser(site(dp, session_store=store))
    offer = browser.sign_in()
    emptied = EmptiedTicketStore()
    emptied._entries = store._entries
    exchange = site(dp, session_store=emptied)
    late = Browser(exchange, jar=dict(browser.jar))
    assert late.register(offer).status == 403
    assert browser.register(offer).status == 200
    browser.exchange = exchange
    reply = browser.refresh()
    assert (reply.json["continue"], reply.all("set-cookie")) == (False, [])


@each_shell
def test_who_the_application_rejects_is_ended(dp: DataProtection, shell: str) -> None:
    """[37]"""
    rejected = False

    def check(context: Any) -> None:
        if rejected:
            context.principal = None

    exchange = site(dp, shell, events=CookieAuthenticationEvents(validate_principal=check))
    browser, late = Browser(exchange).bind(), Browser(exchange)
    offer = late.sign_in()
    rejected = True
    assert browser.challenged().json["continue"] is False
    assert late.register(offer).status == 403


def test_a_ticket_in_chunks_is_bound(dp: DataProtection) -> None:
    """[43] Registration and refresh carry it, and chunks that are left over are deleted."""
    roles = [f"role number {number}" for number in range(60)]
    app = wsgi.CookieAuthenticationMiddleware(_with_roles(roles), data_protection=dp, device_bound="require")
    browser = Browser(exchange_with(app))
    offer = browser.get("/login")["secure-session-registration"]
    assert f"{TICKET}C2" in browser.jar
    browser.jar[f"{TICKET}C3"] = "leftover"
    assert browser.register(offer).status == 200
    assert f"{TICKET}C3" not in browser.jar
    assert browser.refresh().status == 200
    assert browser.get("/").body == b"60 True"


def _with_roles(roles: list[str]) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        authentication = environ[AUTHENTICATION_KEY]
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/login":
            authentication.sign_in(Principal("ada", roles=roles, claims={"sub": "7"}))
            return [b""]
        return [f"{len(authentication.principal.roles)} {authentication.is_proven}".encode()]

    return app


def test_a_ticket_that_would_not_fit_any_more_stays_unbound(dp: DataProtection) -> None:
    exchange = site(dp, cookie=CookieSettings("auth", max_total=700))
    browser = Browser(exchange)
    offer = browser.sign_in()
    before = dict(browser.jar)
    reply = browser.register(offer)
    assert (reply.status, browser.jar) == (403, before)
    assert browser.who() == "ada"


# --- offers ---------------------------------------------------------------------------------------------------------


def test_only_a_sign_in_is_offered_a_session(dp: DataProtection) -> None:
    """[42]"""
    browser = Browser(site(dp))
    signed = browser.get("/login?user=ada")
    assert signed["secure-session-registration"] is not None
    assert signed["cache-control"] == "no-cache,no-store"
    for path in ("/who", "/home", "/public", "/logout"):
        assert browser.get(path)["secure-session-registration"] is None


def test_with_always_an_unbound_sign_in_is_offered_one_once_in_five_minutes(
    dp: DataProtection, clock: StoppedClock
) -> None:
    """[42] Not with a renewal, nor on a page that does not look at the user."""
    browser = Browser(site(dp, device_bound=None, expire_time_span=timedelta(minutes=10)))
    browser.sign_in()
    browser.exchange = site(
        dp,
        device_bound=DeviceBound("require", offer="always", short_lived=timedelta(seconds=150)),
        expire_time_span=timedelta(minutes=10),
    )
    assert browser.get("/public")["secure-session-registration"] is None
    reply = browser.get("/who")
    assert (reply.json, reply["cache-control"]) == ("ada", "no-cache,no-store")
    assert reply.cookies[OFFERED].attribute("max-age") == "300"
    assert browser.get("/who")["secure-session-registration"] is None
    browser.jar.pop(OFFERED)
    clock.advance(minutes=6)
    renewed = browser.get("/who")
    assert TICKET in renewed.cookies
    assert renewed["secure-session-registration"] is None
    assert browser.register(browser.get("/who")["secure-session-registration"]).status == 200
    browser.jar.pop(OFFERED, None)
    assert browser.get("/who")["secure-session-registration"] is None, "nor where a binding waits to be confirmed"


@pytest.mark.parametrize(
    ("said", "is_offered"), [("public, max-age=60", False), ("max-age=60", False), ("no-cache", True)]
)
def test_a_response_that_caches_may_keep_is_not_given_an_offer(dp: DataProtection, said: str, is_offered: bool) -> None:
    """[42]"""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        authentication = environ[AUTHENTICATION_KEY]
        if environ["PATH_INFO"] == "/login":
            authentication.sign_in(Principal("ada", claims={"sub": "7"}))
        start_response("200 OK", [("Cache-Control", said)])
        return [str(authentication.principal.name).encode()]

    unbound = Browser(exchange_with(wsgi.CookieAuthenticationMiddleware(app, data_protection=dp)))
    unbound.get("/login")
    bound = wsgi.CookieAuthenticationMiddleware(
        app, data_protection=dp, device_bound=DeviceBound("report", offer="always")
    )
    unbound.exchange = exchange_with(bound)
    reply = unbound.get("/")
    assert (reply["secure-session-registration"] is not None) is is_offered
    assert reply["cache-control"] == ("no-cache,no-store" if is_offered else said)


def test_without_a_name_for_the_user_nothing_is_offered(dp: DataProtection) -> None:
    """A challenge that is good for everybody would not be one."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ[AUTHENTICATION_KEY].sign_in(Principal("x", authentication_type=""))
        start_response("200 OK", [])
        return []

    middleware = wsgi.CookieAuthenticationMiddleware(
        app, data_protection=dp, device_bound="require", require_authenticated_sign_in=False
    )
    assert Browser(exchange_with(middleware)).get("/")["secure-session-registration"] is None


# --- sessions, websockets, waiting ----------------------------------------------------------------------------------


def shop_with_session(dp: DataProtection, *, session_is_inside: bool) -> Any:
    """It counts visits in the session, also for anonymous users."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        authentication, session = environ[AUTHENTICATION_KEY], environ[SESSION_KEY]
        if environ["PATH_INFO"] == "/login":
            authentication.sign_in(Principal("ada", claims={"sub": "7"}))
        session["visits"] = session.get("visits", 0) + 1
        start_response("200 OK", [])
        return [f"{authentication.principal.name} {session['visits']}".encode()]

    if session_is_inside:
        inner = wsgi.SessionMiddleware(app, data_protection=dp)
        return wsgi.CookieAuthenticationMiddleware(inner, data_protection=dp, device_bound="require")
    outer = wsgi.CookieAuthenticationMiddleware(app, data_protection=dp, device_bound="require")
    return wsgi.SessionMiddleware(outer, data_protection=dp)


UNPROVEN: dict[str, tuple[dict[str, str], bool]] = {
    "a link from elsewhere": (FROM_ELSEWHERE, True),
    "an outage": ({"Secure-Session-Skipped": 'unreachable;session_identifier="x"'}, True),
    "an error of ours": ({"Secure-Session-Skipped": "server_error;session_identifier=x"}, True),
    "no reason": ({}, False),
    "the quota": ({"Secure-Session-Skipped": "quota_exceeded;session_identifier=x"}, False),
}


@pytest.mark.parametrize("session_is_inside", [True, False])
@pytest.mark.parametrize("case", UNPROVEN)
def test_the_session_of_the_user_outlives_an_unproven_request(
    dp: DataProtection, case: str, session_is_inside: bool
) -> None:
    """[45] Where the browser comes again. Otherwise the visitor is anonymous, and their session begins."""
    headers, is_kept = UNPROVEN[case]
    browser = Browser(exchange_with(shop_with_session(dp, session_is_inside=session_is_inside)))
    assert browser.register(browser.get("/login")["secure-session-registration"]).status == 200
    assert browser.refresh().status == 200
    session = browser.jar["session"]
    browser.forget()
    browser.get("/page", **headers)
    assert (browser.jar["session"] == session) is is_kept
    if is_kept:
        browser.jar.pop(AGAIN, None)
        browser.refresh()
        assert browser.get("/page").body == b"ada 2"
    else:
        assert browser.get("/login").body == b"ada 2", "it is taken over by who signs in"


def test_who_signs_in_with_an_unproven_ticket_has_a_session(dp: DataProtection) -> None:
    browser = Browser(exchange_with(shop_with_session(dp, session_is_inside=True)))
    assert browser.register(browser.get("/login")["secure-session-registration"]).status == 200
    assert browser.refresh().status == 200
    browser.forget()
    session = browser.jar["session"]
    reply = browser.get("/login", **FROM_ELSEWHERE)
    assert reply.status == 200
    assert b"ada" in reply.body, "what came back from a sign-in at another site is not repeated"
    assert browser.jar["session"] != session


def test_a_websocket_is_proven_or_anonymous(dp: DataProtection) -> None:
    """[50] It cannot be repeated."""
    seen: list[tuple[str | None, bool]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        authentication = scope[AUTHENTICATION_KEY]
        seen.append((authentication.principal.name, authentication.is_proven))
        await send({"type": "websocket.accept"})

    browser = Browser(site(dp, "asgi")).bind()
    middleware = asgi.CookieAuthenticationMiddleware(app, data_protection=dp, device_bound="require")
    for value in (browser.jar[BOUND], "spoilt", None):
        browser.jar[BOUND] = value or ""
        cookies = "; ".join(f"{name}={text}" for name, text in browser.jar.items() if text)
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {
            "type": "websocket",
            "scheme": "wss",
            "path": "/socket",
            "headers": [(b"cookie", cookies.encode()), (b"host", b"shop.test")],
        }
        asyncio.run(middleware(scope, asyncio.Queue().get, send))
        assert [message["type"] for message in sent] == ["websocket.accept"]
    assert seen == [("ada", True), (None, False), (None, False)]


def test_an_unknown_key_of_the_bound_cookie_is_waited_for_off_the_event_loop(clock: StoppedClock) -> None:
    """[47] Another process may have just created it. With known keys nothing is read."""
    repository = WatchedRepository()
    first = data_protection(repository, clock)
    browser = Browser(site(first, "asgi")).bind()
    second = DataProtection("shop", repository=repository, key_wrapper="plain:", clock=clock)
    second.wait(None)
    calls = repository.calls
    browser.exchange = site(second, "asgi")
    assert browser.who() == "ada"
    assert repository.calls == calls
    middleware = SHELLS["asgi"](second, Pages(), {"device_bound": "require"})
    service = middleware.authenticator.binding
    unknown = f"{BOUND}={Browser(site(data_protection(MemoryKeyRepository(), clock))).bind().jar[BOUND]}".encode()
    steps = service.cookie.waits(second.provider, unknown)
    assert steps is not None
    assert [call.function for call in steps] == [second.provider.wait]


# --- what is told ---------------------------------------------------------------------------------------------------


def counted(before: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    after = telemetry.counts()
    found = {key: count - before.get(key, 0) for key, count in after.items() if key[0].startswith("device_")}
    return {key: count for key, count in found.items() if count}


def test_counters_and_events_tell_what_happened(dp: DataProtection) -> None:
    """[51]"""
    events: list[tuple[str, str | None, str]] = []

    def note(kind: str) -> Any:
        def handler(context: DeviceContext) -> None:
            events.append((kind, context.principal.name, context.reason))

        return handler

    kinds = ("device_registered", "device_refreshed", "device_unproven")
    handlers = CookieAuthenticationEvents(**{kind: note(kind) for kind in kinds})
    before = telemetry.counts()
    browser = Browser(site(dp, device_bound="report", events=handlers)).bind()
    browser.forget()
    browser.get("/who", **{"Secure-Session-Skipped": "quota_exceeded;session_identifier=sid"})
    browser.get("/who")
    browser.jar[BOUND] = "spoilt"
    browser.get("/who")
    browser.challenged(**{"Secure-Session-Response": "x"})
    Browser(browser.exchange, session=browser.session).challenged()
    assert counted(before) == {
        ("device_offered", ""): 1,
        ("device_registered", ""): 1,
        ("device_confirmed", ""): 1,
        ("device_refreshed", ""): 1,
        ("device_unproven", "none quota_exceeded"): 1,
        ("device_unproven", "none"): 1,
        ("device_unproven", "unreadable"): 1,
        ("device_refused", "malformed"): 1,
        ("device_ended", ""): 1,
    }
    assert events == [
        ("device_registered", "ada", ""),
        ("device_refreshed", "ada", ""),
        ("device_unproven", "ada", "none quota_exceeded"),
        ("device_unproven", "ada", "none"),
        ("device_unproven", "ada", "unreadable"),
    ]


def test_no_identifier_challenge_proof_or_key_is_logged_or_counted(
    dp: DataProtection, caplog: pytest.LogCaptureFixture
) -> None:
    """[51]"""
    caplog.set_level(logging.DEBUG)
    browser = Browser(site(dp)).bind()
    challenge = challenge_in(browser.challenged()["secure-session-challenge"])
    proof = browser.device.refresh(challenge)
    browser.challenged(**{"Secure-Session-Response": proof[:-3]})
    browser.challenged(**{"Secure-Session-Response": proof})
    browser.jar[BOUND] = browser.jar[BOUND][:-4] + "AAAA"
    browser.get("/who", **{"Secure-Session-Skipped": f"unreachable;session_identifier={browser.session}"})
    secrets = [browser.session, challenge, proof, browser.device.jwk["x"], browser.jar[TICKET]]
    told = caplog.text + str([vars(record) for record in caplog.records]) + str(telemetry.counts())
    assert not [secret for secret in secrets if secret in told]


SPOKEN = {
    "skipped": {"Secure-Session-Skipped": "unreachable, x;y=z"},
    "a long one": {"Secure-Session-Skipped": "unreachable" * 500},
    "nonsense": {"Secure-Session-Skipped": "\t;;;"},
    "an odd mode": {"Sec-Fetch-Mode": "x", "Sec-Fetch-Dest": "y", "Sec-Fetch-Site": "z"},
    "a link": FROM_ELSEWHERE,
}


@pytest.mark.parametrize("headers", SPOKEN.values(), ids=SPOKEN)
def test_what_a_client_says_about_itself_proves_nothing(dp: DataProtection, headers: dict[str, str]) -> None:
    """[52]"""
    browser = Browser(site(dp)).bind()
    thief = browser.stolen(BOUND)
    reply = thief.get("/who", **headers)
    assert b"ada" not in reply.body
    assert b"ada" not in thief.get("/who", **headers).body
    assert browser.get("/who", **headers).json == "ada"


# --- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_the_option_is_refused_in_every_shell_where_it_cannot_work(dp: DataProtection, shell: str) -> None:
    """[54]"""
    for wrong in ({"device_bound": "always"}, {"device_bound": {"level": "require", "short_lived": 60}}):
        with pytest.raises(ConfigurationError):  # Starlette makes its middleware for the first request
            Browser(exchange_with(SHELLS[shell](dp, Pages(), wrong))).get("/public")
    with pytest.raises(ConfigurationError, match="Secure"):
        Browser(site(dp, shell, "serve", cookie=CookieSettings("auth", secure="never"))).get("/public")


@pytest.mark.parametrize("shell", ["wsgi", "asgi"])
def test_two_sign_ins_of_one_application_need_two_paths(dp: DataProtection, shell: str) -> None:
    """[54] Each would end the sessions of the other."""
    inner = {"scheme": "Admin", "cookie": "admin", "device_bound": "require"}
    module: Any = wsgi if shell == "wsgi" else asgi

    def both(device_bound: Any) -> Any:
        app = SHELLS[shell](dp, Pages(), inner)
        return exchange_with(module.CookieAuthenticationMiddleware(app, data_protection=dp, device_bound=device_bound))

    with pytest.raises(ConfigurationError, match="two sign-ins have the endpoint") as caught:
        both("require")("GET", "/who", {}, b"")
    assert "a path of its own" in caught.value.hint
    browser = Browser(both(DeviceBound("require", path="/outer/keys")))
    assert browser.register(browser.get("/login")["secure-session-registration"]).status == 200
    assert browser.refresh().status == 200


def test_a_word_a_mapping_and_an_object_are_the_same_option() -> None:
    given: list[Any] = ["report", {"level": "report"}, DeviceBound("report")]
    assert {CookieAuthenticationOptions(device_bound=each).binding for each in given} == {DeviceBound("report")}
    assert CookieAuthenticationOptions().binding is None


def test_without_the_option_nothing_is_different(dp: DataProtection) -> None:
    browser = Browser(site(dp, device_bound=None))
    assert browser.sign_in() is None
    assert browser.send("POST", REFRESH, {"Sec-Secure-Session-Id": "x"}).body == f"page {REFRESH}".encode()
