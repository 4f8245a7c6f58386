"""A shop whose server should not start without a ring; ``wsgi``, and ``asgi`` that waits for the ring in its lifespan.

`DataProtection.from_env` describes the ring. ``/in`` signs a user in, ``/ready`` is the readiness probe of
docs/operations.md. ``/alive`` and ``/pid`` need no ring.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dpmiddleware import DataProtection, RotationPolicy, starlette
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.wsgi import AUTHENTICATION_KEY, CookieAuthenticationMiddleware
from tests.live.apps.common import respond

dp = DataProtection.from_env(policy=RotationPolicy(poll=timedelta(seconds=1)))


def pages(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/in":
        environ[AUTHENTICATION_KEY].sign_in(Principal("ada"))
    return respond(start_response, os.getpid() if environ["PATH_INFO"] == "/pid" else "ok")


def ready(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    health = dp.health()
    return respond(start_response, health.status, "200 OK" if health.ready else "503 Service Unavailable")


app = CookieAuthenticationMiddleware(pages, data_protection=dp)


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    return (ready if environ["PATH_INFO"] == "/ready" else app)(environ, start_response)


async def sign_in(request: Request) -> Response:
    starlette.sign_in(request, Principal("ada"))
    return PlainTextResponse("ok")


async def ready_asgi(request: Request) -> Response:
    health = dp.health()
    return PlainTextResponse(health.status, 200 if health.ready else 503)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None]:
    if "WAIT" in os.environ:
        dp.start(wait=True)
    yield


asgi = Starlette(routes=[Route("/in", sign_in), Route("/ready", ready_asgi)], lifespan=lifespan)
asgi.add_middleware(starlette.CookieAuthenticationMiddleware, data_protection=dp)
