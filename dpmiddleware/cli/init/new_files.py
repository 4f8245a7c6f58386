"""Files that are created together: all of them, or none. An existing file is never touched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dpmiddleware.errors import ConfigurationError

__all__ = ["NewFile", "NewFiles"]


@dataclass(frozen=True)
class NewFile:
    """name: below the folder, with slashes. text: what it contains. mode: who may read it."""

    name: str
    text: str
    mode: int = 0o644


class NewFiles:
    """Files to create in one folder, which may not exist yet."""

    def __init__(self, folder: Path, files: Sequence[NewFile]) -> None:
        self.folder = folder.absolute()
        self._files = files
        self._made: list[Path] = []

    @property
    def names(self) -> list[str]:
        """The names of all files, as they are listed."""
        return [file.name for file in self._files]

    def refuse_existing(self) -> None:
        """`ConfigurationError` that names every file that exists already."""
        there = [file.name for file in self._files if os.path.lexists(self.folder / file.name)]
        if there:
            raise ConfigurationError(
                f"{self.folder} already has {', '.join(there)}: nothing was written",
                hint="choose another folder, or move these files away; key material in use must be kept",
            )

    def write(self) -> None:
        """Create all of them; if one cannot be created, remove the others again. `ConfigurationError`."""
        try:
            for file in self._files:
                self._create(file)
        except OSError as error:
            self.undo()
            text = f"cannot write {error.filename}: {error.strerror}; nothing was written"
            raise ConfigurationError(text, hint="check the folder, its permissions and its free space") from error
        except BaseException:
            self.undo()
            raise

    def _create(self, file: NewFile) -> None:
        path = self.folder / file.name
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700 if folder.name == "secrets" else 0o755)
            self._made.append(folder)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._made.append(path)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(file.text)
            opened.flush()
            os.fsync(opened.fileno())
        path.chmod(file.mode)  # whatever the umask is

    def undo(self) -> None:
        """Remove what was created, newest first. A folder that somebody else wrote to stays."""
        while self._made:
            path = self._made.pop()
            if not path.is_dir():
                path.unlink(missing_ok=True)
            elif not any(path.iterdir()):
                path.rmdir()
