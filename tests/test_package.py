"""What is installed: the wheel, on the core dependencies alone, in an environment with nothing else in it."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import struct
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import dpmiddleware
import hatch_build

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
SECONDS_TO_INSTALL = 150
SECONDS_TO_RUN = 150
PACKAGE = ROOT / "dpmiddleware"
TEMPLATES = PACKAGE / "cli" / "init" / "templates"
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


def test_a_core_that_a_newer_python_built_works_with_older_ones() -> None:
    """Headers of Python 3.13 call other functions for formats with #, and those of 3.11 then raise a SystemError."""
    sources = [path.read_text() for path in ROOT.glob("dpmiddleware/**/*.c")]
    formats = [found for text in sources for found in re.findall(r'(?:Parse|Build)\w*\([^"]*"([^"]*)"', text)]
    assert len(sources) == 3
    assert formats
    assert not [each for each in formats if "#" in each]


def test_the_wheel_carries_the_package_its_types_and_the_slot_swap(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"dpmiddleware/__init__.py", "dpmiddleware/py.typed"} <= names
    for file in ("shop.py", "look.css", "room.css", "room.js", "shop.css"):
        assert f"dpmiddleware/_examples/slot_swap/{file}" in names
    templates = {f"dpmiddleware/{path.relative_to(PACKAGE)}" for path in TEMPLATES.rglob("*") if path.is_file()}
    assert len(templates) > 10
    assert templates <= names
    outside = {name for name in names if not name.startswith(("dpmiddleware/", "dpmiddleware-"))}
    assert not outside


