"""`ProtectedCookie`: seal and open one cookie. The cookie walk is `ProtectedCookie.open`. ::

cookie value := base64url of a payload, over several cookies where it is long (see chunks)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Final, Generic, NamedTuple, TypeVar

from dpmiddleware import telemetry
from dpmiddleware.errors import (
    ConfigurationError,
    CookieTooLargeError,
    UnknownKeyError,
    UnprotectError,
    UnusableKeyError,
)
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import MAGIC, peek_key_id
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.text import MOST_OF_ONE_NAME, Attributes, CookieSettings, expired, find, render

__all__ = ["Opened", "ProtectedCookie"]

_T = TypeVar("_T")

_START: Final = base64url.encode(MAGIC)[:5].encode("ascii")
_HEAD: Final = 27
"""Characters in which magic and key id stand; the last one holds two bits of what follows."""


class Opened(NamedTuple, Generic[_T]):
    """What was found under a cookie's name."""

    content: _T | None
    """``None``: no cookie, none that opens, or two different ones that do."""
    expire: bool
    """Whether the client should drop its cookie: nothing opened, and no ring could ever open what is there."""


class ProtectedCookie:
    """One cookie whose value is protected.

    protector: for this cookie's purpose; a time-limited one puts the end of the cookie's life inside. ring: its name,
    for the log. Does no I/O by itself; `KeyManagementError` passes through.
    """

    def __init__(
        self, settings: CookieSettings, protector: DataProtector | TimeLimitedDataProtector, *, ring: str
    ) -> None:
        self.settings = settings
        self._protector = protector
        self._ring = ring
        self._whole = f"{settings.name}=".encode("ascii")
        self._first_chunk = f"{chunks.chunk_names(settings.name, 1)[0]}=".encode("ascii")

    def locate(self, header: bytes) -> bytes | None:
        """The value that nearly every request has: one cookie of the name, in one piece, as `seal` writes it.

        ``None`` where there is none, or where it may be otherwise: `key_ids` and `open` then look closer.
        """
        before, _, rest = header.partition(self._whole)  # half the cost of `find`, and `in` raises an error first
        value, _, after = rest.partition(b";")
        if value[: len(_START)] != _START or (before and before[-2:] != b"; ") or after.partition(self._whole)[1]:
            return None
        return value

    def open(self, header: bytes, read: Callable[[bytes], _T], located: bytes | None = None) -> Opened[_T]:
        """Find the cookie in a Cookie header and open it; ``read`` makes of the plaintext what the caller wants.

        All cookies of the name are tried, and the bad ones count for nothing beside a good one. ``read`` may refuse
        too (`UnprotectError`). Nowhere else is that error swallowed. located: what `locate` gave, if it was asked.
        """
        value = located or self.locate(header)
        payload = None if value is None else base64url.decode_strict(value)
        if payload is None:
            return self._open_each(header, read)
        try:
            return Opened(read(self._protector.unprotect(payload)), False)  # noqa: FBT003 (costs a tenth less)
        except UnprotectError as refusal:
            return Opened(None, expire=self._is_final(refusal))

    def _open_each(self, header: bytes, read: Callable[[bytes], _T]) -> Opened[_T]:
        opened: dict[bytes, _T] = {}
        verdicts: list[bool] = []  # of those refused: is it final? (the errors themselves would hold this frame)
        for value in chunks.join(self.settings.name, partial(find, header))[:MOST_OF_ONE_NAME]:  # find, join
            try:
                plain = self._protector.unprotect(base64url.decode(value))  # unprotect
                opened[plain] = read(plain)
            except UnprotectError as refusal:
                verdicts.append(self._is_final(refusal))
        if len(opened) > 1:
            telemetry.refused("ambiguous_cookie", key_id=None, ring=self._ring, where=self.settings.name)
            return Opened(None, expire=False)
        return Opened(next(iter(opened.values()), None), expire=not opened and bool(verdicts) and all(verdicts))

    def _is_final(self, refusal: UnprotectError) -> bool:
        """Count a refusal. Could no ring change it? Another slot, or the next refresh, may have an unknown key."""
        telemetry.refused(refusal.code, key_id=refusal.key_id, ring=self._ring, where=self.settings.name)
        return not isinstance(refusal, UnknownKeyError | UnusableKeyError)

    def seal(self, data: bytes, header: bytes, attributes: Attributes, *, expires: datetime | None = None) -> list[str]:
        """The Set-Cookie lines that give the client ``data``, the ones that end chunks left over from before first.

        header: the request's Cookie header. expires: the end inside the payload (time-limited cookies only).
        `CookieTooLargeError` where it would not reach the client, or not come back.
        """
        name, size, most = self.settings.name, self.settings.chunk_size, self.settings.max_total
        value = base64url.encode(self._protect(data, expires))
        chunked = header.find(b"chunks-") >= 0
        line = "; ".join((f"{name}={value}", *attributes))  # as `render` would write it: base64url has no escapes
        if not chunked and (size is None or len(line) < size) and len(name) + 1 + len(value) <= most:
            return [line]
        cookies = chunks.split(name, value, attributes, size)
        total = len("; ".join(f"{each}={value}" for each, value in cookies))
        if total > most:
            raise CookieTooLargeError(
                f"cookie {name!r} would take {total} bytes of each request, {most} are allowed",
                hint="keep less in it (an id in place of what it names), keep it on the server, or raise max_total",
            )
        old = chunks.leftovers(name, partial(find, header), kept=len(cookies) - 1) if chunked else []
        ends = [render(chunk, "", expired(attributes)) for chunk in old]
        return [*ends, *(render(each, value, attributes) for each, value in cookies)]

    def delete(self, header: bytes, attributes: Attributes) -> list[str]:
        """The Set-Cookie lines that end the cookie and the chunks of it that the request brought along."""
        return chunks.delete(self.settings.name, partial(find, header), attributes)

    def key_ids(self, header: bytes, located: bytes | None = None) -> Sequence[bytes]:
        """The key ids that the cookie's values may name in clear; nothing is parsed or decrypted.

        For asking whether to wait, in each request: a name that ends like this one's may add an id too many.
        located: what `locate` gave, if it was asked.
        """
        value = located or self.locate(header)
        if value is not None:
            return _peek(value[:_HEAD])
        found = [_peek(head) for head in _heads(header, self._whole)]
        if () in found:  # perhaps a marker
            found += [_peek(head) for head in _heads(header, self._first_chunk)]
        return [key_id for key_ids in found for key_id in key_ids]

    def _protect(self, data: bytes, expires: datetime | None) -> bytes:
        if isinstance(self._protector, TimeLimitedDataProtector):
            return self._protector.protect(data, expires=expires)
        if expires is not None:
            raise ConfigurationError(f"cookie {self.settings.name!r} has no place for an expiry inside")
        return self._protector.protect(data)


def _heads(header: bytes, needle: bytes) -> list[bytes]:
    """The first characters after each ``needle``, of the first few."""
    heads: list[bytes] = []
    at = header.find(needle)
    while at >= 0 and len(heads) < MOST_OF_ONE_NAME:
        start = at + len(needle)
        heads.append(header[start : start + _HEAD])
        at = header.find(needle, start)
    return heads


@lru_cache(64)
def _peek(head: bytes) -> tuple[bytes, ...]:
    """The key id, if any, in the first characters of a value. A ring has few keys: most requests have the same."""
    key_id = peek_key_id(head.decode("latin-1") + "A")
    return () if key_id is None else (key_id,)
