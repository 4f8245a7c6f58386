"""Keys encrypted by Windows' Data Protection API, as .NET's ``ProtectKeysWithDpapi`` writes and reads them. ::

    <encryptedKey>
      <!-- … -->
      <value>base64 of CryptProtectData(BOM ‖ XML declaration ‖ <masterKey> as UTF-8)</value>
    </encryptedKey>

The optional entropy is the UTF-8 text ``DPAPI-Protected Secret``, there is no description and never a prompt. Windows
keeps the keys: for the user (who roams with his profile) or for the machine (every program on it opens them). On
another system such a key is unreadable, and nothing can be wrapped.
"""

from __future__ import annotations

import ctypes
import xml.etree.ElementTree as ET
from base64 import b64encode
from typing import Any, ClassVar, Final, NoReturn

from dpmiddleware.at_rest.elements import children, decode, opened
from dpmiddleware.dotnet_types import BUILD, DATA_PROTECTION, type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import dump
from dpmiddleware.printable import printable
from dpmiddleware.urls import ConfigurationURL
from dpmiddleware.windows import is_windows, last_error, library

__all__ = ["DpapiKeyWrapper"]

_TYPE: Final = type_in(DATA_PROTECTION, "XmlEncryption.DpapiXmlDecryptor")
_ENTROPY: Final = b"DPAPI-Protected Secret"
_DECLARATION: Final = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>'
_UI_FORBIDDEN: Final = 0x1
_LOCAL_MACHINE: Final = 0x4


class DpapiKeyWrapper:
    """Has Windows encrypt and decrypt keys.

    machine: for every program on this machine, in place of this user's programs on any. Either is opened.
    """

    def __init__(self, *, machine: bool = False) -> None:
        self._flags = _UI_FORBIDDEN | (_LOCAL_MACHINE if machine else 0)
        self._entropy = _ENTROPY

    @classmethod
    def from_url(cls, url: str) -> DpapiKeyWrapper:
        """``dpapi:`` (this user) or ``dpapi:machine``."""
        parts = ConfigurationURL.parse(url)
        if parts.host or parts.path not in {"", "user", "machine"}:
            raise ConfigurationError(f"dpapi: {printable(parts.path)} is unknown", hint="dpapi: or dpapi:machine")
        return cls(machine=parts.path == "machine")

    @property
    def decryptor_types(self) -> frozenset[str]:
        """.NET's ``DpapiXmlDecryptor``."""
        return frozenset({_TYPE})

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Have Windows encrypt. `ConfigurationError` on another system, `KeyUnwrapError` where Windows refuses."""
        if not is_windows():
            raise ConfigurationError("DPAPI is there on Windows only", hint="use x509:, secret: or a key service")
        blob = _crypt("CryptProtectData", _DECLARATION + dump(secret), self._entropy, self._flags)
        element = ET.Element("encryptedKey")
        element.append(ET.Comment(" This key is encrypted with Windows DPAPI. "))
        ET.SubElement(element, "value").text = b64encode(blob).decode("ascii")
        return _TYPE + BUILD, element

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have Windows decrypt. `KeyUnwrapError`."""
        blob = decode(*children(encrypted, "value"))
        if not is_windows():
            raise KeyUnwrapError(
                "wrapped with DPAPI, which is there on Windows only",
                hint="rewrap the keys where they were made, with something that both systems have: dpm keys rewrap",
            )
        return opened(_crypt("CryptUnprotectData", blob, self._entropy, _UI_FORBIDDEN))

    def __repr__(self) -> str:
        return f"<DpapiKeyWrapper of this {'machine' if self._flags & _LOCAL_MACHINE else 'user'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key wrapper is not for pickling or copying")


class _Blob(ctypes.Structure):
    """DATA_BLOB of wincrypt.h."""

    _fields_: ClassVar = [("size", ctypes.c_uint32), ("data", ctypes.c_void_p)]


def _blob(data: bytes) -> tuple[_Blob, Any]:
    """A blob and the buffer that has to live as long as it does."""
    buffer = ctypes.create_string_buffer(data, len(data))
    return _Blob(len(data), ctypes.cast(buffer, ctypes.c_void_p)), buffer


def _crypt(function: str, data: bytes, entropy: bytes, flags: int) -> bytes:
    """CryptProtectData or CryptUnprotectData; what it gave is wiped before it is freed."""
    crypt32, kernel32 = library("crypt32"), library("kernel32")
    kernel32.LocalFree.argtypes = [ctypes.c_void_p]
    source, _source_buffer = _blob(data)
    salt, _salt_buffer = _blob(entropy)
    result = _Blob()
    call = getattr(crypt32, function)
    call.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_uint32, ctypes.c_void_p]
    if not call(ctypes.byref(source), None, ctypes.byref(salt), None, None, flags, ctypes.byref(result)):
        raise KeyUnwrapError(
            f"DPAPI refused: Windows error {last_error()}",
            hint="another user's or machine's key, or the document was changed; is the user's profile loaded?",
        )
    try:
        return ctypes.string_at(result.data, result.size)
    finally:
        ctypes.memset(result.data, 0, result.size)
        kernel32.LocalFree(result.data)
