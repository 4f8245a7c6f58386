"""The application: an archive that users sign in to. Users with the role *admin* also see the sealed files.

Environment variables: ARCHIVE_KEYS (the folder of the key ring), ARCHIVE_CERTIFICATE (PEM with the private key, to wrap
keys with), ARCHIVE_TRUSTS (the public key of the trusted signer; with it, the process does not create keys).
``python -m … .archive`` serves it on a free port, which it prints.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.wsgi import AUTHENTICATION_KEY, PRINCIPAL_KEY, CookieAuthenticationMiddleware, Principal

from ..demo.loopback_only import guarded_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["APPLICATION", "COOKIE", "make_application"]

APPLICATION: Final = "archive"
COOKIE: Final = "archive-sign-in"
POLL: Final = timedelta(seconds=1)
"""How often the process asks whether the ring has changed; the default is ten seconds."""
READERS: Final = {"ada": generate_password_hash("analytical")}
"""The passwords of all users. None of them is an administrator."""


def make_application(data_protection: DataProtection) -> WSGIApplication:
    """The archive with the middleware for the sign-in."""
    return CookieAuthenticationMiddleware(
        archive, data_protection=data_protection, cookie=COOKIE, login_path="/sign-in"
    )


def configured() -> DataProtection:
    """The ring that the environment variables describe."""
    trusts = os.environ.get("ARCHIVE_TRUSTS", "")
    return DataProtection(
        APPLICATION,
        repository=os.environ["ARCHIVE_KEYS"],
        key_wrapper=X509KeyWrapper(os.environ["ARCHIVE_CERTIFICATE"]),
        trusted_signers=[trusts] if trusts else (),
        auto_create_keys=not trusts,
        policy=RotationPolicy(poll=POLL),
    )


def archive(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI application. The user is in the environment."""
    request = Request(environ)
    answers = {("GET", "/who"): who, ("GET", "/sealed-files"): sealed_files, ("POST", "/sign-in"): sign_in}
    answer = answers.get((request.method, request.path))
    response = Response("Page not found.", 404) if answer is None else answer(request)
    return response(environ, start_response)


def who(request: Request) -> Response:
    """The user as the archive sees them."""
    user: Principal = request.environ[PRINCIPAL_KEY]
    answer = {"name": user.name, "admin": user.is_in_role("admin"), "cookie_key": cookie_key(request)}
    return Response(json.dumps(answer), mimetype="application/json")


def sealed_files(request: Request) -> Response:
    """A page for administrators."""
    if not request.environ[PRINCIPAL_KEY].is_in_role("admin"):
        return Response("Only administrators can see this page.", 403)
    return Response("The adoption file of 1952.")


def sign_in(request: Request) -> Response:
    """Sign in with a name and a password."""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if not check_password_hash(READERS.get(name, ""), password):
        return Response("The name or the password is wrong.", 403)
    request.environ[AUTHENTICATION_KEY].sign_in(Principal(name))
    return redirect("/who", 303)


def cookie_key(request: Request) -> str | None:
    """The id of the key that protects the cookie of the visitor; it is not encrypted."""
    raw = peek_key_id(request.cookies.get(COOKIE, ""))
    return None if raw is None else str(UUID(bytes_le=raw))


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged."""


def main() -> None:
    """Serve until standard input is closed, which happens when the program that started the server ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    application = guarded_wsgi(make_application(configured()))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    print(server.port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
