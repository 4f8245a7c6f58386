"""The sites of `tests.frameworks.sites` in one process: ``wsgi`` for gunicorn, ``asgi`` for uvicorn.

    RING       the repository of the shop's ring
    OTHER      that of another ring
    REDIS      for rings and for a ticket store

Request headers say which site serves a request: ``X-Outer``, and if another one is mounted in it, ``X-Inner`` and
``X-Admin`` (how their sign-ins differ). The outer site can be changed:

    X-Store    it keeps its tickets in a store
    X-Ring     it has a ring of this name in Redis, which other processes may create if the name begins with "reader";
               it also seals cookies of the application, ``own*``

``/state?ring=`` says how a ring is, how often its store was asked (``calls``), how many of these calls were made by a
request itself (``in_requests``), and how many seconds each of its requests has waited (``waits``), by the header
``X-Visit``. ``/slow?ring=&seconds=`` makes its store slow; ``/hold?ring=`` makes it hang until ``/release?ring=``.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import django
from django.conf import settings
from starlette.responses import PlainTextResponse

from dpmiddleware import DataProtection, RotationPolicy
from dpmiddleware import asgi as ours_asgi
from dpmiddleware import wsgi as ours_wsgi
from dpmiddleware.components import repository_from
from dpmiddleware.keys import waiting
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.web.sign_in.claims import Principal
from tests.frameworks import sites
from tests.live.apps.common import data_protection, dated, dated_asgi, respond

settings.configure(
    SECRET_KEY="nothing depends on it",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["dpmiddleware.django"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
)
django.setup()

SHOP = data_protection()
ADMINS = sites.administrations(SHOP, data_protection("OTHER"))
ADA, ROOT = Principal("ada", claims={"sub": "7"}), Principal("root")


HANGS = 60.0
"""Seconds after which a store that is held answers, if a test has failed to release it."""

waits: defaultdict[str | None, dict[str, float]] = defaultdict(dict)
"""By ring and visit: the seconds that a request has waited, as its budget counts them, if it has waited."""
_visit: ContextVar[tuple[str | None, str | None]] = ContextVar("visit", default=(None, None))


def _counted(ended: threading.Event, limit: float) -> float:
    spent = _really_wait(ended, limit)
    ring, visit = _visit.get()
    if visit is not None:
        waits[ring][visit] = waits[ring].get(visit, 0.0) + min(spent, max(limit, 0.0))
    return spent


_really_wait, waiting._waited = waiting._waited, _counted


class SlowRepository:
    """A repository whose calls are counted, and take some seconds longer, or until it is ``released``."""

    def __init__(self, url: str) -> None:
        self._inner = repository_from(url)
        self.location = self._inner.location
        self.calls, self.seconds, self.in_requests = 0, 0.0, 0
        self.released = threading.Event()
        self.released.set()

    def read(self) -> Snapshot:
        self._ask()
        return self._inner.read()

    def version(self) -> str:
        self._ask()
        return self._inner.version()

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        self._ask()
        self._inner.commit(add=add, remove=remove, expected=expected)

    def _ask(self) -> None:
        self.calls += 1
        self.in_requests += threading.current_thread().name != "dpmiddleware-refresh"
        time.sleep(self.seconds)
        self.released.wait(HANGS)


@cache
def ring(name: str) -> tuple[DataProtection, SlowRepository]:
    """A ring that is loaded, and its store. A reader polls often; the others do not poll while a test runs."""
    is_reader = name.startswith("reader")
    store = SlowRepository(f"{os.environ['REDIS']}/0?key={name}")
    policy = RotationPolicy(poll=timedelta(seconds=0.2) if is_reader else timedelta(hours=1))
    found = data_protection(repository=store, policy=policy, auto_create_keys=not is_reader)
    found.start(wait=not is_reader)
    return found, store


def state(page: str, query: str) -> str:
    """What the pages without a site say."""
    asked = dict(parse_qsl(query))
    if "ring" not in asked:
        return str(os.getpid())
    protection, store = ring(asked["ring"])
    if page == "/slow":
        store.seconds = float(asked["seconds"])
    elif page == "/hold":
        store.released.clear()
    elif page == "/release":
        store.released.set()
    health = protection.health()
    said = {"status": health.status, "default": str(health.default_key), "calls": store.calls}
    return json.dumps({**said, "in_requests": store.in_requests, "waits": waits[asked["ring"]]})


_HEADERS = ("outer", "inner", "admin", "store", "ring")


@cache
def site(is_asgi: bool, which: tuple[str | None, ...]) -> Any:
    """The site that the headers name."""
    outer, inner, admin, store, name = which
    assert outer is not None
    builders, shell = (sites.ASGI, ours_asgi) if is_asgi else (sites.WSGI, ours_wsgi)
    shop = SHOP if name is None else ring(name)[0]
    options: dict[str, Any] = {"data_protection": shop, "login_path": "/shop-login"}
    if store is not None:
        options["session_store"] = f"{os.environ['REDIS']}/0?key=tickets:"
    if inner is not None and admin is not None:
        return builders[outer](ADA, options, builders[inner](ROOT, ADMINS[admin]))
    whole = builders[outer](ADA, options)
    return whole if name is None else shell.CookieProtectionMiddleware(whole, data_protection=shop, cookies=["own*"])


@dated
def wsgi(environ: Any, start_response: Any) -> Any:
    which = tuple(environ.get(f"HTTP_X_{name.upper()}") for name in _HEADERS)
    _visit.set((which[-1], environ.get("HTTP_X_VISIT")))
    if which[0] is None:
        return respond(start_response, state(environ["PATH_INFO"], environ["QUERY_STRING"]))
    return site(False, which)(environ, start_response)


async def choose(scope: Any, receive: Any, send: Any) -> None:
    headers = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
    which = tuple(headers.get(f"x-{name}") for name in _HEADERS)
    _visit.set((which[-1], headers.get("x-visit")))
    if which[0] is None:
        await PlainTextResponse(state(scope["path"], scope["query_string"].decode()))(scope, receive, send)
        return
    await site(True, which)(scope, receive, send)


asgi = dated_asgi(choose)