def test_the_wheel_brings_the_plugin_for_pytest(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    [name] = [name for name in files.namelist() if name.endswith(".dist-info/entry_points.txt")]
    entries = configparser.ConfigParser()
    entries.read_string(files.read(name).decode())
    assert dict(entries["pytest11"]) == {"dpmiddleware": "dpmiddleware.testing.plugin"}
    for framework in ("flask", "quart"):
        assert dict(entries[f"{framework}.commands"]) == {
            "data-protection": "dpmiddleware.click_command:data_protection"
        }
    assert "dpmiddleware/django/management/commands/dataprotection.py" in files.namelist()
    assert "dpmiddleware/testing/plugin.py" in files.namelist()


def test_without_pytest_the_help_for_tests_works_but_for_the_plugin_and_the_contracts(
    empty_environment: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from dpmiddleware.testing import RingInMemory, StoppedClock, sign_in;"
        "carts = RingInMemory(clock=StoppedClock()).create_protector('cart');"
        "assert carts.unprotect(carts.protect('3 apples')) == '3 apples'; assert 'pytest' not in sys.modules;"
        "import dpmiddleware.testing.contracts"
    )
    told = run(empty_environment / "python", "-c", code, cwd=tmp_path)
    assert "No module named 'pytest'" in told.stderr.splitlines()[-1]


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
    """The public classes, functions and methods among ``found``, with their names.

    A property speaks in its getter; the name of a test says what it is.
    """
    for node in found:
        if (
            isinstance(node, Definition)
            and not node.name.startswith(("_", "test_"))
            and not is_setter_or_overload(node)
        ):
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


# --- the compiled core ------------------------------------------------------------------------------------------------

DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_FLAGS, DT_FLAGS_1 = 1, 15, 29, 30, 0x6FFFFFFB
DT_STRTAB, DT_STRSZ = 5, 10
PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 0x6474E551, 0x6474E552
DF_BIND_NOW, DF_1_NOW, PF_X = 8, 1, 1


class SharedObject:
    """What an ELF file of 64 bits tells the dynamic linker."""

    def __init__(self, data: bytes) -> None:
        assert data[:5] == b"\x7fELF\2"
        self.data = data
        self._order = "<" if data[5] == 1 else ">"
        at, size, count = self._read("Q", 32)[0], *self._read("HH", 54)
        self.segments = [self._read("IIQQQQQQ", at + size * number) for number in range(count)]
        [(start, length)] = [(part[2], part[5]) for part in self.segments if part[0] == PT_DYNAMIC]
        self.tags = [self._read("qQ", start + 16 * number) for number in range(length // 16)]

    def _read(self, form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, self.data, at)

    def all(self, tag: int) -> list[int]:
        return [value for found, value in self.tags if found == tag]

    def strings(self) -> bytes:
        [address], [size] = self.all(DT_STRTAB), self.all(DT_STRSZ)
        [start] = [p[2] + address - p[3] for p in self.segments if p[0] == PT_LOAD and p[3] <= address < p[3] + p[6]]
        return self.data[start : start + size]

    def has(self, kind: int) -> bool:
        return any(part[0] == kind for part in self.segments)


@pytest.fixture(scope="module")
def cores(wheel: Path, compiled_core: ModuleType) -> dict[str, SharedObject]:
    """The modules of the core in the wheel."""
    if sys.platform != "linux":
        pytest.skip("the core's file format here is not ELF")
    files = zipfile.ZipFile(wheel)
    return {name: SharedObject(files.read(name)) for name in files.namelist() if name.endswith(".so")}


def test_the_core_has_no_run_path_of_the_machine_that_built_it(cores: dict[str, SharedObject]) -> None:
    """Whoever owns that folder on another machine could have loaded a libcrypto of their own into the application."""
    assert len(cores) == 3
    assert [name for name, core in cores.items() if core.all(DT_RPATH) or core.all(DT_RUNPATH)] == []


def test_the_core_names_no_path_of_the_machine_that_built_it(cores: dict[str, SharedObject]) -> None:
    paths = [str(ROOT).encode(), sys.base_prefix.encode() + b"/", str(Path.home()).encode() + b"/"]
    assert [name for name, core in cores.items() if any(path in core.data for path in paths if len(path) > 5)] == []


def test_the_core_is_hardened(cores: dict[str, SharedObject]) -> None:
    """Full RELRO, no executable stack, stack protector; and glibc's checks where the compiler did not prove a size."""
    for name, core in cores.items():
        assert core.has(PT_GNU_RELRO), name
        flags, flags_1 = sum(core.all(DT_FLAGS)), sum(core.all(DT_FLAGS_1))
        assert flags & DF_BIND_NOW or flags_1 & DF_1_NOW, f"{name} binds lazily: its table of functions can be written"
        [stack] = [part[1] for part in core.segments if part[0] == PT_GNU_STACK]
        assert not stack & PF_X, name
        assert b"__stack_chk_fail" in core.strings(), name
    if b"GLIBC" in cores["dpmiddleware/crypto/_cbc_hmac.abi3.so"].strings():
        assert b"_chk" in cores["dpmiddleware/crypto/_cbc_hmac.abi3.so"].strings().replace(b"__stack_chk", b"")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("gcc -shared -L/py/lib -Wl,-rpath,/py/lib", "gcc -shared -L/py/lib"),
        ("gcc -Wl,-rpath=/py/lib -shared", "gcc -shared"),
        ("gcc -Wl,--rpath,/py/lib -shared", "gcc -shared"),
        ("gcc -Wl,-R,/py/lib -Wl,-R/py/lib -R/py/lib -shared", "gcc -shared"),
        ("gcc -Wl,-rpath -Wl,/py/lib -shared", "gcc -shared"),
        ("gcc -R /py/lib -shared", "gcc -shared"),
        ("gcc -Wl,-rpath-link,/py/lib -Wl,-O1 -shared", "gcc -Wl,-rpath-link,/py/lib -Wl,-O1 -shared"),
    ],
)
def test_a_run_path_is_taken_out_of_the_linkers_command(words: str, kept: str) -> None:
    assert hatch_build.without_run_path(words.split()) == kept.split()


def test_a_run_path_that_the_builder_asks_for_stays(tmp_path: Path, compiled_core: ModuleType) -> None:
    """An OpenSSL of one's own, in a folder of one's own."""
    if sys.platform != "linux":
        pytest.skip("the core's file format here is not ELF")
    wheel = built(tmp_path, {"LDFLAGS": "-Wl,-rpath,/opt/openssl/lib"})
    core = SharedObject(zipfile.ZipFile(wheel).read("dpmiddleware/crypto/_cbc_hmac.abi3.so"))
    [offset] = core.all(DT_RUNPATH) + core.all(DT_RPATH)
    assert core.strings()[offset:].split(b"\0")[0] == b"/opt/openssl/lib"


# --- dependencies -----------------------------------------------------------------------------------------------------

SAFE_SINCE = {
    "azure-identity": ("1.16.1", "CVE-2024-35255"),
    "azure-storage-blob": ("12.13.0", "CVE-2022-30187"),
    "cryptography": ("50.0", "CVE-2026-69247, CVE-2026-39892, CVE-2026-34073, CVE-2026-26007, CVE-2024-12797"),
    "django": ("5.2.17", "CVE-2026-15307, CVE-2026-15337; 4.2 gets no more of these"),
    "fastapi": ("0.133.1", "the first that takes a Starlette without known advisories"),
    "flask": ("3.1.3", "CVE-2026-27205, CVE-2025-47278"),
    "flask-cors": ("6.0", "CVE-2024-6839, CVE-2024-6844, CVE-2024-6866"),
    "gunicorn": ("23.0", "CVE-2024-6827, CVE-2024-1135"),
    "pymysql": ("1.1.1", "CVE-2024-36039"),
    "redis": ("4.5.5", "CVE-2023-28858, CVE-2023-28859"),
    "setuptools": ("78.1.1", "CVE-2025-47273, CVE-2024-6345"),
    "sqlalchemy": ("1.3.0", "CVE-2019-7164"),
    "starlette": ("1.3.1", "CVE-2026-54283, CVE-2026-54282, CVE-2026-48710, CVE-2025-62727, CVE-2025-54121"),
    "werkzeug": ("3.1.6", "CVE-2026-27199, CVE-2026-21860, CVE-2025-66221, CVE-2024-49766, CVE-2024-49767"),
}
"""Release since which no advisory is known (August 2026), and those before it."""


def test_no_lower_bound_admits_a_release_with_a_known_advisory() -> None:
    """A bound such as ``starlette>=0.40`` let an old lock file stay at releases that a scanner warns of."""
    everything = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))
    listed = [
        *PROJECT["dependencies"],
        *everything["build-system"]["requires"],
        *(word for extra, words in PROJECT["optional-dependencies"].items() if extra != "lint" for word in words),
    ]
    bounds = [Requirement(word) for word in listed]
    assert {bound.name for bound in bounds} >= SAFE_SINCE.keys()
    for bound in bounds:
        if bound.name in SAFE_SINCE:
            [lowest] = [one.version for one in bound.specifier if one.operator == ">="]
            assert Version(lowest) >= Version(SAFE_SINCE[bound.name][0]), bound
