"""The README is the first screen, and the description of the package on the index: its links and its output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_documents_run import BLOCK, LINK, PYTHON, ROOT, anchors

README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
ON_CODE_HOST = PROJECT["urls"]["Source"] + "/blob/main/"
PICTURES_ON_CODE_HOST = PROJECT["urls"]["Source"].replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
PICTURES = dict(re.findall(r"!\[([^\]]+)\]\[([\w-]+)\]", TEXT))
"""Alternative texts and names."""
DEFINED = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", TEXT, re.MULTILINE))
USED = set(re.findall(r"\]\[([\w-]+)\]", BLOCK.sub("", TEXT)))

DJANGO = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=INSTALLED_APPS, MIDDLEWARE=MIDDLEWARE, SESSION_ENGINE=SESSION_ENGINE,
    SIGNING_BACKEND=SIGNING_BACKEND, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["testserver"], ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
import django
django.setup()
from django.http import HttpResponse
from django.test import Client
from django.urls import path

def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))

urlpatterns = [path("count", count)]
browser = Client()
browser.get("/count")
assert browser.get("/count").content == b"2"
assert browser.cookies["sessionid"].value.startswith("CfDJ8")
"""


def run(code: str, folder: Path) -> tuple[int, str]:
    """Run it, with the warnings that Python shows to developers. The exit status, and all that was printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DPM_")}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        cwd=folder,
        env={**environment, "HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_link_has_a_target_and_every_target_a_link() -> None:
    assert DEFINED.keys() == USED
    assert not LINK.findall(BLOCK.sub("", TEXT)), "use [text][name], with the address at the end of the file"


@pytest.mark.parametrize("name", sorted(DEFINED))
def test_a_link_is_absolute_and_leads_to_a_file_of_the_project(name: str) -> None:
    """Relative links lead nowhere on the package index. A picture is the file itself, not the page about it."""
    host = PICTURES_ON_CODE_HOST if name in PICTURES.values() else ON_CODE_HOST
    path, _, anchor = DEFINED[name].removeprefix(host).partition("#")
    assert DEFINED[name].startswith(host)
    assert ROOT.joinpath(path).is_file()
    assert not anchor or anchor in anchors(ROOT / path)


def test_the_pictures_are_those_in_the_folder_and_say_in_words_what_they_show() -> None:
    shown = {DEFINED[name].rpartition("/")[2] for name in PICTURES.values()}
    assert shown == {file.name for file in ROOT.glob("docs/pictures/*")}
    assert all(len(text) > 80 for text in PICTURES)


@pytest.mark.parametrize("url", PROJECT["urls"].values())
def test_the_addresses_of_the_project_are_on_the_code_host(url: str) -> None:
    assert url.startswith(PROJECT["urls"]["Source"])
    assert "/blob/main/" not in url or ROOT.joinpath(url.partition("/blob/main/")[2]).is_file()


def test_the_first_output_of_the_examples_is_not_a_warning(tmp_path: Path) -> None:
    """They print nothing, and log nothing at a level that Python shows without a configuration."""
    assert run("\n".join(block.text for block in PYTHON[README]), tmp_path) == (0, "")


def test_the_lines_for_django_encrypt_its_sessions(tmp_path: Path) -> None:
    settings, *_ = [block.text for block in PYTHON[README]]
    [django] = [block.text for block in PYTHON[README] if "INSTALLED_APPS" in block.text]
    status, printed = run(f"{settings}\n{django}\n{DJANGO}", tmp_path)
    assert status == 0, printed


def test_the_first_sentences_are_about_what_a_python_developer_gets() -> None:
    opening = TEXT.partition("```")[0]
    assert "Flask, Django, FastAPI" in opening
    assert ".NET" not in opening
