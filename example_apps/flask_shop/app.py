"""The shop in Flask: ``flask.session`` is the basket, `CookieAuthentication` knows the customer.

Forms have no CSRF token: `CrossOriginProtection` refuses those of other sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import flask
from werkzeug.exceptions import InternalServerError
from werkzeug.wrappers import Response

from dpmiddleware import DataProtection
from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.flask import (
    AuthenticationProperties,
    CookieAuthentication,
    CookieSettings,
    CrossOriginProtection,
    ProtectedSessions,
    authenticate,
    current_principal,
    get_data_protection,
    is_local,
    login_required,
    sign_in,
    sign_out,
)
from example_apps.plants.cookies import describe_cookie, describe_ring, in_session, in_ticket
from example_apps.plants.stock import PLANTS, Line, changed_basket, customer, lines

__all__ = ["SESSION", "TICKET", "make_app"]

SESSION: Final = CookieSettings("flask_session")
TICKET: Final = CookieSettings(".AspNetCore.Cookies", max_total=16_000)

shop = flask.Blueprint("shop", __name__, template_folder="../plants/templates")


def make_app(
    data_protection: DataProtection,
    session: CookieSettings = SESSION,
    ticket: CookieSettings = TICKET,
    trusted_origins: Sequence[str] = (),
) -> flask.Flask:
    """The application. session, ticket: its two cookies. trusted_origins: other sites whose forms it accepts."""
    app = flask.Flask(__name__, static_folder=None)
    CrossOriginProtection(app, trusted_origins=trusted_origins)
    app.config["COOKIES"] = (session.name, ticket.name)
    app.register_blueprint(shop)
    ProtectedSessions(data_protection=data_protection, cookie=session).init_app(app)
    CookieAuthentication(
        data_protection=data_protection, cookie=ticket, login_path="/sign-in", logout_path="/sign-out"
    ).init_app(app)
    app.register_error_handler(InternalServerError, too_large)
    return app


@shop.app_context_processor
def in_every_page() -> dict[str, object]:
    """The variables of the page header."""
    return {"framework": "Flask", "customer": current_principal.name, "basket": basket()}


def basket() -> list[Line]:
    """The basket of the visitor."""
    return lines(flask.session.get("basket", {}))


def private(template: str, **context: object) -> Response:
    """A page that browsers must not store, so that the back button does not show it after a sign-out."""
    response = flask.make_response(flask.render_template(template, **context))
    response.headers["Cache-Control"] = "no-store"
    return response


@shop.get("/")
def catalogue() -> str:
    """All plants."""
    return flask.render_template("catalogue.html", plants=PLANTS)


@shop.get("/basket")
def show_basket() -> Response:
    """The basket, and the message for the card."""
    return private("basket.html", note=flask.session.get("note", ""))


@shop.post("/basket/add", defaults={"by": 1})
@shop.post("/basket/remove", defaults={"by": -1})
def change_basket(by: int) -> Response:
    """Add or remove one plant."""
    plant = flask.request.form.get("plant", "")
    flask.session["basket"] = changed_basket(flask.session.get("basket", {}), plant, by)
    return flask.redirect("/basket", 303)


@shop.post("/basket/note")
def keep_note() -> Response:
    """Save the message for the card. The session may become too large for its cookie, see `too_large`."""
    flask.session["note"] = flask.request.form.get("note", "")
    return flask.redirect("/basket", 303)


@shop.route("/sign-in", methods=["GET", "POST"])
def show_sign_in() -> str | Response | tuple[str, int]:
    """The sign-in form. After a sign-in, the visitor returns to the page they came from."""
    if flask.request.method == "GET":
        return flask.render_template("sign_in.html")
    form = flask.request.form
    principal = customer(form.get("name", ""), form.get("password", ""))
    if principal is None:
        problem = "The name or the password is wrong."
        return flask.render_template("sign_in.html", problem=problem), 403
    sign_in(principal, AuthenticationProperties(is_persistent="keep" in form))
    wanted = flask.request.args.get("ReturnUrl", "")
    return flask.redirect(wanted if is_local(wanted) else "/", 303)


@shop.post("/sign-out")
def leave() -> Response:
    """Sign out, which also empties the session."""
    sign_out()
    return flask.redirect("/", 303)


@shop.get("/account")
@login_required
def account() -> Response:
    """A page for users who are signed in."""
    return private("account.html")


@shop.get("/cookie")
def show_cookies() -> Response:
    """The cookies of the visitor, and the keys that protect them."""
    dp = get_data_protection()
    header = flask.request.headers.get("Cookie", "").encode("latin-1")
    session, ticket = flask.current_app.config["COOKIES"]
    return private(
        "cookie.html",
        header_size=len(header),
        cookies=[
            describe_cookie(dp, header, session, "The session", in_session(flask.session)),
            describe_cookie(dp, header, ticket, "The sign-in", in_ticket(authenticate().ticket)),
        ],
        ring=describe_ring(dp),
        location=dp.repository.location,
    )


def too_large(error: InternalServerError) -> tuple[str, int] | InternalServerError:
    """The session did not fit into its cookie, so it was not sent. Without the message it fits."""
    cause = error.original_exception
    if not isinstance(cause, CookieTooLargeError):
        return error
    flask.session.pop("note", None)
    page = flask.render_template("problem.html", title="That is too long", problem=str(cause), hint=cause.hint)
    return page, 413
