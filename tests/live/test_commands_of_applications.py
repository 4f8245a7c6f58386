"""The commands as an operator types them, in processes: ``manage.py``, ``flask``, ``quart`` and ``dpm --app``.

Each works on the ring of an application, and the application sees what was done.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOP = """
import NAME
from dpmiddleware.NAME import ProtectedSessions, get_data_protection

def create_app():
    app = NAME.CLASS("shop")
    app.config.update(
        DATA_PROTECTION_APPLICATION="shop", DATA_PROTECTION_REPOSITORY="keys",
        DATA_PROTECTION_KEY_WRAPPER="secret:env:RING_SECRET", DATA_PROTECTION_POLL="3s", SESSION_COOKIE_SECURE=True,
    )
    ProtectedSessions(app)
    return app

app = create_app()
dp = get_data_protection(app)
"""
SETTINGS = """
import os
SECRET_KEY, ALLOWED_HOSTS = "x" * 50, ["*"]
INSTALLED_APPS = ["django.contrib.sessions", "dpmiddleware.django"]
MIDDLEWARE = ["dpmiddleware.django.sessions.SessionMiddleware"]
SESSION_ENGINE = "dpmiddleware.django.sessions"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DATA_PROTECTION = {
    "application": "shop", "repository": os.environ["PLACE"], "key_wrapper": "secret:env:RING_SECRET", "poll": "3s"
}
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
"""
HANDLER = """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_wsgi_application()
"""


FRAMEWORKS = {"flask": "Flask", "quart": "Quart"}
"""The modules with their classes; the shop of Quart is the module ``quart_shop``."""
FLASK = "python -m flask --app flask_shop data-protection"
QUART = "python -m quart --app quart_shop data-protection"


@dataclass(frozen=True)
class Case:
    """A command, how it is typed, and where the ring of its application is. named: ``repository`` in its settings."""

    command: tuple[str, ...]
    typed: str
    place: str
    named: str


CASES = {
    "manage.py, a folder": Case(("manage.py", "dataprotection"), "manage.py dataprotection", "keys", 'N["repository"]'),
    "manage.py, its database": Case(
        ("manage.py", "dataprotection"), "manage.py dataprotection", "django:default", 'N["repository"]'
    ),
    "dpm --app of Django": Case(
        ("-m", "dpmiddleware", "--app", "handler:application"),
        "dpm --app handler:application",
        "django:default",
        'N["repository"]',
    ),
    "flask": Case(("-m", "flask", "--app", "flask_shop", "data-protection"), FLASK, "keys", "N_REPOSITORY"),
    "quart": Case(("-m", "quart", "--app", "quart_shop", "data-protection"), QUART, "keys", "N_REPOSITORY"),
    "dpm --app of Flask": Case(
        ("-m", "dpmiddleware", "--app", "flask_shop:app"), "dpm --app flask_shop:app", "keys", "N_REPOSITORY"
    ),
    "dpm --app of Quart": Case(
        ("-m", "dpmiddleware", "--app", "quart_shop:app"), "dpm --app quart_shop:app", "keys", "N_REPOSITORY"
    ),
}


class Site:
    """The files of both applications, and the commands in their folder."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.folder, self.case = folder, case
        shops = {f"{name}_shop": SHOP.replace("NAME", name).replace("CLASS", FRAMEWORKS[name]) for name in FRAMEWORKS}
        for name, text in {**shops, "settings": SETTINGS, "manage": MANAGE, "handler": HANDLER}.items():
            (folder / f"{name}.py").write_text(text)
        entry_points(folder / "installed")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("DPM_", "DJANGO_"))}
        paths = os.pathsep.join([str(ROOT), str(folder / "installed")])
        secrets = {"RING_SECRET": "11" * 32, "PLACE": case.place, "HOME": str(folder)}
        self.variables = ours | secrets | {"PYTHONPATH": paths}

    def run(self, *words: str, status: int | None = 0) -> str:
        """What a verb printed."""
        return self.python(*self.case.command, *words, status=status)

    def python(self, *words: str, status: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert status in {None, done.returncode}, done.stdout + done.stderr
        return done.stdout + done.stderr

    def default_key(self) -> str:
        """The key that protects, as the application itself finds it."""
        shop = "quart_shop" if "quart_shop" in self.case.typed else "flask_shop"
        program = f"from {shop} import dp; print(dp.current().protecting_key().id)"
        if "django" in self.case.place or "manage.py" in self.case.command:
            program = (
                "import handler; from dpmiddleware.django import get_data_protection; "
                "print(get_data_protection().current().protecting_key().id)"
            )
        return self.python("-c", program).splitlines()[0]


def entry_points(folder: Path) -> None:
    """The package's entry points as its installation has them, so that the test needs no new installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (folder / "checkout-0.dist-info").mkdir(parents=True)
    (folder / "checkout-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: checkout\nVersion: 0\n")
    lines = []
    for group in (f"{framework}.commands" for framework in FRAMEWORKS):
        lines += [f"[{group}]", *(f"{name} = {at}" for name, at in project["entry-points"][group].items())]
    (folder / "checkout-0.dist-info" / "entry_points.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("name", CASES)
def test_an_operator_lists_checks_rotates_and_revokes(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    site = Site(tmp_path, case)
    written = case.named.replace("N", "DATA_PROTECTION")
    if case.place == "django:default":
        assert "run `manage.py migrate`" in site.run("keys", "list", status=1)
        site.python("manage.py", "migrate", "-v", "0")
    nothing = site.run("keys", "list", status=1)
    assert f"correct {written}, or start a new ring with `{case.typed} keys create`" in nothing
    created = re.findall(r"created ([0-9a-f-]{36}) in ", site.run("keys", "create", "--now"))[0]
    assert site.default_key() == created, "the application runs on what was made"
    assert created in site.run("keys", "list", "--wide")
    assert "no key is due" in site.run("keys", "rotate", "--if-due")
    checked = site.run("check", status=None)
    problems = re.findall(r"^problem: .*\[(\w+)\]$", checked, re.MULTILINE)
    assert set(problems) <= {"lost_with_container"}, "a test may run in a container"
    assert "ring shop" in checked
    assert "use --" not in checked
    refused = site.run("keys", "list", "--repository", "another", status=2)
    assert "`--repository` is not used here" in refused
    assert written in refused
    revoked = site.run("keys", "revoke", created, "--yes")
    assert "effective in every member within 3 s" in revoked, "the application's own poll"
    assert site.default_key() != created


def test_django_and_the_verbs_share_their_options(tmp_path: Path) -> None:
    """Django's own options can be anywhere; ``--help`` is that of the verbs; ``check`` says what Django's says."""
    site = Site(tmp_path, CASES["manage.py, its database"])
    site.python("manage.py", "migrate", "-v", "0")
    site.run("keys", "create", "--settings", "settings", "--traceback")
    assert "1 key" in site.run("--pythonpath", ".", "keys", "list", "--wide", "--no-color", "-v", "2")
    assert site.run("--help").startswith("usage: manage.py dataprotection [-h] [--version] VERB")
    ours = set(re.findall(r"dpmiddleware\.W\d+", site.python("manage.py", "check", "--deploy")))
    assert ours == {"dpmiddleware.W004", "dpmiddleware.W005"}
    assert ours == set(re.findall(r"dpmiddleware\.W\d+", site.run("check")))


@pytest.mark.parametrize(("framework", "kind"), FRAMEWORKS.items())
def test_the_framework_lists_the_command_and_explains_an_application_without_a_ring(
    framework: str, kind: str, tmp_path: Path
) -> None:
    site = Site(tmp_path, CASES[framework])
    (tmp_path / "bare.py").write_text(f"import {framework}\napp = {framework}.{kind}('bare')\n")
    assert "data-protection" in site.python("-m", framework, "--app", f"{framework}_shop", "--help")
    printed = site.python("-m", framework, "--app", "bare", "data-protection", "keys", "list", status=2)
    refused = f"{framework} --app bare data-protection: error: the application is a {kind} without data protection"
    assert refused in printed
