"""Keys as files of a folder, one document a file, as ASP.NET Core's ``PersistKeysToFileSystem`` keeps them.

A document ``key-{id}`` is the file ``key-{id}.xml``; what a file is called means nothing on reading, and nothing but
``*.xml`` is looked at. .NET may write to the same folder at the same time.

A commit holds the folder's lock and goes like this, so that a process may be killed, or the power fail, at any point:

1. all new documents are written to temporary files (created exclusively, mode 0600) and brought to the disk;
2. each gets its name, revocations first, never over a file that is there;
3. documents that replace one of their own name are renamed over it;
4. the folder is brought to the disk;
5. what is to go is deleted, revocations last, and the folder brought to the disk again.

Whoever reads in between sees a good ring at another version. What a killed process leaves is temporary files, which
nobody reads and the next commit deletes. A commit that fails in 1 or 2 leaves nothing.

The version is a digest of names, inodes, sizes and times; no file is opened for it. (Times have the tick of the
kernel, 1 to 10 ms: two changes of one file in place, within one tick and to the same size, count as one.)

Before: `dpmiddleware.repositories.folder_lock`. After: `dpmiddleware.keys.document`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE
from dpmiddleware.printable import printable
from dpmiddleware.repositories.failures import conflict, failed, moving, name_taken
from dpmiddleware.repositories.folder_lock import create_private, folder_lock

__all__ = ["FileKeyRepository"]

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_TEMPORARY_PREFIX: Final = ".dpmiddleware-"
_SECONDS_TO_READ: Final = 4.0
_READ_FLAGS: Final = sum(
    getattr(os, name, 0) for name in ("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)
_READ_ONLY_HINT: Final = (
    "let this user write there, or let another process make the keys: auto_create_keys=False here, "
    "`dpm keys create` there"
)
_HINTS: Final = {
    errno.ENOSPC: "free some space: without it no key can be stored, and none is made",
    errno.EDQUOT: "free some space or raise the quota: without it no key can be stored, and none is made",
    errno.EFBIG: "a limit on the size of files (ulimit -f) keeps a key from being stored",
    errno.EACCES: _READ_ONLY_HINT,
    errno.EPERM: _READ_ONLY_HINT,
    errno.EROFS: _READ_ONLY_HINT,
    errno.ENOTDIR: "the repository is a folder; a file is in its place",
    errno.ETIMEDOUT: "another process is committing and does not end; which one holds the lock file?",
    errno.ELOOP: "a link stands in place of the lock file: remove it",
    errno.EINVAL: "something else stands in place of the lock file: remove it",
}
_TOO_LARGE: Final = f"larger than {MAX_SIZE // 1024} KB"
_T = TypeVar("_T")


class _MovedError(Exception):
    """A file went away or changed its nature between listing and opening."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One ``*.xml`` of the folder. ``target``: where a link leads, ``None`` if nowhere; without a link the same."""

    name: str
    status: os.stat_result
    target: os.stat_result | None


