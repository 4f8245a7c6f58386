"""The settings. `make_app` sets DATA_PROTECTION, which other applications configure here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.http import HttpRequest

from dpmiddleware.django import CookieSettings
from example_apps.plants.stock import lines

DEBUG = False
ALLOWED_HOSTS = ["*"]  # it listens on this machine only
ROOT_URLCONF = "example_apps.django_shop.urls"
USE_TZ = True
# Django requires one, but nothing here uses it: the ring protects sessions, sign-ins and signed values.
SECRET_KEY = "not a secret"  # noqa: S105 (see above)

INSTALLED_APPS = ["dpmiddleware.django"]
MIDDLEWARE = [
    "dpmiddleware.django.CrossOriginProtectionMiddleware",
    "dpmiddleware.django.sessions.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "dpmiddleware.django.authentication.CookieAuthenticationMiddleware",
]
SESSION_ENGINE = "dpmiddleware.django.sessions"
SESSION_COOKIE_NAME = "django_session"
SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
DATA_PROTECTION_COOKIE_AUTHENTICATION = {
    "login_path": "/sign-in",
    "logout_path": "/sign-out",
    "cookie": CookieSettings(".AspNetCore.Cookies", max_total=16_000),
}


def in_every_page(request: HttpRequest) -> dict[str, Any]:
    """The variables of the page header."""
    user: Any = request.user
    return {
        "framework": "Django",
        "customer": user.get_username(),
        "basket": lines(request.session.get("basket", {})),
    }


TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [Path(__file__).parents[1] / "plants" / "templates"],
        "OPTIONS": {"context_processors": ["example_apps.django_shop.settings.in_every_page"]},
    }
]
