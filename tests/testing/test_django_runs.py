"""A real Django project runs its tests, and its real key ring stays untouched: the folder of the keys is not even made.

The project uses the ring as early as it can: in ``ready()``, in a module that a test imports, and in its views.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import utils

from dpmiddleware import under_test
from tests.testing.pytest_runs import PLUGIN, pytest_in, run

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path
BASE = Path(__file__).parents[1]
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "db.sqlite3"}}}}
INSTALLED_APPS = ["django.contrib.sessions", "dpmiddleware.django", "shop"]
MIDDLEWARE = ["dpmiddleware.django.SessionMiddleware", "dpmiddleware.django.CookieAuthenticationMiddleware"]
SESSION_ENGINE = "dpmiddleware.django.sessions"
SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
WSGI_APPLICATION = "project.wsgi.application"
DATA_PROTECTION = {given}
"""
MAPPING = '{"application": "shop", "repository": BASE / "keys"}'
WITH_TEST = '{"application": "shop", "repository": BASE / "keys", "TEST": {"repository": BASE / "keys-of-tests"}}'
OBJECT = '__import__("dpmiddleware").DataProtection("shop", repository=BASE / "keys")'
NO_SECRET = '{"application": "shop", "repository": BASE / "keys", "key_wrapper": "secret:env:ONLY_IN_PRODUCTION"}'
ENVIRONMENT = '__import__("os").environ.update(DPM_APPLICATION="shop", DPM_REPOSITORY=str(BASE / "keys"))  # None'

APP = """
from django.apps import AppConfig

class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from dpmiddleware.django import get_data_protection
        get_data_protection().start(wait=True)
"""
URLS = """
from django.core.signing import dumps
from django.http import HttpResponse
from django.urls import path
from dpmiddleware.django import current_principal

def page(request):
    request.session["seen"] = True
    return HttpResponse(f"{current_principal(request).name} {dumps('signed')}")

urlpatterns = [path("", page)]
"""
WSGI = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
TESTS = """
import os
from django.conf import settings
from django.test import SimpleTestCase, override_settings
from werkzeug.test import Client as WsgiClient
from dpmiddleware.django import Principal, get_data_protection
from dpmiddleware.testing import RingInMemory, session_of, sign_in
from project.wsgi import application  # loads the middleware when the module is imported

class ShopTests(SimpleTestCase):
    def test_a_user_is_signed_in(self):
        sign_in(self.client, Principal("ada"))
        assert self.client.get("/").text.startswith("ada ")
        assert session_of(self.client) == {"seen": True}

    def test_the_application_that_was_imported_early(self):
        assert WsgiClient(application).get("/").text.startswith("None ")

    def test_a_ring_that_a_test_sets_is_used(self):
        mine = RingInMemory("mine")
        with override_settings(DATA_PROTECTION=mine):
            assert get_data_protection() is mine
        assert get_data_protection() is not mine

    def test_a_place_that_a_test_sets_is_used(self):
        place = settings.BASE / f"a-place-of-one-test-{os.getpid()}"
        with override_settings(DATA_PROTECTION={"application": "shop", "repository": place}):
            assert self.client.get("/").status_code == 200
            assert list(place.glob("key-*.xml"))
"""
MORE_TESTS = """
from django.test import SimpleTestCase

class MoreTests(SimpleTestCase):
    def test_another_module_for_another_process(self):
        assert self.client.get("/").status_code == 200
"""
CONFTEST = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
import django
django.setup()
"""
AS_PYTEST_DJANGO_DOES = """
import os
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

@pytest.fixture(scope="session", autouse=True)
def django_test_environment():
    import django
    from django.test.utils import setup_test_environment, teardown_test_environment
    setup_test_environment()
    django.setup()
    yield
    teardown_test_environment()
"""
LATE_TESTS = """
def test_a_page():
    from django.test import Client
    assert Client().get("/").status_code == 200
