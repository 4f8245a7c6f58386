"""What a payload looks like from outside, and what its purposes add to it. ::

    payload := 09F0C9F0 ‖ key id (16, GUID byte order: uuid.UUID.bytes_le) ‖ body
    body    := written by dpmiddleware.crypto.encryptors
    AAD     := 09F0C9F0 ‖ key id (16) ‖ BE32(number of purposes) ‖ (varint(length) ‖ UTF-8)*
    varint  := 7 bits a byte, least significant first, high bit: more follow
    text    := base64url of the payload, without padding                        (always begins "CfDJ8")

The last four bits of the magic are a version; only 0 exists. Text is read as ASP.NET Core 10 reads it: white space is
skipped, padding may be there, ordinary base64 is taken where its characters show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.protection import base64url

__all__ = ["HEAD_SIZE", "MAGIC", "associated_data", "from_utf8", "pack", "peek_key_id", "to_utf8", "unpack"]

MAGIC: Final = b"\x09\xf0\xc9\xf0"
HEAD_SIZE: Final = 20
"""Bytes of magic and key id."""


def pack(key_id: bytes) -> bytes:
    """The head of a payload under the key with these 16 raw id bytes."""
    return MAGIC + key_id


def unpack(payload: bytes) -> bytes:
    """The 16 raw id bytes of a payload's key. `MalformedPayloadError` where it is no payload."""
    if not payload.startswith(MAGIC) or len(payload) < HEAD_SIZE:
        raise MalformedPayloadError("not a protected payload")
    return payload[4:HEAD_SIZE]


def associated_data(key_id: bytes, purposes: Sequence[str]) -> bytes:
    """The AAD of a payload under this key for these purposes (application name first, where there is one)."""
    parts = [MAGIC, key_id, len(purposes).to_bytes(4, "big")]
    for purpose in purposes:
        try:
            raw = purpose.encode("utf-8")
        except UnicodeEncodeError:
            raise ConfigurationError("a purpose holds an unpaired surrogate") from None
        parts += [_varint(len(raw)), raw]
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def peek_key_id(data: str | bytes) -> bytes | None:
    """The 16 raw key id bytes that stand in clear at the start of a payload or its text; ``None`` if it is none.

    Looks at the first bytes only and decrypts nothing.
    """
    try:
        start = base64url.decode(data[:28]) if isinstance(data, str) else data[:HEAD_SIZE]
        return unpack(start)
    except MalformedPayloadError:
        return None


def to_utf8(text: str) -> bytes:
    """Text as the bytes that are protected: strict UTF-8. `ConfigurationError` for an unpaired surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError("text with an unpaired surrogate cannot be protected") from None


def from_utf8(plain: bytes) -> str:
    """Bytes that were protected as text. `MalformedPayloadError` where they are none."""
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedPayloadError("the payload holds bytes, not text: unprotect it as bytes") from None
