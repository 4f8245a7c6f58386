"""A project whose ring is in its own database: migrations, checks, start-up, requests in transactions, test runs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from dpmiddleware import DataProtection
from dpmiddleware.django import get_data_protection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.repositories.django_database import DjangoKeyRepository
from dpmiddleware.repositories.sql import SqlKeyRepository
from dpmiddleware.repositories.sql_statements import TABLE
from dpmiddleware.testing.contracts.store import commit, contents, document
from tests.django_databases import django_database, migrated, settings_of
from tests.interop.peer import Peer
from tests.repositories.test_sql import database
from tests.servers import Server

# --- databases that nobody has migrated -------------------------------------------------------------------------------


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    yield from database(postgres_server)


@pytest.fixture
def mariadb_url(mariadb_server: Server) -> Iterator[str]:
    yield from database(mariadb_server)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.fixture(params=["postgres_url", "mariadb_url", "sqlite_url"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def alias(url: str) -> Iterator[str]:
    with django_database(url) as name:
        yield name


def tables(alias: str) -> list[str]:
    with connections[alias].cursor() as cursor:
        return connections[alias].introspection.table_names(cursor)


def ring(repository: object) -> DataProtection:
    return DataProtection("shop", repository=repository)  # type: ignore[arg-type]  # a URL or a repository


# --- migrate ----------------------------------------------------------------------------------------------------------


def test_migrate_creates_the_table_of_net(alias: str, url: str) -> None:
    migrated(alias)
    columns = sqlalchemy.inspect(sqlalchemy.create_engine(url)).get_columns(TABLE)
    assert [(each["name"], each["nullable"]) for each in columns] == [
        ("Id", False),
        ("FriendlyName", True),
        ("Xml", True),
    ]
    assert [type(each["type"]).__name__.upper() for each in columns][1:] in (["TEXT"] * 2, ["LONGTEXT"] * 2)


def test_the_table_holds_all_of_unicode_whatever_the_default_of_the_database(mariadb_url: str) -> None:
    engine = sqlalchemy.create_engine(mariadb_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} CHARACTER SET latin1")
    with django_database(mariadb_url) as alias:
        repository = DjangoKeyRepository(migrated(alias))
        added = document("é ∀ 𝄞")
        commit(repository, added)
        assert contents(repository) == [added.data]


def test_a_table_of_a_ring_under_a_url_is_kept(alias: str, url: str) -> None:
    token = ring(url).create_protector("cart").protect("3 apples")
    migrated(alias)
    assert ring(f"django:{alias}").create_protector("cart").unprotect(token) == "3 apples"


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_table_of_entity_framework_core_is_kept(
    kind: str, peer: Peer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    parsed = sqlalchemy.make_url(url)
    at_server = f"Host={parsed.host};Port={parsed.port};Username=postgres;Database={parsed.database}"
    connection = at_server if kind == "postgres" else f"Data Source={parsed.database}"
    net = peer.open({"kind": kind, "connection": connection}, app="shop")
    net.ask("sql.create")
    token = net.ask("protect.text", purposes=["cart"], text="3 apples")["text"]
    with django_database(url) as alias:
        ours = ring(f"django:{migrated(alias)}").create_protector("cart")
        assert ours.unprotect(token) == "3 apples"
        back = ours.protect("2 pears")
    assert net.ask("unprotect.text", purposes=["cart"], text=back)["text"] == "2 pears"


def test_going_back_keeps_the_keys(alias: str) -> None:
    token = ring(f"django:{migrated(alias)}").create_protector("cart").protect("3 apples")
    call_command("migrate", "dpmiddleware", "zero", database=alias, verbosity=0)
    migrated(alias)
    assert ring(f"django:{alias}").create_protector("cart").unprotect(token) == "3 apples"


def test_flush_and_dumpdata_leave_the_keys_alone(alias: str) -> None:
    call_command("migrate", database=alias, verbosity=0)
    token = ring(f"django:{alias}").create_protector("cart").protect("3 apples")
    shown = io.StringIO()
    call_command("dumpdata", database=alias, stdout=shown)
    assert "masterKey" not in shown.getvalue()
    call_command("flush", database=alias, interactive=False, verbosity=0)
    assert ring(f"django:{alias}").create_protector("cart").unprotect(token) == "3 apples"


def test_a_router_decides_where_the_table_is(alias: str) -> None:
    with override_settings(DATABASE_ROUTERS=[_Elsewhere()]):
        migrated(alias)
    assert TABLE not in tables(alias)


class _Elsewhere:
    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        return app_label != "dpmiddleware"


def test_sqlmigrate_shows_the_statement_and_makemigrations_finds_nothing_to_do(alias: str) -> None:
    migrated(alias)
    shown = io.StringIO()
    call_command("sqlmigrate", "dpmiddleware", "0001", database=alias, stdout=shown)
    assert "CREATE TABLE" in shown.getvalue()
    call_command("makemigrations", "dpmiddleware", check=True, dry_run=True, verbosity=0)


# --- check ------------------------------------------------------------------------------------------------------------


def findings(alias: str) -> list[Any]:
    with override_settings(DATA_PROTECTION={"application": "shop", "repository": f"django:{alias}"}):
        return [each for each in run_checks(databases=[alias]) if str(each.id).startswith("dpmiddleware")]


def test_a_missing_table_is_a_finding_of_check_database_until_migrate_was_run(alias: str) -> None:
    (finding,) = findings(alias)
    assert finding.id == "dpmiddleware.W007"
    assert TABLE in finding.msg
    assert finding.hint == f"run `manage.py migrate --database {alias}`"
    assert findings(migrated(alias)) == []


def test_migrate_itself_does_not_complain(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate", "--database", alias])
    assert findings(alias) == []


def test_checks_without_a_database_do_not_connect() -> None:
    with (
        django_database("postgresql+psycopg://nobody@127.0.0.1:1/none") as alias,
        override_settings(DATA_PROTECTION={"application": "shop", "repository": f"django:{alias}"}),
    ):
        assert [each for each in run_checks() if str(each.id).startswith("dpmiddleware")] == []


def test_an_alias_that_does_not_exist_is_an_error_of_the_settings() -> None:
    with override_settings(DATA_PROTECTION={"application": "shop", "repository": "django:defualt"}):
        (error,) = [each for each in run_checks() if each.id == "dpmiddleware.E001"]
    assert error.hint == "use default"


# --- start-up ---------------------------------------------------------------------------------------------------------


def test_a_server_that_starts_before_migrate_serves_once_it_was_run(alias: str) -> None:
    first, second = ring(f"django:{alias}"), ring(f"django:{alias}")
    with pytest.raises(KeyManagementError) as caught:
        first.start(wait=True)
    assert "migrate" in f"{caught.value} {caught.value.hint} {first.health()}"
    assert TABLE not in tables(alias)
    migrated(alias)
    token = second.create_protector("cart").protect("3 apples")
    until_it_serves(lambda: first.create_protector("cart").unprotect(token))


def until_it_serves(ask: Callable[[], object]) -> object:
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except KeyManagementError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# --- requests ---------------------------------------------------------------------------------------------------------


def buy(request: HttpRequest) -> HttpResponse:
    """Writes, creates the first key in the same request, and fails if it is told to."""
    with connections[request.GET["alias"]].cursor() as cursor:
        cursor.execute("INSERT INTO visits VALUES (1)")
    get_data_protection().create_protector("receipt").protect("1")
    request.session["bought"] = request.session.get("bought", 0) + 1
    if "fail" in request.GET:
        raise ZeroDivisionError
    return HttpResponse(str(request.session["bought"]))


urlpatterns = [path("buy", buy)]


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_first_key_is_made_in_a_request_that_is_a_transaction(kind: str, request: pytest.FixtureRequest) -> None:
    settings = {**settings_of(request.getfixturevalue(f"{kind}_url")), "ATOMIC_REQUESTS": True}
    with (
        django_database(settings) as alias,
        override_settings(
            ROOT_URLCONF=__name__,
            MIDDLEWARE=["dpmiddleware.django.sessions.SessionMiddleware"],
            DATA_PROTECTION={"application": "shop", "repository": f"django:{migrated(alias)}"},
        ),
    ):
        with connections[alias].cursor() as cursor:
            cursor.execute("CREATE TABLE visits (number INTEGER)")
        browser = Client(raise_request_exception=False)
        assert browser.get("/buy", {"alias": alias, "fail": "yes"}).status_code == 500
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM visits")
            assert cursor.fetchone()[0] == 0
        assert len(SqlKeyRepository(request.getfixturevalue(f"{kind}_url")).read().documents) == 1
        assert browser.get("/buy", {"alias": alias}).content == b"1"
        assert browser.get("/buy", {"alias": alias}).content == b"2"


# --- test runs --------------------------------------------------------------------------------------------------------

SETTINGS = """
SECRET_KEY = "of the project"
STATIC_URL = "/static/"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "dpmiddleware.django", "shop"
]
MIDDLEWARE = [
    "dpmiddleware.django.sessions.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"
]
SESSION_ENGINE = "dpmiddleware.django.sessions"
ROOT_URLCONF = "shop.urls"
DATABASES = {{"default": {database!r}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_PROTECTION = {{
    "application": "shop", "repository": "django:default", "TEST": {{"repository": "django:default"}}
}}
"""
MANAGE = """
import os, sys
import pymysql
from django.core.management import execute_from_command_line

pymysql.install_as_MySQLdb()
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
execute_from_command_line(sys.argv)
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

def count(request):
    request.session["n"] = request.session.get("n", 0) + 1
    return HttpResponse(f"{request.session['n']} {request.user.get_username()}")

urlpatterns = [path("count", count)]
"""
TESTS = """
from django.contrib.auth.models import User
from django.test import LiveServerTestCase, TestCase, TransactionTestCase
from urllib.request import urlopen

class Pages:
    def test_a_signed_in_user_is_counted(self):
        self.client.force_login(User.objects.create(username="ada"))
        self.assertEqual(self.client.get("/count").content, b"1 ada")
        self.assertEqual(self.client.get("/count").content, b"2 ada")

    def test_and_another_one(self):
        self.test_a_signed_in_user_is_counted()

class InATransaction(Pages, TestCase):
    @classmethod
    def setUpTestData(cls):
        User.objects.create(username="grace")

class Flushed(Pages, TransactionTestCase):
    pass

class Live(Pages, LiveServerTestCase):
    def test_the_server_has_the_ring_too(self):
        with urlopen(self.live_server_url + "/count") as answer:
            self.assertEqual(answer.read(), b"1 ")
            self.assertIn("sessionid=CfDJ8", answer.headers["Set-Cookie"])
"""


def project(folder: Path, database: dict[str, Any]) -> Path:
    (folder / "shop").mkdir(parents=True)
    (folder / "manage.py").write_text(MANAGE)
    files = {"settings": SETTINGS.format(database=database), "urls": URLS, "tests": TESTS, "__init__": ""}
    for name, text in files.items():
        (folder / "shop" / f"{name}.py").write_text(text)
    return folder


def run(folder: Path, *command: str, **variables: str) -> str:
    """What a command in the folder of a project prints, both streams; the test fails if it fails."""
    paths = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    environment = {**os.environ, **variables, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def manage(folder: Path, *arguments: str) -> str:
    return run(folder, "manage.py", *arguments)


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "sqlite", "SQLite with a test file"])
def test_the_tests_of_a_project_run(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Keys survive ``flush``, outlast transactions, and do not keep the database of the tests from being dropped."""
    given: str = request.getfixturevalue(f"{'sqlite' if 'SQLite' in kind else kind}_url")
    database = settings_of(given)
    if "SQLite" in kind:
        database["TEST"] = {"NAME": str(tmp_path / "test.db")}
    shown = manage(project(tmp_path / "project", database), "test", "shop", "--noinput")
    assert "Ran 7 tests" in shown
    assert "lost" not in shown
    with django_database(given) as alias:
        assert tables(alias) == []  # the database of the project itself


def test_the_commands_of_a_new_project(tmp_path: Path, sqlite_url: str) -> None:
    folder = project(tmp_path / "project", settings_of(sqlite_url))
    shown = manage(folder, "migrate")
    assert "Applying dpmiddleware.0001_keys... OK" in shown
    assert "W007" not in shown
    assert "No changes detected" in manage(folder, "makemigrations", "--check")
    assert "no issues" in manage(folder, "check", "--database", "default")
    assert f"Create the table {TABLE}, unless it exists" in manage(folder, "migrate", "dpmiddleware", "zero", "--plan")


def test_a_settings_file_may_make_the_object(tmp_path: Path, sqlite_url: str) -> None:
    """While it is being read, there are no settings that could be looked at."""
    folder = project(tmp_path / "project", settings_of(sqlite_url))
    with (folder / "shop" / "settings.py").open("a") as file:
        file.write("from dpmiddleware import DataProtection\n")
        file.write('DATA_PROTECTION = DataProtection("shop", repository="django:default")\n')
    assert "W007" in manage(folder, "check", "--database", "default")
    manage(folder, "migrate")
    assert "no issues" in manage(folder, "check", "--database", "default")


def test_dpm_reads_the_ring_of_a_project(tmp_path: Path, sqlite_url: str) -> None:
    folder = project(tmp_path / "project", settings_of(sqlite_url))
    manage(folder, "migrate")
    ring_of_project = ["--application", "shop", "--repository", "django:default"]
    run(folder, "-m", "dpmiddleware", "keys", "create", *ring_of_project, DJANGO_SETTINGS_MODULE="shop.settings")
    assert len(SqlKeyRepository(sqlite_url).read().documents) == 1
