"""One site with device-bound sign-ins in each shell, and a browser without a network that keeps the key of its sign-in.

Pages: ``/login?user=``, ``/logout``, ``/who`` (the user's name as JSON), ``/home`` (challenges anonymous users),
``/echo`` (user and body), ``/public`` (does not look at the user), and any other path, which says where it was.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import django
import flask
import quart
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from dpmiddleware import asgi, starlette, wsgi
from dpmiddleware import flask as ours_flask
from dpmiddleware import quart as ours_quart
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.flask.authentication import authentication_of
from dpmiddleware.web.cookies.text import SetCookie
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, RequestAuthentication
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from tests.web.device import Device

__all__ = ["BOUND", "REFRESH", "REGISTRATION", "SHELLS", "TICKET", "Browser", "Pages", "Reply", "exchange_with"]

REGISTRATION, REFRESH = "/.well-known/dbsc/registration", "/.well-known/dbsc/refresh"
TICKET, BOUND, AGAIN = ".AspNetCore.Cookies", ".AspNetCore.Cookies.Bound", ".AspNetCore.Cookies.Again"
NO_CORS = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
FROM_ELSEWHERE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}


@dataclass
class Pages:
    """What the application does, and how often it ran for each path."""

    runs: Counter[str] = field(default_factory=Counter)
    proven: list[tuple[bool, bool]] = field(default_factory=list)

    def serve(self, authentication: RequestAuthentication, path: str, query: str, body: bytes) -> tuple[int, str]:
        self.runs[path] += 1
        if path == "/login":
            user = parse_qs(query).get("user", ["ada"])[0]
            keep = AuthenticationProperties(is_persistent="session" not in query)
            if "again" in query and (ticket := authentication.result.ticket) is not None:
                keep = ticket.properties
            authentication.sign_in(Principal(user, claims={"sub": user}), keep)
            return 200, "in"
        if path == "/logout":
            authentication.sign_out()
            return 200, "out"
        if path == "/public":
            return 200, "public"
        name = authentication.principal.name
        self.proven.append((authentication.is_device_bound, authentication.is_proven))
        if path == "/home" and name is None:
            authentication.challenge()
            return 401, ""
        if path == "/echo":
            return 200, json.dumps({"user": name, "body": body.decode()})
        return (200, json.dumps(name)) if path in {"/who", "/home"} else (200, f"page {path}")


# --- the shells -----------------------------------------------------------------------------------------------------

Shell = Callable[[DataProtection, Pages, dict[str, Any]], Any]


def on_wsgi(dp: DataProtection, pages: Pages, options: dict[str, Any]) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, text = pages.serve(environ[AUTHENTICATION_KEY], environ["PATH_INFO"], environ["QUERY_STRING"], body)
        start_response(f"{status} Said", [("Content-Type", "text/html"), ("Set-Cookie", "own=1")])
        return [text.encode()]

    return wsgi.CookieAuthenticationMiddleware(app, data_protection=dp, **options)


def on_asgi(dp: DataProtection, pages: Pages, options: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        query = scope["query_string"].decode()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        status, text = pages.serve(scope[AUTHENTICATION_KEY], path, query, body)
        headers = [(b"content-type", b"text/html"), (b"set-cookie", b"own=1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    return asgi.CookieAuthenticationMiddleware(app, data_protection=dp, **options)


def on_starlette(dp: DataProtection, pages: Pages, options: dict[str, Any]) -> Any:
    async def every(request: Request) -> Response:
        found = request.scope[AUTHENTICATION_KEY]
        status, text = pages.serve(found, f"/{request.path_params['rest']}", request.url.query, await request.body())
        return Response(text, status, {"Set-Cookie": "own=1"})

    app = Starlette(routes=[Route("/{rest:path}", every, methods=["GET", "POST"])])
    app.add_middleware(starlette.CookieAuthenticationMiddleware, data_protection=dp, **options)
    return app


def on_flask(dp: DataProtection, pages: Pages, options: dict[str, Any]) -> Any:
    app = flask.Flask("site", static_folder=None)
    ours_flask.CookieAuthentication(app, data_protection=dp, **options)

    @app.before_request
    def login_first() -> Any:
        """A guard that some applications have: it must not answer for the endpoints."""
        return flask.redirect("/sign-in") if flask.request.path.startswith("/.well-known") else None

    @app.route("/<path:rest>", methods=["GET", "POST"])
    def every(rest: str) -> Any:
        request: Any = flask.request
        found = authentication_of(app, request._get_current_object())
        status, text = pages.serve(found, f"/{rest}", request.query_string.decode(), request.data)
        return text, status, {"Set-Cookie": "own=1"}

    return app


def on_quart(dp: DataProtection, pages: Pages, options: dict[str, Any]) -> Any:
    app = quart.Quart("site", static_folder=None)
    ours_quart.CookieAuthentication(app, data_protection=dp, **options)

    @app.route("/<path:rest>", methods=["GET", "POST"])
    async def every(rest: str) -> Any:
        found: Any = quart.request.scope
        body: Any = await quart.request.get_data()
        status, text = pages.serve(found[AUTHENTICATION_KEY], f"/{rest}", quart.request.query_string.decode(), body)
        return text, status, {"Set-Cookie": "own=1"}

    return app


@csrf_exempt
def _django_view(request: HttpRequest) -> HttpResponse:
    found = request.META[AUTHENTICATION_KEY]
    pages: Pages = request.META["pages"]
    status, text = pages.serve(found, request.path_info, request.META["QUERY_STRING"], request.body)
    response = HttpResponse(text, status=status)
    response.set_cookie("own", "1")
    return response


urlpatterns = [re_path(r"^[a-z].*$", _django_view)]


def on_django(dp: DataProtection, pages: Pages, options: dict[str, Any]) -> Any:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    settings = override_settings(
        ROOT_URLCONF=__name__,
        APPEND_SLASH=True,
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "dpmiddleware.django.CookieAuthenticationMiddleware",
        ],
        DATA_PROTECTION=dp,
        DATA_PROTECTION_COOKIE_AUTHENTICATION=options,
        ALLOWED_HOSTS=["*"],
    )
    with settings:
        handler: Any = WSGIHandler()

    def app(environ: Any, start_response: Any) -> Any:
        environ["pages"] = pages
        with settings:
            return handler(environ, start_response)

    return app


SHELLS: dict[str, Shell] = {
    "wsgi": on_wsgi,
    "asgi": on_asgi,
    "starlette": on_starlette,
    "flask": on_flask,
    "quart": on_quart,
    "django": on_django,
}


# --- the browser ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name]

    def __getitem__(self, name: str) -> Any:
        found = self.all(name)
        assert len(found) < 2, f"{name} given twice"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookies(self) -> dict[str, SetCookie]:
        return {cookie.name: cookie for cookie in map(SetCookie.parse, self.all("set-cookie"))}


Exchange = Callable[[str, str, dict[str, str], bytes], Reply]


def exchange_with(app: Any, base: str = "https://shop.test") -> Exchange:
    """Sends one request to an application, without a jar of its own."""
    is_asgi = isinstance(app, asgi.CookieAuthenticationMiddleware | Starlette | quart.Quart)

    def over_asgi(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        served: Any = app
        client = TestClient(served, base_url=base, follow_redirects=False)
        answer = client.request(method, path, headers=headers, content=body or None)
        return Reply(answer.status_code, answer.headers.multi_items(), answer.content)

    def over_wsgi(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        client = Client(app, use_cookies=False)
        answer = client.open(path, method=method, base_url=base, headers=headers, data=body or None)
        return Reply(answer.status_code, list(answer.headers.items()), answer.data)

    return over_asgi if is_asgi else over_wsgi


@dataclass
class Browser:
    """Somebody's browser. It does what Chromium 156 does, only when it is told: nothing waits for a refresh.

    jar: name → value. device: its key; a browser without one knows nothing of the protocol.
    """

    exchange: Exchange
    device: Device = field(default_factory=Device)
    jar: dict[str, str] = field(default_factory=dict)
    session: str = ""

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Reply:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}
        reply = self.exchange(method, path, {**sent, **(headers or {})}, body)
        self.take(reply)
        return reply

    def take(self, reply: Reply) -> None:
        for name, cookie in reply.cookies.items():
            if cookie.value and cookie.attribute("max-age") != "0":
                self.jar[name] = cookie.value
            else:
                self.jar.pop(name, None)
        self.jar.pop("own", None)

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, headers)

    def who(self) -> Any:
        return self.get("/who").json

    def sign_in(self, user: str = "ada", more: str = "") -> str | None:
        """The offer."""
        offer: str | None = self.get(f"/login?user={user}{more}")["secure-session-registration"]
        return offer

    def register(self, offer: str | None, **changed: str) -> Reply:
        assert offer is not None
        found = re.search(r'path="([^"]*)"', offer)
        assert found is not None
        proof = self.device.registration(challenge_in(offer))
        reply = self.send("POST", found[1], {**NO_CORS, "Secure-Session-Response": proof, **changed})
        if reply.status == 200:
            self.session = reply.json["session_identifier"]
        return reply

    def refresh(self, path: str = REFRESH) -> Reply:
        """As Chromium does: without a proof, then with one for the challenge."""
        first = self.challenged(path)
        if first.status != 403:
            return first
        return self.answer_to(first["secure-session-challenge"], path)

    def challenged(self, path: str = REFRESH, **changed: str) -> Reply:
        return self.send("POST", path, {**NO_CORS, "Sec-Secure-Session-Id": self.session, **changed})

    def answer_to(self, challenge: str, path: str = REFRESH) -> Reply:
        proof = self.device.refresh(challenge_in(challenge))
        return self.challenged(path, **{"Secure-Session-Response": proof})

    def bind(self, user: str = "ada", more: str = "") -> Browser:
        """Sign in, register, and confirm by a first refresh."""
        assert self.register(self.sign_in(user, more)).status == 200
        assert self.refresh().status == 200
        return self

    def stolen(self, *without: str) -> Browser:
        """Another browser with a copy of the jar."""
        return Browser(
            self.exchange,
            jar={name: value for name, value in self.jar.items() if name not in without},
            session=self.session,
        )

    def forget(self, name: str = BOUND) -> None:
        """As when a cookie has ended."""
        self.jar.pop(name, None)


def challenge_in(header: str) -> str:
    """The challenge in an offer, or in a header that asks for a proof."""
    found = re.search(r'challenge="([^"]+)"', header) or re.match(r'"([^"]+)";id="', header)
    assert found is not None, header
    return found[1]
