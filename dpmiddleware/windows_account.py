r"""The Windows account that this process runs as.

IIS creates a registry key for the account of each application pool, which other pools cannot read::

    HKLM\SOFTWARE\Microsoft\ASP.NET\4.0.30319.0\AutoGenKeys\{SID}\DataProtection

It contains the keys of a pool without a user profile. On other systems, all methods here find nothing.
"""

from __future__ import annotations

import ctypes
import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from dpmiddleware.at_rest.dpapi import DpapiKeyWrapper
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.windows import is_windows, library, registry

__all__ = ["IIS_KEYS", "WindowsAccount"]

IIS_KEYS: Final = "SOFTWARE\\Microsoft\\ASP.NET\\4.0.30319.0\\AutoGenKeys"
"""Below HKLM; one key per account."""
_LOCAL_APP_DATA: Final = 0x1C
_TOKEN_QUERY: Final = 0x8
_TOKEN_USER: Final = 1
_MAX_PATH: Final = 260


class WindowsAccount:
    """The account of this process. Windows is not called before a method is; no method raises."""

    def local_app_data(self) -> str:
        """Return the known folder LocalApplicationData; empty if the account has no profile."""
        if not is_windows():
            return ""
        path = ctypes.create_unicode_buffer(_MAX_PATH)
        found = library("shell32").SHGetFolderPathW(None, _LOCAL_APP_DATA, None, 0, path)
        return path.value if found == 0 else ""

    def has_user_dpapi(self) -> bool:
        """Try whether DPAPI encrypts for the account; without a loaded profile, it does so only for the machine."""
        try:
            DpapiKeyWrapper().wrap(ET.Element("probe"), Binding("", UUID(int=0), bytes(32)))
        except DataProtectionError:
            return False
        return True

    def iis_keys(self) -> str:
        """Return the URL of the registry key that IIS created for the account; empty if there is none."""
        sid = self.sid()
        if not sid:
            return ""
        path = f"{IIS_KEYS}\\{sid}"
        winreg = registry()
        try:
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path, 0, winreg.KEY_READ | winreg.KEY_WRITE).Close()
        except OSError:
            return ""
        return f"registry://HKLM/{path}\\DataProtection".replace("\\", "/")

    def sid(self) -> str:
        """Return the account's security identifier, ``S-1-5-…``; empty if it is not available."""
        if not is_windows():
            return ""
        advapi32, kernel32 = library("advapi32"), library("kernel32")
        kernel32.GetCurrentProcess.restype = ctypes.c_void_p
        advapi32.OpenProcessToken.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
        token = ctypes.c_void_p()
        if not advapi32.OpenProcessToken(kernel32.GetCurrentProcess(), _TOKEN_QUERY, ctypes.byref(token)):
            return ""
        try:
            return _sid_of(token, advapi32, kernel32)
        finally:
            kernel32.CloseHandle(token)


def _sid_of(token: ctypes.c_void_p, advapi32: Any, kernel32: Any) -> str:
    size = ctypes.c_uint32()
    ask = advapi32.GetTokenInformation
    ask.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
    ask(token, _TOKEN_USER, None, 0, ctypes.byref(size))
    user = ctypes.create_string_buffer(size.value)
    if not ask(token, _TOKEN_USER, user, size, ctypes.byref(size)):
        return ""
    sid = ctypes.cast(user, ctypes.POINTER(ctypes.c_void_p))[0]  # TOKEN_USER begins with the pointer
    text = ctypes.c_wchar_p()
    advapi32.ConvertSidToStringSidW.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    if not advapi32.ConvertSidToStringSidW(sid, ctypes.byref(text)):
        return ""
    value = text.value or ""
    with suppress(OSError):
        kernel32.LocalFree(text)
    return value
