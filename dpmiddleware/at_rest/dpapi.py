"""Keys encrypted by Windows' Data Protection API, as .NET's ``ProtectKeysWithDpapi`` writes and reads them. ::

    <encryptedKey>
      <!-- … -->
      <value>base64 of CryptProtectData(BOM ‖ XML declaration ‖ <masterKey> as UTF-8)</value>
    </encryptedKey>

The optional entropy is the UTF-8 text ``DPAPI-Protected Secret``; there is no description and no prompt. Windows keeps
the encryption keys, either of the user, whose profile may roam, or of the machine, where every program can decrypt. On
other systems such a key is unreadable, and nothing can be wrapped.
"""

from __future__ import annotations

import ctypes
import xml.etree.ElementTree as ET
from typing import Any, ClassVar, Final

from dpmiddleware.at_rest.elements import children, decode, dump_as_document, master_key_in, new_element
from dpmiddleware.crypto.secret import Unpicklable
from dpmiddleware.dotnet_types import BUILD, DATA_PROTECTION, type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.tracebacks import HidesLocals
from dpmiddleware.urls import ConfigurationURL
from dpmiddleware.windows import is_windows, last_error, library

__all__ = ["DpapiKeyWrapper"]

_TYPE: Final = type_in(DATA_PROTECTION, "XmlEncryption.DpapiXmlDecryptor")
_ENTROPY: Final = b"DPAPI-Protected Secret"
_UI_FORBIDDEN: Final = 0x1
_LOCAL_MACHINE: Final = 0x4


class DpapiKeyWrapper(Unpicklable, HidesLocals):
    """Has Windows encrypt and decrypt keys.

    machine: wrap for every program on this machine, not for this user's programs on any machine. Both are unwrapped.
    """

    decryptor_types = frozenset({_TYPE})
    """.NET's ``DpapiXmlDecryptor``."""

    def __init__(self, *, machine: bool = False) -> None:
        self._flags = _UI_FORBIDDEN | (_LOCAL_MACHINE if machine else 0)
        self._entropy = _ENTROPY

    @classmethod
    def from_url(cls, url: str) -> DpapiKeyWrapper:
        """Open ``dpapi:`` (this user) or ``dpapi:machine``."""
        parts = ConfigurationURL.parse(url)
        if parts.host or parts.path not in {"", "user", "machine"}:
            raise ConfigurationError("dpapi: has an unknown scope", hint="write dpapi: or dpapi:machine")
        return cls(machine=parts.path == "machine")

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        """Have Windows encrypt. `ConfigurationError` on another system, `KeyUnwrapError` if Windows refuses."""
        if not is_windows():
            raise ConfigurationError("only Windows has DPAPI", hint="use x509:, secret: or a key service")
        blob = _crypt("CryptProtectData", dump_as_document(secret), self._entropy, self._flags)
        comment = " This key is encrypted with Windows DPAPI. "
        return _TYPE + BUILD, new_element("encryptedKey", comment=comment, value=blob)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        """Have Windows decrypt. `KeyUnwrapError`."""
        blob = decode(*children(encrypted, "value"))
        if not is_windows():
            raise KeyUnwrapError(
                "the key is wrapped with DPAPI, which only Windows has",
                hint="rewrap the keys where they were created, with a wrapper for both systems: dpm keys rewrap",
            )
        return master_key_in(_crypt("CryptUnprotectData", blob, self._entropy, _UI_FORBIDDEN))

    def __repr__(self) -> str:
        return f"<DpapiKeyWrapper of this {'machine' if self._flags & _LOCAL_MACHINE else 'user'}>"


class _Blob(ctypes.Structure):
    """DATA_BLOB of wincrypt.h."""

    _fields_: ClassVar = [("size", ctypes.c_uint32), ("data", ctypes.c_void_p)]


def _blob(data: bytes) -> tuple[_Blob, Any]:
    """Return a blob and its buffer, which has to live as long as the blob."""
    buffer = ctypes.create_string_buffer(data, len(data))
    return _Blob(len(data), ctypes.cast(buffer, ctypes.c_void_p)), buffer


def _crypt(function: str, data: bytes, entropy: bytes, flags: int) -> bytes:
    """Call CryptProtectData or CryptUnprotectData; its result is wiped before it is freed."""
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
            hint="check that user and machine are those that wrapped the key, and that the user's profile is loaded",
        )
    try:
        return ctypes.string_at(result.data, result.size)
    finally:
        ctypes.memset(result.data, 0, result.size)
        kernel32.LocalFree(result.data)
