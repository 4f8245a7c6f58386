"""The folder of key documents: listed and digested, read with care, written durably.

Per file, paths are text: 10,000 `Path` objects would cost more than reading the files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final, NamedTuple, ParamSpec, TypeVar

from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.repositories.folder_lock import create_private
from dpmiddleware.windows import is_windows

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
_FOLDER_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_PATH", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC"))
_DISK_ERRORS: Final = {
    *(errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ENODEV, errno.ENXIO)
}
"""Errors of a disk or server that fails. Any other error of ``link`` or ``fsync`` means that the mount cannot do that;
SMB, NFS and FUSE report it in a dozen ways.
"""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class MovedError(Exception):
    """A file was removed or replaced by something else between listing and opening: list the folder again."""


class Entry(NamedTuple):
    """One ``*.xml`` of a folder.

    path: of a link, where it led when the folder was listed. It is not resolved again.
    target: what a link leads to, or ``None``; of other files, ``status``.
    """

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
        """Name, inode, size and times, of a link and its target: differs after a change of the file."""
        status = _mark_of(self.status)
        if self.target is self.status:
            return f"{self.name}\0{status}\0"
        return f"{self.name}\0{status}\0{self.target and _mark_of(self.target)}\0"


def _mark_of(status: os.stat_result) -> str:
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def list_documents(folder: Path) -> Iterator[Entry]:
    """Yield the ``*.xml`` of a folder by name without opening them; a missing folder has none. ``OSError``.

    The names are those of one moment; a file's status is that of the moment when its entry is yielded.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 (see the module's docstring)
    except FileNotFoundError:
        if folder.is_symlink():  # its target may be unmounted: unreadable, not absent
            raise
        return
    within = f"{folder}{os.sep}"
    for name in sorted(names):
        if not name.endswith(".xml"):
            continue
        path = within + name
        try:
            status = os.lstat(path)
        except FileNotFoundError:  # deleted meanwhile, so the version differs, too
            continue
        if stat.S_ISLNK(status.st_mode):
            path = os.path.realpath(path)
            yield Entry(name, path, status, _target(path))
        else:
            yield Entry(name, path, status, status)


def _target(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (see the module's docstring)
    except OSError:
        return None


def digest(marks: Iterable[str]) -> str:
    """Return a digest of the marks of a folder's documents: 32 hexadecimal digits."""
    return hashlib.sha256(os.fsencode("".join(marks))).hexdigest()[:32]


def obstacle(folder: Path, entry: Entry) -> str:
    """Return why a file must not be opened, or "". ``OSError`` for a link whose target cannot be reached."""
    if entry.is_link and not Path(entry.path).is_relative_to(os.path.realpath(folder)):
        return "a link to outside the folder"
    if entry.target is None:
        return _dangling(entry.path)
    if not stat.S_ISREG(entry.target.st_mode):
        return "not a regular file"
    return TOO_LARGE if entry.target.st_size > MAX_SIZE else ""


def _dangling(path: str) -> str:
    """Look again at a link that led nowhere when the folder was listed."""
    try:
        os.stat(path)  # noqa: PTH116 (see the module's docstring)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}:
            raise
        return "a link that leads nowhere"
    raise MovedError


def read_document(entry: Entry) -> bytes:
    """Read a document without an `obstacle`: at most one byte more than is allowed. `MovedError`, ``OSError``."""
    try:
        descriptor = patiently(_open, entry)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR}:
            raise MovedError from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (entry.is_link and not os.path.samestat(status, entry.target or status)):
            raise MovedError
        data = os.read(descriptor, MAX_SIZE + 1)
        while len(data) not in {status.st_size, MAX_SIZE + 1} and (
            more := os.read(descriptor, MAX_SIZE + 1 - len(data))
        ):  # what a file gets while it is read changes the folder's list
            data += more
        return data
    finally:
        os.close(descriptor)


def _open(entry: Entry) -> int:
    """Open a document without following a link: of a resolved path, none of the folders may be one now."""
    if not entry.is_link or os.open not in os.supports_dir_fd:
        return os.open(entry.path, _READ_FLAGS)
    *folders, name = PurePath(entry.path).parts
    within = os.open(folders[0], _FOLDER_FLAGS)
    try:
        for folder in folders[1:]:
            inner = os.open(folder, _FOLDER_FLAGS, dir_fd=within)
            os.close(within)
            within = inner
        return os.open(name, _READ_FLAGS, dir_fd=within)
    finally:
        os.close(within)


def make_folder(folder: Path) -> None:
    """Create a folder with mode 0700, and its parents; an existing folder is left unchanged."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    sync_folder(folder.parent)


def write_private(path: Path, data: bytes) -> None:
    """Create a file that only its owner can read, and sync it to disk."""
    with os.fdopen(create_private(path), "wb") as file:
        file.write(data)
        file.flush()
        _sync(file.fileno())


def publish(temporary: Path, final: Path) -> None:
    """Give a file its name; ``FileExistsError`` if that exists."""
    if is_windows():
        patiently(temporary.rename, final)  # does not overwrite on Windows
        return
    try:
        os.link(temporary, final)
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise
        if os.path.lexists(final):
            if not _is_linked(temporary, final):
                raise FileExistsError(errno.EEXIST, "File exists", str(temporary), None, str(final)) from error
        else:  # overwrites nothing: other processes of ours wait for the lock
            temporary.rename(final)
            return
    temporary.unlink()


def _is_linked(one: Path, other: Path) -> bool:
    """Whether two names are the same file. A server that restarts may report an error for a link that it has made."""
    status = one.lstat()
    return status.st_nlink > 1 and os.path.samestat(status, other.lstat())


def sync_folder(folder: Path) -> None:
    """Sync the folder's list of names to disk. Windows does so itself; some mounts cannot."""
    if is_windows():
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # a folder that may be entered but not listed cannot be synced
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise


def patiently(action: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Retry on Windows, where a file that is being read cannot be renamed or deleted, and vice versa."""
    for _ in range(50 if is_windows() else 0):
        try:
            return action(*arguments, **named)
        except PermissionError:
            time.sleep(0.02)
    return action(*arguments, **named)
