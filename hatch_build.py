"""Builds the compiled core into wheels and editable installs. If that fails, they are pure Python.

The build needs a C compiler, Python's headers, and OpenSSL 3 with its headers (Debian: ``gcc libssl-dev``). ``CC``,
``CFLAGS`` and ``LDFLAGS`` have their usual effect. ``DPM_PURE_PYTHON=1`` builds without the core. The reason for a
missing core is a warning of the build, never an error. ``dpm --version`` says what an installed package contains.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

MODULES = {
    "dpmiddleware.crypto._cbc_hmac": ["crypto"],
    "dpmiddleware.protection._base64url": [],
    "dpmiddleware.web.sign_in._ticket": [],
}
"""Each extension module, and the libraries that it is linked with. Its source is next to the module."""
ABI = "cp311-abi3"
"""The stable ABI of Python 3.11: the same file works with every later version."""
HARDENED = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-g0"]
"""For the compiler on Linux, after ``CFLAGS``. Debug information would contain paths of the machine that builds."""
HARDENED_LINK = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
RUN_PATH = re.compile(r"(?:-Wl,)?(?:--?rpath|-R)(?:[,=]?(?P<path>.*))")


class CompiledCore(BuildHookInterface[Any]):
    """Writes the core next to its source, for editable installs, and into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling calls this before it collects the files."""
        missing = why_not() or compile_core(Path(self.root))
        if missing:
            self.app.display_warning(f"built without the compiled core: {missing}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"{ABI}-{next(platform_tags())}"
        if version != "editable":
            files = [file_of(module, ".abi3.so") for module in MODULES]
            build_data["force_include"].update({str(Path(self.root, file)): file for file in files})


def file_of(module: str, suffix: str) -> str:
    """The path of a module, from the root of the project."""
    return module.replace(".", "/") + suffix


def why_not() -> str:
    """Why compiling is not attempted; empty if it is."""
    if os.environ.get("DPM_PURE_PYTHON", "0") not in {"", "0"}:
        return "DPM_PURE_PYTHON is set"
    if sys.platform == "win32":
        return "it is not supported on Windows, where OpenSSL has no standard location"
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python does not have a stable ABI"
    return ""


class _BuildExt(build_ext):
    """Links without the run path of this machine's Python. Where the core runs, that folder may belong to anyone."""

    def build_extensions(self) -> None:
        """Remove the run path that ``sysconfig`` adds. One in the variable ``LDFLAGS`` is intended, and stays."""
        if hasattr(self.compiler, "linker_so"):
            given = os.environ.get("LDFLAGS", "").split()
            words = self.compiler.linker_so
            ours = words[: -len(given)] if given and words[-len(given) :] == given else words
            self.compiler.linker_so = [*without_run_path(ours), *words[len(ours) :]]
        super().build_extensions()


def without_run_path(words: list[str]) -> list[str]:
    """Return a link command without ``-Wl,-rpath,…`` and ``-R…``, also where these are two words."""
    kept: list[str] = []
    takes_next = False
    for word in words:
        if takes_next:
            takes_next = False
            continue
        found = None if word.startswith(("-Wl,-rpath-link", "-Wl,--rpath-link")) else RUN_PATH.fullmatch(word)
        if found is None:
            kept.append(word)
        else:
            takes_next = not found["path"]
    return kept


def compile_core(root: Path) -> str:
    """Compile all modules next to their sources. Returns why it failed, or an empty text."""
    hardened = sys.platform == "linux" and "-fsanitize" not in os.environ.get("CFLAGS", "")
    extensions = [
        Extension(
            module,
            [str(root / file_of(module, ".c"))],
            libraries=libraries,
            py_limited_api=True,
            extra_compile_args=HARDENED if hardened else [],
            extra_link_args=HARDENED_LINK if hardened else [],
        )
        for module, libraries in MODULES.items()
    ]
    with tempfile.TemporaryDirectory(dir=root) as folder:
        command = _BuildExt(Distribution({"ext_modules": extensions}))
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        try:
            command.run()
        except (BaseError, CCompilerError, OSError) as error:
            return str(error)
        for module in MODULES:  # replaced atomically, because a process may be using the old file
            Path(command.get_ext_fullpath(module)).replace(root / file_of(module, ".abi3.so"))
    return ""
