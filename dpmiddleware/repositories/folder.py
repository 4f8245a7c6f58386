"""What a folder of key documents is asked and told: listed, digested, read with care, written so that it lasts.

Paths are text in what is done for each file: 10,000 `Path` objects would cost more than reading the files.

After: `dpmiddleware.repositories.files`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, TypeVar

from dpmiddleware.keys.xml import MAX_SIZE
from dpmiddleware.repositories.folder_lock import create_private

__all__ = [
    "TOO_LARGE",
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

TOO_LARGE: Final = f"larger than {MAX_SIZE // 1024} KB"
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


Status = tuple[int, int, int, int, int]
"""Mode, inode, size, and when content and anything at all were changed last, in ns. No time of access: reading is no
change.
"""
_status_of: Final[Callable[[os.stat_result], Status]] = attrgetter(
    "st_mode", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)


class Entry(NamedTuple):
    """One ``*.xml`` of a folder. ``target``: where a link leads, ``None`` if nowhere; without a link as ``status``."""

    name: str
    path: str
    status: Status
    target: Status | None

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status[0])


def list_documents(folder: Path) -> list[Entry]:
    """The ``*.xml`` of a folder by name, none opened; a folder that is not there has none. ``OSError``."""
    entries: list[Entry] = []
    try:
        names = os.listdir(folder)  # noqa: PTH208 (see the module's docstring)
    except FileNotFoundError:
        if folder.is_symlink():  # to a place that is not mounted: unreadable, not absent
            raise
        return entries
    within = f"{folder}{os.sep}"
    for name in sorted(names):
        if not name.endswith(".xml"):
            continue
        path = within + name
        try:
            status = _status_of(os.lstat(path))
        except FileNotFoundError:  # deleted meanwhile; the list is another then, so is the version
            continue
        entries.append(Entry(name, path, status, _target(path) if stat.S_ISLNK(status[0]) else status))
    return entries


def _target(path: str) -> Status | None:
    try:
        return _status_of(os.stat(path))  # noqa: PTH116 (see the module's docstring)
    except OSError:
        return None


def digest(entries: list[Entry]) -> str:
    """32 hexadecimal digits of names, inodes, sizes and times, of links and of where they lead."""
    lines: list[str] = []
    for name, _, status, target in entries:
        lines.append(f"{name}\0{_numbers(status)}\0")
        if target is not status:
            lines.append(f"{_numbers(target) if target else None}\0")
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()[:32]


def _numbers(status: Status) -> str:
    _, inode, size, modified, changed = status
    return f"{inode} {size} {modified} {changed}"


def obstacle(folder: Path, entry: Entry) -> str:
    """Why a file must not be opened, or "". ``OSError`` where a link cannot be followed to what may be good."""
    if entry.is_link and not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(folder)):
        return "a link out of the folder"
    if entry.target is None:
        return _dangling(entry.path)
    mode, _, size, _, _ = entry.target
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return TOO_LARGE if size > MAX_SIZE else ""


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
