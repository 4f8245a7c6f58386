"""A folder as a place to run the contract of `KeyRepository` on. Also for Windows."""

from __future__ import annotations

from pathlib import Path

from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.testing.contracts.store import Store

__all__ = ["Folder"]


class Folder(Store):
    """A folder, and someone who edits its files."""

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
        path = self._find(old)
        beside = path.with_suffix(".tmp")
        beside.write_bytes(new)
        beside.replace(path)

    def _find(self, data: bytes) -> Path:
        return next(path for path in self.path.glob("*.xml") if path.read_bytes() == data)
