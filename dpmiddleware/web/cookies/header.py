"""Reads a Cookie header. ::

    Cookie := part *( ";" part )
    part   := OWS name "=" value OWS            (a part with anything else, even a comma, is ignored)
    value  := 1*octet | DQUOTE *octet DQUOTE    (the quotes are part of the value)

Reading follows ASP.NET Core 10, with two exceptions. Names are compared exactly, because a browser protects
``__Host-x`` but may accept ``__host-x`` from anyone. All cookies with a name are found, not only the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dpmiddleware import telemetry

__all__ = ["HTTP_TOKEN", "MAX_HEADER", "MAX_PER_NAME", "bounded", "by_name", "find", "pairs"]

MAX_PER_NAME: Final = 4
"""How many cookies of one name are considered. Several are normal (one per path), but not this many."""
MAX_HEADER: Final = 65_536
"""Bytes of a Cookie header that is looked at. In a longer one there are no cookies of ours."""

HTTP_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 (a token of RFC 9110, not a secret)
_OWS: Final = r"(?:[ \t]|\r\n[ \t])*"
_OCTET: Final = r"[!#-+\--:<-\[\]-~]"
_PART: Final = re.compile(rf'{_OWS}({HTTP_TOKEN})=({_OCTET}+|"{_OCTET}*"){_OWS}'.encode())
_OCTETS: Final = b"".join(re.findall(_OCTET.encode(), bytes(range(128))))
_ESCAPES: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MOST_SCANNED: Final = 200
"""Cookies of one name that are looked at; browsers keep 180 per site."""
_OURS: Final = ("CfDJ8", "chunks-")
"""How a payload and a chunk marker begin."""


def bounded(header: bytes) -> bytes:
    """Return a Cookie header, or an empty one if it is longer than `MAX_HEADER`. Counts ``cookie_header_too_long``."""
    if len(header) <= MAX_HEADER:
        return header
    telemetry.count("cookie_header_too_long")
    return b""


def find(header: bytes, name: str, limit: int = MAX_PER_NAME) -> list[str]:
    """Return the values of the cookies with exactly this name (a token), in the order of the header, at most ``limit``.

    If there are more, payloads and chunk markers are preferred to other values. The result is the same as from
    `by_name`, at a fraction of the cost: only parts that may contain the name are read.
    """
    needle = name.encode("ascii") + b"="
    found: list[str] = []
    end = scanned = 0
    while scanned < _MOST_SCANNED and (at := header.find(needle, end)) >= 0:
        scanned += 1
        start = header.rfind(b";", end, at) + 1
        end = header.find(b";", at)
        part = header[start:] if end < 0 else header[start:end]
        value = _value(part, needle)
        if value is not None:
            _keep(found, _unescaped(value.decode("ascii")), limit)
            if limit == 1:
                break
        if end < 0:
            break
    return found


def by_name(header: bytes) -> dict[str, list[str]]:
    """Return all well-formed cookies of a header: for each name its values, at most `MAX_PER_NAME`; see `find`."""
    found: dict[str, list[str]] = {}
    for name, value in pairs(header):
        _keep(found.setdefault(name, []), value, MAX_PER_NAME)
    return found


def _keep(kept: list[str], value: str, limit: int) -> None:
    """Append a value. Where the limit is reached, a payload or marker takes the place of a value that is neither."""
    if len(kept) < limit:
        kept.append(value)
    elif value.startswith(_OURS):
        other = next((at for at, each in enumerate(kept) if not each.startswith(_OURS)), None)
        if other is not None:
            del kept[other]
            kept.append(value)


def _value(part: bytes, needle: bytes) -> bytes | None:
    """The value of a well-formed ``part`` that begins with ``needle``, a name and ``=``; otherwise ``None``."""
    plain = part.strip(b" \t")
    if plain.startswith(needle):
        value = plain[len(needle) :]
        if value and not value.translate(None, _OCTETS):  # as the expression below, at a third of its cost
            return value
    match = _PART.fullmatch(part)
    return match[2] if match and match[1] == needle[:-1] else None


def pairs(header: bytes) -> Iterator[tuple[str, str]]:
    """Yield all well-formed cookies of a header as (name, value), in order. Names may be repeated."""
    for part in header.split(b";"):
        match = _PART.fullmatch(part)
        if match:
            yield match[1].decode("ascii"), _unescaped(match[2].decode("ascii"))


def _unescaped(value: str) -> str:
    """Percent-decode UTF-8, as in .NET: what is not an escape or not UTF-8 is kept, and ``+`` remains a plus."""
    return _ESCAPES.sub(_unescape, value) if "%" in value else value


def _unescape(match: re.Match[str]) -> str:
    escapes, at = match[0], 0
    characters = []
    for character in bytes.fromhex(escapes.replace("%", "")).decode("utf-8", "surrogateescape"):
        lone = "\udc80" <= character <= "\udcff"
        characters.append(escapes[at : at + 3] if lone else character)
        at += 3 * len(character.encode("utf-8", "surrogateescape"))
    return "".join(characters)
