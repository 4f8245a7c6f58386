"""Where keys are stored on Windows, by Windows itself: run there, or through Wine (`tests/test_windows.py`)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.default_location import HomeKind, find_key_home
from dpmiddleware.windows_account import IIS_KEYS, WindowsAccount

if sys.platform == "win32":
    import winreg
else:
    winreg: Any = None

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="asks Windows; run by tests/test_windows.py")


@pytest.fixture
def account() -> WindowsAccount:
    """The account that runs the tests."""
    return WindowsAccount()


@pytest.fixture
def iis(account: WindowsAccount) -> Iterator[str]:
    """The key that IIS creates for the account of an application pool; its path below HKLM."""
    path = f"{IIS_KEYS}\\{account.sid()}"
    try:
        winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, path).Close()
    except PermissionError:
        pytest.skip("only an administrator can make keys in HKLM")
    yield path
    for below in ("\\DataProtection", ""):
        winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, path + below)


def test_the_account_has_an_identifier_and_a_folder(account: WindowsAccount) -> None:
    assert re.fullmatch(r"S-1-\d+(-\d+)+", account.sid())
    assert Path(account.local_app_data()).is_dir()
    assert account.has_user_dpapi()


def test_what_iis_made_is_found_and_nothing_else_is(account: WindowsAccount) -> None:
    assert account.iis_keys() == ""


class WithoutProfile(WindowsAccount):
    """As for the account of an application pool without a loaded profile."""

    def local_app_data(self) -> str:
        return ""


def test_under_iis_without_a_profile_the_ring_lives_in_hklm(iis: str) -> None:
    """Created, and read by another process, with DPAPI for the machine."""
    home = find_key_home({}, home_lookup=lambda: "", windows=WithoutProfile())
    assert home.kind is HomeKind.IIS
    assert home.repository == f"registry://HKLM/{iis}/DataProtection".replace("\\", "/")
    assert home.key_wrapper == "dpapi:machine"
    one, other = (DataProtection("shop", repository=home.repository, key_wrapper=home.key_wrapper) for _ in range(2))
    assert other.create_protector("p").unprotect(one.create_protector("p").protect("3 apples")) == "3 apples"
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, f"{iis}\\DataProtection") as key:
        assert winreg.QueryInfoKey(key)[1] == 1
        assert "DpapiXmlDecryptor" in winreg.EnumValue(key, 0)[1]


def test_with_a_profile_the_ring_lives_there_wrapped_for_the_user(tmp_path: Path) -> None:
    home = find_key_home({"LOCALAPPDATA": str(tmp_path)}, windows=WithoutProfile())
    assert (home.kind, home.key_wrapper) == (HomeKind.USER_PROFILE, "dpapi:")
    one = DataProtection("shop", repository=home.repository, key_wrapper=home.key_wrapper)
    payload = one.create_protector("p").protect("3 apples")
    (file,) = (tmp_path / "ASP.NET" / "DataProtection-Keys").glob("key-*.xml")
    assert "DpapiXmlDecryptor" in file.read_text("utf-8")
    other = DataProtection("shop", repository=home.repository, key_wrapper=home.key_wrapper)
    assert other.create_protector("p").unprotect(payload) == "3 apples"
