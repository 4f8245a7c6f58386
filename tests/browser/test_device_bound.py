"""Device-bound sign-ins in a real Chromium, which decides: nothing here says what a browser would do.

The numbers in brackets are those of the project's list of what must hold. No test waits for the end of a bound cookie
unless it is about that: the cookie is taken away instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import RepositoryError
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.device_bound.instructions import instructions
from example_apps.plants.serving import Certificate
from tests.browser import device_sites
from tests.browser.device_sites import PROTOCOL, Site, Tab, features, short, until
from tests.conftest import missing
from tests.frameworks.device_sites import AGAIN, REGISTRATION, Browser, exchange_with
from tests.servers import Server
from tests.web.device import Device

each_shell = pytest.mark.parametrize("shell", ["wsgi", "starlette"])


@pytest.fixture(scope="module")
def bound_browser(chromium: Server, certificate: Certificate) -> Iterator[Any]:
    """One for the module, without a quota; each site has a host of its own in it."""
    with device_sites.chromium(chromium.address, certificate, *features()) as running:
        context = running.new_context(ignore_https_errors=True)
        session = context.new_cdp_session(context.new_page())
        try:
            session.send("Network.enableDeviceBoundSessions", {"enable": True})
        except Exception:  # noqa: BLE001 (Playwright's, of which there is one for everything)
            missing("device-bound sign-ins: this Chromium does not know them; 156 does")
        context.close()
        yield running


@pytest.fixture
def start(chromium: Server, certificate: Certificate) -> Callable[..., dict[str, Any]]:
    """What Playwright starts another Chromium with."""
    return lambda *enabled: {"executable_path": chromium.address, "args": device_sites.arguments(certificate, *enabled)}


@pytest.fixture
def tab(bound_browser: Any) -> Iterator[Tab]:
    with bound_browser.new_context(ignore_https_errors=True) as context:
        context.set_default_timeout(30_000)
        yield Tab(context)


Open = Callable[..., Site]


@pytest.fixture
def open_site(certificate: Certificate) -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda shell="wsgi", **options: Site(stack, certificate, shell, **options)


def browser_of(site: Site, tab: Tab) -> Browser:
    """What somebody else has who copied the jar."""
    jar = {name: cookie["value"] for name, cookie in tab.jar(site).items() if name.startswith(".AspNet")}
    return Browser(exchange_with(site.app), jar=jar)


# --- it works -------------------------------------------------------------------------------------------------------


@each_shell
def test_a_sign_in_is_bound_and_a_request_waits_for_its_proof(tab: Tab, open_site: Open, shell: str) -> None:
    """[1, 41]"""
    site = open_site(shell)
    tab.sign_in(site)
    before, since = tab.jar(site), len(site.log)
    tab.forget(site)
    assert tab.who() == "ada"
    after = tab.jar(site)
    assert before[site.bound]["value"] != after[site.bound]["value"]
    assert before[site.ticket]["value"] == after[site.ticket]["value"]
    first, second = site.seen(site.refresh, since)
    assert "secure-session-response" not in first.headers
    assert "secure-session-response" in second.headers
    assert {each.headers["sec-fetch-mode"] for each in (first, second)} == {"no-cors"}
    assert site.pages.proven[-1] == (True, True)


@each_shell
def test_it_stays_signed_in_past_the_end_of_three_lives(tab: Tab, open_site: Open, shell: str) -> None:
    """[2, 39] In real time, and never a request without the cookie."""
    site = open_site(shell, device_bound=short("require", 2))
    tab.sign_in(site)
    for _ in range(3):
        gone = tab.jar(site)[site.bound]["value"]
        until(lambda gone=gone: tab.jar(site).get(site.bound, {}).get("value") != gone, tab)  # type: ignore[misc]
        assert tab.who() == "ada"
    assert all(site.bound in each.headers["cookie"] for each in site.seen("/who"))


@pytest.mark.parametrize(("lived", "expected"), [(100, True), (150, False)])
def test_with_less_than_two_minutes_left_the_proof_comes_beside_the_request(
    tab: Tab, open_site: Open, lived: int, expected: bool
) -> None:
    """[3] The documentation says so. With more, a second request asks for nothing either: the attributes are right.

    The sign-in may cause a refresh, too, which ends while we look. A request that waits has the new cookie each time.
    """
    site = open_site(device_bound=short("require", lived))
    tab.sign_in(site)
    for _ in range(5):
        before, since, events = tab.jar(site)[site.bound]["value"], len(site.log), len(tab.events)
        assert tab.who() == "ada"
        assert bool(tab.event("refresh", site, events, seconds=10 if expected else 1)) is expected
        [asked] = site.seen("/who", since)
        if f"{site.bound}={before}" in asked.headers["cookie"]:
            return  # it went out as it was
    pytest.fail("each request had waited for its refresh")


@each_shell
def test_twenty_requests_of_two_tabs_cause_one_refresh(tab: Tab, open_site: Open, shell: str) -> None:
    """[4]"""
    site, other = open_site(shell), Tab(tab.page.context)
    tab.sign_in(site)
    other.goto(site.url("/public"))
    tab.forget(site)
    since = len(site.log)
    many = "() => Promise.all([...Array(10).keys()].map(i => fetch('/who?' + i).then(r => r.json())))"
    other.page.evaluate(f"() => {{ window.got = ({many})() }}")
    assert tab.page.evaluate(many) == ["ada"] * 10
    assert other.page.evaluate("() => window.got") == ["ada"] * 10
    assert site.count(site.refresh, since) == 2


@each_shell
def test_every_kind_of_request_waits(tab: Tab, open_site: Open, shell: str) -> None:
    """[5] A typed address, a form and a script with their bodies, an image, a beacon."""
    site = open_site(shell)
    tab.sign_in(site)
    tab.forget(site)
    post = (
        "fetch('/echo', {method: 'POST', body: 'x'.repeat(500)}).then(r => r.json()).then(j => j.user + j.body.length)"
    )
    assert tab.js(post) == "ada500"
    for what in (
        "new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done(1); i.src = '/image' })",
        "navigator.sendBeacon('/beacon', 'x')",
    ):
        tab.forget(site)
        tab.js(what)
    assert until(lambda: site.count("/beacon"), tab)
    tab.forget(site)
    assert tab.goto(site.url("/home")) == site.url("/home")
    form = "<form id=f method=post action=/echo enctype=text/plain><input name=a value=b></form>"
    tab.forget(site)
    with tab.page.expect_navigation():
        tab.page.evaluate("form => { document.body.innerHTML = form; document.getElementById('f').submit() }", form)
    assert json.loads(tab.page.inner_text("body")) == {"user": "ada", "body": "a=b\r\n"}
    waited = [each for each in site.log if each.path in {"/echo", "/image", "/beacon", "/home"}]
    assert len(waited) == 5
    assert all(site.bound in each.headers["cookie"] for each in waited)


WORKER = b"""
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(clients.claim()));
self.addEventListener("fetch", event => {
  if (event.request.url.includes("/through")) event.respondWith(fetch("/who"));
});
"""


def worker(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/javascript"), ("Content-Length", str(len(WORKER)))])
    return [WORKER]


def test_a_request_of_a_service_worker_waits(tab: Tab, open_site: Open) -> None:
    """[5]"""
    site = open_site()
    tab.sign_in(site)
    site.broken["/worker.js"] = worker
    tab.js("navigator.serviceWorker.register('/worker.js').then(() => 0)")
    assert until(lambda: tab.js("!!navigator.serviceWorker.controller"), tab)
    tab.forget(site)
    assert tab.js("fetch('/through').then(r => r.json())") == "ada"
    assert site.bound in site.seen("/who")[-1].headers["cookie"]


def test_a_private_window_is_bound_apart_from_others(bound_browser: Any, tab: Tab, open_site: Open) -> None:
    """[6]"""
    site = open_site()
    tab.sign_in(site)
    with bound_browser.new_context(ignore_https_errors=True) as elsewhere:
        other = Tab(elsewhere)
        other.goto(site.url("/public"))
        assert other.who() is None
        other.sign_in(site)
    tab.forget(site)
    assert tab.who() == "ada"


@pytest.mark.parametrize("more", ["", "&session"])
def test_after_a_restart_of_the_browser(
    bound_browser: Any, start: Any, open_site: Open, tmp_path: Any, more: str
) -> None:
    """[6, 48] A persistent sign-in goes on; one that ended with the browser is over, and so is its session."""
    site, kind = open_site(), bound_browser.browser_type
    options = {**start(*features()), "ignore_https_errors": True}
    with kind.launch_persistent_context(str(tmp_path), **options) as first:
        tab = Tab(first)
        tab.sign_in(site, more=more)
        tab.forget(site)
    with kind.launch_persistent_context(str(tmp_path), **options) as second:
        tab = Tab(second)
        assert tab.goto(site.url("/home")) == site.url("/home" if not more else "/Account/Login?ReturnUrl=%2Fhome")
        assert tab.who() == (None if more else "ada")


def test_another_process_goes_on_and_an_unknown_key_ends_nothing(tab: Tab, open_site: Open) -> None:
    """[7, 38]"""
    site = open_site()
    tab.sign_in(site)
    first = site.dp
    site.dp = DataProtection("shop", repository=first.provider.manager.repository, key_wrapper="plain:")
    site.level("require")
    tab.forget(site)
    assert tab.who() == "ada"
    site.dp = DataProtection("shop", repository="memory:", key_wrapper="plain:")
    site.level("require")
    since = len(tab.events)
    tab.forget(site)
    assert tab.who() is None, "unreadable here, as without binding"
    event = tab.event("refresh", site, since)
    assert event is not None
    assert event["refreshResult"] == "ServerError"
    site.dp = first
    site.level("require")
    tab.forget(site)
    assert tab.who() == "ada", "the browser has kept its session"


# --- theft ----------------------------------------------------------------------------------------------------------


@each_shell
def test_a_copied_jar_is_worth_one_life(bound_browser: Any, tab: Tab, open_site: Open, shell: str) -> None:
    """[8] In another Chromium, and without one: the thief keeps cookies as long as they like."""
    site = open_site(shell, device_bound=short("require", 3))
    tab.sign_in(site)
    tab.who()
    jar, raw = tab.jar(site), browser_of(site, tab)
    with bound_browser.new_context(ignore_https_errors=True) as elsewhere:
        thief = Tab(elsewhere)
        for cookie in jar.values():
            thief.put(site, cookie)
        thief.goto(site.url("/public"))
        assert raw.who() == "ada", "until then"
        assert until(lambda: thief.who() is None, thief)
        assert thief.goto(site.url("/home")) == site.url("/Account/Login?ReturnUrl=%2Fhome")
    assert until(lambda: raw.get("/who").status == 307)
    assert raw.who() is None
    assert tab.who() == "ada", "the owner notices nothing"


@each_shell
def test_a_thief_within_the_life_can_neither_register_nor_refresh(tab: Tab, open_site: Open, shell: str) -> None:
    """[9]"""
    site = open_site(shell)
    sid = tab.sign_in(site)
    thief = browser_of(site, tab)
    thief.session = sid
    told = thief.challenged()["secure-session-challenge"]
    assert thief.answer_to(told).status == 403
    offer = Browser(thief.exchange).sign_in()
    assert thief.register(offer).status == 403
    tab.forget(site)
    assert tab.who() == "ada"


def test_a_script_of_the_page_can_neither_register_nor_name_a_session(tab: Tab, open_site: Open) -> None:
    """[13]"""
    site = open_site()
    tab.sign_in(site)
    offer = tab.js("fetch('/login?user=eve').then(r => r.headers.get('secure-session-registration'))")
    proof = Device().registration(offer.split('challenge="')[1].strip('"'))
    post = "([path, header, value]) => fetch(path, {method: 'POST', headers: {[header]: value}}).then(r => r.status)"
    assert tab.page.evaluate(post, [REGISTRATION, "Secure-Session-Response", proof]) == 400
    since = len(site.log)
    tab.page.evaluate(post, [site.refresh, "Sec-Secure-Session-Id", "x"])
    [sent] = [each for each in site.seen(site.refresh, since) if each.headers["sec-fetch-mode"] == "cors"]
    assert "sec-secure-session-id" not in sent.headers


# --- nobody is locked out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [(), (PROTOCOL,)], ids=["without it", "without keys"])
def test_a_browser_without_it_notices_nothing(
    bound_browser: Any, start: Any, open_site: Open, enabled: tuple[str, ...]
) -> None:
    """[14]"""
    site = open_site()
    plain = bound_browser.browser_type.launch(**start(*enabled))
    with plain, plain.new_context(ignore_https_errors=True) as context:
        tab = Tab(context)
        tab.sign_in(site, bound=False)
        tab.page.wait_for_timeout(500)  # for what must not come
        assert tab.who() == "ada"
        assert tab.goto(site.url("/home")) == site.url("/home")
        assert site.count(REGISTRATION) == site.count(site.refresh) == 0
        assert site.bound not in tab.jar(site)


def test_instructions_that_a_browser_refuses_lock_nobody_out(tab: Tab, open_site: Open, monkeypatch: Any) -> None:
    """[56] Chromium keeps the cookies of that answer, and says nothing."""
    from dpmiddleware.web.device_bound import service

    site = open_site()
    with monkeypatch.context() as patch:
        patch.setattr(
            service, "instructions", lambda o, b, i, c, lines: instructions(o, b, i, {**c, "type": "x"}, lines)
        )
        tab.goto(site.url("/login?user=ada"))
        event = tab.event("creation", site)
        assert event is not None
        assert not event["succeeded"]
        assert site.bound in tab.jar(site)
        tab.forget(site)
        assert tab.who() == "ada"
        assert tab.goto(site.url("/home")) == site.url("/home")
    tab.sign_in(site)


@each_shell
@pytest.mark.parametrize("said", ["cross-site", "same-site"])
def test_a_link_from_elsewhere_arrives(tab: Tab, open_site: Open, shell: str, said: str) -> None:
    """[15] Chromium does not refresh for it, and does not say so."""
    site = open_site(shell)
    elsewhere = open_site(host=f"www.{site.host}" if said == "same-site" else "")
    tab.sign_in(site)
    tab.goto(elsewhere.url("/public"))
    tab.forget(site)
    since = len(site.log)
    tab.follow(site.url("/home"), lambda url: url == site.url("/home"))
    tab.page.wait_for_function("document.body && document.body.innerText.includes('ada')")
    first, second = site.seen("/home", since)
    assert [first.headers["sec-fetch-site"], second.headers["sec-fetch-site"]] == [said, "same-origin"]
    assert "secure-session-skipped" not in first.headers


@pytest.mark.parametrize("policy", ["default-src 'none'", "sandbox"])
def test_a_link_from_elsewhere_arrives_under_a_policy_of_the_application(
    tab: Tab, open_site: Open, policy: str
) -> None:
    """[16] Our page does not carry it; where a proxy adds one, it ends after two requests at the latest."""
    site, elsewhere = open_site(), open_site()
    tab.sign_in(site)
    inner = site.app

    def with_policy(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, *rest: Any) -> Any:
            return start_response(status, [*headers, ("Content-Security-Policy", policy)], *rest)

        return inner(environ, start)

    site.app = with_policy
    tab.goto(elsewhere.url("/public"))
    tab.forget(site)
    since = len(site.log)
    tab.follow(site.url("/home"), lambda url: url.startswith(site.url()))
    assert until(lambda: site.count("/home", since) == 2, tab)
    tab.page.wait_for_timeout(500)  # for a loop
    assert site.count("/home", since) == 2


@each_shell
def test_a_lost_key_ends_at_the_sign_in_page(tab: Tab, open_site: Open, shell: str) -> None:
    """[17] Typed or by a link, without a loop; the next sign-in works at once, and is bound."""
    site, elsewhere = open_site(shell), open_site()
    sid = tab.sign_in(site)
    tab.lose_key(site, sid)
    tab.forget(site)
    login = site.url("/Account/Login?ReturnUrl=%2Fhome")
    assert tab.goto(site.url("/home")) == login
    tab.goto(elsewhere.url("/public"))
    since = len(site.log)
    assert tab.follow(site.url("/home"), lambda url: url == login) == login
    assert site.count("/home", since) == 2
    tab.sign_in(site)
    tab.forget(site)
    assert tab.who() == "ada"


@each_shell
@pytest.mark.parametrize("kind", ["spoilt", "of another session"])
def test_a_bound_cookie_of_no_use_is_replaced(tab: Tab, open_site: Open, shell: str, kind: str) -> None:
    """[18] The request is sent again after a refresh, with its body; the application has run once."""
    site = open_site(shell)
    tab.sign_in(site)
    value = "spoilt" if kind == "spoilt" else Browser(exchange_with(site.app)).bind().jar[site.bound]
    for ask in (
        "fetch('/echo', {method: 'POST', body: 'abc'}).then(r => r.json()).then(j => j.user + j.body)",
        "fetch('/who').then(r => r.json()).then(u => u + 'abc')",
    ):
        tab.put(site, tab.jar(site)[site.bound], value=value)
        assert tab.js(ask) == "adaabc"
        assert AGAIN not in tab.jar(site)
    assert site.pages.runs["/echo"] == 1


def test_a_bound_cookie_that_stays_is_not_a_loop(tab: Tab, open_site: Open) -> None:
    """[19] Set for another path, as by an older version of an application."""
    site = open_site()
    sid = tab.sign_in(site)
    stuck = tab.jar(site)[site.bound]
    tab.put(site, stuck, value="spoilt", path="/home")
    assert tab.goto(site.url("/home")) == site.url("/home"), "the good one beside it counts"
    tab.lose_key(site, sid)
    tab.forget(site)
    tab.put(site, stuck, value="spoilt", path="/home")
    since = len(site.log)
    assert tab.goto(site.url("/home")) == site.url("/Account/Login?ReturnUrl=%2Fhome")
    assert site.count("/home", since) == 2


def hang_up(environ: Any, start_response: Any) -> Any:
    """Cut the connection, as a server that dies."""
    environ["werkzeug.socket"].shutdown(2)
    raise ConnectionAbortedError


@pytest.mark.parametrize(("broken", "reason"), [(503, "server_error"), (hang_up, "unreachable")], ids=["503", "cut"])
def test_an_outage_of_the_refresh_is_not_an_end(tab: Tab, open_site: Open, broken: Any, reason: str) -> None:
    """[20]"""
    site = open_site(device_bound="report")
    tab.sign_in(site)
    site.broken[site.refresh] = broken
    tab.forget(site)
    assert tab.who() == "ada"
    assert site.pages.proven[-1] == (True, False), "let in, and counted"
    assert site.seen("/who")[-1].headers["secure-session-skipped"].startswith(f"{reason};session_identifier=")
    del site.broken[site.refresh]
    tab.forget(site)
    assert tab.who() == "ada"
    assert site.pages.proven[-1] == (True, True)


def to_a_page(environ: Any, start_response: Any) -> Any:
    start_response("302 Found", [("Location", "/Account/Login"), ("Content-Length", "0")])
    return []


@pytest.mark.parametrize("broken", [401, 404, 429, 403, to_a_page], ids=["401", "404", "429", "403", "302"])
def test_what_ends_a_session_for_good(tab: Tab, open_site: Open, broken: Any) -> None:
    """[21] Why our endpoint never answers so. If a newer Chromium differs, this is where it is noticed."""
    site = open_site(device_bound="report")
    tab.sign_in(site)
    site.broken[site.refresh] = broken
    since = len(tab.events)
    tab.forget(site)
    tab.who()
    assert tab.event("termination", site, since)
    del site.broken[site.refresh]
    refreshes = site.count(site.refresh)
    tab.who()
    assert site.count(site.refresh) == refreshes


@each_shell
def test_signing_out_ends_it_on_both_sides(tab: Tab, open_site: Open, shell: str) -> None:
    """[23, 24]"""
    site = open_site(shell)
    tab.sign_in(site)
    tab.js("fetch('/logout').then(r => r.text())")
    assert not {site.ticket, site.bound} & set(tab.jar(site))
    since, asked = len(tab.events), len(site.log)
    assert tab.who() is None
    event = tab.event("termination", site, since)
    assert event is not None
    assert event["deletionReason"] == "ServerRequested"
    assert tab.who() is None
    assert site.count(site.refresh, asked) == 1
    tab.sign_in(site)
    tab.forget(site)
    assert tab.who() == "ada"


def test_signing_in_twice_leaves_one_session(tab: Tab, open_site: Open) -> None:
    """[25, 26] The same user keeps theirs; with another user in another tab, the older one is ended."""
    site, other = open_site(), Tab(tab.page.context)
    first = tab.sign_in(site)
    other.goto(site.url("/login?user=ada"))
    assert (other.who(), site.count(REGISTRATION)) == ("ada", 1)
    second = other.sign_in(site, "eve")
    assert first != second
    for _ in range(3):
        tab.forget(site)
        assert (tab.who(), other.who()) == ("eve", "eve")
    last = site.seen(site.refresh)[-2:]
    assert {each.headers["sec-secure-session-id"] for each in last} == {second}


@each_shell
def test_rolling_out_and_back_signs_nobody_out(tab: Tab, open_site: Open, shell: str) -> None:
    """[27]"""
    site = open_site(shell, device_bound="serve")
    tab.sign_in(site, bound=False)
    assert (tab.who(), site.count(REGISTRATION)) == ("ada", 0)
    site.level("report")
    assert tab.who() == "ada"
    tab.sign_in(site)
    for level in ("require", "serve", "require"):
        site.level(level)
        tab.forget(site)
        assert tab.who() == "ada"


def test_the_quota_is_told_and_locks_nobody_out(bound_browser: Any, start: Any, open_site: Open) -> None:
    """[30] Six signatures in nine minutes; the registration and the first refresh are two of them."""
    site = open_site(device_bound="report")
    limited = bound_browser.browser_type.launch(**start(*features(quota=True)))
    with limited, limited.new_context(ignore_https_errors=True) as context:
        tab = Tab(context)
        tab.sign_in(site)
        since = len(site.log)
        for _ in range(7):
            tab.forget(site)
            assert tab.who() == "ada"
        said = [each.headers.get("secure-session-skipped", "")[:14] for each in site.seen("/who", since)]
        assert said == [""] * 4 + ["quota_exceeded"] * 3
        site.level("require")
        tab.forget(site)
        assert tab.goto(site.url("/home")) == site.url("/Account/Login?ReturnUrl=%2Fhome")
        tab.sign_in(site, bound=False)
        tab.forget(site)
        assert tab.who() == "ada", "the new sign-in is accepted without a binding"


NAMES = ["auth", "__Host-auth", "__Secure-auth", "__Http-auth", "__Host-Http-auth", ".a.b"]


@pytest.mark.parametrize("name", NAMES)
def test_chromium_takes_the_name_of_the_bound_cookie(tab: Tab, open_site: Open, name: str) -> None:
    """[40]"""
    site = open_site(cookie=CookieSettings(name, secure="always"))
    site.ticket, site.bound = name, f"{name.replace('__Host-Http-', '__Host-')}.Bound"
    tab.sign_in(site)
    tab.forget(site)
    assert tab.who() == "ada"


@pytest.mark.parametrize(
    "changed", [{"same_site": "strict"}, {"same_site": "none"}, {"same_site": None}, {"http_only": False}], ids=str
)
def test_the_announced_attributes_are_those_of_the_cookie(tab: Tab, open_site: Open, changed: dict[str, Any]) -> None:
    """[39] Otherwise Chromium would refresh with every request."""
    site = open_site(cookie=CookieSettings("auth", secure="always", **changed))
    site.ticket, site.bound = "auth", "auth.Bound"
    tab.sign_in(site)
    since = len(site.log)
    for _ in range(3):
        assert tab.who() == "ada"
    assert site.count(site.refresh, since) == 0


def test_two_applications_on_one_site_do_not_end_each_others_sessions(tab: Tab, open_site: Open) -> None:
    """[49] On two hosts of one domain."""
    shop = open_site()
    mail = open_site(host=f"mail.{shop.host}")
    tab.sign_in(shop)
    tab.sign_in(mail)
    for site in (shop, mail, shop):
        tab.goto(site.url("/public"))
        tab.forget(site)
        assert tab.who() == "ada"


def test_a_refresh_while_there_is_no_store_is_503(tab: Tab, open_site: Open, monkeypatch: Any) -> None:
    """[38]"""
    site = open_site("starlette")
    tab.sign_in(site)
    from dpmiddleware.web.device_bound.service import DeviceBinding

    def down(*_: object) -> Any:
        raise RepositoryError("the store does not answer")

    since = len(tab.events)
    with monkeypatch.context() as patch:
        patch.setattr(DeviceBinding, "binding", down)
        tab.forget(site)
        assert tab.js("fetch('/public').then(r => r.status)") == 200
        event = tab.event("refresh", site, since)
        assert event is not None
        assert event["refreshResult"] == "ServerError"
    assert tab.who() == "ada"