"""


def project(folder: Path, given: str = MAPPING) -> Path:
    files = {
        "manage.py": MANAGE,
        "project/__init__.py": "",
        "project/settings.py": SETTINGS.format(given=given),
        "project/urls.py": URLS,
        "project/wsgi.py": WSGI,
        "shop/__init__.py": "",
        "shop/apps.py": APP,
        "shop/tests.py": TESTS,
        "shop/tests_more.py": MORE_TESTS,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def manage_test(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "manage.py", "test", "--pattern", "tests*.py", *options)


def with_the_plugin(folder: Path) -> subprocess.CompletedProcess[str]:
    folder.joinpath("conftest.py").write_text(CONFTEST)
    return pytest_in(folder, *PLUGIN, "shop/tests.py", "shop/tests_more.py")


def without_the_plugin(folder: Path) -> subprocess.CompletedProcess[str]:
    folder.joinpath("conftest.py").write_text(AS_PYTEST_DJANGO_DOES)
    folder.joinpath("shop/tests_late.py").write_text(LATE_TESTS)
    return pytest_in(folder, "shop/tests_late.py")


RUNS: dict[str, Callable[[Path], subprocess.CompletedProcess[str]]] = {
    "manage.py test": manage_test,
    "manage.py test --parallel": lambda folder: manage_test(folder, "--parallel", "2"),
    "python -m django test": lambda folder: run(
        folder, "-m", "django", "test", "--pattern", "tests*.py", DJANGO_SETTINGS_MODULE="project.settings"
    ),
    "pytest": with_the_plugin,
    "pytest-django without our plugin": without_the_plugin,
}
TWO = ("manage.py test", "pytest")
CASES = [
    *(pytest.param(name, MAPPING, id=name) for name in RUNS),
    *(pytest.param(name, OBJECT, id=f"{name}, an object") for name in TWO),
    *(pytest.param(name, ENVIRONMENT, id=f"{name}, from the environment") for name in TWO),
    *(pytest.param(name, NO_SECRET, id=f"{name}, a secret that only production has") for name in TWO),
]


@pytest.mark.parametrize("given", [MAPPING, OBJECT, ENVIRONMENT], ids=["mapping", "object", "environment"])
def test_without_tests_the_project_uses_its_folder(given: str, tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    done = run(project(tmp_path, given), "manage.py", "check")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("keys/key-*.xml"))


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_run_of_tests_does_not_touch_the_real_ring(name: str, given: str, tmp_path: Path) -> None:
    done = RUNS[name](project(tmp_path, given))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "keys").exists()
    assert "keys are in memory" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", TWO)
def test_a_place_for_tests_is_used_where_the_settings_name_one(name: str, tmp_path: Path) -> None:
    done = RUNS[name](project(tmp_path, WITH_TEST))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "keys").exists()
    assert list(tmp_path.glob("keys-of-tests/key-*.xml"))


# --- the signs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "is_test"),
    [
        (["manage.py", "test"], True),
        (["/srv/shop/manage.py", "test", "shop"], True),
        (["/venv/bin/django-admin", "test"], True),
        (["/venv/lib/python3.12/site-packages/django/__main__.py", "test"], True),
        (["manage.py", "runserver"], False),
        (["manage.py", "testserver"], False),
        (["manage.py"], False),
        (["gunicorn", "test"], False),
        (["/venv/bin/celery", "test"], False),
        (["/srv/test/__main__.py", "test"], False),
        ([], False),
    ],
)
def test_a_command_of_django_is_known_by_its_program_and_its_verb(command: list[str], is_test: bool) -> None:
    assert under_test.is_test_command(command) is is_test


def test_djangos_own_test_environment_is_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attribute is Django's own, and private: with a version that renames it, this test fails."""
    environment: Any = utils
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    monkeypatch.setattr(under_test, "_sessions", 0)
    assert not under_test.is_running()
    environment.setup_test_environment()
    try:
        assert under_test.is_running()
    finally:
        environment.teardown_test_environment()
    assert not under_test.is_running()
