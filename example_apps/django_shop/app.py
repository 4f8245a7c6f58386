"""`make_app`: Django's WSGI application on a ring. One for a process: Django's settings are its process's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dpmiddleware import DataProtection

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["make_app"]


def make_app(data_protection: DataProtection) -> WSGIApplication:
    """The application. The ring comes from the command line; an application would have it in its settings."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_apps.django_shop.settings"
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    settings.DATA_PROTECTION = data_protection
    return get_wsgi_application()
