"""Imports inside the package go one way: a module imports modules of lower rungs. Imports for type checking are free.

Modules of one rung may import each other, but not in a cycle. Imports inside functions count, too. A module that is not
in the table belongs to the modules that import it, and its imports count as theirs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dpmiddleware"

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def rungs() -> tuple[tuple[str, ...], ...]:
    """The ladder as docs/architecture.md shows it, from the bottom of the package to its top."""
    block = PAGE.partition("## The import ladder")[2].split("```")[1]
    found: list[list[str]] = []
    for line in block.strip("\n").splitlines():
        number, names = line[:2].strip(), line[4:].split()
        if number:
            assert int(number) == len(found), line
            found.append([])
        found[-1] += ["" if name == "(dpmiddleware)" else name for name in names]
    return tuple(map(tuple, found))


RUNGS = rungs()
PACKAGES_OF_NO_RUNG = {
    *("crypto", "keys", "protection"),
    *("web", "web.cookies", "web.device_bound", "web.sessions", "web.sign_in"),
}
"""Their ``__init__`` is a docstring."""

CORE_LIBRARIES = {"cryptography", "itsdangerous", "starlette", "werkzeug"}
OWN_FRAMEWORK = {
    "flask": {"flask"},
    "django": {"django"},
    "quart": {"flask", "hypercorn", "quart"},
    "starlette.dependencies": {"fastapi"},
    "cli.django_findings": {"django"},
    "click_command": {"click"},
    "cross_origin.django": {"django"},
    "cross_origin.flask": {"flask"},
    "cross_origin.quart": {"quart"},
    "testing.plugin": {"pytest"},
    "testing.quart_clients": {"quart"},
    "testing.contracts": {"pytest"},
    "testing.flask_pages": {"flask"},
    "testing.django_clients": {"django"},
}
"""Modules that exist for one framework import it at the top; a package stands for its modules."""

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def rung_of(module: str) -> int | None:
    """The rung of ``module``: that of the longest name in the table that is the module or a package around it."""
    named = {name: number for number, rung in enumerate(RUNGS) for name in rung}
    parts = module.split(".")
    around = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((named[name] for name in around if name in named), None)


def imports_of(tree: ast.AST, module: str, *, lazy: bool = True) -> Iterator[str]:
    """Full names of what a module imports, in the order of the text; without ``lazy`` only what it imports at once."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports_of(other, module, lazy=lazy)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{origin_of(node, module)}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports_of(node, module, lazy=lazy)


def origin_of(node: ast.ImportFrom, module: str) -> str:
    """What stands between *from* and *import*, as a full name."""
    if not node.level:
        return node.module or ""
    here = ["dpmiddleware", *module.split(".")] if module else ["dpmiddleware"]
    is_package = MODULES.get(module, Path()).name == "__init__.py"
    around = here[: len(here) - node.level + is_package]
    return ".".join([*around, *([node.module] if node.module else [])])


def own_imports(module: str) -> set[str]:
    """The modules of this package that ``module`` imports, without the leading ``dpmiddleware.``."""
    found = set()
    for name in imports_of(ast.parse(MODULES[module].read_text("utf-8")), module):
        first, _, rest = name.partition(".")
        if first == "dpmiddleware":
            while rest and rest not in MODULES:
                rest = rest.rpartition(".")[0]
            found.add(rest)
    return found - {module}


def named_imports(module: str) -> set[str]:
    """The modules with a rung that ``module`` imports, itself or through modules without one."""
    found: set[str] = set()
    seen: set[str] = set()
    to_read = [module]
    while to_read:
        for other in own_imports(to_read.pop()) - seen:
            seen.add(other)
            if rung_of(other) is None:
                to_read.append(other)
            else:
                found.add(other)
    return found - {module}


@pytest.mark.parametrize("module", [name for name in MODULES if rung_of(name) is not None])
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    rung = rung_of(module) or 0
    above = {other for other in named_imports(module) if (rung_of(other) or 0) > rung}
    assert not above, f"{module} (rung {rung}) imports upwards: {sorted(above)}"


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: own_imports(module) for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(name or "dpmiddleware" for name in error.args[1]))


@pytest.mark.parametrize("package", sorted(PACKAGES_OF_NO_RUNG & set(MODULES)))
def test_the_front_page_of_an_inner_package_is_a_docstring(package: str) -> None:
    assert not list(imports_of(ast.parse(MODULES[package].read_text("utf-8")), package))
    assert ast.get_docstring(ast.parse(MODULES[package].read_text("utf-8")))


@pytest.mark.parametrize("module", MODULES)
def test_at_once_a_module_imports_only_the_core_libraries(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    tops = {name.partition(".")[0] for name in imports_of(tree, module, lazy=False)}
    own = [library for name, found in OWN_FRAMEWORK.items() if f"{module}.".startswith(f"{name}.") for library in found]
    allowed = CORE_LIBRARIES | set(own) | set(sys.stdlib_module_names)
    assert tops <= allowed | {"dpmiddleware"}, f"{module} imports an extra at once"


def test_only_pieces_inside_a_lane_need_no_rung() -> None:
    assert not [
        module
        for module in MODULES
        if rung_of(module) is None and "." not in module and module not in PACKAGES_OF_NO_RUNG
    ]


def test_the_table_names_no_module_twice() -> None:
    names = [name for rung in RUNGS for name in rung]
    assert len(names) == len(set(names))


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_file_has_fewer_than_320_lines_and_its_functions_fewer_than_45(name: str) -> None:
    source = MODULES[name].read_text("utf-8")
    assert len(source.splitlines()) < 320, "one idea per file: what is the second one?"
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 44]
    assert not long, "divide it where a part of it can be named"
