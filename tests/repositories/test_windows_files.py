"""The contract of repositories over a folder on Windows: names, replacing and locking differ there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import Store
from tests.repositories.folder import Folder


@pytest.mark.skipif(sys.platform != "win32", reason="for Windows; run by tests/test_windows.py")
class TestFilesOnWindows(RepositoryContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Folder(tmp_path / "keys")
