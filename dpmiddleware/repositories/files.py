"""Keys as files of a folder, one document per file, as ASP.NET Core's ``PersistKeysToFileSystem`` stores them.

The document ``key-{id}`` is the file ``key-{id}.xml``. All files that match ``*.xml`` are read, and no others; their
names mean nothing. .NET may write to the same folder at the same time.

A commit holds the folder's lock (`dpmiddleware.repositories.folder_lock`, which says why the order matters). Its steps
allow the process to be killed, or the power to fail, at any point:

1. All new documents are written to temporary files (created exclusively, mode 0600) and synced to disk, several at a
   time: a file system syncs files that wait together with one write of its journal.
2. If the lock is still held and nothing has changed, each gets its name, revocations first; an existing file is not
   overwritten.
3. A document that replaces one of the same name is renamed over it.
4. The folder is synced to disk.
5. Removed documents are deleted, revocations last, and the folder is synced again.

A reader that looks in between waits for the end of a commit, or else sees a valid ring at another version. A killed
process leaves only temporary files, which are never read and which the next commit deletes. A commit that fails in step
1 or 2 leaves nothing.

The version is a digest of names, inodes, sizes and times; no file is opened for it. (Times have the kernel's tick, 1 to
10 ms: two changes of a file in place, within one tick and to the same size, count as one. A network mount that caches
attributes shows changes by others when its cache expires, for NFS after ``actimeo``, up to a minute.)
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument, check_size
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.base import Repository
from dpmiddleware.repositories.documents import is_revocation, safe_name, stored_document
from dpmiddleware.repositories.findings import StoreFinding
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
from dpmiddleware.repositories.folder_errors import explained
from dpmiddleware.repositories.folder_lock import LOCK_NAME, folder_lock
from dpmiddleware.repositories.side_by_side import side_by_side
from dpmiddleware.windows import is_windows

__all__ = ["FileKeyRepository"]

_TEMPORARY_PREFIX: Final = ".dpmiddleware-"
_SECONDS_TO_READ: Final = 4.0
_SECONDS_OF_A_COMMIT: Final = 0.25
"""How long a reader waits for a commit in progress. A killed process leaves the lock until the next commit."""


class FileKeyRepository(Repository):
    """A `KeyRepository` in a folder. The first commit creates it (mode 0700); an existing folder keeps its mode."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not os.fspath(folder) or "\0" in os.fspath(folder):
            raise ConfigurationError(
                "the path of the folder for keys is empty or holds a NUL", hint="name a folder, or memory:"
            )
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100 (resolve() would ask the disk)
        """Its absolute path."""
        super().__init__(printable(self.folder, 500))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open a path (``~`` is the home folder), ``file:///path`` or, on Windows, ``file://server/share``."""
        if not url.lower().startswith("file:"):
            return cls(Path(url).expanduser() if url else "")
        from urllib.request import url2pathname  # with a client for HTTP; most folders are given as paths

        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ConfigurationError(
                f"{without_password(url)} has a query or a fragment", hint="write %3F for ?, %23 for #"
            )
        host = "" if parts.netloc.lower() == "localhost" else parts.netloc
        if host and not is_windows():
            raise ConfigurationError(
                f"{without_password(url)} names a host", hint="use three slashes: file:///var/lib/keys"
            )
        return cls(url2pathname(f"//{host}{parts.path}" if host else parts.path))

    # --- reading ------------------------------------------------------------------------------------------------

    def read(self) -> Snapshot:
        """Return all documents. A file that must not be read has a ``problem``: not regular, a link out, too large.

        The folder is listed before and after. If both lists agree, the documents are those of one moment. While a
        commit holds the lock, that moment may be between two of its steps: it is waited for, if it does not take long.
        """
        began = time.monotonic()
        deadline = began + _SECONDS_TO_READ
        with self._translated("read"):
            while True:
                with suppress(MovedError):
                    is_committing = self._is_committing()
                    marks, documents = self._read_each()
                    is_committing = is_committing or self._is_committing()
                    is_left = time.monotonic() > began + _SECONDS_OF_A_COMMIT  # by a process that was killed
                    if marks == self._marks() and (is_left or not is_committing):
                        return Snapshot(documents, digest(marks))
                if time.monotonic() >= deadline:
                    raise self._moving()
                time.sleep(0.005)

    def version(self) -> str:
        """Return a digest of the folder's list; no file is opened."""
        with self._translated("read"):
            return digest(self._marks())

    def _is_committing(self) -> bool:
        return not is_windows() and os.path.lexists(self.folder / LOCK_NAME)  # on Windows the lock file stays

    def _marks(self) -> list[str]:
        return [entry.mark for entry in list_documents(self.folder)]

    def _read_each(self) -> tuple[list[str], tuple[StoredDocument, ...]]:
        """Each file's mark, taken before it is opened, and its document. Entries are not kept: there may be 10,000."""
        marks: list[str] = []
        documents: list[StoredDocument] = []
        size = 0
        for entry in list_documents(self.folder):
            marks.append(entry.mark)
            documents.append(self._load(entry))
            size += len(documents[-1].data)
            check_size(len(documents), size, self.location)
        return marks, tuple(documents)

    def _load(self, entry: Entry) -> StoredDocument:
        name = entry.name.removesuffix(".xml")
        if problem := obstacle(self.folder, entry):
            return StoredDocument(name, b"", entry.name, problem)
        try:
            return stored_document(name, read_document(entry), entry.name)
        except OSError as error:
            hint = "allow this user to read every document; one that is left out may be a revocation"
            doing = f"read {printable(entry.name)} in"
            raise self._failed(doing, error.strerror or error, hint) from error

    # --- writing ------------------------------------------------------------------------------------------------

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> str | None:
        """See `KeyRepository`, and the module's docstring. A name that .NET would not accept becomes a random one."""
        if self.version() != expected:
            raise self._conflict()
        if not add and not remove:
            return expected
        named = [(f"{safe_name(document)}.xml", document) for document in add]
        with self._translated("write to"):
            make_folder(self.folder)
            with folder_lock(self.folder) as held:
                entries = list(list_documents(self.folder))
                if digest(entry.mark for entry in entries) != expected:
                    raise self._conflict()
                files = _identities(entries)
                removed = {self._file_name(document) for document in remove}
                self._sweep()
                try:
                    self._apply(named, removed, files, held)
                except FileNotFoundError:  # a process that took the lock over has deleted the temporary files
                    self._check(held())
                    raise
                return self._version_after(files, dict(named), removed) if held() else None

    def _version_after(
        self, files: list[tuple[str, int, int]], added: dict[str, StoredDocument], removed: set[str]
    ) -> str | None:
        """The version, if the folder has what it had before, and what this commit has changed; otherwise ``None``."""
        entries = list(list_documents(self.folder))
        ours = {entry.name: entry.status.st_size for entry in entries if entry.name in added}
        others = _identities(entry for entry in entries if entry.name not in added)
        kept = [file for file in files if file[0] not in removed and file[0] not in added]
        is_as_written = ours == {name: len(document.data) for name, document in added.items()}
        return digest(entry.mark for entry in entries) if is_as_written and others == kept else None

    def _check(self, unchanged: bool) -> None:
        if not unchanged:
            raise self._conflict()

    def _apply(
        self,
        named: list[tuple[str, StoredDocument]],
        removed: set[str],
        files: list[tuple[str, int, int]],
        held: Callable[[], bool],
    ) -> None:
        """Take the five steps.

        named: documents to write, by file name.
        removed: files to delete or replace.
        files: what the folder must contain.
        held: whether the lock is still held.
        """
        names = Counter(name for name, _ in named)
        for name, document in named:
            if names[name] > 1 or (name not in removed and os.path.lexists(self.folder / name)):
                raise self._name_taken(document.name or name)
        temporary = self._publish_new(named, removed, files, held)
        try:
            for name, path in temporary.items():
                patiently(path.replace, self.folder / name)
        except OSError:
            _unlink(temporary.values())
            raise
        sync_folder(self.folder)
        gone = removed.difference(names)
        for name in sorted(gone, key=is_revocation):
            self._check(held())
            patiently((self.folder / name).unlink, missing_ok=True)
        if gone:
            sync_folder(self.folder)

    def _publish_new(
        self,
        named: list[tuple[str, StoredDocument]],
        removed: set[str],
        files: list[tuple[str, int, int]],
        held: Callable[[], bool],
    ) -> dict[str, Path]:
        """Take steps 1 and 2, or undo them. Return what replaces a file: its name → its temporary file."""
        temporary = {name: self.folder / f"{_TEMPORARY_PREFIX}{uuid4().hex}.tmp" for name, _ in named}
        made = [*temporary.values()]
        try:
            side_by_side(write_private, [(temporary[name], document.data) for name, document in named])
            self._check(_identities(list_documents(self.folder)) == files and held())
            for name in sorted(set(temporary) - removed, key=is_revocation, reverse=True):
                publish(temporary.pop(name), self.folder / name)
                made.append(self.folder / name)
        except BaseException as error:
            _unlink(made if held() else temporary.values())  # without the lock, others may rely on what has its name
            if isinstance(error, FileExistsError):  # .NET, which does not take the lock, was faster
                raise self._name_taken(Path(error.filename2 or error.filename).stem) from error
            raise
        return temporary

    def _file_name(self, document: StoredDocument) -> str:
        """Return the file name of a document that was read here; never a path out of the folder."""
        name = document.locator
        if not name.endswith(".xml") or Path(name).name != name:
            raise RepositoryError(
                f"{printable(name)} is not a document of {self.location}", hint="remove only documents read from it"
            )
        return name

    def _sweep(self) -> None:
        """Delete what a killed commit left; the lock is held, so no other commit needs it."""
        _unlink(self.folder.glob(f"{_TEMPORARY_PREFIX}*.tmp"))

    # --- health -------------------------------------------------------------------------------------------------

    def findings(self) -> list[StoreFinding]:
        """Return the problems of the folder's owner and modes, for `dpm check`; on Windows, none.

        These are not errors, because network mounts of App Service and Kubernetes have them.
        """
        if is_windows():
            return []
        with self._translated("read"):
            try:
                status = self.folder.stat()
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
                e for e in list_documents(self.folder) if e.target is not None and e.target.st_mode & stat.S_IROTH
            ]
            if open_to_all and readable:
                found.append(f"{len(readable)} documents in {self.location} can be read by every user: chmod 600")
            return [StoreFinding("store", text) for text in found]

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        """Turn an ``OSError`` into a `RepositoryError` with a hint."""
        try:
            yield
        except OSError as error:
            problem, hint = explained(error, doing)
            raise self._failed(doing, problem, hint) from error


def _identities(entries: Iterable[Entry]) -> list[tuple[str, int, int]]:
    """Return what is there. Marks do not serve after `_sweep`, which may delete another name of a document."""
    return [(entry.name, entry.status.st_ino, entry.status.st_mtime_ns) for entry in entries]


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
