"""A site before and after a release that changes how its cookie is set, in one WSGI process.

Request headers say which: ``X-Kind`` (what the cookie holds), ``X-Change`` (what the release changes), ``X-Release``
(old or new). Pages: ``/app/login?name=``, ``/app/logout``, ``/app/me``, and for sessions ``/app/write?cart=``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache, partial
from typing import Any

import django
import flask
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

from dpmiddleware.flask import CookieAuthentication, ProtectedSessions, current_principal, sign_in, sign_out
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.migration import FlaskSessions
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from dpmiddleware.wsgi import (
    AUTHENTICATION_KEY,
    PRINCIPAL_KEY,
    SESSION_KEY,
    CookieAuthenticationMiddleware,
    CookieProtectionMiddleware,
    SessionMiddleware,
)
from tests.live.apps.common import WSGI, Calendar, Environ, data_protection, dated, query, respond
from tests.live.changes import CHANGES

NAME = "auth"
SECRET = "the secret of the Flask application before the migration"
DP, STORE = data_protection(), MemoryTicketStore()


def persistent() -> AuthenticationProperties:
    return AuthenticationProperties(is_persistent=True)


# --- WSGI -----------------------------------------------------------------------------------------------------------


def session_pages(environ: Environ, start_response: Any) -> list[bytes]:
    session, page = environ[SESSION_KEY], environ["PATH_INFO"]
    if page == "/app/login":
        session.clear()
        session["user"] = query(environ)["name"]
    elif page == "/app/write":
        session.update(query(environ))
    elif page == "/app/logout":
        session.clear()
    return respond(start_response, f"{session.get('user', 'nobody')} {session.get('cart', '')}".strip())


def ticket_pages(environ: Environ, start_response: Any) -> list[bytes]:
    authentication, page = environ[AUTHENTICATION_KEY], environ["PATH_INFO"]
    if page == "/app/login":
        name = query(environ)["name"]
        authentication.sign_in(Principal(name, claims={"sub": name}), persistent())
    elif page == "/app/logout":
        authentication.sign_out()
    return respond(start_response, environ[PRINCIPAL_KEY].name or "nobody")


def application_cookie_pages(
    attributes: Callable[..., tuple[str, ...]], environ: Environ, start_response: Any
) -> list[bytes]:
    """An application that sets its cookie itself: the name of the user."""
    page, name = environ["PATH_INFO"], query(environ).get("name", "")
    cookies = dict(pair.split("=", 1) for pair in environ.get("HTTP_COOKIE", "").split("; ") if "=" in pair)
    if page == "/app/login":
        line = "; ".join((f"{NAME}={name}", *attributes(https=True), "max-age=1000000"))
        return respond(start_response, name, "200 OK", line)
    if page == "/app/logout":
        line = "; ".join((f"{NAME}=", *attributes(https=True), "max-age=0"))
        return respond(start_response, "nobody", "200 OK", line)
    return respond(start_response, cookies.get(NAME, "nobody"))


def in_wsgi(kind: str, cookie: CookieSettings) -> WSGI:
    if kind == "session":
        return SessionMiddleware(session_pages, data_protection=DP, cookie=cookie)
    if kind == "wrapped":
        pages = partial(application_cookie_pages, cookie.attributes)
        return CookieProtectionMiddleware(pages, data_protection=DP, cookies=[NAME])
    store = STORE if kind == "reference" else None
    return CookieAuthenticationMiddleware(ticket_pages, data_protection=DP, cookie=cookie, session_store=store)


# --- Flask ----------------------------------------------------------------------------------------------------------


def in_flask(kind: str, cookie: CookieSettings, release: str) -> WSGI:
    app = flask.Flask(__name__)
    app.secret_key = SECRET
    app.config.update(
        SESSION_COOKIE_NAME=NAME,
        SESSION_COOKIE_PATH=cookie.path,
        SESSION_COOKIE_DOMAIN=cookie.domain,
        SESSION_COOKIE_SECURE=cookie.secure == "always",
        SESSION_COOKIE_SAMESITE=cookie.same_site,
        SESSION_COOKIE_PARTITIONED=cookie.partitioned,
        PERMANENT_SESSION_LIFETIME=timedelta(days=14),
    )
    if kind == "flask-ticket":
        CookieAuthentication(data_protection=DP, cookie=cookie).init_app(app)
    elif kind == "flask-session":
        ProtectedSessions(data_protection=DP).init_app(app)
    elif release == "new":  # before, it was Flask itself
        until = Calendar().now() + timedelta(days=13)
        ProtectedSessions(data_protection=DP, migration=FlaskSessions(SECRET, until=until)).init_app(app)

    app.add_url_rule("/app/<page>", view_func=flask_ticket_pages if kind == "flask-ticket" else flask_session_pages)
    return app


def flask_ticket_pages(page: str) -> str:
    if page == "login":
        name = flask.request.args["name"]
        sign_in(Principal(name, claims={"sub": name}), persistent())
    elif page == "logout":
        sign_out()
    return current_principal.name or "nobody"


def flask_session_pages(page: str) -> str:
    session = flask.session
    if page in {"login", "logout"}:
        session.clear()
    if page == "login":
        session.permanent = True
        session["user"] = flask.request.args["name"]
    elif page == "write":
        session.update(flask.request.args)
    return f"{session.get('user', 'nobody')} {session.get('cart', '')}".strip()


# --- Django ---------------------------------------------------------------------------------------------------------

settings.configure(
    SECRET_KEY="nothing depends on it",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.sessions", "dpmiddleware.django"],
    SESSION_ENGINE="dpmiddleware.django.sessions",
    SESSION_COOKIE_NAME=NAME,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    DATA_PROTECTION=DP,
    MIDDLEWARE=["dpmiddleware.django.sessions.SessionMiddleware"],
)
django.setup()


def django_pages(request: HttpRequest, page: str) -> HttpResponse:
    if page == "login":
        request.session.flush()
        request.session["user"] = request.GET["name"]
    elif page == "write":
        request.session.update(request.GET.dict())
    elif page == "logout":
        request.session.flush()
    return HttpResponse(f"{request.session.get('user', 'nobody')} {request.session.get('cart', '')}".strip())


def django_ticket_pages(request: HttpRequest, page: str) -> HttpResponse:
    from dpmiddleware.django import authentication

    if page == "login":
        name = request.GET["name"]
        authentication.sign_in(request, Principal(name, claims={"sub": name}), persistent())
    elif page == "logout":
        authentication.sign_out(request)
    return HttpResponse(request.META[AUTHENTICATION_KEY].principal.name or "nobody")


urlpatterns = [path("app/<page>", django_pages), path("app/ticket/<page>", django_ticket_pages)]


def in_django(kind: str, cookie: CookieSettings) -> WSGI:
    described = {
        "SESSION_COOKIE_PATH": cookie.path,
        "SESSION_COOKIE_DOMAIN": cookie.domain,
        "SESSION_COOKIE_SECURE": cookie.secure == "always",
        "SESSION_COOKIE_SAMESITE": (cookie.same_site or "lax").capitalize(),
    }
    if kind == "django-ticket":
        settings.MIDDLEWARE = ["dpmiddleware.django.authentication.CookieAuthenticationMiddleware"]
        settings.DATA_PROTECTION_COOKIE_AUTHENTICATION = {"cookie": cookie}
    else:
        settings.MIDDLEWARE = ["dpmiddleware.django.sessions.SessionMiddleware"]
    handler = WSGIHandler()  # it reads MIDDLEWARE now, and the other settings in each request

    def serve(environ: Environ, start_response: Any) -> Iterable[bytes]:
        for name, value in described.items():
            setattr(settings, name, value)
        if kind == "django-ticket":
            environ["PATH_INFO"] = environ["PATH_INFO"].replace("/app/", "/app/ticket/")
        return handler(environ, start_response)

    return serve


# --- all of them ----------------------------------------------------------------------------------------------------


@cache
def site(kind: str, change: str, release: str) -> WSGI:
    cookie = CookieSettings(NAME, **CHANGES[change][release])
    if kind.startswith("flask"):
        return in_flask(kind, cookie, release)
    if kind.startswith("django"):
        return in_django(kind, cookie)
    return in_wsgi(kind, cookie)


@dated
def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
    if "HTTP_X_KIND" not in environ:
        return respond(start_response, os.getpid())
    which = (environ[f"HTTP_X_{name}"] for name in ("KIND", "CHANGE", "RELEASE"))
    return site(*which)(environ, start_response)
