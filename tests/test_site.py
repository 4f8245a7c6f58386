"""The site of the documentation: what is added to the pages and the docstrings. `make docs` builds all of it."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from dpmiddleware.web import public
from tests.test_documented_imports import FRONT

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
URLS = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]["urls"]


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The two extensions that change text."""
    monkeypatch.syspath_prepend(DOCS / "extensions")
    return import_module("pages"), import_module("docstrings")


def test_the_contents_of_the_site_are_the_tables_of_the_first_page(extensions: tuple[ModuleType, ModuleType]) -> None:
    pages, _ = extensions
    readme = DOCS.joinpath("README.md").read_text("utf-8")
    contents = pages.contents(readme)
    captions = [line.removeprefix(":caption: ") for line in contents.splitlines() if line.startswith(":caption:")]
    assert captions == ["Tutorial", "How to", "Reference", "Explanation"]
    assert "\nThe command dpm <dpm>\n" in contents
    assert contents.count("<") == sum(line.startswith("| [") for line in readme.splitlines())


def test_a_link_out_of_the_documentation_leads_to_the_code_host(extensions: tuple[ModuleType, ModuleType]) -> None:
    pages, _ = extensions
    host = URLS["Source"] + "/blob/main/"
    assert pages.link_to_code_host("see [it](../SECURITY.md#a) and [slots](slots.md)", host) == (
        f"see [it]({host}SECURITY.md#a) and [slots](slots.md)"
    )


LISTS = {
    "one line each": (["name: what it is", "`b`: another"], [":param name: what it is", "    `b`: another"]),
    "code": (["``parts``: further ones"], [":param parts: further ones"]),
    "several names": (["a, b: paths", "of files"], [":param a: paths", ":param b: paths", "    of files"]),
    "an end": (["a: one", "", "Text: more"], [":param a: one", "", "Text: more"]),
    "no list": (["Options: see there", "a: not the beginning"], ["Options: see there", "a: not the beginning"]),
}


@pytest.mark.parametrize(("lines", "written"), LISTS.values(), ids=LISTS)
def test_a_list_of_parameters_in_a_docstring_becomes_fields(
    lines: list[str], written: list[str], extensions: tuple[ModuleType, ModuleType]
) -> None:
    _, docstrings = extensions
    assert docstrings.with_fields(lines) == written


@pytest.mark.parametrize("module", sorted(FRONT | {public.__name__}))
def test_what_users_import_from_has_a_page_in_the_reference(module: str) -> None:
    """The build fails if a name of such a module is missing on the page."""
    assert f".. automodule:: {module}\n" in DOCS.joinpath("api", f"{module}.rst").read_text("utf-8")
    assert f"   {module}\n" in DOCS.joinpath("api", "index.rst").read_text("utf-8")


def test_nothing_in_the_site_is_fetched_from_elsewhere() -> None:
    """No intersphinx, no web fonts, no scripts of a content delivery network: it builds and works without a network."""
    text = DOCS.joinpath("conf.py").read_text("utf-8")
    assert "https:" not in text
    assert "intersphinx" not in text
