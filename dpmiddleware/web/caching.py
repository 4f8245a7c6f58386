"""What a response that read or wrote a cookie must tell caches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["Headers", "RawHeaders", "additions", "decoded", "encoded", "with_cookies", "with_cookies_raw"]

Headers = list[tuple[str, str]]
"""The headers of a response as (name in any case, value)."""
RawHeaders = list[tuple[bytes, bytes]]
"""The same as ASGI has them."""

_VARY: Final = ("vary", "Cookie")
_NO_STORE: Final = ("cache-control", "no-store")
_JOINED: Final = {"vary", "cache-control"}
_RAW_VARY: Final = (b"vary", b"Cookie")
_RAW_NO_STORE: Final = (b"cache-control", b"no-store")
_RAW_JOINED: Final = {b"vary", b"cache-control"}


def with_cookies(headers: Headers, set_cookies: Sequence[str]) -> Headers:
    """The headers of a response that depends on a cookie, with these Set-Cookie lines (may be none) added.

    It gets ``Vary: Cookie``. If it sets a cookie it also gets ``Cache-Control: no-store``, in place of what it said,
    unless that was ``private`` or ``no-store``.
    """
    out = [*headers, *[("set-cookie", line) for line in set_cookies]]
    if _words(headers, "vary").isdisjoint(("cookie", "*")):
        _vary_by_cookie(out)
    if set_cookies and _words(headers, "cache-control").isdisjoint(("private", "no-store")):
        out = [(name, value) for name, value in out if name.lower() != "cache-control"]
        out.append(("cache-control", "no-store"))
    return out


def additions(names: Iterable[str], set_cookies: Sequence[str]) -> Headers | None:
    """What `with_cookies` adds to headers of these names; ``None`` where it changes some of them."""
    if not _JOINED.isdisjoint([name.lower() for name in names]):
        return None
    caching = [_VARY, _NO_STORE] if set_cookies else [_VARY]
    return [*[("set-cookie", line) for line in set_cookies], *caching]


def _vary_by_cookie(headers: Headers) -> None:
    """Add to the header that is there, so that a reader of only one of several (frameworks' tests) sees it all."""
    for at, (name, value) in enumerate(headers):
        if name.lower() == "vary":
            headers[at] = (name, f"{value}, Cookie" if value.strip() else "Cookie")
            return
    headers.append(("vary", "Cookie"))


def with_cookies_raw(headers: RawHeaders, set_cookies: Sequence[str]) -> RawHeaders:
    """The same for headers as ASGI has them."""
    for name, _ in headers:
        if name.lower() in _RAW_JOINED:
            return encoded(with_cookies(decoded(headers), set_cookies))
    if not set_cookies:
        return [*headers, _RAW_VARY]
    return [*headers, *[(b"set-cookie", line.encode("latin-1")) for line in set_cookies], _RAW_VARY, _RAW_NO_STORE]


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers of ASGI as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def encoded(headers: Headers) -> RawHeaders:
    """Headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _words(headers: Headers, wanted: str) -> set[str]:
    """The members of a comma-separated header, in lower case."""
    return {word.strip().lower() for name, value in headers if name.lower() == wanted for word in value.split(",")}
