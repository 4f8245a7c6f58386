"""The layout of a payload, and the data that binds it to its key and purposes. ::

    payload := 09F0C9F0 ‖ key id (16, GUID byte order: uuid.UUID.bytes_le) ‖ body
    body    := ciphertext and MAC                                               (dpmiddleware.crypto.encryptors)
    AAD     := 09F0C9F0 ‖ key id (16) ‖ BE32(number of purposes) ‖ (varint(length) ‖ UTF-8)*
    varint  := 7 bits per byte, least significant first; the high bit is set if more bytes follow
    text    := base64url of the payload; always begins with "CfDJ8"             (dpmiddleware.protection.base64url)

The last four bits of the magic are a version. Only version 0 exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.protection import base64url

__all__ = [
    "HEAD_SIZE",
    "MAGIC",
    "associated_data",
    "from_utf8",
    "head_of",
    "key_id_of",
    "peek_key_id",
    "to_utf8",
    "varint",
]

MAGIC: Final = b"\x09\xf0\xc9\xf0"
HEAD_SIZE: Final = 20
"""Bytes of the head: magic and key id."""

_ONE_BYTE: Final = [bytes([number]) for number in range(0x80)]


def head_of(key_id: bytes) -> bytes:
    """Build the head of a payload. ``key_id``: 16 raw bytes."""
    return MAGIC + key_id


def key_id_of(payload: bytes) -> bytes:
    """Return the 16 raw bytes of the key id in a payload. `MalformedPayloadError` if the data is not a payload."""
    if not payload.startswith(MAGIC) or len(payload) < HEAD_SIZE:
        raise MalformedPayloadError("not a protected payload")
    return payload[4:HEAD_SIZE]


def associated_data(key_id: bytes, purposes: Sequence[str]) -> bytes:
    """Build the AAD of a payload. The first of ``purposes`` is the application name, if there is one."""
    parts = [MAGIC, key_id, len(purposes).to_bytes(4, "big")]
    for purpose in purposes:
        try:
            raw = purpose.encode("utf-8")
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"the purpose {purpose!a} contains an unpaired surrogate", hint="write the purpose in plain text"
            ) from None
        parts += [varint(len(raw)), raw]
    return b"".join(parts)


def varint(number: int) -> bytes:
    """Encode a length as in the layout above; .NET's ``Write7BitEncodedInt``."""
    if number < 0x80:
        return _ONE_BYTE[number]
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def peek_key_id(data: str | bytes) -> bytes | None:
    """Return the 16 raw bytes of the key id in a payload or its text; ``None`` if the data is not a payload.

    Reads only the head, which is not encrypted.
    """
    try:
        start = base64url.decode(data[:28]) if isinstance(data, str) else data[:HEAD_SIZE]
        return key_id_of(start)
    except MalformedPayloadError:
        return None


def to_utf8(text: str) -> bytes:
    """Convert text to bytes, to protect it: strict UTF-8. `ConfigurationError` for an unpaired surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError(
            "text with an unpaired surrogate cannot be protected",
            hint='protect bytes: text.encode(errors="surrogatepass")',
        ) from None


def from_utf8(plain: bytes) -> str:
    """Convert the bytes of protected text back. `MalformedPayloadError` if they are not UTF-8."""
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedPayloadError("the payload contains bytes, not text: unprotect it as bytes") from None
