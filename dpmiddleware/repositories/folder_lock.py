"""A lock file in a folder: one process at a time commits there, and private files are made there.

The lock is the operating system's (``flock``, on Windows a byte of the file): it ends with its process, however that
ends. The file itself stays; it holds nothing. .NET does not know it; what .NET writes has a name of its own.
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

__all__ = ["LOCK_NAME", "SECONDS_TO_WAIT", "create_private", "folder_lock"]

LOCK_NAME: Final = ".dpmiddleware.lock"
SECONDS_TO_WAIT = 5.0
"""How long a commit waits for the others; theirs take milliseconds."""

# Windows has none of these but O_BINARY, which nobody else has.
_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

_held: set[int] = set()


def _after_fork() -> None:
    """A child made in the middle of a commit must not keep the parent's lock alive."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            # EEXIST is how Wine's C library says that another holds it
            if error.errno in {errno.EACCES, errno.EDEADLK, errno.EDEADLOCK, errno.EEXIST}:
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def create_private(path: Path) -> int:
        """Make ``path`` and open it for writing; who may read it is inherited from the folder. `FileExistsError`."""
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
        # Said aloud, not left to close(): a child forked meanwhile may hold a copy of the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def create_private(path: Path) -> int:
        """Make ``path`` with mode 0600 and open it for writing. `FileExistsError` where it is there, as a link too.

        Made by root in another user's private folder it becomes that user's, else a key that an operator makes
        would be one that the application cannot read.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        if os.geteuid() == 0:
            with suppress(OSError):  # a file system without owners
                folder = path.parent.stat()
                if folder.st_uid and not folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    os.fchown(descriptor, folder.st_uid, folder.st_gid)
        return descriptor


@contextmanager
def folder_lock(folder: Path) -> Generator[None]:
    """Hold the lock of ``folder``, which must exist. ``TimeoutError`` after `SECONDS_TO_WAIT`, other ``OSError``."""
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
