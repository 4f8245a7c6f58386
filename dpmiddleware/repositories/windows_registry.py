"""Keys as values of one Windows registry key, as ASP.NET Core's ``PersistKeysToRegistry`` keeps them.

A document is one value: its name is .NET's friendly name (``key-{id}``, ``revocation-…``), its type REG_SZ, its text
the XML. What a value is called means nothing on reading. .NET may write to the same place at the same time.

The version is a digest of all names, types and texts: reading the registry of one's own machine costs little, and its
change times are too coarse (10 to 16 ms) to tell two changes apart.

A commit holds a named mutex, which .NET does not know; so of our own processes one wins, and what .NET writes meanwhile
is seen by the next `version`. It adds first, revocations before keys, and takes away last: a process that is killed in
between leaves a good ring.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Self
from urllib.parse import unquote
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.printable import printable
from dpmiddleware.repositories.failures import conflict, failed, moving, name_taken
from dpmiddleware.windows import is_windows, last_error, library, registry

__all__ = ["RegistryKeyRepository"]

_HIVES: Final = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKEY_LOCAL_MACHINE": "HKEY_LOCAL_MACHINE",
    "HKEY_CURRENT_USER": "HKEY_CURRENT_USER",
}
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_SECONDS: Final = 4.0
_ACCESS_DENIED: Final = 5
_HINT: Final = "is it the right key, and may this user read and write there? see its permissions in regedit"


class _Value(NamedTuple):
    name: str
    type: int
    content: object


class RegistryKeyRepository:
    """A `KeyRepository` in one registry key, which is made by the first commit and inherits its permissions.

    hive: ``HKLM`` or ``HKCU``. path: below it, with backslashes or slashes. `ConfigurationError` on another system.
    """

    def __init__(self, hive: str, path: str) -> None:
        name = _HIVES.get(hive.upper())
        cleaned = path.replace("/", "\\").strip("\\")
        if name is None or not cleaned:
            raise ConfigurationError("registry: names no key", hint="registry://HKLM/Software/Shop/Keys, or HKCU")
        if not is_windows():
            raise ConfigurationError("there is a registry on Windows only", hint="name a folder or another store")
        self._hive, self._path = name, cleaned
        mutex = hashlib.sha256(f"{name}\\{cleaned}".lower().encode()).hexdigest()[:32]
        self._mutex = f"Global\\dpmiddleware-{mutex}"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """``registry://HKLM/Software/Shop/Keys``; HKCU likewise."""
        scheme, _, rest = url.partition("://")
        hive, _, path = unquote(rest).partition("/")
        if scheme.lower() != "registry" or "?" in rest or "#" in rest:
            raise ConfigurationError(
                f"{printable(url)} names no registry key", hint="registry://HKLM/Software/Shop/Keys"
            )
        return cls(hive, path)

    @property
    def location(self) -> str:
        """Hive and path."""
        return printable(f"{self._hive}\\{self._path}", 500)

    def __repr__(self) -> str:
        return f"RegistryKeyRepository({self._hive!r}, {self._path!r})"

    def read(self) -> Snapshot:
        """All documents; a value that is no text, or too large, with its ``problem``. `RepositoryError`."""
        values = self._values()
        return Snapshot(tuple(map(_document, values)), _digest(values))

    def version(self) -> str:
        """A digest of all values. `RepositoryError`."""
        return _digest(self._values())

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """Add and remove values while holding the mutex. `VersionConflict`, `RepositoryError`."""
        added = {_name_for(document): _text_of(document, self.location) for document in add}
        removed = {document.locator for document in remove}
        with self._locked():
            values = self._values()
            if _digest(values) != expected:
                raise conflict(self.location)
            there = {value.name.lower() for value in values} - {name.lower() for name in removed}
            for name in added:
                if name.lower() in there:
                    raise name_taken(self.location, name)
            if len({name.lower() for name in added}) != len(add):
                raise name_taken(self.location, "one that is added twice")
            self._write(added, removed)

    def _write(self, added: dict[str, str], removed: set[str]) -> None:
        """Revocations are there before keys come, and go after keys are gone."""
        winreg = registry()
        if not added and not removed:
            return
        new = {name.lower() for name in added}
        with self._translated("write to"), winreg.CreateKeyEx(self._root(), self._path, 0, self._write_access()) as key:
            for name in sorted(added, key=lambda name: not name.startswith("revocation-")):
                winreg.SetValueEx(key, name, 0, winreg.REG_SZ, added[name])
            for name in sorted(removed, key=lambda name: name.startswith("revocation-")):
                if name.lower() not in new:
                    winreg.DeleteValue(key, name)
            winreg.FlushKey(key)

    def _values(self) -> list[_Value]:
        """All values, sorted; read again until two readings agree. A key that is not there has none."""
        deadline = time.monotonic() + _SECONDS
        with self._translated("read"):
            values = self._enumerate()
            while True:
                again = self._enumerate()
                if again == values:
                    return values
                if time.monotonic() > deadline:
                    raise moving(self.location)
                values = again

    def _enumerate(self) -> list[_Value]:
        winreg = registry()
        try:
            key = winreg.OpenKeyEx(self._root(), self._path, 0, winreg.KEY_READ)
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

    def _root(self) -> Any:
        return getattr(registry(), self._hive)

    def _write_access(self) -> int:
        winreg = registry()
        return int(winreg.KEY_READ | winreg.KEY_SET_VALUE)

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise failed(self.location, doing, error.strerror or type(error).__name__, _HINT) from None

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the mutex; one that its process left behind by dying is taken over."""
        kernel32 = library("kernel32")
        kernel32.CreateMutexW.restype = ctypes.c_void_p
        kernel32.CreateMutexW.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_wchar_p]
        kernel32.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        kernel32.ReleaseMutex.argtypes = kernel32.CloseHandle.argtypes = [ctypes.c_void_p]
        handle = kernel32.CreateMutexW(None, 0, self._mutex)
        if not handle:
            code = last_error()
            reason = "another user holds its lock" if code == _ACCESS_DENIED else f"no lock (Windows error {code})"
            raise failed(self.location, "write to", reason, "let one user make the keys; the others only read")
        try:
            if kernel32.WaitForSingleObject(handle, int(_SECONDS * 1000)) not in {0, 0x80}:  # WAIT_OBJECT_0, abandoned
                raise failed(self.location, "write to", "somebody else is committing and does not end", "try again")
            try:
                yield
            finally:
                kernel32.ReleaseMutex(handle)
        finally:
            kernel32.CloseHandle(handle)


def _digest(values: Sequence[_Value]) -> str:
    digest = hashlib.sha256()
    for value in values:
        for part in (value.name, str(value.type), _plain(value.content)):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def _plain(content: object) -> str:
    return content if isinstance(content, str) else repr(content)


def _document(value: _Value) -> StoredDocument:
    name = value.name or None
    if not isinstance(value.content, str) or value.type != registry().REG_SZ:
        return StoredDocument(name, b"", value.name, "not a text value (REG_SZ)")
    try:
        data = value.content.encode("utf-8")
    except UnicodeEncodeError:
        return StoredDocument(name, b"", value.name, "not Unicode text")
    if len(data) > MAX_SIZE:
        return StoredDocument(name, b"", value.name, TOO_LARGE)
    return StoredDocument(name, data, value.name)


def _name_for(document: StoredDocument) -> str:
    """.NET's rule: a friendly name that is safe, else any unique one."""
    if document.name is not None and _SAFE_NAME.fullmatch(document.name):
        return document.name
    return str(uuid4())


def _text_of(document: StoredDocument, location: str) -> str:
    try:
        return document.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RepositoryError(
            f"cannot write to {location}: a document that is not UTF-8", hint="rewrite it: dpm keys rewrap"
        ) from None
