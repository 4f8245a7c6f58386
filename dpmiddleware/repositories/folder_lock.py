"""The lock of a folder, which lets one process at a time commit, and the creation of private files.

The lock is a file that exists during a commit. It is created exclusively, which works on mounts without ``flock``, and
on those where ``flock`` excludes only processes of the same machine. It contains the holder's machine and a random
token.

A killed holder leaves the file, and a waiting process takes it over. No clock of another machine is trusted: the
waiting process watches the file and the names in the folder. The lock is abandoned if nothing has changed

- for `SECONDS_OF_DEAD`, and the holder has ended: it was on this machine, and its ``flock`` on the file is free;
- for `SECONDS_UNCHANGED`, and nothing is known of the holder. One whose ``flock`` is not free is alive.

A holder that was only slow cannot commit beside the process that took its lock, because `FileKeyRepository.commit` does
this in this order: take the lock; delete all temporary files; write its own; see that it still holds the lock and that
the folder has not changed; rename the temporary files. If the other process takes the lock before that look, the commit
ends there. If it takes the lock after the look, it finds what has been renamed by then, and deletes the rest.

On Windows, the lock is a byte of the file that the operating system locks, also on shares, and frees with its process.
.NET does not take the lock, but each file that it writes has a new name.
"""

from __future__ import annotations

import errno
import os
import platform
import stat
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from dpmiddleware.errors import RepositoryError
from dpmiddleware.forks import after_fork
from dpmiddleware.printable import printable

__all__ = ["LOCK_NAME", "SECONDS_OF_DEAD", "SECONDS_TO_WAIT", "SECONDS_UNCHANGED", "create_private", "folder_lock"]

LOCK_NAME: Final = ".dpmiddleware.lock"
SECONDS_TO_WAIT = 5.0
"""How long a commit waits for commits of other processes, which take milliseconds."""
SECONDS_UNCHANGED = 3.0
"""How long nothing may change before the lock of an unknown holder is taken over."""
SECONDS_OF_DEAD = 0.1
"""The same for a holder that has ended."""

# Windows has only O_BINARY of these, other systems have all but that.
_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

_held: set[int] = set()


@after_fork
def _close_held() -> None:
    """Close the parent's lock in a child that is forked during a commit: its copy makes a dead parent look alive."""
    while _held:
        os.close(_held.pop())


@contextmanager
def folder_lock(folder: Path) -> Generator[Callable[[], bool]]:
    """Hold the lock of an existing folder; yield a function that tells whether it is still held.

    `RepositoryError` after `SECONDS_TO_WAIT`, or if something else is in place of the lock; ``OSError``.
    """
    lock = _Lock(folder / LOCK_NAME)
    try:
        deadline = time.monotonic() + SECONDS_TO_WAIT
        pause = 0.001
        while not lock.take():
            if time.monotonic() >= deadline:
                raise _failed(folder, "another process holds the lock", f"find the process that holds {LOCK_NAME}")
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        _held.add(lock.descriptor)
        yield lock.is_held
    finally:
        _held.discard(lock.descriptor)
        lock.release()


def _check_kind(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        problem = "something else is in place of the lock file"
        raise _failed(path.parent, problem, f"remove {LOCK_NAME}, which is not a regular file")


def _failed(folder: Path, problem: str, hint: str) -> RepositoryError:
    return RepositoryError(f"cannot write to {printable(folder, 500)}: {problem}", hint=hint)


if sys.platform == "win32":
    import msvcrt

    class _Lock:  # pyright: ignore[reportRedeclaration]
        """A locked byte of a file that stays."""

        def __init__(self, path: Path) -> None:
            self._taken = False
            try:
                self.descriptor = create_private(path)
            except FileExistsError:
                _check_kind(path, os.lstat(path))
                self.descriptor = os.open(path, os.O_RDWR | _FLAGS)

        def take(self) -> bool:
            """Try to take the lock."""
            try:
                msvcrt.locking(self.descriptor, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                # Wine's C library reports EEXIST for a lock that another process holds
                if error.errno in {errno.EACCES, errno.EDEADLK, errno.EDEADLOCK, errno.EEXIST}:
                    return False
                raise
            self._taken = True
            return True

        def is_held(self) -> bool:
            """No other process can take it over."""
            return True

        def release(self) -> None:
            """Free the lock."""
            if self._taken:
                msvcrt.locking(self.descriptor, msvcrt.LK_UNLCK, 1)
            os.close(self.descriptor)

    def create_private(path: Path) -> int:
        """Create ``path`` and open it for writing; it inherits the folder's permissions. `FileExistsError`."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)

else:
    import fcntl

    class _Lock:
        """A file that exists while the lock is held; see the module's docstring."""

        def __init__(self, path: Path) -> None:
            self.descriptor = -1
            self._path = path
            self._machine = f"{platform.node()}\n".encode()
            self._token = uuid4().hex.encode()
            self._seen: object = None
            self._since = 0.0

        def take(self) -> bool:
            """Try to create the file; if it is abandoned, delete it for the next try."""
            try:
                self.descriptor = create_private(self._path)
            except FileExistsError:
                self._delete_abandoned()
                return False
            if _try_flock(self.descriptor):
                self._token = self._machine + self._token
            try:
                os.write(self.descriptor, self._token)
            except OSError:
                self._path.unlink()
                raise
            return True

        def is_held(self) -> bool:
            """Whether no other process has taken it over. Opens the file: network mounts check their caches then."""
            with suppress(OSError):
                return self._path.read_bytes() == self._token
            return False

        def release(self) -> None:
            """Delete the file. If that fails, the next commit takes it over."""
            if self.descriptor >= 0:
                if self.is_held():
                    with suppress(OSError):
                        self._path.unlink()
                os.close(self.descriptor)

        def _delete_abandoned(self) -> None:
            with suppress(FileNotFoundError):  # released
                status = os.lstat(self._path)
                _check_kind(self._path, status)
                try:
                    descriptor = os.open(self._path, os.O_RDWR | _FLAGS)
                except PermissionError:  # another user's: only watched
                    self._delete_if_unchanged(status, b"", SECONDS_UNCHANGED)
                    return
                try:
                    content, locked = os.read(descriptor, 500), _try_flock(descriptor)
                    if locked is False:
                        self._seen = None
                        return
                    dead = locked and content.startswith(self._machine)
                    self._delete_if_unchanged(status, content, SECONDS_OF_DEAD if dead else SECONDS_UNCHANGED)
                finally:
                    os.close(descriptor)

        def _delete_if_unchanged(self, status: os.stat_result, content: bytes, seconds: float) -> None:
            now = time.monotonic()
            seen = (
                content,
                status.st_ino,
                status.st_mtime_ns,
                sorted(each.name for each in self._path.parent.iterdir()),
            )
            if seen != self._seen:
                self._seen, self._since = seen, now
            elif now - self._since >= seconds and os.lstat(self._path).st_ino == status.st_ino:
                self._path.unlink()

    def _try_flock(descriptor: int) -> bool | None:
        """Whether the file could be locked, which ends with its process; ``None`` if the mount cannot lock."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True

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
