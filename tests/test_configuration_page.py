"""The page on configuration lists every setting as each place writes it, with the default that the code has."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection, RotationPolicy
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.django.apps import _SETTINGS
from dpmiddleware.durations import duration
from dpmiddleware.keys.policy import POLICY_SETTINGS, no_limit
from dpmiddleware.names import _OTHER_VARIABLES
from dpmiddleware.naming import FLASK, OPTION, VARIABLE
from dpmiddleware.settings import SETTINGS
from tests.test_documents_run import every_verb, help_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
HELP = "\n".join(help_of(verb) for verb in every_verb())
OBJECTS = ("policy", "clock")
"""Arguments that no text can describe."""
QUICK_STARTS = (
    "README.md",
    "docs/flask.md",
    "docs/quart.md",
    "docs/django.md",
    "docs/starlette.md",
    "docs/wsgi-asgi.md",
)
FOR_TESTS = {name for name in _OTHER_VARIABLES if name != "DPM_PURE_PYTHON"}


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading: its first column → the others."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:3] == "| `"
    ]
    return {first.strip("|` "): [cell.strip(" |") for cell in rest] for first, *rest in cells}


NAMES, MEANING = rows("Names"), rows("Meaning")


def test_every_setting_is_in_both_tables() -> None:
    assert tuple(NAMES) == SETTINGS
    assert tuple(MEANING) == (*SETTINGS, *OBJECTS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_written_as_each_place_has_it(name: str) -> None:
    variable, flask, option = NAMES[name]
    assert (variable, flask) == (f"`{VARIABLE.write(name)}`", f"`{FLASK.write(name)}`")
    shown = "-" if name == "auto_create_keys" else f"`{OPTION.write(name)}`"
    assert option.partition(" of ")[0] == shown
    if shown != "-":
        assert re.search(rf"{shown.strip('`')} [A-Z]", HELP), "dpm has this option"


def test_every_argument_of_the_constructor_is_listed() -> None:
    named = set(inspect.signature(DataProtection).parameters) - {"time_spans"}
    assert named | set(POLICY_SETTINGS) == set(MEANING)


def test_the_defaults_are_those_of_the_code() -> None:
    signature = inspect.signature(DataProtection).parameters
    shown: dict[str, Any] = {name: cells[0].strip("`") for name, cells in MEANING.items()}
    for field in fields(RotationPolicy):
        assert shown[field.name] == no_limit(field.default)  # type: ignore[arg-type]  # a time span or None
        assert shown[field.name] == "none" or duration(shown[field.name]) == field.default
    assert Algorithm[shown["algorithm"]] is signature["algorithm"].default
    assert shown["auto_create_keys"] == str(signature["auto_create_keys"].default)
    assert {shown["key_wrapper"], shown["signer"]} == {"None"}
    assert (signature["key_wrapper"].default, signature["signer"].default) == (None, None)
    assert (signature["trusted_signers"].default, shown["trusted_signers"]) == ((), "none")
    assert (signature["application"].default, shown["application"]) == (inspect.Parameter.empty, "required")


def test_the_names_of_the_frameworks_are_listed() -> None:
    listed = rows("Names of the frameworks")
    assert set(listed) == {*_SETTINGS, "SESSION_COOKIE_MAX_TOTAL", 'DATA_PROTECTION["TEST"]'} - {"DATA_PROTECTION"}


def test_every_variable_that_is_not_a_setting_is_listed_unless_it_is_for_tests() -> None:
    listed = {name for name in rows("Other variables") if name.startswith("DPM_")}
    assert listed == set(_OTHER_VARIABLES) - FOR_TESTS
    package = "".join(path.read_text("utf-8") for path in (ROOT / "dpmiddleware").rglob("*.py") if path.stem != "names")
    assert not [name for name in FOR_TESTS if re.search(rf"\b{name}\b", package)]


@pytest.mark.parametrize("page", [*QUICK_STARTS, "docs/operations.md", "docs/configuration.md"])
def test_every_quick_start_shows_the_settings_of_the_environment(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    code = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert "DataProtection.from_env()" in code
    assert page.endswith("configuration.md") or "configuration.md" in text
