"""The contract of repositories over a folder on Windows: names, replacing and locking differ there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.files import FileKeyRepository
from tests.repositories.contract import RepositoryContract, Store


class Folder(Store):
    """A folder and a text editor."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> KeyRepository:
        return FileKeyRepository(self.path)

    def append(self, name: str, data: bytes) -> None:
        self.path.mkdir(exist_ok=True)
        (self.path / f"{name}.xml").write_bytes(data)

    def delete(self, data: bytes) -> None:
        self._find(data).unlink()

    def replace(self, old: bytes, new: bytes) -> None:
        beside = self.path / "beside.tmp"
        beside.write_bytes(new)
        beside.replace(self._find(old))

    def _find(self, data: bytes) -> Path:
        return next(path for path in self.path.glob("*.xml") if path.read_bytes() == data)


@pytest.mark.skipif(sys.platform != "win32", reason="for Windows; run by tests/test_windows.py")
class TestFilesOnWindows(RepositoryContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Folder(tmp_path / "keys")
