"""Cross-origin protection needs neither a ring nor ``cryptography``: its modules import neither."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHELLS = ("decision", "wsgi", "asgi", "starlette", "flask", "quart", "django")
HEAVY = ("cryptography", "dpmiddleware.data_protection", "dpmiddleware.crypto", "dpmiddleware.keys")
CHECK = """
import importlib, sys
importlib.import_module("dpmiddleware.cross_origin." + sys.argv[1])
found = [name for name in sys.modules if name in sys.argv[2].split() or name.split(".")[0] == "cryptography"]
sys.exit(f"imported: {found}" if found else 0)
"""


@pytest.mark.parametrize("module", SHELLS)
def test_a_module_of_it_imports_no_cryptography(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", CHECK, module, " ".join(HEAVY)], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr


def test_a_module_that_needs_a_ring_would_be_noticed() -> None:
    told = subprocess.run(
        [sys.executable, "-c", CHECK.replace("cross_origin.", ""), "wsgi", " ".join(HEAVY)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "imported:" in told.stderr
