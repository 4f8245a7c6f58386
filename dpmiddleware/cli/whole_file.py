"""Writes a file as a whole: after an error or a power failure, the old file is there, not half of the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dpmiddleware.errors import ConfigurationError

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file (mode 0600). `ConfigurationError` if it cannot be written, or is not a regular file."""
    target = Path(os.path.realpath(path))  # a symbolic link stays
    if target.exists() and not target.is_file():
        raise ConfigurationError(f"{path} is not a regular file", hint="name a file")
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)  # noqa: PTH105 (a name, not a Path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        hint = "check the folder, its permissions and its free space"
        raise ConfigurationError(f"cannot write {path}: {error.strerror}", hint=hint) from error
