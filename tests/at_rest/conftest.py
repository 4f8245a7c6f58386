"""The real ASP.NET Core, if it is present; the servers of single wrappers are in the files of their tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.interop.peer import ABSENT, Peer, find_peer


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    """The real ASP.NET Core; skips with a reason if the program is not present."""
    if sys.platform == "win32":
        pytest.skip("the ASP.NET Core peer of Linux is for tests on Linux")
    program = find_peer()
    if program is None:
        pytest.skip(ABSENT)
    with Peer(program) as running:
        yield running
