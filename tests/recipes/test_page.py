"""docs/recipes.md and the recipes that `make test-recipes` carries out are the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.recipes.page import FILES, PAGE, PROTECTED, VERSIONS, File
from tests.recipes.recipes import HERE, RECIPES, Recipe

MOST_LINES = 7
EACH = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.slug)


def pinned(recipe: Recipe) -> dict[str, str]:
    pins = [pin.partition("==") for pin in recipe.pins.read_text("utf-8").splitlines()]
    return {name.lower().replace("_", "-"): version for name, _, version in pins}


def test_every_recipe_of_the_page_is_carried_out() -> None:
    assert len(RECIPES) == len(FILES) == 17
    assert {recipe.name for recipe in RECIPES} == FILES.keys() == VERSIONS.keys() == PROTECTED.keys()
    assert PAGE.read_text("utf-8").count("```python\n") == sum(map(len, FILES.values()))


@EACH
def test_a_recipe_is_short(recipe: Recipe) -> None:
    lines = [line for file in FILES[recipe.name] for line in file.text.splitlines()]
    assert 1 < len([line for line in lines if line and not line.startswith("#")]) <= MOST_LINES


@EACH
def test_the_page_names_the_versions_that_are_installed(recipe: Recipe) -> None:
    named = VERSIONS[recipe.name]
    assert named
    assert named.items() <= pinned(recipe).items()


@EACH
def test_the_page_names_the_cookies_that_are_seen_protected(recipe: Recipe) -> None:
    assert recipe.protected <= PROTECTED[recipe.name]


@EACH
def test_an_environment_is_exact_and_has_what_this_package_needs(recipe: Recipe) -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in recipe.pins.read_text("utf-8").splitlines())
    assert {"cryptography", "itsdangerous", "starlette", "werkzeug"} <= pinned(recipe).keys()


@EACH
def test_an_application_knows_nothing_of_this_package(recipe: Recipe) -> None:
    files = [path for path in recipe.folder.rglob("*") if path.is_file()]
    assert files or recipe.create
    assert not [path for path in files if "dpm" in path.read_text("utf-8").lower()]


def test_every_file_belongs_to_a_recipe() -> None:
    assert {recipe.pins for recipe in RECIPES} == set(HERE.glob("pins/*"))
    assert {recipe.folder for recipe in RECIPES if recipe.folder.exists()} == set(HERE.glob("applications/*"))


PLACES = {
    "a file of its own": (File("new/a.py", "", "", "b = 2"), "new/a.py", "\nb = 2\n"),
    "at the end": (File("a.py", "at the end", "", "b = 2"), "a.py", "x = 1\nf(1)\ny = 3\n\nb = 2\n"),
    "before a line": (File("a.py", "before", "f(", "b = 2"), "a.py", "x = 1\n\nb = 2\n\nf(1)\ny = 3\n"),
    "instead of a line": (File("a.py", "instead of", "f(", "b = 2"), "a.py", "x = 1\n\nb = 2\n\ny = 3\n"),
}


@pytest.mark.parametrize(("file", "name", "written"), PLACES.values(), ids=PLACES)
def test_a_block_goes_where_its_first_line_says(file: File, name: str, written: str, tmp_path: Path) -> None:
    tmp_path.joinpath("a.py").write_text("x = 1\nf(1)\ny = 3\n", "utf-8")
    file.put_into(tmp_path)
    assert tmp_path.joinpath(name).read_text("utf-8").split() == written.split()


def test_a_line_that_is_not_there_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("a.py").write_text("x = 1\n", "utf-8")
    with pytest.raises(AssertionError, match=r"no line of a\.py begins with f"):
        File("a.py", "before", "f", "b = 2").put_into(tmp_path)
