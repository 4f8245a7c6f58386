"""Django has settings, and nothing has been counted or logged yet."""

from __future__ import annotations

import os

import django
import pytest

from tests.fakes import reset_telemetry


@pytest.fixture(scope="session", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been counted or logged yet."""
    reset_telemetry(monkeypatch)
