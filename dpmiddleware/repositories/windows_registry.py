"""Keys as values of one Windows registry key, as ASP.NET Core's ``PersistKeysToRegistry`` stores them.

A document is one value: its name is .NET's friendly name (``key-{id}``, ``revocation-…``), its type REG_SZ, its text
the XML. Names are ignored when reading. .NET may write to the same place at the same time.

The version is a digest of all names, types and texts: reading the local registry is cheap, and its times of change are
too coarse (10 to 16 ms) to tell two changes apart.

A commit holds a named mutex, which .NET does not take: one of our own processes wins, and the next `version` shows what
.NET wrote meanwhile. It adds first, revocations before keys, and removes last, so a process that is killed in between
leaves a valid ring.
"""

from __future__ import annotations

import ctypes
import hashlib
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, Self

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.base import Repository
from dpmiddleware.repositories.documents import is_revocation, safe_name, stored_document, text_of
from dpmiddleware.urls import ConfigurationURL
from dpmiddleware.windows import is_windows, last_error, library, registry

__all__ = ["RegistryKeyRepository"]

_HIVES: Final = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKEY_LOCAL_MACHINE": "HKEY_LOCAL_MACHINE",
    "HKEY_CURRENT_USER": "HKEY_CURRENT_USER",
}
_SECONDS: Final = 4.0
_URL_HINT: Final = "write registry://HKLM/Software/Shop/Keys, or HKCU"
_ACCESS_DENIED: Final = 5
_HINT: Final = "check the registry key and its permissions in regedit"


class _Value(NamedTuple):
    name: str
    type: int
    content: object


class RegistryKeyRepository(Repository):
    """A `KeyRepository` in one registry key, which the first commit creates with inherited permissions.

    hive: ``HKLM`` or ``HKCU``. path: below it, with backslashes or slashes. `ConfigurationError` on another system.
    """

    _seconds = None  # a registry of this machine

    def __init__(self, hive: str, path: str) -> None:
        name = _HIVES.get(hive.upper())
        cleaned = path.replace("/", "\\").strip("\\")
        if name is None or not cleaned:
            raise ConfigurationError(
                f"{without_password(f'registry://{hive}/{cleaned}')} is not a registry key", hint=_URL_HINT
            )
        if not is_windows():
            raise ConfigurationError("only Windows has a registry", hint="name a folder or another store")
        super().__init__(printable(f"{name}\\{cleaned}", 500))
        self._hive, self._path = name, cleaned
        mutex = hashlib.sha256(f"{name}\\{cleaned}".lower().encode()).hexdigest()[:32]
        self._mutex = f"Global\\dpmiddleware-{mutex}"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open ``registry://HKLM/Software/Shop/Keys``; HKCU likewise."""
        parts = ConfigurationURL.parse(url)
        return cls(parts.host, parts.path)

    def read(self) -> Snapshot:
        """Return all documents. A value that is not text, or is too large, has a ``problem``. `RepositoryError`."""
        values = self._values()
        return Snapshot(tuple(map(_document, values)), _digest(values))

    def version(self) -> str:
        """Return a digest of all values. `RepositoryError`."""
        return _digest(self._values())

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """See `KeyRepository`. Holds the mutex meanwhile. `VersionConflict`, `RepositoryError`."""
        added = {safe_name(document): self._text_of(document) for document in add}
        removed = {document.locator for document in remove}
        with self._locked():
            values = self._values()
            if _digest(values) != expected:
                raise self._conflict()
            there = {value.name.lower() for value in values} - {name.lower() for name in removed}
            for name in added:
                if name.lower() in there:
                    raise self._name_taken(name)
            if len({name.lower() for name in added}) != len(add):
                raise self._name_taken("one that is added twice")
            self._write(added, removed)

    def _text_of(self, document: StoredDocument) -> str:
        try:
            return document.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise self._failed("write to", "a document is not UTF-8", "rewrite it: dpm keys rewrap") from None

    def _write(self, added: dict[str, str], removed: set[str]) -> None:
        """Add revocations before keys, and remove them after keys."""
        winreg = registry()
        if not added and not removed:
            return
        new = {name.lower() for name in added}
        root, access = getattr(winreg, self._hive), winreg.KEY_READ | winreg.KEY_SET_VALUE
        with self._translated("write to"), winreg.CreateKeyEx(root, self._path, 0, access) as key:
            for name in sorted(added, key=is_revocation, reverse=True):
                winreg.SetValueEx(key, name, 0, winreg.REG_SZ, added[name])
            for name in sorted(removed, key=is_revocation):
                if name.lower() not in new:
                    winreg.DeleteValue(key, name)
            winreg.FlushKey(key)

    def _values(self) -> list[_Value]:
        """Return all values, sorted; read again until two readings agree. A missing key has none."""
        deadline = time.monotonic() + _SECONDS
        with self._translated("read"):
            values = self._enumerate()
            while (again := self._enumerate()) != values:
                if time.monotonic() > deadline:
                    raise self._moving()
                values = again
            return values

    def _enumerate(self) -> list[_Value]:
        winreg = registry()
        try:
            key = winreg.OpenKeyEx(getattr(winreg, self._hive), self._path, 0, winreg.KEY_READ)
        except FileNotFoundError:
            return []
        with key:
            found: list[_Value] = []
            while True:
                try:
                    name, content, kind = winreg.EnumValue(key, len(found))
                except OSError as error:
                    if getattr(error, "winerror", None) != 259:  # ERROR_NO_MORE_ITEMS
                        raise
                    return sorted(found, key=lambda value: value.name)
                found.append(_Value(name, kind, content))

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(doing, error.strerror or type(error).__name__, _HINT) from None

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the mutex; take over one whose process died."""
        kernel32 = library("kernel32")
        kernel32.CreateMutexW.restype = ctypes.c_void_p
        kernel32.CreateMutexW.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_wchar_p]
        kernel32.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        kernel32.ReleaseMutex.argtypes = kernel32.CloseHandle.argtypes = [ctypes.c_void_p]
        handle = kernel32.CreateMutexW(None, 0, self._mutex)
        if not handle:
            code = last_error()
            reason = "another user holds the lock" if code == _ACCESS_DENIED else f"no lock (Windows error {code})"
            raise self._failed("write to", reason, "let one user create the keys, and the others only read")
        try:
            if kernel32.WaitForSingleObject(handle, int(_SECONDS * 1000)) not in {0, 0x80}:  # WAIT_OBJECT_0, abandoned
                raise self._failed("write to", "another process holds the lock", "find the process, or try again")
            try:
                yield
            finally:
                kernel32.ReleaseMutex(handle)
        finally:
            kernel32.CloseHandle(handle)


def _digest(values: Sequence[_Value]) -> str:
    digest = hashlib.sha256()
    for value in values:
        content = value.content if isinstance(value.content, str) else repr(value.content)
        for part in (value.name, str(value.type), content):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def _document(value: _Value) -> StoredDocument:
    name = value.name or None
    if not isinstance(value.content, str) or value.type != registry().REG_SZ:
        return StoredDocument(name, b"", value.name, "not a text value (REG_SZ)")
    if not value.content:  # such as a key's default value: neither a key nor a revocation
        return StoredDocument(name, b"", value.name)
    try:
        return stored_document(name, text_of(value.content.encode("utf-8")), value.name)
    except UnicodeEncodeError:
        return StoredDocument(name, b"", value.name, "not Unicode text")
