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
kernel, 1 to 10 ms: two changes of one file in place, within one tick and to the same size, count as one. A network
mount that caches attributes shows the changes of others when its cache ends: NFS's ``actimeo``, up to a minute.)
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.printable import printable
from dpmiddleware.repositories.failures import conflict, failed, moving, name_taken
from dpmiddleware.repositories.folder import (
    Entry,
    MovedError,
    digest,
    list_documents,
    make_folder,
    obstacle,
    patiently,
    publish,
    read_document,
    sync_folder,
    write_private,
)
from dpmiddleware.repositories.folder_lock import folder_lock

__all__ = ["FileKeyRepository"]

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_TEMPORARY_PREFIX: Final = ".dpmiddleware-"
_SECONDS_TO_READ: Final = 4.0
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


class FileKeyRepository:
    """A `KeyRepository` in a folder, which is made (mode 0700) by the first commit; one that exists keeps its modes."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not os.fspath(folder) or "\0" in os.fspath(folder):
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
        """All documents; a file that must not be read (no regular one, a link out, too large) with its ``problem``.

        What the folder lists is noted while it is read, and looked at again behind: unchanged, it is of one moment.
        """
        deadline = time.monotonic() + _SECONDS_TO_READ
        with self._translated("read"):
            while True:
                with suppress(MovedError):
                    marks, documents = self._read_each()
                    if marks == self._marks():
                        return Snapshot(documents, digest(marks))
                if time.monotonic() >= deadline:
                    raise moving(self.location)
                time.sleep(0.005)

    def version(self) -> str:
        """A digest of what the folder lists; no file is opened."""
        with self._translated("read"):
            return digest(self._marks())

    def _marks(self) -> list[str]:
        return [entry.mark for entry in list_documents(self._folder)]

    def _read_each(self) -> tuple[list[str], tuple[StoredDocument, ...]]:
        """Each file's mark, taken before it is opened, and its document; entries are not kept, 10,000 would count."""
        marks: list[str] = []
        documents: list[StoredDocument] = []
        for entry in list_documents(self._folder):
            marks.append(entry.mark)
            documents.append(self._load(entry))
        return marks, tuple(documents)

    def _load(self, entry: Entry) -> StoredDocument:
        problem, data = obstacle(self._folder, entry), b""
        if not problem:
            try:
                data = read_document(entry)
            except OSError as error:
                hint = "the user of this process must be able to read every document: one left out may be a revocation"
                doing = f"read {printable(entry.name)} in"
                raise failed(self.location, doing, error.strerror or error, hint) from error
            if not data or len(data) > MAX_SIZE:
                data, problem = b"", TOO_LARGE if data else "empty"
        return StoredDocument(entry.name.removesuffix(".xml"), data, entry.name, problem)

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
            make_folder(self._folder)
            with folder_lock(self._folder):
                if digest(self._marks()) != expected:
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
        try:
            for name, path in temporary.items():
                patiently(path.replace, self._folder / name)
        except OSError:
            _unlink(temporary.values())
            raise
        sync_folder(self._folder)
        gone = removed.difference(names)
        for name in sorted(gone, key=_is_revocation):
            patiently((self._folder / name).unlink, missing_ok=True)
        if gone:
            sync_folder(self._folder)

    def _publish_new(self, named: list[tuple[str, StoredDocument]], removed: set[str]) -> dict[str, Path]:
        """Steps 1 and 2, or nothing. Returns what is to replace a file: its name → its temporary file."""
        made: list[Path] = []
        temporary: dict[str, Path] = {}
        try:
            for name, document in named:
                temporary[name] = self._folder / f"{_TEMPORARY_PREFIX}{uuid4().hex}.tmp"
                made.append(temporary[name])
                write_private(temporary[name], document.data)
            for name in sorted(set(temporary) - removed, key=_is_revocation, reverse=True):
                publish(temporary.pop(name), self._folder / name)
                made.append(self._folder / name)
        except BaseException as error:
            _unlink(made)
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
        _unlink(self._folder.glob(f"{_TEMPORARY_PREFIX}*.tmp"))

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
            readable = [
                e for e in list_documents(self._folder) if e.target is not None and e.target.st_mode & stat.S_IROTH
            ]
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


def _is_revocation(file_name: str) -> bool:
    return file_name.startswith("revocation-")


def _named(documents: Sequence[StoredDocument]) -> list[tuple[str, StoredDocument]]:
    """File names for documents: .NET's rule for what is safe, a random name for the rest."""
    return [
        (f"{document.name if document.name and _SAFE_NAME.fullmatch(document.name) else uuid4()}.xml", document)
        for document in documents
    ]


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
