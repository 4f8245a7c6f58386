"""The application in a slot: a shop with a sign-in. `SessionMiddleware` protects its session.

Without the environment variable PLANTS_KEYS, the keys are in the default location of the slot. With it, all slots that
name the same repository share one ring. ``python -m … .shop`` serves the shop on a free port, which it prints.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from dpmiddleware import DataProtection
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.wsgi import SessionMiddleware

from ..demo.loopback_only import guarded_wsgi
from .page import shop_page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from dpmiddleware.web.sessions.session import Session

__all__ = ["make_application"]

CUSTOMERS: Final = {"ada": generate_password_hash("analytical")}
COOKIE: Final = os.environ.get("PLANTS_COOKIE", "session")
SLOT: Final = os.environ.get("WEBSITE_SLOT_NAME", "production")
VERSION: Final = os.environ.get("PLANTS_VERSION", "1.0")
KEYS: Final = os.environ.get("PLANTS_KEYS")


def make_application() -> WSGIApplication:
    """The shop with the session middleware. The environment decides where the keys are."""
    dp = DataProtection("plants", repository=KEYS)
    return SessionMiddleware(shop, data_protection=dp, cookie=COOKIE)


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI application. The session is a mapping in the environment."""
    request = Request(environ)
    answers = {
        ("GET", "/"): show,
        ("GET", "/who"): who,
        ("POST", "/sign-in"): sign_in,
        ("POST", "/sign-out"): sign_out,
    }
    answer = answers.get((request.method, request.path))
    response = Response("Page not found.", 404) if answer is None else answer(request)
    return response(environ, start_response)


def show(request: Request, problem: str = "") -> Response:
    """The only page of the shop."""
    page = shop_page(
        name=session_of(request).get("customer"),
        slot=SLOT,
        version=VERSION,
        key=cookie_key(request),
        ring="unknown" if "customer" not in session_of(request) else "shared" if KEYS else SLOT,
        cookie=on_the_cookie(request),
        problem=problem,
    )
    return Response(page, 403 if problem else 200, mimetype="text/html")


def who(request: Request) -> Response:
    """The same as JSON."""
    answer = {
        "signed_in_as": session_of(request).get("customer"),
        "signed_in_at": session_of(request).get("signed_in_at"),
        "slot": SLOT,
        "version": VERSION,
        "cookie_key": cookie_key(request),
    }
    return Response(json.dumps(answer), mimetype="application/json")


def sign_in(request: Request) -> Response:
    """Sign in with name and password. The session gets a new id."""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if not check_password_hash(CUSTOMERS.get(name, ""), password):
        return show(request, "The name or the password is wrong.")
    session = session_of(request)
    session.renew(name)
    session["customer"], session["signed_in_at"] = name, VERSION
    return redirect("/", 303)


def sign_out(request: Request) -> Response:
    """Empty the session, which also removes its cookie."""
    session_of(request).empty()
    return redirect("/", 303)


def session_of(request: Request) -> Session:
    """The session from the environment. Its cookie is opened at the first access."""
    session: Session = request.environ["dpmiddleware.session"]
    return session


def cookie_key(request: Request) -> str | None:
    """The id of the key that protects the session cookie; it is not encrypted."""
    raw = peek_key_id(request.cookies.get(COOKIE, ""))
    return None if raw is None else str(UUID(bytes_le=raw))


def on_the_cookie(request: Request) -> str:
    """The end of the sentence about the key of the session cookie, for the page."""
    if cookie_key(request) is None:
        return "none"
    return "is in the ring here" if "customer" in session_of(request) else "cannot be used here"


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged."""


def main() -> None:
    """Serve until standard input is closed, which happens when the program that started the slot ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = make_server("127.0.0.1", 0, guarded_wsgi(make_application()), threaded=True, request_handler=_Quiet)
    print(server.port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
