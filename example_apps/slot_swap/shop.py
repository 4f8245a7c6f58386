"""The application in a slot: a shop with a sign-in, whose session is protected by `SessionMiddleware`.

It names its application and says nothing about keys, unless the setting PLANTS_KEYS names a repository: then all slots
with the same setting share one ring. ``python -m … .shop`` serves it on an ephemeral port, which it prints.
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

from .page import shop_page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from dpmiddleware.web.sessions.session import Session

__all__ = ["make_application"]

CUSTOMERS: Final = {"ada": generate_password_hash("analytical")}
COOKIE: Final = os.environ.get("PLANTS_COOKIE", "session")
SLOT: Final = os.environ.get("WEBSITE_SLOT_NAME", "production")
VERSION: Final = os.environ.get("PLANTS_VERSION", "1.0")


def make_application() -> WSGIApplication:
    """The shop behind the middleware. Where the keys live is for the environment to say."""
    dp = DataProtection("plants", repository=os.environ.get("PLANTS_KEYS"))
    return SessionMiddleware(shop, data_protection=dp, cookie=COOKIE)


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A plain WSGI application; the session is a mapping in the environment."""
    request = Request(environ)
    answers = {
        ("GET", "/"): show,
        ("GET", "/who"): who,
        ("POST", "/sign-in"): sign_in,
        ("POST", "/sign-out"): sign_out,
    }
    answer = answers.get((request.method, request.path))
    response = Response("There is no such page.", 404) if answer is None else answer(request)
    return response(environ, start_response)


def show(request: Request, problem: str = "") -> Response:
    """The shop's only page."""
    page = shop_page(
        name=session_of(request).get("customer"),
        slot=SLOT,
        version=VERSION,
        cookie=on_the_cookie(request),
        problem=problem,
    )
    return Response(page, 403 if problem else 200, mimetype="text/html")


def who(request: Request) -> Response:
    """The same for programs."""
    answer = {
        "signed_in_as": session_of(request).get("customer"),
        "slot": SLOT,
        "version": VERSION,
        "cookie_key": cookie_key(request),
    }
    return Response(json.dumps(answer), mimetype="application/json")


def sign_in(request: Request) -> Response:
    """A session of a new id for whoever knows a password."""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if not check_password_hash(CUSTOMERS.get(name, ""), password):
        return show(request, "That name and that password do not belong together.")
    session = session_of(request)
    session.renew(name)
    session["customer"] = name
    return redirect("/", 303)


def sign_out(request: Request) -> Response:
    """Empty the session; its cookie ends with it."""
    session_of(request).empty()
    return redirect("/", 303)


def session_of(request: Request) -> Session:
    """What the middleware put into the environment; opened when it is first looked into."""
    session: Session = request.environ["dpmiddleware.session"]
    return session


def cookie_key(request: Request) -> str | None:
    """The id of the key that the session cookie names; it stands there in clear."""
    raw = peek_key_id(request.cookies.get(COOKIE, ""))
    return None if raw is None else str(UUID(bytes_le=raw))


def on_the_cookie(request: Request) -> str:
    """One sentence for the page."""
    key = cookie_key(request)
    if key is None:
        return "you sent no session cookie"
    if "customer" in session_of(request):
        return f"under key {key}, which is in this slot's ring"
    return f"under key {key}, which this slot could not open it with"


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The log is for what happens to keys."""


def main() -> None:
    """Serve until standard input ends: a slot does not outlive the program that started it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = make_server("127.0.0.1", 0, make_application(), threaded=True, request_handler=_Quiet)
    print(server.port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
