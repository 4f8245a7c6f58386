"""`make_app`: Django's WSGI application with a ring. Django's settings allow one per process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dpmiddleware import DataProtection

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["make_app"]


def make_app(data_protection: DataProtection) -> WSGIApplication:
    """The application. The ring comes from the command line; other applications configure it in their settings."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_apps.django_shop.settings"
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    settings.DATA_PROTECTION = data_protection
    return get_wsgi_application()
