"""What is installed: the wheel, on the core dependencies alone, in an environment with nothing else in it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

import dpmiddleware

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
SECONDS_TO_INSTALL = 150
SECONDS_TO_RUN = 150
MODULES = sorted(ROOT.glob("dpmiddleware/**/*.py"))


def run(
    *command: str | Path, cwd: Path, seconds: int = SECONDS_TO_RUN, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a command without this checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DPM_"))}
    environment.update(variables)
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def built(folder: Path, variables: Mapping[str, str] = MappingProxyType({})) -> Path:
    """A wheel of this checkout."""
    told = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT, variables=variables)
    assert told.returncode == 0, told.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it comes out here."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet")
    installed = run(*pip, wheel, cwd=folder, seconds=SECONDS_TO_INSTALL)
    if "No matching distribution found" in installed.stderr and os.environ.get("DPM_REQUIRE_SERVERS") != "1":
        pytest.skip("the package index cannot be reached")
    assert installed.returncode == 0, installed.stderr
    return binaries


def test_the_wheel_carries_the_package_its_types_and_the_slot_swap(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"dpmiddleware/__init__.py", "dpmiddleware/py.typed"} <= names
    assert "dpmiddleware/_examples/slot_swap/shop.py" in names
    outside = {name for name in names if not name.startswith(("dpmiddleware/", "dpmiddleware-"))}
    assert not outside


def test_the_compiled_core_is_in_the_wheel_for_every_python_from_3_11_on(
    wheel: Path, compiled_core: ModuleType, empty_environment: Path, tmp_path: Path
) -> None:
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.endswith((".so", ".c"))} == {
        "dpmiddleware/crypto/_cbc_hmac.abi3.so",
        "dpmiddleware/protection/_base64url.abi3.so",
        "dpmiddleware/web/sign_in/_ticket.abi3.so",
    }
    told = run(empty_environment / "dpm", "--version", cwd=tmp_path)
    assert f"(compiled core, {compiled_core.LIBRARY})" in told.stdout


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"CC": "no-such-compiler"}, id="no compiler"),
        pytest.param({"CFLAGS": "-include no-such-header.h"}, id="no headers"),
        pytest.param({"DPM_PURE_PYTHON": "1"}, id="not wanted"),
    ],
)
def test_where_the_core_cannot_be_built_the_wheel_is_pure_python(variables: dict[str, str], tmp_path: Path) -> None:
    """Even if an earlier build is next to the source."""
    wheel = built(tmp_path, variables)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_an_empty_environment_gets_the_core_dependencies_and_no_extra(empty_environment: Path) -> None:
    listed = run(
        sys.executable, "-m", "pip", "--python", empty_environment / "python", "list", "--format", "json", cwd=ROOT
    )
    names = {entry["name"].lower() for entry in json.loads(listed.stdout)}
    assert {"dpmiddleware", "cryptography", "itsdangerous", "starlette", "werkzeug"} <= names
    assert not names & {"redis", "sqlalchemy", "boto3", "hvac", "flask", "django", "pybase64", "azure-storage-blob"}


def test_the_slot_swap_runs_there_and_comes_out_as_documented(empty_environment: Path, tmp_path: Path) -> None:
    told = run(empty_environment / "dpm", "demo", "slot-swap", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "DIFFERENT" not in told.stdout
    assert told.stdout.count("  same") == 4


def test_the_key_substitution_runs_there_too(empty_environment: Path, tmp_path: Path) -> None:
    """Attack and defence, on the core dependencies alone."""
    told = run(empty_environment / "dpm", "demo", "key-substitution", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("  same") == 4


def test_importing_the_package_imports_no_extra_and_no_framework_but_the_core(
    empty_environment: Path, tmp_path: Path
) -> None:
    """Asked in this environment, where all of them are installed."""
    code = "import sys, dpmiddleware, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    imported = set(json.loads(run(sys.executable, "-c", code, cwd=ROOT).stdout))
    own = {"cryptography", "itsdangerous", "cffi", "_cffi_backend", "dpmiddleware", "__main__", "typing_extensions"}
    in_place_of_base64 = {"pybase64"}  # the extra `speed` has no constructor: it is used wherever it is installed
    libraries = {
        name for name in imported - set(sys.stdlib_module_names) - own - in_place_of_base64 if not name.startswith("_")
    }
    assert not libraries


def test_the_wheel_has_the_version_that_the_package_says(wheel: Path) -> None:
    assert wheel.name.split("-")[1] == dpmiddleware.__version__


def test_any_python_from_3_11_on_is_welcome() -> None:
    assert PROJECT["requires-python"] == ">=3.11"


def test_each_core_dependency_stands_without_an_upper_bound() -> None:
    names = {dependency.partition(">=")[0] for dependency in PROJECT["dependencies"]}
    assert names == {"cryptography", "itsdangerous", "starlette", "werkzeug"}
    assert not [dependency for dependency in PROJECT["dependencies"] if "<" in dependency]


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(found: list[ast.stmt], around: str = "") -> Iterator[tuple[str, Definition]]:
    """The public classes, functions and methods among ``found``, with their names; a property speaks in its getter."""
    for node in found:
        if isinstance(node, Definition) and not node.name.startswith("_") and not is_setter_or_overload(node):
            yield around + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def is_setter_or_overload(node: Definition) -> bool:
    return any(ast.unparse(decorator).endswith((".setter", "overload")) for decorator in node.decorator_list)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_and_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree)
    assert not [name for name, node in public(tree.body) if not ast.get_docstring(node)]


@pytest.mark.parametrize("name", dpmiddleware.__all__)
def test_the_front_page_keeps_what_it_promises(name: str) -> None:
    assert getattr(dpmiddleware, name) is not None
