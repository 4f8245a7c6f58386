"""Sets up the environments of the Makefile: ``create VENV``, then ``install VENV WORD …`` as for ``pip install``.

uv installs in a fraction of pip's time, so it is used if it can be had: from PyPI, or what pip is configured to use
instead. Otherwise, and if uv fails, pip does the work. Needs only Python with ``venv``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

QUIET = ("--quiet", "--disable-pip-version-check")
OPTIONS = {
    "constraint": "--constraint",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "index-url": "--default-index",
    "trusted-host": "--allow-insecure-host",
}
"""What pip may be configured with → uv's option for it. Each may have several values."""


def python_of(venv: Path) -> str:
    """The interpreter of an environment."""
    return str(venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


def create(venv: Path) -> None:
    """Create an environment with uv in it; with pip if uv cannot be had.

    The pip of this interpreter installs uv, if it is recent enough (22.3): Python takes seconds to install the pip that
    it brings along.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    if _fails([sys.executable, "-m", "pip", "--python", python_of(venv), "install", *QUIET, "uv"]):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)


def install(venv: Path, words: Sequence[str]) -> int:
    """Install what ``words`` say, and return the exit status. pip is there afterwards, too."""
    python = python_of(venv)
    if not _fails([python, "-m", "uv", "--version"]):
        uv = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python, *uv_options(_configuration())]
        if subprocess.run([*uv, "pip", *words], check=False).returncode == 0:
            return 0
        print("uv could not install that; now pip tries", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    return subprocess.run([python, "-m", "pip", "install", *QUIET, *words], check=False).returncode


def _configuration() -> list[str]:
    """The lines of ``pip config list``, of the pip of this interpreter."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def uv_options(configuration: Iterable[str]) -> list[str]:
    """The options of uv that say what pip's configuration says, given as lines of ``pip config list``."""
    found: list[str] = []
    for line in configuration:
        name, _, value = line.partition("=")
        option = OPTIONS.get(name.rpartition(".")[2])
        if option is not None:
            found += [word for one in str(ast.literal_eval(value)).split() for word in (option, one)]
    return [*found, "--index-strategy", "unsafe-best-match"] if "--extra-index-url" in found else found


def _fails(command: Sequence[str]) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 (the interpreter may be any)
        sys.exit("Python 3.11 or newer is needed: make PYTHON=...")
    if sys.argv[1] == "create":
        create(Path(sys.argv[2]))
    else:
        sys.exit(install(Path(sys.argv[2]), sys.argv[3:]))
