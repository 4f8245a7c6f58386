"""The lock file of a folder, which lets one process at a time commit, and the creation of private files.

The operating system holds the lock (``flock``; on Windows, a locked byte of the file), so it ends with its process,
even in a crash. The file is empty and stays. .NET does not take the lock, but each file that it writes has a new name.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dpmiddleware.forks import after_fork

__all__ = ["LOCK_NAME", "SECONDS_TO_WAIT", "create_private", "folder_lock"]

LOCK_NAME: Final = ".dpmiddleware.lock"
SECONDS_TO_WAIT = 5.0
"""How long a commit waits for commits of other processes, which take milliseconds."""

# Windows has only O_BINARY of these, other systems have all but that.
_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

_held: set[int] = set()


@after_fork
def _close_held() -> None:
    """Close the parent's lock in a child that was forked during a commit: its copy would keep the lock alive."""
    while _held:
        os.close(_held.pop())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            # Wine's C library reports EEXIST for a lock that another process holds
            if error.errno in {errno.EACCES, errno.EDEADLK, errno.EDEADLOCK, errno.EEXIST}:
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def create_private(path: Path) -> int:
        """Create ``path`` and open it for writing; it inherits the folder's permissions. `FileExistsError`."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        # Explicit, because a child forked meanwhile may hold a copy of the descriptor after close().
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def create_private(path: Path) -> int:
        """Create ``path`` with mode 0600 and open it for writing. `FileExistsError` if it exists, also as a link.

        If root creates it in another user's private folder, it is given to that user: otherwise the application could
        not read a key that an operator creates.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        if os.geteuid() == 0:
            with suppress(OSError):  # file systems without owners
                folder = path.parent.stat()
                if folder.st_uid and not folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    os.fchown(descriptor, folder.st_uid, folder.st_gid)
        return descriptor


@contextmanager
def folder_lock(folder: Path) -> Generator[None]:
    """Hold the lock of an existing folder. ``TimeoutError`` after `SECONDS_TO_WAIT`; other ``OSError``."""
    path = folder / LOCK_NAME
    descriptor = _open(path)
    _held.add(descriptor)
    try:
        deadline = time.monotonic() + SECONDS_TO_WAIT
        pause = 0.001
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock", str(path))
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        try:
            yield
        finally:
            _unlock(descriptor)
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return create_private(path)
    except FileExistsError:
        descriptor = os.open(path, os.O_RDWR | _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor
