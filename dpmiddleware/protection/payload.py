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

import binascii
from collections.abc import Callable, Sequence
from typing import Final

from dpmiddleware import compiled
from dpmiddleware.errors import ConfigurationError, MalformedPayloadError

__all__ = [
    "HEAD_SIZE",
    "MAGIC",
    "associated_data",
    "decode_text",
    "encode_text",
    "from_plain_text",
    "from_text",
    "pack",
    "peek_key_id",
    "to_text",
    "unpack",
]

MAGIC: Final = b"\x09\xf0\xc9\xf0"
HEAD_SIZE: Final = 20
"""Bytes of magic and key id."""

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")  # "!" is in no alphabet: text that is not plain base64url
_PADDING: Final = (b"", b"===", b"==", b"=")  # by length modulo 4; one character too many is refused by the decoder
_WHITE_SPACE: Final = b" \t\r\n"
_ZERO_BITS: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""Last characters, by length modulo 4, whose unused bits are zero."""


def _stdlib_encode(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def _stdlib_decode(text: bytes) -> bytes:
    """Unpadded base64url; ``ValueError`` for anything else."""
    return binascii.a2b_base64(text.translate(_FROM_URL) + _PADDING[len(text) % 4], strict_mode=True)


def _fastest() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """pybase64 where it is installed (extra ``speed``): stdlib base64 costs more than the cipher from 1 KB up."""
    try:
        import pybase64
    except ImportError:
        return _stdlib_encode, _stdlib_decode
    decode, encode = pybase64.b64decode, pybase64.b64encode
    return (
        lambda data: encode(data, altchars=b"-_").rstrip(b"="),
        lambda text: decode(text + _PADDING[len(text) % 4], b"-_", True),  # noqa: FBT003 (a keyword costs a tenth)
    )


def _codec() -> tuple[Callable[[bytes], str], Callable[[bytes], bytes | None]]:
    """`to_text` and `from_plain_text`: compiled where there is such a core."""
    core = compiled.load("protection._base64url")
    if core is not None:
        return core.encode, core.decode
    encode, decode = _fastest()

    def plain(text: bytes) -> bytes | None:
        if text.find(b"=") >= 0 or text.find(b"+") >= 0 or text.find(b"/") >= 0:  # ``in`` raises an error first
            return None
        try:
            payload = decode(text)
        except ValueError:
            return None
        last = _ZERO_BITS.get(len(text) % 4)
        return payload if last is None or text[-1] in last else None

    return lambda payload: encode(payload).decode("ascii"), plain


to_text, from_plain_text = _codec()
"""A payload as base64url without padding; the payload of such a text, ``None`` where it is none."""


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


def from_text(text: str) -> bytes:
    """The payload that a text stands for. `MalformedPayloadError` where it stands for none."""
    payload = from_plain_text(text.encode("ascii")) if text.isascii() else None
    return _from_unusual_text(text) if payload is None else payload


def _from_unusual_text(text: str) -> bytes:
    """Text with white space, padding, or in the ordinary alphabet: allowed, and never written by anybody here."""
    try:
        raw = text.encode("ascii").translate(None, _WHITE_SPACE)
        first = next((c for c in raw if c in b"+/-_"), ord("-"))
        if first in b"+/":
            if len(raw) % 4 or raw.endswith(b"==="):  # Python before 3.13 lets padding behind a whole group pass
                raise _not_text()
            return binascii.a2b_base64(raw, strict_mode=True)
        body = raw.rstrip(b"=%")
        padding, rest = len(raw) - len(body), len(body) % 4
        if padding > {2: 2, 3: 1}.get(rest, 0):
            raise _not_text()
        if rest in _ZERO_BITS and body[-1] not in _ZERO_BITS[rest]:
            raise _not_text()
        return _stdlib_decode(body)
    except ValueError:
        raise _not_text() from None


def _not_text() -> MalformedPayloadError:
    return MalformedPayloadError("not the text of a protected payload")


def peek_key_id(data: str | bytes) -> bytes | None:
    """The 16 raw key id bytes that stand in clear at the start of a payload or its text; ``None`` if it is none.

    Looks at the first bytes only and decrypts nothing.
    """
    try:
        start = from_text(data[:28]) if isinstance(data, str) else data[:HEAD_SIZE]
        return unpack(start)
    except MalformedPayloadError:
        return None


def encode_text(text: str) -> bytes:
    """Text as the bytes that are protected: strict UTF-8. `ConfigurationError` for an unpaired surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError("text with an unpaired surrogate cannot be protected") from None


def decode_text(plain: bytes) -> str:
    """Bytes that were protected as text. `MalformedPayloadError` where they are none."""
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedPayloadError("the payload holds bytes, not text: unprotect it as bytes") from None
