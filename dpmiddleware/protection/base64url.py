"""Payloads as text: base64url without padding (RFC 4648, section 5).

`decode` accepts what ASP.NET Core 10 accepts: white space is skipped, padding is optional, and ordinary base64 is
recognized by its characters. `decode_strict` accepts only what `encode` writes.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Final

from dpmiddleware import compiled
from dpmiddleware.errors import MalformedPayloadError

__all__ = ["decode", "decode_strict", "encode"]

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")  # "!" is in no alphabet, so the decoder refuses it
_PADDING: Final = (b"", b"===", b"==", b"=")  # by length modulo 4; the decoder refuses a remainder of one
_WHITE_SPACE: Final = b" \t\r\n"
_ZERO_BITS: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""Last characters whose unused bits are zero, by length modulo 4."""


def _stdlib_encode(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def _stdlib_decode(text: bytes) -> bytes:
    """Decode unpadded base64url; ``ValueError`` for anything else."""
    return binascii.a2b_base64(text.translate(_FROM_URL) + _PADDING[len(text) % 4], strict_mode=True)


def _fastest() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """pybase64 if it is installed (extra ``speed``): from 1 KB on, stdlib base64 costs more than the cipher."""
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
    """`encode` and `decode_strict`, compiled if the core was built."""
    core = compiled.load("protection._base64url")
    if core is not None:
        return core.encode, core.decode
    encode, decode = _fastest()

    def decode_strict(text: bytes) -> bytes | None:
        if text.find(b"=") >= 0 or text.find(b"+") >= 0 or text.find(b"/") >= 0:  # ``in`` is slower: it tries an int
            return None
        try:
            data = decode(text)
        except ValueError:
            return None
        last = _ZERO_BITS.get(len(text) % 4)
        return data if last is None or text[-1] in last else None

    return lambda data: encode(data).decode("ascii"), decode_strict


encode, decode_strict = _codec()
"""``encode(bytes) -> str``; ``decode_strict(bytes) -> bytes | None``, ``None`` for text that `encode` never writes."""


def decode(text: str) -> bytes:
    """Decode base64url as ASP.NET Core does. `MalformedPayloadError` for anything that it refuses."""
    data = decode_strict(text.encode("ascii")) if text.isascii() else None
    return _decode_unusual(text) if data is None else data


def _decode_unusual(text: str) -> bytes:
    """Decode text with white space, padding, or in the ordinary alphabet: permitted, but not written by `encode`."""
    try:
        raw = text.encode("ascii").translate(None, _WHITE_SPACE)
        first = next((c for c in raw if c in b"+/-_"), ord("-"))
        if first in b"+/":
            if len(raw) % 4 or raw.endswith(b"==="):  # Python before 3.13 accepts padding after a complete group
                raise _malformed()
            return binascii.a2b_base64(raw, strict_mode=True)
        body = raw.rstrip(b"=%")
        padding, rest = len(raw) - len(body), len(body) % 4
        if padding > {2: 2, 3: 1}.get(rest, 0):
            raise _malformed()
        if rest in _ZERO_BITS and body[-1] not in _ZERO_BITS[rest]:
            raise _malformed()
        return _stdlib_decode(body)
    except ValueError:
        raise _malformed() from None


def _malformed() -> MalformedPayloadError:
    return MalformedPayloadError("not a protected payload: the text is not base64url")
