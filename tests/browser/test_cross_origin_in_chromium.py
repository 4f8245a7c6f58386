"""Cross-origin protection with a real browser: who may make the application do something, by which means, over http(s).

Each page sends to the victim in all ways that a browser has. The server notes what arrives outside the protection, and
what reaches the application inside. A page of the application reaches it by all of them; no other page by any, except
for GET, which changes nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from dpmiddleware.asgi import CrossOriginProtectionMiddleware, where
from dpmiddleware.cross_origin.guard import REFUSAL
from example_apps.plants.serving import Certificate, serve_asgi

VICTIM: Final = "app.victim.test"
WITHIN: Final = 20.0
"""Seconds until a request must have been answered."""
PAGE: Final = "<!doctype html><meta charset=utf-8><title>page</title><body>page"
_FETCH: Final = "fetch(t, {method: 'POST', mode: '%s', credentials: 'include', body: %s}).catch(() => 0)"
WAYS: Final = {
    "form": """t => { const form = document.createElement('form'); form.method = 'post'; form.action = t;
                      document.body.append(form); form.submit() }""",
    "fetch no-cors": "t => " + _FETCH % ("no-cors", "'x'"),
    "fetch without a type": "t => " + _FETCH % ("no-cors", "new Uint8Array([1])"),
    "fetch cors": "t => " + _FETCH % ("cors", "'x'"),
    "XHR": "t => { const x = new XMLHttpRequest(); x.open('POST', t); x.withCredentials = true; x.send('x') }",
    "beacon": "t => navigator.sendBeacon(t, 'x')",
    "ping": """t => { const away = document.createElement('iframe'); away.name = 'away'; document.body.append(away);
                      const link = document.createElement('a'); link.href = 'about:blank'; link.target = 'away';
                      link.ping = t; document.body.append(link); link.click() }""",
    "worker": """t => { const code = `const t = ${JSON.stringify(t)}; FETCH`;
                        new Worker(URL.createObjectURL(new Blob([code], {type: 'text/javascript'}))) }""".replace(
        "FETCH", _FETCH % ("no-cors", "'x'")
    ),
    "websocket": "t => { window.socket = new WebSocket(t.replace(/^http/, 'ws')) }",
}
SAFE_WAY: Final = "t => { window.source = new EventSource(t, {withCredentials: true}) }"


@dataclass
class Arrival:
    """A request as it arrived, and its answer."""

    headers: dict[str, str]
    status: int = 0
    reached: bool = False


@dataclass
class Street:
    """Servers for all names, which note what comes to the victim's. ports: those of the servers."""

    ports: dict[str, int] = field(default_factory=dict)
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    on_refused: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        self._protected = CrossOriginProtectionMiddleware(
            self._application, on_refused=lambda *facts: self.on_refused(*facts) if self.on_refused else None
        )

    def url(self, server: str, host: str, path: str = "/") -> str:
        """An address. server: "https", "http", or one of them with " 2" for another port."""
        return f"{server.split(maxsplit=1)[0]}://{host}:{self.ports[server]}{path}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        name = where(scope)[0].partition(":")[0]
        if name == VICTIM and scope["path"].startswith("/do/"):
            await self._noted(scope, receive, send)
        elif scope["path"] == "/bounce":
            target = parse_qs(scope["query_string"].decode())["to"][0]
            await _answer(send, 307, "", [(b"location", target.encode())])
        else:
            cookie = b"strict=1; SameSite=Strict; Path=/" + (b"; Secure" if scope["scheme"] == "https" else b"")
            await _answer(send, 200, PAGE, [(b"set-cookie", cookie)] if name == VICTIM else [])

    async def _noted(self, scope: Any, receive: Any, send: Any) -> None:
        arrival = Arrival({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        scope["arrival"] = arrival

        async def noting(message: Any) -> None:
            if message["type"] == "websocket.accept":
                arrival.status = 101
            elif message["type"] == "websocket.close":
                arrival.status = arrival.status or 403
            elif message["type"].endswith("response.start"):
                arrival.status = message["status"]
            await send(message)

        self.arrivals.setdefault(scope["path"], []).append(arrival)
        await self._protected(scope, receive, noting)

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        scope["arrival"].reached = True
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
        else:
            await _answer(send, 200, PAGE)

    def answered(self, path: str, times: int = 1) -> list[Arrival]:
        """What came to a path, once all of it has an answer."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            found = self.arrivals.get(path, [])
            if len(found) >= times and all(arrival.status for arrival in found):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{path}: {self.arrivals.get(path)}")


async def _answer(send: Any, status: int, body: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    kind = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *(headers or [])]})
    await send({"type": "http.response.body", "body": body.encode()})


@pytest.fixture(scope="module")
def street(certificate: Certificate) -> Iterator[Street]:
    made = Street()
    with ExitStack() as stack:
        for server in ("https", "https 2", "http", "http 2"):
            tls = certificate if server.startswith("https") else None
            made.ports[server] = urlsplit(stack.enter_context(serve_asgi(made, 0, tls))).port or 0
        yield made


# --- senders ----------------------------------------------------------------------------------------------------------


def at(server: str, host: str) -> Callable[..., Any]:
    def open_page(page: Any, street: Street, folder: Path, scheme: str) -> Any:
        page.goto(street.url(server.replace("S", scheme), host))
        return page.main_frame

    return open_page


def from_a_file(page: Any, street: Street, folder: Path, scheme: str) -> Any:
    (folder / "page.html").write_text(PAGE, "utf-8")
    page.goto((folder / "page.html").as_uri())
    return page.main_frame


def in_a_frame(server: str, host: str, attributes: Callable[[Street, str], str]) -> Callable[..., Any]:
    def open_page(page: Any, street: Street, folder: Path, scheme: str) -> Any:
        page.goto(street.url(server.replace("S", scheme), host))
        page.evaluate("html => { document.body.innerHTML = html }", f"<iframe {attributes(street, scheme)}></iframe>")
        frame = page.wait_for_selector("iframe").content_frame()
        frame.wait_for_selector("text=page")
        return frame

    return open_page


def own_page(street: Street, scheme: str) -> str:
    return f'src="{street.url(scheme, VICTIM)}"'


DATA_PAGE: Final = f'src="data:text/html,{quote(PAGE)}"'
SANDBOX: Final = 'sandbox="allow-scripts allow-forms"'
OWN: Final = {
    "the application's own page": at("S", VICTIM),
    "its own page in a frame of another site": in_a_frame("S", "attacker.test", own_page),
}
TWIN: Final = "the same host over http"
FOREIGN: Final = {
    "another site": at("S", "attacker.test"),
    "a sibling": at("S", "evil.victim.test"),
    "the parent": at("S", "victim.test"),
    "another port": at("S 2", VICTIM),
    TWIN: at("http", VICTIM),
    "a file": from_a_file,
    "a data: frame in the own page": in_a_frame("S", VICTIM, lambda *_: DATA_PAGE),
    "the own page in a sandbox": in_a_frame("S", VICTIM, lambda *where: f"{SANDBOX} {own_page(*where)}"),
    "a sandbox of another site": in_a_frame("S", "attacker.test", lambda *_: f"{SANDBOX} srcdoc='{PAGE}'"),
}


FOREIGN_TO: Final = [*(("https", each) for each in FOREIGN), *(("http", each) for each in FOREIGN if each != TWIN)]
"""The twin of an application over http is one over https, which sends nothing to http: mixed content is blocked, and
before a form people are asked."""


def sent(street: Street, frame: Any, scheme: str, sender: str) -> Iterator[tuple[str, Arrival]]:
    """Send in every way. The form comes last, because it leaves the page."""
    for way in sorted(WAYS, key=lambda each: each == "form"):
        path = "/do/" + re.sub("[^a-z]+", "-", f"{scheme} {sender} {way}")
        frame.evaluate(WAYS[way], street.url(scheme, VICTIM, path))
        (arrival,) = street.answered(path)
        yield way, arrival


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("sender", OWN)
def test_a_page_of_the_application_reaches_it_in_every_way(
    page: Any, street: Street, tmp_path: Path, scheme: str, sender: str
) -> None:
    frame = OWN[sender](page, street, tmp_path, scheme)
    refused = [way for way, arrival in sent(street, frame, scheme, sender) if not arrival.reached]
    assert refused == []


@pytest.mark.parametrize(
    ("scheme", "sender"),
    [*(("https", each) for each in FOREIGN), *(("http", each) for each in FOREIGN if each != TWIN)],
)
def test_no_other_page_reaches_the_application_in_any_way(
    page: Any, street: Street, tmp_path: Path, scheme: str, sender: str
) -> None:
    frame = FOREIGN[sender](page, street, tmp_path, scheme)
    answers = dict(sent(street, frame, scheme, sender))
    assert {way for way, arrival in answers.items() if arrival.reached} == set()
    assert {arrival.status for arrival in answers.values()} == {403}


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_get_is_not_refused_from_anywhere(page: Any, street: Street, scheme: str) -> None:
    """An EventSource of another site comes with cookies where they are SameSite=None; it cannot read the answer."""
    page.goto(street.url(scheme, "attacker.test"))
    page.evaluate(SAFE_WAY, street.url(scheme, VICTIM, f"/do/{scheme}/events"))
    assert street.answered(f"/do/{scheme}/events")[0].reached


# --- what cookies do not stop, and this does --------------------------------------------------------------------------


def post_by_form(page: Any, to: str) -> None:
    with page.expect_navigation():
        page.evaluate(WAYS["form"], to)


@pytest.mark.parametrize("host", ["evil.victim.test", "victim.test"])
def test_a_strict_cookie_comes_with_a_form_of_a_sibling_and_the_form_is_refused(
    page: Any, street: Street, host: str
) -> None:
    page.goto(street.url("https", VICTIM))
    page.goto(street.url("https", host))
    post_by_form(page, street.url("https", VICTIM, f"/do/strict/{host}"))
    (arrival,) = street.answered(f"/do/strict/{host}")
    assert "strict=1" in arrival.headers["cookie"]
    assert (arrival.headers["sec-fetch-site"], arrival.status, arrival.reached) == ("same-site", 403, False)


def test_a_strict_cookie_comes_along_a_chain_of_redirects_and_the_request_is_refused(page: Any, street: Street) -> None:
    page.goto(street.url("https", VICTIM))
    target = street.url("https", VICTIM, "/do/chain")
    post_by_form(page, street.url("https", "attacker.test", f"/bounce?to={quote(target)}"))
    (arrival,) = street.answered("/do/chain")
    assert "strict=1" in arrival.headers["cookie"]
    assert (arrival.headers["sec-fetch-site"], arrival.headers["origin"]) == ("cross-site", "null")
    assert not arrival.reached


def test_a_page_without_referrer_posts_to_itself(page: Any, street: Street) -> None:
    """Its Origin is null then; checks that read only Origin refuse the site's own form."""
    page.goto(street.url("https", VICTIM))
    page.evaluate("""() => { const policy = document.createElement('meta'); policy.name = 'referrer';
                             policy.content = 'no-referrer'; document.head.append(policy) }""")
    post_by_form(page, street.url("https", VICTIM, "/do/no-referrer"))
    (arrival,) = street.answered("/do/no-referrer")
    assert (arrival.headers["sec-fetch-site"], arrival.headers["origin"]) == ("same-origin", "null")
    assert arrival.reached


# --- a refusal that is repeated ---------------------------------------------------------------------------------------


def refuse_a_form(page: Any, street: Street, path: str) -> None:
    page.goto(street.url("https", "attacker.test"))
    post_by_form(page, street.url("https", VICTIM, path))
    (arrival,) = street.answered(path)
    assert not arrival.reached


def test_what_a_browser_shows_of_a_refusal_runs_nothing(page: Any, street: Street) -> None:
    refuse_a_form(page, street, "/do/shown")
    assert page.inner_text("body").strip() == (REFUSAL.body or b"").decode().strip()
    assert page.locator("script").count() == 0


def test_a_script_in_the_answer_that_reloads_repeats_the_form_as_the_own_origin(page: Any, street: Street) -> None:
    """Why a refusal must contain no script, as the documentation says. Nobody can tell this POST from an own one."""
    refuse_a_form(page, street, "/do/repeated")
    with page.expect_navigation():
        page.evaluate("location.reload()")
    first, second = street.answered("/do/repeated", 2)
    assert (first.headers["sec-fetch-site"], first.reached) == ("cross-site", False)
    assert (second.headers["sec-fetch-site"], second.reached) == ("same-origin", True)


def test_the_reload_button_of_the_user_repeats_it_as_it_was(page: Any, street: Street) -> None:
    refuse_a_form(page, street, "/do/button")
    page.reload()
    assert [arrival.reached for arrival in street.answered("/do/button", 2)] == [False, False]


def test_after_a_redirect_a_script_that_reloads_repeats_nothing(page: Any, street: Street) -> None:
    def sorry(scope: Any, verdict: Any) -> Any:
        async def redirect(scope: Any, receive: Any, send: Any) -> None:
            await _answer(send, 303, "", [(b"location", b"/sorry")])

        return redirect

    street.on_refused = sorry
    try:
        refuse_a_form(page, street, "/do/redirected")
    finally:
        street.on_refused = None
    assert urlsplit(page.url).path == "/sorry"
    with page.expect_navigation():
        page.evaluate("location.reload()")
    assert len(street.answered("/do/redirected")) == 1
    assert page.title() == "page"


# --- the shops --------------------------------------------------------------------------------------------------------


def elsewhere(environ: Any, start_response: Any) -> list[bytes]:
    """A page of another site."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE.encode()]


@pytest.mark.parametrize("framework", ["django", "flask", "starlette"])
def test_the_shops_take_forms_of_their_own_pages_only(page: Any, town: Any, framework: str) -> None:
    shop = town.shop(framework)
    page.goto(town.site(elsewhere, "elsewhere.test"))
    with page.expect_navigation() as refused:
        page.evaluate(WAYS["form"], f"{shop}basket/add")
    assert refused.value.status == 403
    assert page.inner_text("body").strip() == (REFUSAL.body or b"").decode().strip()
    page.goto(shop)
    with page.expect_navigation() as accepted:
        page.click("article:first-child button")
    assert accepted.value.ok
