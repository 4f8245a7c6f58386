"""A shop that keeps as much in its cookies as the query says; ``wsgi``, ``asgi``.

    BUDGET    bytes of Cookie header that the application allows, if not the default

``/write?session=N&ticket=N&sealed=N`` writes texts of so many characters: to the session, as a claim of a sign-in, to a
cookie of the application's own. ``/me`` says how long each is.
"""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dpmiddleware import starlette
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.wsgi import (
    AUTHENTICATION_KEY,
    PRINCIPAL_KEY,
    SESSION_KEY,
    CookieAuthenticationMiddleware,
    CookieProtectionMiddleware,
    SessionMiddleware,
)
from tests.live.apps.common import data_protection, query, respond

DP = data_protection()
SETTING = next(name for name in ("max_header", "max_total") if name in {field.name for field in fields(CookieSettings)})
LIMITS: dict[str, Any] = {SETTING: int(os.environ["BUDGET"])} if "BUDGET" in os.environ else {}
SESSION: dict[str, Any] = {"cookie": CookieSettings("session", **LIMITS)}
SIGN_IN: dict[str, Any] = {"cookie": CookieSettings("auth", **LIMITS) if LIMITS else "auth"}


def text(size: int) -> str:
    """So many random characters, which no compression makes shorter."""
    return "".join(random.Random(size).choices(string.ascii_letters, k=size))


def ada(size: int) -> Principal:
    return Principal("ada", claims={"sub": "7", "groups": text(size)})


def described(session: Mapping[str, str], user: Principal, sealed: str | None) -> str:
    """How long each text is, and whether each is whole."""
    found = {"session": session.get("text"), "ticket": user.value("groups"), "sealed": sealed}
    assert all(value == text(len(value)) for value in found.values() if value)
    return json.dumps({name: len(value) for name, value in found.items() if value})


def pages(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    sizes, lines = {name: int(value) for name, value in query(environ).items()}, []
    if "session" in sizes:
        environ[SESSION_KEY]["text"] = text(sizes["session"])
    if "ticket" in sizes:
        environ[AUTHENTICATION_KEY].sign_in(ada(sizes["ticket"]))
    if "sealed" in sizes:
        lines.append(f"sealed={text(sizes['sealed'])}; Path=/")
    cookies = dict(pair.split("=", 1) for pair in environ.get("HTTP_COOKIE", "").split("; ") if "=" in pair)
    said = described(environ[SESSION_KEY], environ[PRINCIPAL_KEY], cookies.get("sealed"))
    return respond(start_response, said, "200 OK", *lines)


with_session = SessionMiddleware(pages, data_protection=DP, **SESSION)
with_sign_in = CookieAuthenticationMiddleware(with_session, data_protection=DP, **SIGN_IN)
wsgi = CookieProtectionMiddleware(with_sign_in, data_protection=DP, cookies=["sealed"], **LIMITS)


async def pages_asgi(request: Request) -> Response:
    sizes = {name: int(value) for name, value in request.query_params.items()}
    if "session" in sizes:
        request.session["text"] = text(sizes["session"])
    if "ticket" in sizes:
        starlette.sign_in(request, ada(sizes["ticket"]))
    said = described(request.session, starlette.current_principal(request), request.cookies.get("sealed"))
    response = PlainTextResponse(said)
    if "sealed" in sizes:
        response.headers.append("set-cookie", f"sealed={text(sizes['sealed'])}; Path=/")
    return response


asgi = Starlette(routes=[Route("/{page}", pages_asgi)])
asgi.add_middleware(starlette.SessionMiddleware, data_protection=DP, **SESSION)
asgi.add_middleware(starlette.CookieAuthenticationMiddleware, data_protection=DP, **SIGN_IN)
asgi.add_middleware(starlette.CookieProtectionMiddleware, data_protection=DP, cookies=["sealed"], **LIMITS)
