"""A Django project with our sessions and our sign-in; ``wsgi`` for gunicorn, ``asgi`` for uvicorn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from tests.live.apps.common import data_protection, dated

settings.configure(
    SECRET_KEY="nothing depends on it",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.sessions", "dpmiddleware.django"],
    SESSION_ENGINE="dpmiddleware.django.sessions",
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    DATA_PROTECTION=data_protection(),
    MIDDLEWARE=[
        "dpmiddleware.django.sessions.SessionMiddleware",
        "dpmiddleware.django.authentication.CookieAuthenticationMiddleware",
    ],
)
django.setup()

from dpmiddleware.django.authentication import authenticate, sign_in, sign_out  # noqa: E402 (after the settings)


def store_for(key: str | None) -> Any:
    """What applications do: a store of the configured engine for a session key."""
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


# --- sessions -------------------------------------------------------------------------------------------------------

CARTS: dict[str | None, list[str]] = {}


def write(request: HttpRequest) -> HttpResponse:
    """``name`` and so many characters: the session of a user who has seen many products."""
    request.session["name"] = request.GET["name"]
    request.session["seen"] = "." * int(request.GET.get("characters", "10"))
    return HttpResponse()


def key(request: HttpRequest) -> HttpResponse:
    return JsonResponse([request.session.session_key, request.session.get("name")], safe=False)


def key_first(request: HttpRequest) -> HttpResponse:
    """The key, before anything else of the session."""
    return JsonResponse(request.session.session_key, safe=False)


def add(request: HttpRequest) -> HttpResponse:
    """The usual cart of a user without an account: a row per session key."""
    if not request.session.session_key:
        request.session.save()
    cart = CARTS.setdefault(request.session.session_key, [])
    cart.append(request.GET["item"])
    return JsonResponse(cart, safe=False)


def cycle(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return key(request)


def load(request: HttpRequest) -> HttpResponse:
    """What a store for the key in the query holds, and whether there is one."""
    store = store_for(request.GET["key"])
    return JsonResponse([store.get("name"), store.exists(request.GET["key"])], safe=False)


async def load_async(request: HttpRequest) -> HttpResponse:
    store = store_for(request.GET["key"])
    return JsonResponse([await store.aget("name"), await store.aexists(request.GET["key"])], safe=False)


def begin(request: HttpRequest) -> HttpResponse:
    """How django-allauth begins a social login: save, then read the session again by its key."""
    request.session["state"] = request.GET["state"]
    request.session.save()
    request.session = store_for(request.session.session_key)
    request.session.modified = True
    return HttpResponse()


def callback(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.session.get("state"), safe=False)


# --- sign-in --------------------------------------------------------------------------------------------------------


def ada() -> tuple[Principal, AuthenticationProperties]:
    return Principal("ada", claims={"sub": "7"}), AuthenticationProperties(is_persistent=True)


def acts(request: HttpRequest) -> dict[str, Callable[[], None]]:
    return {
        "in": lambda: sign_in(request, *ada()),
        "out": lambda: sign_out(request),
        "again": lambda: sign_in(request, request.principal, authenticate(request).ticket.properties),  # type: ignore[attr-defined,union-attr]  # ours
    }


def names(request: HttpRequest, user: Any, later: Any) -> list[str]:
    """Who the user is by ``request.principal``, ``request.user`` and ``request.auser()``."""
    found = (request.principal, user, later)  # type: ignore[attr-defined]  # ours
    said = [each.get_username() if hasattr(each, "get_username") else each.name for each in found]
    return [name if each.is_authenticated else "nobody" for name, each in zip(said, found, strict=True)]


def steps(request: HttpRequest) -> HttpResponse:
    """Do in turn what the query says: in, out, again, look; who the user is at each look."""
    looks = []
    for step in request.GET["do"].split(","):
        if step == "look":
            looks.append(names(request, request.user, async_to_sync(request.auser)()))
        else:
            acts(request)[step]()
    return JsonResponse(looks, safe=False)


async def steps_async(request: HttpRequest) -> HttpResponse:
    """The same in an async view."""
    looks = []
    for step in request.GET["do"].split(","):
        if step == "look":
            looks.append(names(request, request.user, await request.auser()))
        else:
            acts(request)[step]()
    return JsonResponse(looks, safe=False)


PAGES: tuple[Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]], ...] = (
    *(write, key, key_first, add, cycle, load, load_async, begin, callback),
    *(steps, steps_async),
)
urlpatterns: list[Any] = [path(page.__name__, page) for page in PAGES]  # type: ignore[arg-type]  # both kinds of views

wsgi = dated(WSGIHandler())
asgi = ASGIHandler()
