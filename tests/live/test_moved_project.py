"""docs/migration.md, followed for a new project of Django: whoever is signed in to its admin stays signed in."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.live import serving
from tests.live.browser import Answer, Browser
from tests.live.serving import Site
from tests.servers import ROOT
from tests.test_documents_run import blocks
from tests.testing.pytest_runs import run

PAGE = ROOT / "docs" / "migration.md"
[LINES] = [block.text for block in blocks(PAGE) if block.text.startswith("# shop/settings.py")]
DATE = re.compile(r"datetime\(\d+, \d+, \d+, ")
PASSWORD = "apples and pears"


class Project:
    """What ``django-admin startproject shop .`` writes, with one superuser."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings = folder / "shop" / "settings.py"
        run(folder, "-m", "django", "startproject", "shop", ".").check_returncode()
        self.manage("migrate")
        self.manage("createsuperuser", "--noinput", "--username=ada", "--email=ada@shop.example")

    def manage(self, *words: str) -> str:
        """What a command prints, both streams. It has to succeed."""
        done = run(self._folder, "manage.py", *words, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def add(self, lines: str) -> None:
        """Write at the end of the settings."""
        with self._settings.open("a", encoding="utf-8") as settings:
            settings.write(f"\n{lines}")

    def served(self) -> AbstractContextManager[Site]:
        """The project in a server."""
        options = ("--pythonpath", str(self._folder))
        return serving.gunicorn("shop.wsgi:application", *options, DJANGO_SETTINGS_MODULE="shop.settings")


def lines_for_today() -> str:
    """Those of the page, with the date that a reader would write on the day of the switch."""
    last = datetime.now(timezone.utc) + timedelta(days=13)
    return DATE.sub(f"datetime({last.year}, {last.month}, {last.day}, ", LINES)


def sign_in(ada: Browser) -> None:
    form = ada.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    assert token
    ada.post("/admin/login/", {"csrfmiddlewaretoken": token[1], "username": "ada", "password": PASSWORD})


def is_admin(answer: Answer) -> bool:
    return answer.status == 200 and "<strong>ada</strong>" in answer.text


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_admin_of_a_new_project_stays_signed_in(project: Project) -> None:
    ada = Browser(1, "localhost", {"X-Forwarded-Proto": "http"})
    with project.served() as before:
        ada.port = before.port
        sign_in(ada)
        assert is_admin(ada.get("/admin/"))
    project.add(lines_for_today())
    project.manage("migrate")
    assert "dpmiddleware.W003" not in (said := project.manage("check", "--deploy"))
    assert "dpmiddleware.W002" in said, "the page says: in production, add key_wrapper"
    with project.served() as after:
        ada.port = after.port
        assert is_admin(taken := ada.get("/admin/"))
        assert any(line.startswith("sessionid=CfDJ8") for line in taken.all("set-cookie"))
        assert is_admin(ada.get("/admin/"))
        assert "unprotect_refused: payload refused reason=malformed" in after.log()
    assert "1 key" in project.manage("dataprotection", "keys", "list")


def test_the_lines_of_the_page_refuse_a_date_after_the_last_old_session(project: Project) -> None:
    project.add(DATE.sub(f"datetime({datetime.now(timezone.utc).year + 1}, 12, 31, ", LINES))
    with pytest.raises(AssertionError, match="later than the end of the last old cookie"):
        project.manage("check")