class FileKeyRepository:
    """A `KeyRepository` in a folder, which is made (mode 0700) by the first commit; one that exists keeps its modes."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not os.fspath(folder):
            raise ConfigurationError("an empty path names no folder for keys", hint="name one, or say memory:")
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 (resolve() would ask the disk)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """A path (``~`` is the home folder), ``file:///path`` or, on Windows, ``file://server/share``."""
        if not url.lower().startswith("file:"):
            return cls(Path(url).expanduser() if url else "")
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ConfigurationError(f"{printable(url)} has parameters; a folder takes none", hint="write %3F for ?")
        host = "" if parts.netloc.lower() == "localhost" else parts.netloc
        if host and sys.platform != "win32":
            raise ConfigurationError(f"{printable(url)} names a host", hint="three slashes: file:///var/lib/shop/keys")
        return cls(url2pathname(f"//{host}{parts.path}" if host else parts.path))

    def __repr__(self) -> str:
        return f"FileKeyRepository({str(self._folder)!r})"

    @property
    def location(self) -> str:
        """The folder's absolute path."""
        return printable(self._folder, 500)

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder

    # --- reading ------------------------------------------------------------------------------------------------

    def read(self) -> Snapshot:
        """All documents; a file that must not be read (no regular one, a link out, too large) with its ``problem``."""
        deadline = time.monotonic() + _SECONDS_TO_READ
        with self._translated("read"):
            while True:
                entries = self._scan()
                version = _digest(entries)
                with suppress(_MovedError):
                    documents = tuple(map(self._load, entries))
                    if _digest(self._scan()) == version:
                        return Snapshot(documents, version)
                if time.monotonic() >= deadline:
                    raise moving(self.location)
                time.sleep(0.005)

    def version(self) -> str:
        """A digest of what the folder lists; no file is opened."""
        with self._translated("read"):
            return _digest(self._scan())

    def _scan(self) -> list[_Entry]:
        """The ``*.xml`` of the folder by name; a folder that is not there has none."""
        entries: list[_Entry] = []
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 (plain text: 10,000 paths are not made to be thrown away)
        except FileNotFoundError:
            if self._folder.is_symlink():  # to a place that is not mounted: unreadable, not absent
                raise
            return entries
        for name in sorted(names):
            if not name.endswith(".xml"):
                continue
            path = f"{self._folder}{os.sep}{name}"
            with suppress(FileNotFoundError):  # deleted meanwhile; the list is another then, so is the version
                status = os.lstat(path)
                entries.append(_Entry(name, status, _target(path) if stat.S_ISLNK(status.st_mode) else status))
        return entries

    def _load(self, entry: _Entry) -> StoredDocument:
        path = f"{self._folder}{os.sep}{entry.name}"  # text: 10,000 paths would cost more than reading the files
        problem = ""
        if stat.S_ISLNK(entry.status.st_mode):
            path = os.path.realpath(path)  # resolve() raises where a link leads to itself
            if not Path(path).is_relative_to(os.path.realpath(self._folder)):
                problem = "a link out of the folder"
        problem = problem or _problem(path, entry.target)
        data = b"" if problem else self._content(path, entry)
        if not problem and (not data or len(data) > MAX_SIZE):
            data, problem = b"", _TOO_LARGE if data else "empty"
        return StoredDocument(entry.name.removesuffix(".xml"), data, entry.name, problem)

    def _content(self, path: str, entry: _Entry) -> bytes:
        """At most one byte more than a document may have."""
        try:
            descriptor = _patiently(lambda: os.open(path, _READ_FLAGS))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
                raise _MovedError from error
            hint = "the user of this process must be able to read every document: one left out may be a revocation"
            raise failed(self.location, f"read {printable(entry.name)} in", error.strerror, hint) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _MovedError
            data = os.read(descriptor, MAX_SIZE + 1)
            while len(data) <= MAX_SIZE and (more := os.read(descriptor, MAX_SIZE + 1 - len(data))):
                data += more
            return data
        finally:
            os.close(descriptor)

    # --- writing ------------------------------------------------------------------------------------------------

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """As the contract says and the module describes. A name that .NET would not take becomes a random one."""
        if self.version() != expected:
            raise conflict(self.location)
        if not add and not remove:
            return
        named = _named(add)
        with self._translated("write to"):
            _make_folder(self._folder)
            with folder_lock(self._folder):
                if _digest(self._scan()) != expected:
                    raise conflict(self.location)
                self._sweep()
                self._apply(named, {self._file_name(document) for document in remove})

    def _apply(self, named: list[tuple[str, StoredDocument]], removed: set[str]) -> None:
        """The five steps. ``named``: what to write, by file name; ``removed``: files to delete or replace."""
        names = [name for name, _ in named]
        for name, document in named:
            if names.count(name) > 1 or (name not in removed and os.path.lexists(self._folder / name)):
                raise name_taken(self.location, document.name or name)
        temporary = self._publish_new(named, removed)
        for name, path in temporary.items():
            _patiently(partial(path.replace, self._folder / name))
        _sync_folder(self._folder)
        gone = removed.difference(names)
        for name in sorted(gone, key=_is_revocation):
            _patiently(partial((self._folder / name).unlink, missing_ok=True))
        if gone:
            _sync_folder(self._folder)

    def _publish_new(self, named: list[tuple[str, StoredDocument]], removed: set[str]) -> dict[str, Path]:
        """Steps 1 and 2, or nothing. Returns what is to replace a file: its name → its temporary file."""
        made: list[Path] = []
        temporary: dict[str, Path] = {}
        try:
            for name, document in named:
                temporary[name] = self._folder / f"{_TEMPORARY_PREFIX}{uuid4().hex}.tmp"
                made.append(temporary[name])
                _write(temporary[name], document.data)
            for name in sorted(set(temporary) - removed, key=_is_revocation, reverse=True):
                _publish(temporary.pop(name), self._folder / name)
                made.append(self._folder / name)
        except BaseException as error:
            for path in made:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):  # somebody who does not know our lock was faster
                raise name_taken(self.location, Path(error.filename2 or error.filename).stem) from error
            raise
        return temporary

    def _file_name(self, document: StoredDocument) -> str:
        """The file of a document that was read here; nothing outside the folder."""
        name = document.locator
        if not name.endswith(".xml") or Path(name).name != name:
            raise RepositoryError(
                f"{printable(name)} is no document of {self.location}", hint="remove what a read of this store gave"
            )
        return name

    def _sweep(self) -> None:
        """Delete what a killed commit left. The lock is held, so no other commit of ours is under way."""
        for path in self._folder.glob(f"{_TEMPORARY_PREFIX}*.tmp"):
            with suppress(OSError):
                path.unlink()

    # --- health -------------------------------------------------------------------------------------------------

    def findings(self) -> list[str]:
        """What `dpm check` has to say about the folder's owner and modes: sentences, none if all is well.

        Findings and no refusals: network mounts of App Service and Kubernetes look so. On Windows none is found.
        """
        if sys.platform == "win32":
            return []
        with self._translated("read"):
            try:
                status = self._folder.stat()
            except FileNotFoundError:
                return []
            found: list[str] = []
            if status.st_uid not in {0, os.geteuid()}:
                found.append(f"{self.location} belongs to another user (uid {status.st_uid}), who can plant keys there")
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                mode = stat.S_IMODE(status.st_mode)
                found.append(
                    f"{self.location} is writable by others (mode {mode:o}), who can plant keys there: chmod 700"
                )
            open_to_all = stat.S_IXOTH & status.st_mode
            readable = [e for e in self._scan() if e.target is not None and e.target.st_mode & stat.S_IROTH]
            if open_to_all and readable:
                found.append(f"{len(readable)} documents in {self.location} can be read by every user: chmod 600")
            return found

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        """An ``OSError`` inside becomes a `RepositoryError` with a hint."""
        try:
            yield
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "is the folder there, mounted and healthy?")
            if doing == "read" and error.errno in {errno.EACCES, errno.EPERM}:
                hint = "let this user list the folder and read its files"
            raise failed(self.location, doing, error.strerror or error, hint) from error


