"""What users type in the documentation is imported from the package, its errors, or a framework's own package."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpmiddleware.web import public

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("example_apps/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

FRAMEWORKS = [f"dpmiddleware.{name}" for name in ("asgi", "django", "flask", "quart", "starlette", "wsgi")]
TESTING = {"dpmiddleware.testing", "dpmiddleware.testing.contracts"}
FRONT = {"dpmiddleware", "dpmiddleware.cross_origin", "dpmiddleware.errors", *FRAMEWORKS, *TESTING}
MODULES_OF_THE_PACKAGE = {
    ("dpmiddleware", "purposes"),
    ("dpmiddleware", "telemetry"),
    ("dpmiddleware.django", "signing"),
}
SPECIAL = {
    "dpmiddleware.at_rest.secret_key": "a wrapper as an object",
    "dpmiddleware.crypto.secret": "the formats, computed by hand",
    "dpmiddleware.keys.interfaces": "an adapter of one's own",
    "dpmiddleware.keys.signers": "a signer as an object",
    "dpmiddleware.keys.xml": "the formats, computed by hand",
    "dpmiddleware.repositories.azure_blob": "a store with a client of the application's own",
    "dpmiddleware.repositories.redis": "a store with a client of the application's own",
}
"""Modules for those who give objects where a URL would do, or read what the formats say; never one of ``web``."""
VERBS = {"authenticate", "challenge", "forbid", "login_required", "sign_in", "sign_out", "current_principal"}


def imports(page: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what the Python blocks of a page import from this package; no name: the module itself."""
    for block in BLOCK.findall(page.read_text("utf-8")):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names if alias.name.startswith("dpmiddleware"))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dpmiddleware"):
                yield from ((node.module or "", alias.name) for alias in node.names)


IMPORTED = sorted({found for page in PAGES for found in imports(page)})


@pytest.mark.parametrize(("module", "name"), IMPORTED, ids=lambda part: part or "itself")
def test_a_documented_name_comes_from_a_module_that_users_know(module: str, name: str) -> None:
    assert module in FRONT | SPECIAL.keys()
    if (module, name) not in MODULES_OF_THE_PACKAGE:
        assert name in importlib.import_module(module).__all__


def test_every_special_module_is_used_somewhere() -> None:
    assert {module for module, _ in IMPORTED} >= SPECIAL.keys()
    assert not any(module.startswith("dpmiddleware.web") for module in SPECIAL)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_each_framework_hands_on_what_all_users_type(module: str) -> None:
    package = importlib.import_module(module)
    assert set(public.__all__) <= set(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    assert len(package.__all__) == len(set(package.__all__))


@pytest.mark.parametrize(
    "module", ["dpmiddleware.django", "dpmiddleware.flask", "dpmiddleware.quart", "dpmiddleware.starlette"]
)
def test_the_verbs_are_the_same_in_every_framework(module: str) -> None:
    assert set(importlib.import_module(module).__all__) >= VERBS


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("example_apps/**/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_an_example_does_not_reach_into_the_web_rooms_for_what_users_type(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    from_web = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dpmiddleware.web")
        for alias in node.names
    }
    assert not from_web & set(public.__all__)
