"""Cookie authentication and cookie policy in plain WSGI and ASGI applications."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware import asgi, wsgi
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, PRINCIPAL_KEY, RequestAuthentication
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.ticket import Principal
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.clients import Answer, DownRepository, Jar, StoppedClock, ask_wsgi
from tests.fakes import WatchedTicketStore

ADA = Principal("ada", roles=["admin"])
App = Callable[[RequestAuthentication, Any], int | None]
"""Gets the authentication, and the scope or environment; gives a status, 200 where it gives none."""
shells = pytest.mark.parametrize("shell", ["wsgi", "asgi"])


class Site:
    """One view behind our middlewares, the outermost first, on WSGI or on ASGI."""

    def __init__(self, shell: str, *wraps: Callable[[Any, Any], Any]) -> None:
        self._shell, self.jar = shell, Jar(StoppedClock())
        self._module: Any = {"wsgi": wsgi, "asgi": asgi}[shell]
        self.view: App = lambda auth, scope: None
        app: Any = self._wsgi if shell == "wsgi" else self._asgi
        for wrap in reversed(wraps):
            app = wrap(self._module, app)
        self.app = app
        self.headers = [("Content-Type", "text/html"), ("Content-Length", "4")]

    def get(self, view: App, path: str = "/", **headers: str) -> Answer:
        self.view = view
        sent = {"host": "shop.example", "cookie": self.jar.header} | headers
        answer = self._ask_wsgi(path, sent) if self._shell == "wsgi" else asyncio.run(self._ask_asgi(path, sent))
        self.jar.take(answer.headers)
        return answer

    def _wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        status = self.view(environ.get(AUTHENTICATION_KEY), environ) or 200
        start_response(f"{status} Whatever", list(self.headers))
        return [b"page"]

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        status = self.view(scope.get(AUTHENTICATION_KEY), scope) or 200
        headers = [(name.encode(), value.encode()) for name, value in self.headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"pa", "more_body": True})
        await send({"type": "http.response.body", "body": b"ge"})

    def _ask_wsgi(self, path: str, headers: dict[str, str]) -> Answer:
        path, _, query = path.partition("?")
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items() if value}
        return ask_wsgi(self.app, environ | {"PATH_INFO": path, "QUERY_STRING": query, "wsgi.url_scheme": "http"})

    async def _ask_asgi(self, path: str, headers: dict[str, str]) -> Answer:
        path, _, query = path.partition("?")
        sent: list[dict[str, Any]] = []
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items() if value]
        scope = {"type": "http", "path": path, "query_string": query.encode(), "scheme": "http", "headers": raw}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, None, send)
        out = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        assert not sent[-1].get("more_body")
        return Answer(sent[0]["status"], out, b"".join(message.get("body", b"") for message in sent[1:]))


def authentication(dp: DataProtection, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda module, app: module.CookieAuthenticationMiddleware(app, data_protection=dp, **options)


def sessions(dp: DataProtection) -> Callable[[Any, Any], Any]:
    return lambda module, app: module.SessionMiddleware(app, data_protection=dp)


def sign_in(auth: RequestAuthentication, scope: Any) -> None:
    auth.sign_in(ADA)


def sign_out(auth: RequestAuthentication, scope: Any) -> None:
    auth.sign_out()


def challenge(auth: RequestAuthentication, scope: Any) -> int:
    auth.challenge()
    return 401


def look(auth: RequestAuthentication, scope: Any) -> None:
    assert auth.principal is not None


def user(site: Site) -> str | None:
    seen: list[str | None] = []
    site.get(lambda auth, scope: seen.append(scope[PRINCIPAL_KEY].name))
    return seen[0]


# --- both shells --------------------------------------------------------------------------------------------


@shells
def test_who_signs_in_is_the_principal_of_the_next_request(shell: str, dp: DataProtection) -> None:
    site = Site(shell, authentication(dp))
    assert user(site) is None
    site.get(sign_in)
    assert user(site) == "ada"
    site.get(sign_out)
    assert user(site) is None


@shells
def test_a_redirect_carries_nothing_of_the_page_that_it_replaces(shell: str, dp: DataProtection) -> None:
    site = Site(shell, authentication(dp, login_path="/login"))
    site.headers.append(("ETag", '"page"'))
    answer = site.get(challenge, "/secret?x=1")
    assert (answer.status, answer.body) == (302, b"")
    assert {name.lower(): value for name, value in answer.headers} == {
        "vary": "Cookie",
        "location": "/login?ReturnUrl=%2Fsecret%3Fx%3D1",
        "content-length": "0",
    }
    answer = site.get(sign_in, "/login?ReturnUrl=/secret")
    assert (answer.status, answer.header("location"), answer.body) == (302, "/secret", b"")
    told = site.get(challenge, "/secret", x_requested_with="XMLHttpRequest")
    assert (told.status, told.header("content-length"), told.body) == (401, "4", b"page")


@shells
def test_a_page_that_looks_at_nobody_is_left_as_it_is(shell: str, dp: DataProtection) -> None:
    site = Site(shell, authentication(dp), sessions(dp))
    site.get(sign_in)
    answer = site.get(lambda auth, scope: None)
    assert (answer.headers, answer.body) == (site.headers, b"page")


@shells
@pytest.mark.parametrize("host", ["evil.example", "evil.example/..", 'x" onload="', "shop.example:99999"])
def test_a_hostile_host_never_appears_in_a_response(shell: str, dp: DataProtection, host: str) -> None:
    site = Site(shell, authentication(dp, login_path="/login"), sessions(dp))
    for view, path in ((challenge, "/"), (sign_in, "/login?ReturnUrl=/a"), (sign_out, "/"), (look, "/")):
        answer = site.get(view, path, host=host, x_forwarded_host=host, forwarded=f"host={host}")
        assert "evil" not in str(answer.headers) + answer.body.decode()
        assert host not in str(answer.headers)


@shells
@pytest.mark.parametrize("outer", ["authentication", "sessions"])
def test_the_two_middlewares_meet_in_either_order(shell: str, dp: DataProtection, outer: str) -> None:
    wraps = [authentication(dp), sessions(dp)]
    site = Site(shell, *(wraps if outer == "authentication" else reversed(wraps)))

    def session(scope: Any) -> Session:
        found: Session = scope["session"] if shell == "asgi" else scope["dpmiddleware.session"]
        return found

    site.get(lambda auth, scope: session(scope).update(cart=[1], csrf_token="planted"))
    site.get(sign_in)
    seen: list[dict[str, Any]] = []
    site.get(lambda auth, scope: seen.append(dict(session(scope))))
    assert seen == [{"cart": [1]}]
    site.get(sign_out)
    site.get(lambda auth, scope: seen.append(dict(session(scope))))
    assert seen[1] == {}


@shells
def test_a_session_store_that_is_down_is_503_for_who_looks_and_nothing_for_others(
    shell: str, dp: DataProtection
) -> None:
    store = WatchedTicketStore()
    site = Site(shell, authentication(dp, session_store=store))
    site.get(sign_in)
    store.down = True
    answer = site.get(look)
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert site.get(lambda auth, scope: None).status == 200
    store.down = False
    assert user(site) == "ada", "an outage signs nobody out"


@shells
def test_without_a_ring_who_looks_gets_503(shell: str, clock: StoppedClock) -> None:
    dp = DataProtection("shop", repository=DownRepository(), clock=clock)
    site = Site(shell, authentication(dp))
    site.jar.cookies[".AspNetCore.Cookies"] = "CfDJ8" + "A" * 103
    assert site.get(lambda auth, scope: None).status == 200
    assert site.get(look).status == 503
    assert site.get(sign_in).status == 503


@shells
def test_a_slow_read_only_page_does_not_undo_the_sign_in_of_another(shell: str, dp: DataProtection) -> None:
    site = Site(shell, authentication(dp), sessions(dp))

    def slow(auth: RequestAuthentication, scope: Any) -> None:
        assert auth.principal.name is None
        fast = Site(shell, authentication(dp), sessions(dp))
        fast.get(sign_in)
        site.jar.cookies.update(fast.jar.cookies)

    if shell == "asgi":  # a second event loop needs a thread of its own
        in_thread = slow

        def slow(auth: RequestAuthentication, scope: Any) -> None:
            thread = threading.Thread(target=in_thread, args=(auth, scope))
            thread.start()
            thread.join()

    site.get(slow)
    assert user(site) == "ada"


@shells
def test_an_application_that_fails_undoes_no_sign_in(shell: str, dp: DataProtection) -> None:
    site = Site(shell, authentication(dp), sessions(dp))
    site.get(sign_in)
    before = dict(site.jar.cookies)

    def fail(auth: RequestAuthentication, scope: Any) -> int:
        assert auth.principal.name == "ada"
        raise LookupError("no such page")

    with pytest.raises(LookupError):
        site.get(fail)
    assert site.jar.cookies == before
    assert user(site) == "ada"


@shells
def test_the_cookie_policy_holds_for_every_cookie_ours_and_others(shell: str, dp: DataProtection) -> None:
    policy: Callable[[Any, Any], Any] = lambda module, app: module.CookiePolicyMiddleware(
        app, minimum_same_site="strict", secure="always", http_only=True
    )
    site = Site(shell, policy, authentication(dp))
    site.headers.append(("Set-Cookie", "theme=dark; Path=/"))
    theirs, ours = site.get(sign_in).cookies
    assert str(theirs) == "theme=dark; Path=/; secure; samesite=strict; httponly"
    assert ours.attributes == ("path=/", "secure", "samesite=strict", "httponly")
    assert site.get(look).header("vary") == "Cookie"


@shells
def test_two_schemes_stand_beside_each_other_under_their_own_names(shell: str, dp: DataProtection) -> None:
    """The inner one is what the application finds; both cookies are read by who asks."""
    site = Site(shell, authentication(dp, scheme="Shop"), authentication(dp, scheme="Admin"))
    site.get(sign_in)
    assert list(site.jar.cookies) == [".AspNetCore.Admin"]


# --- WSGI ---------------------------------------------------------------------------------------------------


def test_wsgi_a_body_that_is_replaced_is_closed(dp: DataProtection) -> None:
    closed: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        try:
            environ[AUTHENTICATION_KEY].challenge()
            start_response("401 Unauthorized", [("Content-Type", "text/plain")])
            yield b"never sent"
        finally:
            closed.append("closed")

    answer = ask_wsgi(wsgi.CookieAuthenticationMiddleware(app, data_protection=dp), {"PATH_INFO": "/"})
    assert (answer.status, answer.body, closed) == (302, b"", ["closed"])


def test_wsgi_what_is_written_before_the_body_is_replaced_too(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ[AUTHENTICATION_KEY].challenge()
        write = start_response("401 Unauthorized", [])
        write(b"never sent")
        return [b"nor this"]

    answer = ask_wsgi(wsgi.CookieAuthenticationMiddleware(app, data_protection=dp), {"PATH_INFO": "/"})
    assert (answer.status, answer.body.strip()) == (302, b"")


def test_wsgi_paths_come_as_latin_1_and_mean_utf_8(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ[AUTHENTICATION_KEY].challenge()
        start_response("401 Unauthorized", [])
        return []

    path = "/caf\u00e9".encode().decode("latin-1")
    environ = {"SCRIPT_NAME": "/shop/", "PATH_INFO": path, "QUERY_STRING": ""}
    answer = ask_wsgi(wsgi.CookieAuthenticationMiddleware(app, data_protection=dp), environ)
    assert answer.header("location") == "/shop/Account/Login?ReturnUrl=%2Fshop%2Fcaf%25C3%25A9"


# --- ASGI ---------------------------------------------------------------------------------------------------


def test_asgi_coroutine_functions_are_awaited_and_plain_ones_run_beside_the_loop(dp: DataProtection) -> None:
    loop_thread = threading.get_ident()
    threads: dict[str, int] = {}

    class Store(MemoryTicketStore):
        async def get(self, name: str) -> bytes | None:  # type: ignore[override]  # a store may be asynchronous
            threads["get"] = threading.get_ident()
            await asyncio.sleep(0)
            return super().get(name)

    def signing_in(context: Any) -> None:
        threads["signing_in"] = threading.get_ident()

    async def validate(context: Any) -> None:
        threads["validate"] = threading.get_ident()
        await asyncio.sleep(0)
        context.principal = Principal("ada", roles=["validated"])

    events = CookieAuthenticationEvents(signing_in=signing_in, validate_principal=validate)
    site = Site("asgi", authentication(dp, events=events, session_store=Store()))
    site.get(sign_in)
    roles: list[tuple[str, ...]] = []
    site.get(lambda auth, scope: roles.append(auth.principal.roles))
    assert roles == [("validated",)]
    assert threads["signing_in"] != loop_thread
    assert threads["get"] == threads["validate"] == loop_thread


def test_asgi_nothing_is_read_ahead_where_there_is_no_cookie(dp: DataProtection) -> None:
    store = WatchedTicketStore()
    site = Site("asgi", authentication(dp, session_store=store))
    site.get(look)
    assert store.asked == 0


def test_asgi_what_is_read_ahead_and_not_looked_at_says_and_renews_nothing(
    dp: DataProtection, clock: StoppedClock
) -> None:
    site = Site("asgi", authentication(dp, session_store="memory:"))
    site.get(sign_in)
    clock.forward(timedelta(days=8))
    assert site.get(lambda auth, scope: None).headers == site.headers
    assert site.get(look).cookies


def test_asgi_a_mounted_application_has_its_pages_below_its_root(dp: DataProtection) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[AUTHENTICATION_KEY].challenge()
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body"})

    async def ask(**scope: Any) -> bytes:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        middleware = asgi.CookieAuthenticationMiddleware(app, data_protection=dp, login_path="/login")
        await middleware({"type": "http", "headers": [], **scope}, None, send)  # type: ignore[arg-type]  # not read
        location: bytes = dict(sent[0]["headers"])[b"location"]
        return location

    expected = b"/shop/login?ReturnUrl=%2Fshop%2Fcart"
    assert asyncio.run(ask(root_path="/shop", path="/shop/cart")) == expected
    assert asyncio.run(ask(root_path="/shop/", path="/cart")) == expected, "as servers of before did"


def test_asgi_signing_in_after_the_response_has_started_is_an_error(dp: DataProtection) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(ConfigurationError, match="after the response"):
            scope[AUTHENTICATION_KEY].sign_in(ADA)
        await send({"type": "http.response.body"})

    async def ask() -> None:
        async def send(message: Any) -> None: ...

        middleware = asgi.CookieAuthenticationMiddleware(app, data_protection=dp)
        await middleware({"type": "http", "path": "/", "headers": []}, None, send)  # type: ignore[arg-type]  # not read

    asyncio.run(ask())


def test_asgi_a_websocket_knows_its_user_and_can_sign_in_when_it_is_accepted(dp: DataProtection) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope[PRINCIPAL_KEY].name is None:
            scope[AUTHENTICATION_KEY].sign_in(ADA)
        await send({"type": "websocket.accept", "subprotocol": scope[PRINCIPAL_KEY].name})

    async def connect(cookie: str) -> Any:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"cookie", cookie.encode())] if cookie else []
        middleware = asgi.CookieAuthenticationMiddleware(app, data_protection=dp, cookie=CookieSettings("sid"))
        scope = {"type": "websocket", "path": "/", "headers": headers, "scheme": "wss"}
        await middleware(scope, None, send)  # type: ignore[arg-type]  # nobody receives
        return sent[0]

    accepted = asyncio.run(connect(""))
    line = dict(accepted["headers"])[b"set-cookie"].decode()
    assert "; secure; samesite=lax" in line
    assert dict(accepted["headers"]).keys() >= {b"vary", b"cache-control"}
    again = asyncio.run(connect(line.partition(";")[0]))
    assert (again["subprotocol"], b"set-cookie" in dict(again["headers"])) == ("ada", False)
