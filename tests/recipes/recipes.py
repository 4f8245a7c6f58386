"""How each application of docs/recipes.md is started, and how a user signs in, is recognized and signs out.

The applications are below ``applications``: what their projects generate or document, without a line of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.live.browser import Browser
from tests.recipes.visiting import Form, Link, Redirects, Step, hears, in_order, shows

__all__ = ["HERE", "RECIPES", "Recipe"]

HERE: Final = Path(__file__).parent
Command = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One application.

    name: the heading on the page; the folder with its files has it in lower case
    serve: the command that starts it, with ``{port}``. Its program is one of the environment
    create: commands of its project that write the application, before the files of ``folder`` are added
    prepare: commands that are run when the files are in place, and again after the recipe was added
    fill: commands that create users
    sign_in, signed_in, sign_out: what a user does, and whether the application knows them
    protected: the cookies that the recipe protects
    others: cookies that the application sets and the recipe leaves
    environment: the file below ``pins`` (without ``.txt``); by default that of the name
    in_tests: the environment of the tests contains all of it
    """

    name: str
    serve: Command
    sign_in: Step
    signed_in: Callable[[Browser], bool]
    sign_out: Step
    protected: frozenset[str]
    create: tuple[Command, ...] = ()
    prepare: tuple[Command, ...] = ()
    fill: tuple[Command, ...] = ()
    others: frozenset[str] = frozenset()
    environment: str = ""
    in_tests: bool = False

    @property
    def slug(self) -> str:
        """The name of its files."""
        return self.name.lower().replace(" ", "-")

    @property
    def pins(self) -> Path:
        """The exact versions of its environment."""
        return HERE / "pins" / f"{self.environment or self.slug}.txt"

    @property
    def folder(self) -> Path:
        """The application without the recipe."""
        return HERE / "applications" / self.slug


def _gunicorn(app: str) -> Command:
    return ("gunicorn", app, "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1")


def _uvicorn(app: str) -> Command:
    return ("uvicorn", app, "--port", "{port}", "--timeout-graceful-shutdown", "1")


_PASSWORD: Final = "apples and pears"


def _manage(*words: str) -> Command:
    return ("env", f"DJANGO_SUPERUSER_PASSWORD={_PASSWORD}", "python", "manage.py", *words)


_MIGRATE: Final = (_manage("migrate"),)
_CREATE_ADA: Final = (_manage("createsuperuser", "--noinput", "--username=ada", "--email=ada@shop.example"),)
_ACCOUNT: Final = shows("/account", "hello ada")
_CSRF: Final = frozenset({"csrftoken"})

