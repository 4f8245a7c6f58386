"""Long cookie values over several cookies, in ASP.NET Core's format (``ChunkingCookieManager``). ::

    name   = "chunks-" N            N decimal, 1 or more, no leading zeros when written
    nameC1 = first D characters     D := chunk size - T - 3
    …                               T := characters of the whole Set-Cookie with an empty value
    nameCN = the rest

A value is split only if T + its length reaches the chunk size. All cookies have the same attributes. An incomplete
set is never joined in part: what comes out is the marker, which opens as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile
from typing import Final

from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.web.cookies.text import Attributes, expired, render

__all__ = ["MOST_CHUNKS", "announced", "chunk_names", "delete", "join", "leftovers", "split"]

MOST_CHUNKS: Final = 20
"""Chunks of one value, on reading as on writing. Browsers keep 50 cookies a site; no server takes so long a header."""

_MARKER: Final = re.compile(r"chunks-0*([0-9]{1,10})")
_SUFFIX: Final = 3  # kept free for "C" and two digits, as ASP.NET Core does

Find = Callable[[str], list[str]]
"""The values of all cookies of a name in the request, at least the first few."""


def split(
    name: str, value: str, attributes: Attributes, chunk_size: int | None, most: int = MOST_CHUNKS
) -> list[tuple[str, str]]:
    """The cookies (name, value) to set for a value, in ASP.NET Core's order; one where it fits.

    Sizes are in characters, before percent-encoding. `CookieTooLargeError` above ``most`` chunks.
    """
    template = len(render(name, "", attributes))
    if chunk_size is None or not value or chunk_size > template + len(value):
        return [(name, value)]
    room = chunk_size - template - _SUFFIX
    if chunk_size < template + 10:
        raise CookieTooLargeError(f"no room for a value beside name and attributes in {chunk_size} characters")
    parts = [value[at : at + room] for at in range(0, len(value), room)]
    if len(parts) > most:
        raise CookieTooLargeError(
            f"the cookie would take {len(parts)} chunks, {most} are allowed",
            hint="keep less in it, or keep it on the server",
        )
    return [(name, f"chunks-{len(parts)}"), *zip(chunk_names(name, len(parts)), parts, strict=True)]


def join(name: str, find: Find, most: int = MOST_CHUNKS) -> list[str]:
    """The values that a request holds under ``name``, chunked ones put together; the first of each comes first.

    Where chunks stand there several times (set under two paths), each is tried with the ones beside it. A marker
    whose set is incomplete, or that names more than ``most`` chunks, stays as it is.
    """
    found = find(name)
    if not found or (len(found) == 1 and not found[0].startswith("chunks-")):
        return found
    values: list[str] = []
    for value in found:
        count = _count(value, most)
        candidates = _joined([find(chunk) for chunk in chunk_names(name, count)]) if count else []
        values += [text for text in candidates or [value] if text not in values]
    return values


def leftovers(name: str, find: Find, kept: int = 0, most: int = MOST_CHUNKS) -> list[str]:
    """Names of the chunks that a request brought along beyond the first ``kept``, to be expired.

    As far as the largest marker says and up to the first one missing: later ones cannot be joined anyway.
    """
    count = max((_count(value, most, cut=True) for value in find(name)), default=0)
    return list(takewhile(find, chunk_names(name, count)[kept:]))


def delete(name: str, find: Find, attributes: Attributes) -> list[str]:
    """The Set-Cookie lines that end a cookie and the chunks of it that the request brought along."""
    return [render(each, "", expired(attributes)) for each in (name, *leftovers(name, find))]


def announced(value: str) -> int:
    """How many chunks a value announces; 0 where it is no marker, or one that `join` would not follow."""
    return _count(value, MOST_CHUNKS)


def chunk_names(name: str, count: int) -> list[str]:
    """``nameC1`` … ``nameCcount``."""
    return [f"{name}C{number}" for number in range(1, count + 1)]


def _count(value: str, most: int, *, cut: bool = False) -> int:
    """How many chunks a marker announces; 0 where it is none, or more than ``most`` (``cut``: then ``most``)."""
    match = _MARKER.fullmatch(value)
    count = int(match[1]) if match else 0
    if count > 2**31 - 1:
        return 0
    return count if count <= most else most if cut else 0


def _joined(chunks: list[list[str]]) -> list[str]:
    """The whole values that chunks make, given the values of each: the first of all, the second of all …"""
    if not all(chunks):
        return []
    rounds = max(len(values) for values in chunks)
    return ["".join(values[min(at, len(values) - 1)] for values in chunks) for at in range(rounds)]
