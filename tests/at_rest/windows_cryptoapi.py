"""Run by a Python for Windows: creates, signs, opens and verifies key blobs with CryptoAPI itself (advapi32).

Question: {"op": "make" | "open", "oaep": bool, "exchange": blob, "signer": blob, "blob": …, "signature": …}, base64.
"""

from __future__ import annotations

import ctypes
import json
import sys
from base64 import b64decode, b64encode
from ctypes import wintypes
from typing import Any

PROVIDER = "Microsoft Enhanced RSA and AES Cryptographic Provider"
RSA_AES, VERIFY_CONTEXT, EXPORTABLE, OAEP = 24, 0xF0000000, 1, 0x40
SIMPLE, PLAINTEXT, AES_256, SHA_256, AT_SIGNATURE = 1, 8, 0x6610, 0x800C, 2

advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
Handle = ctypes.c_size_t


def call(name: str, *arguments: Any) -> None:
    if not getattr(advapi32, name)(*arguments):
        raise OSError(f"{name}: {ctypes.get_last_error():#x}")  # type: ignore[attr-defined,unused-ignore]


def provider() -> Any:
    handle = Handle()
    call("CryptAcquireContextW", ctypes.byref(handle), None, PROVIDER, RSA_AES, VERIFY_CONTEXT)
    return handle


def imported(context: Any, blob: bytes, exchange: Any = None, flags: int = EXPORTABLE) -> Any:
    key = Handle()
    call("CryptImportKey", context, blob, len(blob), exchange or Handle(0), flags, ctypes.byref(key))
    return key


def exported(key: Any, exchange: Any, kind: int, flags: int = 0) -> bytes:
    size = wintypes.DWORD()
    call("CryptExportKey", key, exchange, kind, flags, None, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    call("CryptExportKey", key, exchange, kind, flags, buffer, ctypes.byref(size))
    return buffer.raw[: size.value]


def hashed(context: Any, data: bytes) -> Any:
    handle = Handle()
    call("CryptCreateHash", context, SHA_256, Handle(0), 0, ctypes.byref(handle))
    call("CryptHashData", handle, data, len(data), 0)
    return handle


def make(exchange: bytes, signer: bytes, oaep: bool) -> dict[str, bytes]:
    """A session key of CryptoAPI's, exported to our exchange key and signed with our signer's private key."""
    context = provider()
    session = Handle()
    call("CryptGenKey", context, AES_256, EXPORTABLE, ctypes.byref(session))
    blob = exported(session, imported(context, exchange, flags=0), SIMPLE, OAEP if oaep else 0)
    imported(context, signer)
    size = wintypes.DWORD()
    digest = hashed(context, blob)
    call("CryptSignHashW", digest, AT_SIGNATURE, None, 0, None, ctypes.byref(size))
    signature = ctypes.create_string_buffer(size.value)
    call("CryptSignHashW", digest, AT_SIGNATURE, None, 0, signature, ctypes.byref(size))
    return {"blob": blob, "signature": signature.raw, "plaintext": exported(session, Handle(0), PLAINTEXT)}


def open_blob(exchange: bytes, signer: bytes, blob: bytes, signature: bytes, oaep: bool) -> dict[str, bytes]:
    """Our blob: its signature verified with the signer's public key, imported with the exchange key, and used.

    Wine imports an OAEP blob with this one flag only, so the key cannot be exported to be looked at; it encrypts
    a text instead (CBC, an IV of zeros, PKCS#7: CryptoAPI's defaults).
    """
    context = provider()
    public = imported(context, signer, flags=0)
    call("CryptVerifySignatureW", hashed(context, blob), signature, len(signature), public, None, 0)
    session = imported(context, blob, imported(context, exchange), OAEP if oaep else EXPORTABLE)
    text = b"3 apples"
    buffer, size = ctypes.create_string_buffer(text, 64), wintypes.DWORD(len(text))
    call("CryptEncrypt", session, Handle(0), True, 0, buffer, ctypes.byref(size), 64)
    return {"encrypted": buffer.raw[: size.value]}


def main() -> None:
    question = json.load(sys.stdin)
    operation, oaep = question.pop("op"), question.pop("oaep")
    blobs = {name: b64decode(value) for name, value in question.items()}
    answer = make(oaep=oaep, **blobs) if operation == "make" else open_blob(oaep=oaep, **blobs)
    print(json.dumps({name: b64encode(value).decode() for name, value in answer.items()}))


if __name__ == "__main__":
    main()
