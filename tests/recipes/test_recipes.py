"""The recipes of docs/recipes.md, carried out: an application first runs without its recipe, then with it.

``make test-recipes`` installs each application into an environment of its own, with the versions below ``pins``; the
environments are kept with those of `tests.upstream`. Recipes whose packages the tests have anyway run in the ordinary
suite, too. To move to other versions, install them into an empty virtual environment, write ``pip freeze`` to the file
below ``pins``, and change the table on the page.
"""

from __future__ import annotations

import base64
import copy
import os
import re
import secrets
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.live.browser import Browser
from tests.live.serving import Site, start
from tests.recipes.page import FILES
from tests.recipes.recipes import RECIPES, Recipe
from tests.servers import ROOT
from tests.upstream.installation import prepare_environment

PROTECTED = "CfDJ8"
"""How every payload begins."""
CHUNKED = re.compile(r"chunks-(\d)")
"""The value of a cookie whose payload is in others."""


class Application:
    """An application in a folder of its own, with a ring that its processes share."""

    def __init__(self, recipe: Recipe, python: Path, folder: Path) -> None:
        self.recipe = recipe
        self._python = python
        self._folder = folder
        self._environment = {
            "DPM_APPLICATION": "shop",
            "DPM_REPOSITORY": str(folder / "keys"),
            "DPM_KEY_WRAPPER": "secret:env:RING_SECRET",
            "RING_SECRET": base64.b64encode(secrets.token_bytes(32)).decode(),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        for command in recipe.create:
            self._run(*command)
        for path in filter(Path.is_file, recipe.folder.rglob("*")):
            self._add(path.relative_to(recipe.folder), path.read_text("utf-8"))
        self._prepare()
        for command in recipe.fill:
            self._run(*command)

    def follow_the_recipe(self) -> None:
        """Do what the page says."""
        for file in FILES[self.recipe.name]:
            file.put_into(self._folder)
        self._prepare()

    def served(self, command: tuple[str, ...]) -> AbstractContextManager[Site]:
        """One process of it; ``command`` is that of the recipe."""
        program = shutil.which(command[0], path=self._environment["PATH"]) or command[0]
        return start(
            self.recipe.slug,
            lambda port, _: [program, *(word.format(port=port) for word in command[1:])],
            self._folder,
            **self._environment,
        )

    def _add(self, name: Path, text: str) -> None:
        """To the end of a file, or as a new one."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}" if file.tell() else text)

    def _prepare(self) -> None:
        for command in self.recipe.prepare:
            self._run(*command)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=os.environ | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"


@pytest.mark.recipes
@pytest.mark.timeout(900)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.slug)
def test_a_recipe_protects_an_application_in_its_own_environment(recipe: Recipe, tmp_path: Path) -> None:
    carry_out(recipe, Application(recipe, prepare_environment(recipe.pins), tmp_path))


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.in_tests], ids=lambda recipe: recipe.slug)
def test_a_recipe_protects_an_application_in_the_environment_of_the_tests(recipe: Recipe, tmp_path: Path) -> None:
    carry_out(recipe, Application(recipe, Path(sys.executable), tmp_path))


def carry_out(recipe: Recipe, application: Application) -> None:
    """A user signs in and out, before the recipe is followed and after."""
    with application.served(recipe.serve) as site:
        early = visitor_who_signs_in(site, recipe)
        assert recipe.protected <= names_of(early, protected=False)
        assert not names_of(early, protected=True)
        assert recipe.signed_in(early), site.log()
        left = cookies_after_a_sign_out(visitor_who_signs_in(site, recipe), recipe)

    application.follow_the_recipe()
    with application.served(recipe.serve) as site, application.served(recipe.serve) as another:
        early.port = site.port
        assert not recipe.signed_in(early), "a cookie of before is answered, and is not a sign-in"

        ada = visitor_who_signs_in(site, recipe)
        assert recipe.protected <= names_of(ada, protected=True)
        assert names_of(ada, protected=False) <= recipe.others
        assert recipe.signed_in(ada), site.log()
        assert not recipe.signed_in(forger_of(ada))

        ada.port = another.port
        assert recipe.signed_in(ada), "a process with the same ring reads the session back"
        assert cookies_after_a_sign_out(ada, recipe) == left, "as without the recipe"
        for each in (another, site):
            ada.port = each.port
            assert not recipe.signed_in(ada)


def visitor_who_signs_in(site: Site, recipe: Recipe) -> Browser:
    """A new one, who was unknown before."""
    browser = Browser(site.port, "localhost", {"X-Forwarded-Proto": "http", "Accept": "text/html"})
    assert not recipe.signed_in(browser)
    recipe.sign_in(browser)
    return browser


def cookies_after_a_sign_out(browser: Browser, recipe: Recipe) -> list[str]:
    """Their names, when the user has looked at a page again."""
    recipe.sign_out(browser)
    assert not recipe.signed_in(browser)
    return browser.jar.names()


def names_of(browser: Browser, *, protected: bool) -> set[str]:
    """The cookies with a payload of ours, or the others. A long one is in several: ``name``, ``nameC1``, ``nameC2``."""
    values = {place.name: cookie.value for place, cookie in browser.jar.cookies.items()}
    for name, number in [(name, CHUNKED.fullmatch(value)) for name, value in values.items()]:
        if number:
            values[name] = "".join(values.pop(f"{name}C{each}") for each in range(1, int(number[1]) + 1))
    return {name for name, value in values.items() if value.startswith(PROTECTED) is protected}


def forger_of(browser: Browser) -> Browser:
    """Another one with the same cookies, whose payloads have one character changed."""
    jar = copy.deepcopy(browser.jar)
    for cookie in jar.cookies.values():
        if cookie.value.startswith(PROTECTED):
            middle = len(cookie.value) // 2
            changed = "A" if cookie.value[middle] != "A" else "B"
            cookie.value = cookie.value[:middle] + changed + cookie.value[middle + 1 :]
    return Browser(browser.port, browser.host, browser.headers, jar=jar)
