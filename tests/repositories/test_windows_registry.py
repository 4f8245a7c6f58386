"""Keys in the Windows registry. What needs Windows runs there, or through Wine (`tests/test_windows.py`)."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.repositories.windows_registry import RegistryKeyRepository
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import Store, commit, contents, document
from tests.interop.vectors import VECTORS

if sys.platform == "win32":
    import winreg
else:
    winreg: Any = None

windows = pytest.mark.skipif(sys.platform != "win32", reason="the registry is Windows'; run by tests/test_windows.py")
NUMBERS = itertools.count()


class Key(Store):
    """A registry key, and regedit."""

    def __init__(self, hive: str) -> None:
        self.hive = hive
        self.root: Any = winreg.HKEY_CURRENT_USER if hive == "HKCU" else winreg.HKEY_LOCAL_MACHINE
        self.path = f"Software\\dpmiddleware-test\\{os.getpid()}-{next(NUMBERS)}"

    def open(self) -> RegistryKeyRepository:
        return RegistryKeyRepository.from_url(f"registry://{self.hive}/" + self.path.replace("\\", "/"))

    def append(self, name: str, data: bytes) -> None:
        with winreg.CreateKey(self.root, self.path) as key:
            winreg.SetValueEx(key, name, 0, winreg.REG_SZ, data.decode())

    def delete(self, data: bytes) -> None:
        with winreg.CreateKey(self.root, self.path) as key:
            winreg.DeleteValue(key, self._name(data))

    def replace(self, old: bytes, new: bytes) -> None:
        self.append(self._name(old), new)

    def _name(self, data: bytes) -> str:
        with winreg.OpenKey(self.root, self.path) as key:
            values = [winreg.EnumValue(key, index) for index in range(winreg.QueryInfoKey(key)[1])]
        return next(str(name) for name, content, _ in values if content == data.decode())

    def gone(self) -> None:
        try:
            winreg.DeleteKey(self.root, self.path)
        except FileNotFoundError:
            return


@pytest.fixture(params=["HKCU", "HKLM"])
def key(request: pytest.FixtureRequest) -> Iterator[Key]:
    made = Key(request.param)
    yield made
    made.gone()


@windows
class TestRegistry(RepositoryContract):
    @pytest.fixture
    def store(self, key: Key) -> Store:
        return key


@windows
def test_a_value_that_is_no_text_is_set_aside(key: Key) -> None:
    good = document()
    commit(key.open(), good)
    with winreg.CreateKey(key.root, key.path) as opened:
        winreg.SetValueEx(opened, "key-binary", 0, winreg.REG_BINARY, b"<key />")
        winreg.SetValueEx(opened, "key-number", 0, winreg.REG_DWORD, 7)
        winreg.SetValueEx(opened, "key-expand", 0, winreg.REG_EXPAND_SZ, "%PATH%")
    found = key.open().read().documents
    assert [stored.data for stored in found if not stored.problem] == [good.data]
    assert {stored.name: stored.problem for stored in found if stored.problem} == dict.fromkeys(
        ("key-binary", "key-expand", "key-number"), "not a text value (REG_SZ)"
    )


@windows
def test_an_empty_value_is_read_as_an_empty_document(key: Key) -> None:
    """With a problem, it could be an unread revocation, and would stop the ring."""
    key.append("", b"")
    (found,) = key.open().read().documents
    assert (found.name, found.data, found.problem) == (None, b"", "")


@windows
def test_names_are_compared_as_the_registry_does(key: Key) -> None:
    repository = key.open()
    commit(repository, document(name="key-ABC"))
    with pytest.raises(RepositoryError, match="already"):
        commit(repository, document(name="KEY-abc"))


@windows
def test_an_unsafe_name_becomes_another(key: Key) -> None:
    repository = key.open()
    commit(repository, StoredDocument("..\\evil", b"<key />"), StoredDocument(None, b"<revocation />"))
    assert contents(repository) == [b"<key />", b"<revocation />"]
    assert all("\\" not in (stored.name or "") for stored in repository.read().documents)


@windows
def test_constructing_makes_no_key(key: Key) -> None:
    key.open().read()
    with pytest.raises(FileNotFoundError):
        winreg.OpenKey(key.root, key.path)


@windows
def test_what_dotnet_stored_is_read(key: Key) -> None:
    """Also its revocations, with their names."""
    values = [value for ring in _load("registry-key-rings") for value in ring["registry"]]
    values += _load("registry-revocations")
    for value in values:
        key.append(value["name"], value["text"].encode())
    read = {stored.name: stored.data for stored in key.open().read().documents}
    assert read == {value["name"]: value["text"].encode() for value in values}


def _load(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return loaded


@pytest.mark.parametrize(
    "url",
    [
        "registry://HKLM",
        "registry://HKLM/",
        "registry://HKCR/Software/Shop",
        "registry:///Software/Shop",
        "registry://HKLM/Software?x=1",
        "registry:HKLM/Software",
    ],
)
def test_a_url_that_names_no_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RegistryKeyRepository.from_url(url)


@pytest.mark.skipif(sys.platform == "win32", reason="what happens elsewhere")
def test_elsewhere_there_is_no_registry() -> None:
    with pytest.raises(ConfigurationError, match="only Windows has a registry"):
        RegistryKeyRepository.from_url("registry://HKLM/Software/Shop/Keys")


@windows
def test_it_is_a_key_repository(key: Key) -> None:
    repository: KeyRepository = key.open()
    assert repository.location.endswith(key.path)
