"""The tests of the compiled core with the core built for the address and undefined-behaviour sanitizers of gcc.

``make test-sanitized``; works on a copy of what git knows: the checkout keeps its own build. Exit status: pytest's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g"
TESTS = [
    "tests/crypto",
    "tests/interop/test_vectors_known_answers.py",
    "tests/interop/test_vectors_rings.py",
    "tests/protection/test_payload.py",
    "tests/protection/test_tampering.py",
    "tests/web/test_compiled_ticket.py",
    "tests/web/test_ticket.py",
]


def main() -> int:
    """Copy, build, run."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "checkout")
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            copy.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        build = "import hatch_build, pathlib, sys; sys.exit(hatch_build.compile_core(pathlib.Path.cwd()) or 0)"
        flags = {"CC": "gcc", "CFLAGS": FLAGS, "LDFLAGS": FLAGS}
        subprocess.run(
            [sys.executable, "-c", build], cwd=copy, env=os.environ | flags, check=True, stdout=subprocess.DEVNULL
        )
        library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        sanitized = {
            "LD_PRELOAD": library.stdout.strip(),
            # CPython keeps what it needs until the end, and a test looks at the size of the process
            "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=4:thread_local_quarantine_size_kb=64",
            "PYTHONPATH": str(copy),
            "DPM_REQUIRE_SERVERS": "1",
        }
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        run = subprocess.run([*pytest, *TESTS, *sys.argv[1:]], cwd=copy, env=os.environ | sanitized, check=False)
        return run.returncode


if __name__ == "__main__":
    sys.exit(main())