def _target(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (as above)
    except OSError:
        return None


def _problem(path: str, target: os.stat_result | None) -> str:
    """Why a file must not be opened, or "". A link that leads to what may be a good document is an error instead."""
    if target is None:
        try:
            os.stat(path)  # noqa: PTH116 (as above)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}:
                raise
            return "a link that leads nowhere"
        raise _MovedError
    if not stat.S_ISREG(target.st_mode):
        return "not a regular file"
    return _TOO_LARGE if target.st_size > MAX_SIZE else ""


def _digest(entries: list[_Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(os.fsencode(entry.name) + b"\0")
        for status in (entry.status, entry.target):
            numbers = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) if status else None
            digest.update(f"{numbers}\0".encode())
    return digest.hexdigest()[:32]


def _is_revocation(file_name: str) -> bool:
    return file_name.startswith("revocation-")


def _named(documents: Sequence[StoredDocument]) -> list[tuple[str, StoredDocument]]:
    """File names for documents: .NET's rule for what is safe, a random name for the rest."""
    return [
        (f"{document.name if document.name and _SAFE_NAME.fullmatch(document.name) else uuid4()}.xml", document)
        for document in documents
    ]


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _sync_folder(folder.parent)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(create_private(path), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _publish(temporary: Path, final: Path) -> None:
    """Give a file its name if nobody has it; `FileExistsError` otherwise."""
    if sys.platform == "win32":
        _patiently(lambda: temporary.rename(final))  # refuses to overwrite there
        return
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        if os.path.lexists(final):  # no links on this file system (SMB, FUSE): the lock keeps our own apart
            raise FileExistsError(errno.EEXIST, "File exists", str(final)) from error
        temporary.rename(final)
    else:
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
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
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.EROFS, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def _patiently(action: Callable[[], _T]) -> _T:
    """On Windows a file that somebody reads at this moment cannot be renamed or deleted, and the other way round."""
    for _ in range(50 if sys.platform == "win32" else 0):
        try:
            return action()
        except PermissionError:
            time.sleep(0.02)
    return action()
