"""A pytest plugin: a Django project under test has our session engine and middleware, by its settings alone."""

from __future__ import annotations

from typing import Any

import pytest
from django_settings import change_at_setup  # type: ignore[import-not-found]  # in this folder, which is on the path
from rings import new_ring  # type: ignore[import-not-found]  # likewise

THEIRS = "django.contrib.sessions.middleware.SessionMiddleware"
OURS = "dpmiddleware.django.sessions.SessionMiddleware"


def use_ours(settings: Any) -> None:
    """Set what docs/django.md says for sessions."""
    settings.DATA_PROTECTION = new_ring()
    settings.SESSION_ENGINE = "dpmiddleware.django.sessions"
    settings.MIDDLEWARE = [OURS if name == THEIRS else name for name in settings.MIDDLEWARE]
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "dpmiddleware.django"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Create a ring for each class of tests, and for each test outside of one: some tests change the clock."""
    from django.conf import settings

    owner = item.getparent(pytest.Class) or item
    if owner is not _owners[-1]:
        _owners[:] = [owner]
        settings.DATA_PROTECTION = new_ring()


_owners: list[pytest.Item | pytest.Class | None] = [None]
change_at_setup(use_ours)
