"""Device-bound sign-ins in every shell, with a browser that signs: registration, refresh, theft, and what must not end.

The numbers in brackets are those of the project's list of what must hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.parts import finish
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest
from tests.fakes import StoppedClock, data_protection, key_document, put
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
    Exchange,
    Pages,
    Shell,
    challenge_in,
    exchange_with,
)
from tests.web.device import Device, quoted


@dataclass
class Site:
    """A site whose sign-ins are bound."""

    shell: Shell
    dp: DataProtection
    clock: StoppedClock
    pages: Pages

    def exchange(self, device_bound: Any = "require", **options: Any) -> Exchange:
        """One process of it."""
        return exchange_with(self.shell(self.dp, self.pages, {"device_bound": device_bound, **options}))

    def browser(self, device_bound: Any = "require", **options: Any) -> Browser:
        return Browser(self.exchange(device_bound, **options))


@pytest.fixture(params=SHELLS)
def site(request: pytest.FixtureRequest) -> Site:
    return site_of(request.param)


@pytest.fixture
def one_site() -> Site:
    """For what no shell decides."""
    return site_of("wsgi")


def site_of(shell: str) -> Site:
    clock = StoppedClock()
    return Site(SHELLS[shell], data_protection(MemoryKeyRepository(), clock), clock, Pages())


# --- it works -------------------------------------------------------------------------------------------------------


def test_a_sign_in_is_offered_bound_confirmed_and_refreshed(site: Site) -> None:
    """[1, 41]"""
    browser = site.browser()
    offer = browser.sign_in()
    assert offer is not None
    assert offer.startswith(f'(ES256 RS256);path="{REGISTRATION}";challenge="')
    registered = browser.register(offer)
    assert registered.json == {
        "session_identifier": browser.session,
        "refresh_url": REFRESH,
        "scope": {
            "include_site": False,
            "scope_specification": [{"type": "exclude", "domain": "*", "path": "/static"}],
        },
        "credentials": [{"type": "cookie", "name": BOUND, "attributes": "path=/; secure; samesite=lax; httponly"}],
    }
    assert registered.cookies[BOUND].attribute("max-age") == "60"
    assert registered["cache-control"] == "no-store"
    assert browser.who() == "ada"
    assert browser.challenged()["secure-session-challenge"].endswith(f'";id="{browser.session}"')
    first, second = browser.refresh(), browser.refresh()
    assert set(first.cookies) == {TICKET, BOUND}, "the first one confirms the ticket"
    assert set(second.cookies) == {BOUND}, "later ones leave it"
    assert second.cookies[BOUND].attribute("max-age") == "600"
    assert browser.who() == "ada"
    assert site.pages.proven == [(False, False), (True, True)]


def test_the_ticket_keeps_its_times_and_persistence_when_it_is_bound(site: Site) -> None:
    """[48: a sign-in that ends with the browser]"""
    for more, is_kept in (("", True), ("&session", False)):
        browser = site.browser()
        signed = browser.get(f"/login?user=ada{more}")
        site.clock.advance(seconds=30)
        registered = browser.register(signed["secure-session-registration"])
        first, then = signed.cookies[TICKET], registered.cookies[TICKET]
        assert first.attribute("expires") == then.attribute("expires")
        assert (then.attribute("expires") is not None) is is_kept
        confirmed = browser.refresh().cookies[TICKET]
        assert set(confirmed.attributes) == set(then.attributes) == set(first.attributes)


def test_any_process_answers_and_a_new_key_changes_nothing(site: Site) -> None:
    """[7]"""
    browser = site.browser().bind()
    repository = site.dp.provider.manager.repository
    site.clock.advance(minutes=1)
    put(repository, key_document(site.clock.now(), created=timedelta(0)))
    site.dp = data_protection(repository, site.clock)
    site.dp.wait(None)
    browser.exchange = site.exchange()
    before = peek_key_id(browser.jar[BOUND])
    browser.forget()
    assert browser.refresh().status == 200
    assert peek_key_id(browser.jar[BOUND]) != before == peek_key_id(browser.jar[TICKET])
    assert browser.who() == "ada"


# --- theft ----------------------------------------------------------------------------------------------------------


def test_a_copied_jar_is_worth_one_life_of_the_bound_cookie(site: Site) -> None:
    """[8] However long the thief keeps the cookies; the owner notices nothing."""
    owner = site.browser().bind()
    site.clock.advance(minutes=4)
    thief = owner.stolen()
    assert thief.who() == "ada"
    site.clock.advance(minutes=7)
    assert thief.who() == "ada", "until then, and the grace"
    site.clock.advance(seconds=1)
    assert owner.refresh().status == 200
    assert (owner.who(), thief.get("/who", **{"Sec-Fetch-Mode": "cors"}).status) == ("ada", 307)
    assert BOUND not in thief.jar
    assert thief.who() is None
    assert thief.get("/home").status == 302


def test_a_thief_can_neither_register_nor_refresh(site: Site) -> None:
    """[9] With the whole jar, proven or not: the key is the one in the ticket, and the ticket is bound for good."""
    owner = site.browser().bind()
    offered = site.browser().sign_in()
    for thief in (owner.stolen(), owner.stolen(BOUND)):
        before = dict(thief.jar)
        challenge = challenge_in(thief.challenged()["secure-session-challenge"])
        for proof in (
            thief.device.refresh(challenge),
            thief.device.registration(challenge),
            thief.device.registration(challenge, jwk=owner.device.jwk),
        ):
            reply = thief.challenged(**{"Secure-Session-Response": proof})
            assert (reply.status, reply.all("set-cookie")) == (403, [])
        assert thief.register(offered).status == 403, "even with a good challenge of the same user"
        assert thief.jar == before
    owner.forget()
    assert owner.refresh().status == 200


def test_a_thief_who_slides_the_ticket_has_a_bound_one(one_site: Site) -> None:
    """[10]"""
    owner = one_site.browser("report", expire_time_span=timedelta(minutes=15)).bind()
    one_site.clock.advance(minutes=8)
    thief = owner.stolen()
    assert thief.get("/who").cookies.keys() == {TICKET, "own"}, "renewed"
    thief.forget()
    thief.exchange = one_site.exchange("require")
    assert thief.who() is None


def test_a_bound_cookie_of_another_sign_in_proves_nothing(one_site: Site) -> None:
    """[11]"""
    ada, eve = one_site.browser().bind("ada"), one_site.browser().bind("eve")
    mixed = ada.stolen()
    mixed.jar[BOUND] = eve.jar[BOUND]
    assert mixed.get("/who").status == 307
    again = one_site.browser().bind("ada")
    mixed.jar = {**ada.jar, BOUND: again.jar[BOUND]}
    assert mixed.get("/who").status == 307, "nor one of another sign-in of the same user"


OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "scheme": ("shop", {"scheme": "Admin", "cookie": TICKET}),
    "application": ("mail", {}),
}


@pytest.mark.parametrize(("application", "options"), OTHERS.values(), ids=OTHERS)
def test_a_bound_cookie_of_another_scheme_or_application_proves_nothing(
    one_site: Site, application: str, options: dict[str, Any]
) -> None:
    """[11]"""
    ada = one_site.browser().bind()
    repository = one_site.dp.provider.manager.repository
    other = DataProtection(application, repository=repository, key_wrapper="plain:", clock=one_site.clock)
    exchange = exchange_with(one_site.shell(other, one_site.pages, {"device_bound": "require", **options}))
    there = Browser(exchange).bind()
    ada.jar[BOUND] = there.jar[BOUND]
    assert ada.get("/who").status == 307


@pytest.mark.parametrize("mode", ["cors", "same-origin", "navigate"])
def test_a_script_cannot_register(site: Site, mode: str) -> None:
    """[13]"""
    browser = site.browser()
    offer = browser.sign_in()
    assert browser.register(offer, **{"Sec-Fetch-Mode": mode}).status == 400
    assert browser.register(offer).status == 200


# --- nobody is locked out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["serve", "report", "require"])
def test_a_browser_that_does_not_know_it_stays_signed_in(site: Site, level: str) -> None:
    """[14]"""
    browser = site.browser(level)
    assert (browser.sign_in() is None) is (level == "serve")
    site.clock.advance(days=2)
    assert browser.who() == "ada"
    assert browser.get("/home").status == 200


def test_a_sign_in_that_is_not_confirmed_is_let_in(site: Site) -> None:
    """[56, 57] The browser may have refused the session, or the answer was lost: the server never knows."""
    browser = site.browser()
    offer = browser.sign_in()
    lost = dict(browser.jar)
    assert browser.register(offer).status == 200
    site.clock.advance(hours=1)
    browser.forget()
    assert browser.who() == "ada"
    assert browser.refresh().status == 200, "it may still confirm"
    browser.forget()
    assert browser.who() is None, "and is required from then on"
    browser.jar = lost
    assert browser.who() == "ada"
    assert browser.register(browser.sign_in()).status == 200


def test_a_link_from_elsewhere_arrives_after_one_retry(site: Site) -> None:
    """[15] The browser may not refresh for it, and says nothing; for its own reload it may."""
    browser = site.browser().bind()
    for where in ("cross-site", "same-site"):
        browser.forget()
        page = browser.get("/home", **{**FROM_ELSEWHERE, "Sec-Fetch-Site": where})
        assert (page.status, page["refresh"], page["cache-control"]) == (200, "0", "no-cache,no-store")
        assert b'http-equiv="refresh"' in page.body
        assert page["location"] is None
        assert set(page.cookies) == {AGAIN}, "the cookie of the page for anonymous users is not set"
        assert set(browser.refresh().cookies) == {BOUND, AGAIN}, "the mark is taken away"
        assert AGAIN not in browser.jar
        assert browser.get("/home", **FROM_ELSEWHERE).json == "ada"


def test_a_lost_key_ends_at_the_sign_in_page_without_a_loop(site: Site) -> None:
    """[17]"""
    browser = site.browser().bind()
    browser.forget()
    assert browser.get("/home", **FROM_ELSEWHERE)["refresh"] == "0"
    second = browser.get("/home", **{**FROM_ELSEWHERE, "Sec-Fetch-Site": "same-origin"})
    assert (second.status, second["location"]) == (302, "/Account/Login?ReturnUrl=%2Fhome")
    third = browser.get("/home", **FROM_ELSEWHERE)
    assert third.status == 302, "not again within the ten seconds"
    browser.bind()
    assert browser.who() == "ada"


def test_an_address_that_was_typed_is_not_retried(site: Site) -> None:
    """Chromium refreshes for it, if it can. A page that loads itself again would only lose time."""
    browser = site.browser().bind()
    browser.forget()
    for where in ("none", "same-origin"):
        assert browser.get("/home", **{**FROM_ELSEWHERE, "Sec-Fetch-Site": where}).status == 302
    assert AGAIN not in browser.jar


def test_a_program_gets_401_and_a_script_is_not_sent_a_page(site: Site) -> None:
    browser = site.browser().bind()
    browser.forget()
    for told in ({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}, {"X-Requested-With": "XMLHttpRequest"}):
        assert browser.get("/home", **told).status == 401


@pytest.mark.parametrize("value", ["spoilt", "CfDJ8spoilt"])
def test_a_bound_cookie_of_no_use_is_deleted_and_the_request_repeated(site: Site, value: str) -> None:
    """[18] A request that changes something has not run before it is repeated; one that reads may have."""
    browser = site.browser().bind()
    good = browser.jar[BOUND]
    browser.jar[BOUND] = value
    told = browser.send("POST", "/echo?a=b%20c", body=b"abc")
    assert (told.status, told["location"]) == (307, "/echo?a=b%20c")
    assert (BOUND in browser.jar, browser.jar[AGAIN]) == (False, "1")
    assert site.pages.runs["/echo"] == 0
    browser.jar[BOUND] = good
    assert browser.send("POST", "/echo", body=b"abc").json == {"user": "ada", "body": "abc"}
    assert site.pages.runs["/echo"] == 1
    browser.jar[BOUND] = value
    del browser.jar[AGAIN]
    told = browser.get("/who")
    assert (told.status, told["location"], set(told.cookies)) == (307, "/who", {BOUND, AGAIN})


def test_a_bound_cookie_that_stays_is_not_a_loop(site: Site) -> None:
    """[19]"""
    browser = site.browser().bind()
    browser.jar[BOUND] = "spoilt"
    assert browser.get("/home").status == 307
    browser.jar[BOUND] = "spoilt"
    assert browser.get("/home").status == 302
    assert browser.send("POST", "/echo", body=b"x").json == {"user": None, "body": "x"}


def test_where_a_request_was_is_not_an_address_of_somebody_else(one_site: Site) -> None:
    browser = one_site.browser().bind()
    browser.jar[BOUND] = "spoilt"
    header = "; ".join(f"{name}={value}" for name, value in browser.jar.items()).encode()
    authenticator = CookieAuthenticator(one_site.dp, CookieAuthenticationOptions(device_bound="require"))
    for path, status in (("/evil.test/", 307), ("//evil.test/", 200)):
        authentication = authenticator.begin(WebRequest(header, https=True, path=path, method="GET"))
        assert authentication.principal.name is None
        assert (finish(authentication, 200, []).status or 200) == status, path


def test_an_unproven_request_writes_nothing(one_site: Site) -> None:
    """[45] No slide, no deletion."""
    browser = one_site.browser(expire_time_span=timedelta(minutes=30)).bind()
    one_site.clock.advance(minutes=20)
    browser.forget()
    assert set(browser.get("/who").cookies) == {"own"}
    assert TICKET in browser.jar
    assert browser.refresh().status == 200
    assert TICKET in browser.get("/who").cookies, "proven, it is renewed"


def test_a_public_page_is_served_as_it_is(site: Site) -> None:
    """[46]"""
    browser = site.browser().bind()
    browser.forget()
    reply = browser.get("/public", **FROM_ELSEWHERE)
    assert (reply.status, reply.body, set(reply.cookies)) == (200, b"public", {"own"})


# --- the endpoints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [REGISTRATION, REFRESH])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_the_endpoints_are_for_post_alone(site: Site, path: str, method: str) -> None:
    """[22, 36]"""
    reply = site.browser().send(method, path)
    assert (reply.status, reply["allow"]) == (405, "POST")
    assert site.pages.runs.total() == 0


def test_the_endpoints_answer_for_everybody_in_their_own_way(site: Site) -> None:
    """[22] No redirect, 401, 404, 405 or 429, and no page, whatever the application does at other paths."""
    browser = site.browser()
    assert browser.send("POST", REGISTRATION).status == 400
    assert browser.send("POST", REFRESH).status == 400
    bound = site.browser().bind()
    nobody = Browser(bound.exchange, session=bound.session)
    for reply in (nobody.challenged(), bound.challenged(), bound.refresh()):
        assert reply.status in {200, 403}
        assert "html" not in (reply["content-type"] or "")
        assert reply["cache-control"] == "no-store"
    assert not [path for path in site.pages.runs if path.startswith("/.well-known")]
    assert site.browser().get("/.well-known/dbsc/other").status != 400, "other paths are the application's"


def test_an_application_below_a_prefix_has_its_endpoints_there(one_site: Site) -> None:
    """[22, 41, 49]"""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    inner = {
        name: one_site.shell(one_site.dp, one_site.pages, {"device_bound": "require", "cookie": name}) for name in "ab"
    }
    app = DispatcherMiddleware(lambda *_: [], {"/a": inner["a"], "/b b": inner["b"]})
    a, b = Browser(exchange_with(app)), Browser(exchange_with(app))
    for browser, base, name in ((a, "/a", "a"), (b, "/b%20b", "b")):
        offer = browser.get(f"{base}/login")["secure-session-registration"]
        assert f'path="{base}{REGISTRATION}"' in offer
        told = browser.register(offer).json
        assert told["refresh_url"] == f"{base}{REFRESH}"
        assert told["scope"]["scope_specification"][0]["path"] == f"{base}/static"
        assert browser.refresh(base + REFRESH).status == 200
        assert set(browser.jar) == {name, f"{name}.Bound"}
    a.jar.update(b.jar)
    assert a.refresh("/a" + REFRESH).status == 200
    assert (a.get("/a/who").json, a.get("/b%20b/who").json) == ("ada", "ada")


@pytest.mark.parametrize("form", [str, quoted])
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_both_algorithms_and_both_forms_of_headers_are_taken(one_site: Site, algorithm: str, form: Any) -> None:
    """[31]"""
    browser = one_site.browser()
    device = browser.device = Device(algorithm)
    offer = challenge_in(browser.sign_in() or "")
    done = browser.send("POST", REGISTRATION, {**NO_CORS, "Secure-Session-Response": form(device.registration(offer))})
    sent = {**NO_CORS, "Sec-Secure-Session-Id": form(done.json["session_identifier"])}
    told = challenge_in(browser.send("POST", REFRESH, sent)["secure-session-challenge"])
    reply = browser.send("POST", REFRESH, {**sent, "Secure-Session-Response": form(device.refresh(told))})
    assert reply.status == 200
    assert browser.who() == "ada"
    assert one_site.pages.proven == [(True, True)]


def test_only_the_algorithms_that_were_offered_are_registered(one_site: Site) -> None:
    browser = one_site.browser(DeviceBound("require", algorithms=("ES256",)))
    browser.device = Device("RS256")
    offer = browser.sign_in()
    assert offer is not None
    assert offer.startswith("(ES256);")
    assert browser.register(offer).status == 400


def test_a_proof_may_come_twice_and_an_old_one_is_asked_for_again(site: Site) -> None:
    """[34] Chromium sends one proof again where an answer was empty."""
    browser = site.browser().bind()
    challenge = browser.challenged()["secure-session-challenge"]
    for _ in range(2):
        assert browser.answer_to(challenge).status == 200
    site.clock.advance(minutes=5, seconds=1)
    late = browser.answer_to(challenge)
    assert (late.status, late.all("set-cookie")) == (403, [])
    assert browser.answer_to(late["secure-session-challenge"]).status == 200
    assert browser.who() == "ada"


def test_a_registration_is_refused(site: Site) -> None:
    """[36] Without a cookie, and the sign-in stays as it is."""
    browser = site.browser()
    offer = challenge_in(browser.sign_in() or "")
    other = challenge_in(site.browser().sign_in("eve") or "")
    device = browser.device
    bound = site.browser().bind()
    told = challenge_in(bound.challenged()["secure-session-challenge"])
    cases: dict[str, tuple[Browser, str, int]] = {
        "nobody": (Browser(browser.exchange), device.registration(offer), 403),
        "a spoilt ticket": (Browser(browser.exchange, jar={TICKET: "x"}), device.registration(offer), 403),
        "a confirmed ticket": (bound, device.registration(offer), 403),
        "the challenge of another user": (browser, device.registration(other), 403),
        "the challenge of a refresh": (bound.stolen(), device.registration(told), 403),
        "a challenge that was made up": (browser, device.registration("x"), 403),
        "no challenge": (browser, device.registration(""), 403),
        "9 KB": (browser, "x" * 9000, 400),
        "no proof": (browser, "", 400),
        "no JWS": (browser, "x.y", 400),
        "no key": (browser, device.refresh(offer), 400),
        "the key of another": (browser, device.registration(offer, jwk=Device().jwk), 400),
    }
    for case, (sender, proof, status) in cases.items():
        sent = {**NO_CORS, "Secure-Session-Response": proof}
        reply = sender.send("POST", REGISTRATION, sent)
        assert (reply.status, reply.all("set-cookie"), reply.body) == (status, [], b""), case
    site.clock.advance(minutes=5, seconds=1)
    assert browser.send("POST", REGISTRATION, {"Secure-Session-Response": device.registration(offer)}).status == 403
    assert browser.who() == "ada"
    assert site.pages.proven[-1] == (False, False)


def test_a_refresh_ends_the_browsers_session(site: Site) -> None:
    """[37] With 200, so that it is not taken for an error. The browser stops to ask."""
    bound = site.browser().bind()
    unbound = site.browser()
    unbound.sign_in()
    tampered = {**bound.jar, TICKET: bound.jar[TICKET][:-4] + "AAAA"}
    cases = {
        "no ticket": Browser(bound.exchange, session=bound.session),
        "no ticket, but a bound cookie": bound.stolen(TICKET),
        "a ticket that is not bound": Browser(bound.exchange, jar=unbound.jar, session=bound.session),
        "a tampered ticket": Browser(bound.exchange, jar=tampered, session=bound.session),
        "another session": Browser(bound.exchange, jar=dict(bound.jar), session="another"),
        "another session, quoted": Browser(bound.exchange, jar=dict(bound.jar), session='"an\\"other"'),
    }
    for case, browser in cases.items():
        reply = browser.challenged()
        expected = {"session_identifier": browser.session.strip('"'), "continue": False}
        assert (reply.status, reply.json, reply.all("set-cookie")) == (200, expected, []), case
    site.clock.advance(days=31)
    assert bound.challenged().json["continue"] is False, "the sign-in has ended"


# --- sign-in and sign-out -------------------------------------------------------------------------------------------


def test_signing_out_ends_it_on_both_sides(site: Site) -> None:
    """[23]"""
    browser = site.browser().bind()
    browser.jar[AGAIN] = "1"
    browser.get("/logout")
    assert browser.jar == {}
    assert browser.challenged().json == {"session_identifier": browser.session, "continue": False}
    browser.bind()
    assert browser.who() == "ada"


def test_a_refresh_that_was_in_progress_does_not_sign_in_again(one_site: Site) -> None:
    """[24]"""
    browser = one_site.browser().bind()
    before = browser.stolen()
    before.device = browser.device
    browser.get("/logout")
    browser.take(before.refresh())
    assert set(browser.jar) == {BOUND}
    assert browser.who() is None


SIGN_INS: dict[str, tuple[str, bool, tuple[bool, bool], bool]] = {
    "the same user, proven": ("ada", True, (True, True), False),
    "the same user, not proven": ("ada", False, (False, False), True),
    "another user, proven": ("eve", True, (False, False), True),
}


@pytest.mark.parametrize("more", ["", "&again"], ids=["", "with the properties of the old ticket"])
@pytest.mark.parametrize("case", SIGN_INS)
def test_a_sign_in_in_a_bound_one(one_site: Site, case: str, more: str) -> None:
    """[26] Only who is proven keeps the binding, and only for the same user: else anybody could move it."""
    user, proven, expected, is_offered = SIGN_INS[case]
    browser = one_site.browser("report").bind()
    if not proven:
        browser.forget()
    assert (browser.sign_in(user, more) is not None) is is_offered
    browser.who()
    assert one_site.pages.proven[-1] == expected


def test_signing_in_twice_leaves_one_session(site: Site) -> None:
    """[25] Two tabs: the later ticket counts, and the older session of the browser is ended."""
    first = site.browser().bind()
    second = Browser(first.exchange, jar=first.jar)
    second.forget()
    second.bind()
    assert first.challenged().json["continue"] is False
    assert second.refresh().status == 200


def test_two_tabs_that_confirm_at_once_are_both_good(one_site: Site) -> None:
    """[58]"""
    browser = one_site.browser()
    browser.register(browser.sign_in())
    other = browser.stolen()
    other.device = browser.device
    other.exchange = one_site.exchange()
    challenges = [each.challenged()["secure-session-challenge"] for each in (browser, other)]
    assert [each.answer_to(told).status for each, told in zip((browser, other), challenges, strict=True)] == [200, 200]
    browser.jar.update(other.jar)
    assert browser.who() == "ada"
    assert one_site.pages.proven == [(True, True)]


def test_rolling_out_and_back_signs_nobody_out(site: Site) -> None:
    """[27]"""
    browser = site.browser("serve")
    assert browser.sign_in() is None
    assert browser.who() == "ada"
    browser.exchange = site.exchange("report")
    assert browser.who() == "ada"
    browser.bind()
    browser.exchange = site.exchange("require")
    assert browser.who() == "ada"
    for level in ("serve", None):
        browser.exchange = site.exchange(level)
        browser.forget()
        assert browser.who() == "ada"
    browser.exchange = site.exchange("serve")
    assert browser.refresh().status == 200, "browsers that have sessions are answered"


def test_a_process_without_the_option_keeps_what_it_does_not_know(site: Site) -> None:
    """[28] It reads, renews, signs in and signs out; the binding is in the ticket that it has renewed."""
    life = timedelta(minutes=30)
    browser = site.browser(expire_time_span=life).bind()
    without, bound = site.exchange(None, expire_time_span=life), site.exchange("require", expire_time_span=life)
    site.clock.advance(minutes=20)
    browser.exchange = without
    assert TICKET in browser.get("/who").cookies, "renewed"
    browser.exchange = bound
    browser.forget()
    assert browser.who() is None
    assert browser.refresh().status == 200
    assert browser.who() == "ada"
    browser.exchange = without
    browser.get("/logout")
    assert browser.sign_in() is None
    browser.exchange = bound
    assert browser.who() == "ada", "not bound"


def test_a_binding_from_before_a_moment_does_not_count_and_is_made_again(one_site: Site) -> None:
    """[29]"""
    browser = one_site.browser().bind()
    browser.forget()
    one_site.clock.advance(minutes=5)
    since = one_site.clock.now()
    late = DeviceBound("require", since=since, offer="always")
    one_site.clock.advance(minutes=5)
    newer = one_site.browser().bind()
    for each, expected in ((browser, "ada"), (newer, None)):
        each.exchange = one_site.exchange(late)
        each.forget()
        assert each.who() == expected
    assert browser.challenged().json["continue"] is False
    assert browser.register(browser.get("/who")["secure-session-registration"] or offer_again(browser)).status == 200
    assert browser.refresh().status == 200


def offer_again(browser: Browser) -> str:
    """The offer that a marked browser gets once the mark is gone."""
    browser.jar.pop(f"{TICKET}.Offered")
    offer: str = browser.get("/who")["secure-session-registration"]
    return offer


def test_the_clocks_of_two_processes_may_differ(one_site: Site) -> None:
    """[53] By the grace for the bound cookie; a challenge that has not begun yet counts."""
    ahead = StoppedClock(one_site.clock.now() + timedelta(minutes=5))
    browser = one_site.browser().bind()
    browser.exchange = one_site.exchange(clock=ahead)
    assert browser.who() == "ada"
    challenge = browser.challenged()["secure-session-challenge"]
    browser.exchange = one_site.exchange()
    assert browser.answer_to(challenge).status == 200
    assert json.loads(browser.get("/who").body) == "ada"
