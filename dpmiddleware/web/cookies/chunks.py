"""Splits a long cookie value over several cookies, in the format of ASP.NET Core (``ChunkingCookieManager``). ::

    name   = "chunks-" N            N in decimal, 1 or more; written without leading zeros
    nameC1 = first D characters     D := chunk size - T - 3
    …                               T := characters of the whole Set-Cookie with an empty value
    nameCN = the rest

A value is split only if T plus its length reaches the chunk size. All cookies have the same attributes. An incomplete
set of chunks is not joined: the result is the value of the first cookie (the marker), which no protector opens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.web.cookies.text import Attributes, expired, render

__all__ = ["MAX_CHUNKS", "announced", "chunk_names", "delete", "is_ours", "join", "leftovers", "split"]

MAX_CHUNKS: Final = 20
"""Chunks of one value, when reading and when writing. Browsers keep 50 cookies per site, but servers accept fewer."""

_MARKER: Final = re.compile(r"chunks-0*([0-9]{1,10})")
_SUFFIX: Final = 3  # reserved for "C" and two digits, as in ASP.NET Core

Find = Callable[[str], list[str]]
"""Returns the values of the cookies with a name in the request, at least the first few."""


def split(
    name: str, value: str, attributes: Attributes, chunk_size: int | None, limit: int = MAX_CHUNKS
) -> list[tuple[str, str]]:
    """Split a value, if necessary. Returns the cookies to set (name, value), in the order of ASP.NET Core.

    name: the name of the cookie.
    value: its value, not percent-encoded.
    attributes: the attributes of each Set-Cookie.
    chunk_size: the maximum size of a Set-Cookie in characters, before percent-encoding; ``None``: no limit.
    limit: the maximum number of chunks. `CookieTooLargeError` if more would be needed.
    """
    template = len(render(name, "", attributes))
    if chunk_size is None or not value or chunk_size > template + len(value):
        return [(name, value)]
    room = chunk_size - template - _SUFFIX
    if chunk_size < template + 10:
        raise CookieTooLargeError(
            f"name and attributes leave no room for a value in {chunk_size} characters",
            hint="use a shorter name or path, or the default chunk_size",
        )
    parts = [value[at : at + room] for at in range(0, len(value), room)]
    if len(parts) > limit:
        raise CookieTooLargeError(
            f"the cookie would take {len(parts)} chunks, but only {limit} are allowed",
            hint="store less in the cookie, or store the data on the server",
        )
    return [(name, f"chunks-{len(parts)}"), *zip(chunk_names(name, len(parts)), parts, strict=True)]


def join(name: str, find: Find, limit: int = MAX_CHUNKS) -> list[str]:
    """Return the values that a request has for ``name``, with chunks joined.

    If a chunk occurs several times (the cookie was set for two paths), its first values are joined with the first
    values of the other chunks, its second values with the second ones, and so on. A marker is returned as it is if
    chunks are missing or if it announces more than ``limit``.
    """
    found = find(name)
    if not found or (len(found) == 1 and not found[0].startswith("chunks-")):
        return found
    values: list[str] = []
    for value in found:
        count = _count(value, limit)
        candidates = _joined([find(chunk) for chunk in chunk_names(name, count)]) if count else []
        values += [text for text in candidates or [value] if text not in values]
    return values


def leftovers(name: str, find: Find, kept: int = 0) -> list[str]:
    """Return the names of old chunks in a request, so that they can be deleted: with a marker or without.

    Two responses that cross leave chunks without a marker, and they would stay.

    name: the name of the cookie.
    find: finds cookies in the request.
    kept: how many chunks are not deleted.
    """
    return [chunk for chunk in chunk_names(name, MAX_CHUNKS)[kept:] if find(chunk)]


def delete(
    name: str, find: Find, attributes: Attributes, end: Callable[[Attributes], Attributes] = expired
) -> list[str]:
    """Return the Set-Cookie lines that delete a cookie and those of its chunks that the request contains.

    name: the name of the cookie.
    find: finds cookies in the request.
    attributes: those that the cookie was set with.
    end: makes attributes that delete a cookie from them.
    """
    ended = end(attributes)
    return [render(each, "", ended) for each in (name, *leftovers(name, find))]


def announced(value: str) -> int:
    """The number of chunks that a value announces; 0 if `join` would not treat it as a marker."""
    return _count(value, MAX_CHUNKS) if value[:7] == "chunks-" else 0


def is_ours(value: str) -> bool:
    """Whether a value is a payload, or a marker of chunks; nothing is verified."""
    return peek_key_id(value) is not None or announced(value) > 0


def chunk_names(name: str, count: int) -> list[str]:
    """``nameC1`` to ``nameC{count}``."""
    return [f"{name}C{number}" for number in range(1, count + 1)]


def _count(value: str, limit: int) -> int:
    """The number of chunks that a marker announces; 0 for other values, and above the limit."""
    match = _MARKER.fullmatch(value)
    count = int(match[1]) if match else 0
    return count if count <= limit else 0


def _joined(chunks: list[list[str]]) -> list[str]:
    """The values that chunks make, given the values of each chunk: the first of all, the second of all, and so on."""
    if not all(chunks):
        return []
    rounds = max(len(values) for values in chunks)
    return ["".join(values[min(at, len(values) - 1)] for values in chunks) for at in range(rounds)]
