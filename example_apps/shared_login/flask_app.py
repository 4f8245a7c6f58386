"""The member in Flask, at /flask/."""

from __future__ import annotations

import flask
from werkzeug.wrappers import Response

from dpmiddleware import DataProtection
from dpmiddleware.clock import Clock
from dpmiddleware.flask import (
    CookieAuthentication,
    CookieSettings,
    CrossOriginProtection,
    authenticate,
    login_required,
    sign_in,
    sign_out,
)
from example_apps.plants.stock import customer
from example_apps.shared_login.page import page, who

__all__ = ["make_app"]

NAME = "Flask"
member = flask.Blueprint("member", __name__, url_prefix="/flask")


def make_app(data_protection: DataProtection, *, aspnet: bool, clock: Clock | None = None) -> flask.Flask:
    """The application. aspnet: whether ASP.NET Core runs, too. clock: the clock for tickets."""
    app = flask.Flask(__name__, static_folder=None)
    app.config["ASPNET"] = aspnet
    CrossOriginProtection(app)
    app.register_blueprint(member)
    app.add_url_rule("/", view_func=lambda: flask.redirect("/flask/"), endpoint="home")
    CookieAuthentication(
        data_protection=data_protection,
        cookie=CookieSettings(".AspNetCore.Cookies", max_total=16_000),
        login_path="/flask/sign-in",
        logout_path="/flask/sign-out",
        clock=clock,
    ).init_app(app)
    return app


def show(*, problem: str = "", private: bool = False) -> str:
    """The page of this member."""
    return page(NAME, authenticate(), aspnet=flask.current_app.config["ASPNET"], problem=problem, private=private)


@member.get("/")
@member.get("/sign-in", endpoint="form")
def home() -> str:
    """The user, or the sign-in form."""
    return show()


@member.get("/who")
def say_who() -> dict[str, object]:
    """The same as JSON."""
    return who(NAME, authenticate())


@member.post("/sign-in")
def enter() -> Response | tuple[str, int]:
    """Sign in, here and at all other members."""
    principal = customer(flask.request.form.get("name", ""), flask.request.form.get("password", ""))
    if principal is None:
        return show(problem="The name or the password is wrong."), 403
    sign_in(principal)
    return flask.redirect("/flask/", 303)


@member.post("/sign-out")
def leave() -> Response:
    """Sign out, here and at all other members."""
    sign_out()
    return flask.redirect("/flask/", 303)


@member.get("/private")
@login_required
def private() -> Response:
    """A page for users who are signed in."""
    response = flask.make_response(show(private=True))
    response.headers["Cache-Control"] = "no-store"
    return response