RECIPES: Final = (
    Recipe(
        name="Wagtail",
        create=(("wagtail", "start", "shop", "."),),
        prepare=_MIGRATE,
        fill=_CREATE_ADA,
        serve=_gunicorn("shop.wsgi"),
        sign_in=Form("/admin/login/", {"username": "ada", "password": _PASSWORD}),
        signed_in=shows("/admin/account/", "ada@shop.example"),
        sign_out=Form("/admin/account/", to="/admin/logout/"),
        protected=frozenset({"sessionid"}),
        others=_CSRF,
    ),
    Recipe(
        name="django-allauth",
        create=(("django-admin", "startproject", "shop", "."),),
        prepare=_MIGRATE,
        fill=_CREATE_ADA,
        serve=_gunicorn("shop.wsgi"),
        sign_in=Form("/accounts/login/", {"login": "ada", "password": _PASSWORD}),
        signed_in=shows("/accounts/email/", "ada@shop.example"),
        sign_out=Form("/accounts/logout/"),
        protected=frozenset({"sessionid", "messages"}),
        others=_CSRF,
    ),
    Recipe(
        name="Django REST framework",
        create=(("django-admin", "startproject", "shop", "."),),
        prepare=_MIGRATE,
        fill=_CREATE_ADA,
        serve=_gunicorn("shop.wsgi"),
        sign_in=Form("/api-auth/login/", {"username": "ada", "password": _PASSWORD}),
        signed_in=_ACCOUNT,
        sign_out=Form("/account", to="/api-auth/logout/"),
        protected=frozenset({"sessionid"}),
        others=_CSRF,
    ),
    Recipe(
        name="Channels",
        create=(("django-admin", "startproject", "shop", "."),),
        prepare=_MIGRATE,
        fill=_CREATE_ADA,
        serve=("daphne", "--port", "{port}", "shop.asgi:application"),
        sign_in=in_order(Form("/admin/login/", {"username": "ada", "password": _PASSWORD}), Link("/fill")),
        signed_in=hears("/greeter", "hello ada"),
        sign_out=Form("/admin/", to="/admin/logout/"),
        protected=frozenset({"sessionid"}),
        others=_CSRF,
    ),
    Recipe(
        name="Flask-Login",
        serve=_gunicorn("shop:app"),
        sign_in=Form("/login", {"name": "ada"}),
        signed_in=_ACCOUNT,
        sign_out=Link("/logout"),
        protected=frozenset({"session", "remember_token"}),
        in_tests=True,
    ),
    Recipe(
        name="Flask-Security",
        serve=_gunicorn("shop:app"),
        sign_in=Form("/login", {"email": "ada@shop.example", "password": _PASSWORD, "remember": "y"}),
        signed_in=_ACCOUNT,
        sign_out=Form("/account", to="/logout"),
        protected=frozenset({"session", "remember_token"}),
    ),
    Recipe(
        name="Flask-AppBuilder",
        serve=_gunicorn("shop:app"),
        sign_in=Form("/login/", {"username": "ada", "password": "secret"}),
        signed_in=shows("/users/list/", "ada@shop.example"),
        sign_out=Link("/logout/"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="Flask-Admin",
        serve=_gunicorn("shop:app"),
        sign_in=Form("/admin/login/", {"login": "ada", "password": "secret"}),
        signed_in=shows("/admin/customer/", "ada"),
        sign_out=Link("/admin/logout/"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="SQLAdmin",
        serve=_uvicorn("shop:app"),
        sign_in=Form("/admin/login", {"username": "ada", "password": "secret"}),
        signed_in=shows("/admin/customer/list", "Customer"),
        sign_out=Link("/admin/logout"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="starlette-admin",
        serve=_uvicorn("shop:app"),
        sign_in=Form("/admin/login", {"username": "ada", "password": "secret"}),
        signed_in=shows("/admin/customer/list", "Customer"),
        sign_out=Form("/admin/", to="/admin/logout"),
        protected=frozenset({"session"}),
        others=frozenset({"starlette_admin_csrftoken"}),
    ),
    Recipe(
        name="FastAPI-Users",
        serve=_uvicorn("shop:app"),
        sign_in=Form("/auth/login", {"username": "ada@shop.example", "password": _PASSWORD}),
        signed_in=_ACCOUNT,
        sign_out=Form("/account", to="/auth/logout"),
        protected=frozenset({"fastapiusersauth"}),
    ),
    Recipe(
        name="Authlib",
        serve=("env", "PROVIDER=http://127.0.0.1:{port}/provider", *_uvicorn("shop:app")),
        sign_in=Redirects("/login"),
        signed_in=_ACCOUNT,
        sign_out=Link("/logout"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="NiceGUI",
        serve=("env", "-u", "PYTEST_CURRENT_TEST", "PORT={port}", "python", "shop.py"),
        sign_in=Form("/account", {"name": "ada"}, to="/login"),
        signed_in=_ACCOUNT,
        sign_out=Link("/logout"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="Litestar",
        serve=_uvicorn("shop:app"),
        sign_in=Form("/login", {"name": "ada"}),
        signed_in=_ACCOUNT,
        sign_out=Link("/logout"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="Litestar SessionAuth",
        environment="litestar",
        serve=_uvicorn("shop:app"),
        sign_in=Form("/login", {"name": "ada"}),
        signed_in=_ACCOUNT,
        sign_out=Link("/logout"),
        protected=frozenset({"session"}),
    ),
    Recipe(
        name="Datasette",
        serve=("datasette", "--port", "{port}", "--secret", "signs cookies", "."),
        sign_in=Form("/-/login", {"username": "ada", "password": "secret"}),
        signed_in=shows("/-/actor.json", "ada"),
        sign_out=Form("/-/logout"),
        protected=frozenset({"ds_actor"}),
        others=frozenset({"ds_csrftoken"}),
    ),
    Recipe(
        name="Quart-Auth",
        serve=("hypercorn", "shop:app", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1"),
        sign_in=Form("/login", {"name": "ada"}),
        signed_in=_ACCOUNT,
        sign_out=Link("/logout"),
        protected=frozenset({"QUART_AUTH"}),
    ),
)
