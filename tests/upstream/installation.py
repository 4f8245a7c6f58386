"""What a suite needs on this machine, kept below ``.servers/upstream``: its tests, and a virtual environment.

The recipes (`tests/recipes`) have their environments here, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

from tests.upstream.suites import HERE, Suite

__all__ = ["CACHE", "ROOT", "UnavailableError", "digest", "prepare_environment", "prepare_tests"]

ROOT = HERE.parents[1]
CACHE = ROOT / ".servers" / "upstream"


class UnavailableError(Exception):
    """Something could not be downloaded; the message names it."""


def prepare_environment(pins: Path) -> Path:
    """Create the virtual environment with the packages of ``pins`` unless it is up to date. Returns its Python."""
    folder = CACHE / "environments" / f"{pins.stem}-{digest(pins.read_bytes())}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = folder / "complete"
    if not complete.exists():
        print(f"installing the packages of {pins.name}", flush=True)
        _run(f"a virtual environment for {pins.name}", sys.executable, "-m", "venv", "--clear", str(folder))
        _run(f"packages of {pins.name}", str(python), *_PIP, "install", "-r", str(pins))
        complete.touch()
    return python


def prepare_tests(suite: Suite, python: Path) -> Path:
    """Download and unpack the tests of the pinned version unless they are there. Returns the folder."""
    folder = CACHE / "sources" / f"{suite.name}-{suite.version}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            found = _clone(suite, scratch) if suite.repository else _unpack(suite, python, scratch)
            found.rename(folder)
    return folder


def digest(*parts: bytes) -> str:
    """A short name for what a cached result depends on: these parts and this version of Python."""
    return sha256(b"\0".join((sys.version.encode(), *parts))).hexdigest()[:12]


_PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def _unpack(suite: Suite, python: Path, scratch: str) -> Path:
    exact = f"{suite.name}=={suite.version}"
    only_source = ("--no-deps", "--no-binary", ":all:", "--dest", scratch, exact)
    _run(f"the source distribution of {exact}", str(python), *_PIP, "download", *only_source)
    (archive,) = Path(scratch).glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(scratch, filter="data")
    return Path(scratch) / archive.name.removesuffix(".tar.gz")


def _clone(suite: Suite, scratch: str) -> Path:
    target = Path(scratch) / "repository"
    options = ("-c", "advice.detachedHead=false", "clone", "--quiet", "--depth", "1", "--branch", suite.tag)
    _run(f"tag {suite.tag} of {suite.repository}", "git", *options, suite.repository, str(target))
    return target


def _run(what: str, *command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(command, check=False, env=environment).returncode:
        raise UnavailableError(what)
