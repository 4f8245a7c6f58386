"""The server process of the archive, and its log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..demo.process import ServerProcess

__all__ = ["ArchiveServer"]


class ArchiveServer(ServerProcess):
    """Runs `.archive` with ``settings`` as its environment while the context is open. log_file: its log."""

    def __init__(self, log_file: Path, settings: Mapping[str, str]) -> None:
        super().__init__("the archive", f"{__name__.rpartition('.')[0]}.archive", log_file, settings)

    def lines_about(self, words: str) -> list[str]:
        """The lines of the log that contain ``words``, from these words on."""
        return [line[line.index(words) :] for line in self.log().splitlines() if words in line]
