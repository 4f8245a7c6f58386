"""What a folder of key documents is asked and told: listed, digested, read with care, written so that it lasts.

Paths are text in what is done for each file: 10,000 `Path` objects would cost more than reading the files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, TypeVar

from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.repositories.folder_lock import create_private

__all__ = [
    "Entry",
    "MovedError",
    "digest",
    "list_documents",
    "make_folder",
    "obstacle",
    "patiently",
    "publish",
    "read_document",
    "sync_folder",
    "write_private",
]

_READ_FLAGS: Final = sum(
    getattr(os, name, 0) for name in ("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer (SMB, FUSE)."""
_CANNOT_SYNC: Final = {errno.EINVAL, errno.EOPNOTSUPP, errno.EROFS, errno.EBADF}
_P = ParamSpec("_P")
_T = TypeVar("_T")


class MovedError(Exception):
    """A file went away or changed its nature between listing and opening: list the folder again."""


class Entry(NamedTuple):
    """One ``*.xml`` of a folder. ``target``: where a link leads, ``None`` if nowhere; without a link as ``status``."""

    name: str
    path: str
    status: os.stat_result
    target: os.stat_result | None

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def mark(self) -> str:
        """Name, inode, size and times, of a link and of where it leads: another text when the file has changed."""
        status = _mark_of(self.status)
        if self.target is self.status:
            return f"{self.name}\0{status}\0"
        return f"{self.name}\0{status}\0{self.target and _mark_of(self.target)}\0"


def _mark_of(status: os.stat_result) -> str:
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def list_documents(folder: Path) -> Iterator[Entry]:
    """The ``*.xml`` of a folder by name, none opened; a folder that is not there has none. ``OSError``.

    The names are those of one moment; the status of a file is that of the moment when its entry is taken.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 (see the module's docstring)
    except FileNotFoundError:
        if folder.is_symlink():  # to a place that is not mounted: unreadable, not absent
            raise
        return
    within = f"{folder}{os.sep}"
    for name in sorted(names):
        if not name.endswith(".xml"):
            continue
        path = within + name
        try:
            status = os.lstat(path)
        except FileNotFoundError:  # deleted meanwhile; the list is another then, so is the version
            continue
        yield Entry(name, path, status, _target(path) if stat.S_ISLNK(status.st_mode) else status)


def _target(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (see the module's docstring)
    except OSError:
        return None


def digest(marks: Iterable[str]) -> str:
    """32 hexadecimal digits of the marks of a folder's documents."""
    return hashlib.sha256(os.fsencode("".join(marks))).hexdigest()[:32]


def obstacle(folder: Path, entry: Entry) -> str:
    """Why a file must not be opened, or "". ``OSError`` where a link cannot be followed to what may be good."""
    if entry.is_link and not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(folder)):
        return "a link out of the folder"
    if entry.target is None:
        return _dangling(entry.path)
    if not stat.S_ISREG(entry.target.st_mode):
        return "not a regular file"
    return TOO_LARGE if entry.target.st_size > MAX_SIZE else ""


def _dangling(path: str) -> str:
    """What a link is that led nowhere when the folder was listed."""
    try:
        os.stat(path)  # noqa: PTH116 (see the module's docstring)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}:
            raise
        return "a link that leads nowhere"
    raise MovedError


def read_document(entry: Entry) -> bytes:
    """The bytes of a document without an `obstacle`; at most one more than it may have. `MovedError`, ``OSError``."""
    path = os.path.realpath(entry.path) if entry.is_link else entry.path
    try:
        descriptor = patiently(os.open, path, _READ_FLAGS)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
            raise MovedError from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MovedError
        data = os.read(descriptor, MAX_SIZE + 1)
        while len(data) <= MAX_SIZE and (more := os.read(descriptor, MAX_SIZE + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder with mode 0700, and those around it; one that is there stays as it is."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    sync_folder(folder.parent)


def write_private(path: Path, data: bytes) -> None:
    """Make a file that is its owner's alone, and bring it to the disk."""
    with os.fdopen(create_private(path), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish(temporary: Path, final: Path) -> None:
    """Give a file its name if nobody has it; `FileExistsError` otherwise."""
    if sys.platform == "win32":
        patiently(temporary.rename, final)  # refuses to overwrite there
        return
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(final):  # the lock keeps our own apart
            raise FileExistsError(errno.EEXIST, "File exists", str(final)) from error
        temporary.rename(final)
    else:
        temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Bring the folder's list of names to the disk. Windows does so by itself; some network mounts cannot."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # may be entered, not listed: then it cannot be done
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def patiently(action: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """On Windows a file that somebody reads at this moment cannot be renamed or deleted, and the other way round."""
    for _ in range(50 if sys.platform == "win32" else 0):
        try:
            return action(*arguments, **named)
        except PermissionError:
            time.sleep(0.02)
    return action(*arguments, **named)
