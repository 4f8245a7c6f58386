"""A page that counts visits in its session, and a readiness probe; ``wsgi``, ``asgi``. Settings: `common`.

``/`` says how many visits there were, ``/health`` how the ring is. Calls of the store have half a second.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dpmiddleware import starlette
from dpmiddleware.wsgi import SESSION_KEY, SessionMiddleware
from tests.live.apps.common import data_protection, respond

DP = data_protection()
repository: Any = DP.repository
repository._seconds = 0.5


def state() -> dict[str, Any]:
    health = DP.health()
    return {"status": health.status, "ready": health.ready, "problem": health.problem}


def pages(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/health":
        return respond(start_response, json.dumps(state()))
    session = environ[SESSION_KEY]
    session["visits"] = session.get("visits", 0) + 1
    return respond(start_response, session["visits"])


async def visit(request: Request) -> Response:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return PlainTextResponse(str(request.session["visits"]))


async def health(_: Request) -> Response:
    return JSONResponse(state())


wsgi = SessionMiddleware(pages, data_protection=DP)
_site = Starlette(routes=[Route("/health", health), Route("/{page:path}", visit)])
_site.add_middleware(starlette.SessionMiddleware, data_protection=DP)
asgi = _site
