"""A pytest plugin: a Django project under test keeps its sessions in Django's signed cookies, the nearest to ours."""

from __future__ import annotations

from typing import Any

from django_settings import change_at_setup  # type: ignore[import-not-found]  # in this folder, which is on the path


def use_signed_cookies(settings: Any) -> None:
    """Set the engine; the middleware is Django's."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


change_at_setup(use_signed_cookies)
