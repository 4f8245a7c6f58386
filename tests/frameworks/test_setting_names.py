"""Django's settings with a misspelt name are refused, with the nearest name; at start and by ``manage.py check``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from dpmiddleware import ConfigurationError, DataProtection
from dpmiddleware.django.apps import _SETTINGS, get_data_protection
from dpmiddleware.django.authentication import CookieAuthenticationMiddleware

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _project() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()


RING = {"application": "shop", "repository": "memory:"}
DJANGO: list[tuple[dict[str, Any], str, str]] = [
    ({"DATA_PROTECTION": {**RING, "repositry": "x"}}, "'repositry' is unknown", "use repository"),
    (
        {"DATA_PROTECTION": RING, "DATA_PROTECTION_COOKIE_AUTHENTIFICATION": {}},
        "'DATA_PROTECTION_COOKIE_AUTHENTIFICATION' is unknown",
        "use DATA_PROTECTION_COOKIE_AUTHENTICATION",
    ),
]


@pytest.mark.parametrize(("changed", "problem", "hint"), DJANGO)
def test_a_misspelt_name_in_djangos_settings_is_refused(changed: dict[str, Any], problem: str, hint: str) -> None:
    with override_settings(**changed):
        with pytest.raises(ConfigurationError, match=problem) as caught:
            get_data_protection()
        assert caught.value.hint == hint
        with pytest.raises(SystemCheckError, match=problem):
            call_command("check")


def test_djangos_own_setting_under_a_misspelt_name_is_found() -> None:
    with override_settings(DATA_PROTECTON=RING), override_settings():
        from django.conf import settings

        del settings.DATA_PROTECTION
        with pytest.raises(ConfigurationError, match="'DATA_PROTECTON' is unknown") as caught:
            get_data_protection()
    assert caught.value.hint == "use DATA_PROTECTION"


def test_an_object_as_djangos_setting_does_not_hide_a_misspelt_one() -> None:
    changed = {
        "DATA_PROTECTION": DataProtection("shop", repository="memory:"),
        "DATA_PROTECTION_SESSION_MIGRATON": None,
    }
    with override_settings(**changed), pytest.raises(SystemCheckError, match="DATA_PROTECTION_SESSION_MIGRATION"):
        call_command("check")


def test_a_misspelt_option_of_djangos_sign_in_is_refused() -> None:
    misspelt = override_settings(DATA_PROTECTION=RING, DATA_PROTECTION_COOKIE_AUTHENTICATION={"login_pth": "/in"})
    with misspelt, pytest.raises(ConfigurationError, match="'login_pth' is unknown") as caught:
        CookieAuthenticationMiddleware(lambda request: None)
    assert caught.value.hint == "use login_path"


def test_every_setting_that_the_django_package_reads_is_known() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "dpmiddleware" / "django").glob("*.py")]
    used = {name for source in sources for name in re.findall(r"\bDATA_PROTECTION(?:_[A-Z]+)*\b", source)}
    assert used == set(_SETTINGS)
