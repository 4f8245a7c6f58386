"""`ProtectedCookie`: seals and opens one cookie. ::

cookie value := base64url of a payload, split over several cookies if it is long (dpmiddleware.web.cookies.chunks)
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
from dpmiddleware.web.cookies.text import MAX_PER_NAME, Attributes, CookieSettings, expired, find, render

__all__ = ["Opened", "ProtectedCookie"]

_T = TypeVar("_T")

_START: Final = base64url.encode(MAGIC)[:5].encode("ascii")
_HEAD: Final = 27
"""Characters with magic and key id. The last one contains two bits of what follows."""


class Opened(NamedTuple, Generic[_T]):
    """What was found under the name of a cookie."""

    content: _T | None
    """The content; ``None`` if no cookie was found, if none opens, or if two with different contents open."""
    expire: bool
    """Whether the client should delete its cookies: none opens, and no ring could ever open them."""


class ProtectedCookie:
    """A cookie with a protected value. Errors of the key ring (`KeyManagementError`) are not handled here.

    settings: name and attributes of the cookie.
    protector: for the purpose of this cookie. A time-limited one adds an expiry to the value.
    ring: the name of the ring, for the log.
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
        """Find the value in the usual case: one cookie of the name, not split, as `seal` writes it.

        ``None`` in all other cases, which `key_ids` and `open` then examine.
        """
        before, _, rest = header.partition(self._whole)  # half the cost of `find`
        value, _, after = rest.partition(b";")
        if value[: len(_START)] != _START or (before and before[-2:] != b"; ") or after.partition(self._whole)[1]:
            return None
        return value

    def open(self, header: bytes, read: Callable[[bytes], _T], located: bytes | None = None) -> Opened[_T]:
        """Find the cookie in a Cookie header and open it.

        All cookies of the name are tried, and those that do not open are ignored if one opens.

        header: the Cookie header.
        read: converts the plaintext to the content; may refuse it with an `UnprotectError`.
        located: the result of `locate`, if it was called.
        """
        value = located or self.locate(header)
        payload = None if value is None else base64url.decode_strict(value)
        if payload is None:
            return self._open_each(header, read)
        try:
            return Opened(read(self._protector.unprotect(payload)), False)  # noqa: FBT003 (a keyword costs a tenth)
        except UnprotectError as refusal:
            return Opened(None, expire=self._is_final(refusal))

    def _open_each(self, header: bytes, read: Callable[[bytes], _T]) -> Opened[_T]:
        opened: dict[bytes, _T] = {}
        verdicts: list[bool] = []  # whether each refusal is final (the errors themselves would refer to this frame)
        for value in chunks.join(self.settings.name, partial(find, header))[:MAX_PER_NAME]:
            try:
                plain = self._protector.unprotect(base64url.decode(value))
                opened[plain] = read(plain)
            except UnprotectError as refusal:
                verdicts.append(self._is_final(refusal))
        if len(opened) > 1:
            telemetry.refused("ambiguous_cookie", key_id=None, ring=self._ring, where=self.settings.name)
            return Opened(None, expire=False)
        return Opened(next(iter(opened.values()), None), expire=not opened and bool(verdicts) and all(verdicts))

    def _is_final(self, refusal: UnprotectError) -> bool:
        """Count a refusal; ``False`` if another slot, or this one after a refresh, could open the payload."""
        telemetry.refused(refusal.code, key_id=refusal.key_id, ring=self._ring, where=self.settings.name)
        return not isinstance(refusal, UnknownKeyError | UnusableKeyError)

    def seal(self, data: bytes, header: bytes, attributes: Attributes, *, expires: datetime | None = None) -> list[str]:
        """Return the Set-Cookie lines for ``data``. Lines that delete old chunks come first.

        `CookieTooLargeError` if the cookie is larger than browsers or ``max_total`` permit.

        data: the plaintext.
        header: the Cookie header of the request.
        attributes: the attributes of each Set-Cookie.
        expires: the expiry inside the payload, for time-limited protectors only.
        """
        name, size, limit = self.settings.name, self.settings.chunk_size, self.settings.max_total
        value = base64url.encode(self._protect(data, expires))
        chunked = header.find(b"chunks-") >= 0
        line = "; ".join((f"{name}={value}", *attributes))  # as `render`, since base64url needs no escapes
        if not chunked and (size is None or len(line) < size) and len(name) + 1 + len(value) <= limit:
            return [line]
        cookies = chunks.split(name, value, attributes, size)
        total = len("; ".join(f"{each}={value}" for each, value in cookies))
        if total > limit:
            raise CookieTooLargeError(
                f"cookie {name!r} would take {total} bytes of each request, but only {limit} are allowed",
                hint="store less in it (an id instead of the data), keep it on the server, or raise max_total",
            )
        old = chunks.leftovers(name, partial(find, header), kept=len(cookies) - 1) if chunked else []
        ends = [render(chunk, "", expired(attributes)) for chunk in old]
        return [*ends, *(render(each, value, attributes) for each, value in cookies)]

    def delete(self, header: bytes, attributes: Attributes) -> list[str]:
        """Return the Set-Cookie lines that delete the cookie and those of its chunks that the request contains."""
        return chunks.delete(self.settings.name, partial(find, header), attributes)

    def key_ids(self, header: bytes, located: bytes | None = None) -> Sequence[bytes]:
        """Return the key ids in the cookie's values. They are not encrypted, and nothing is verified.

        For a quick decision whether to wait for the ring. A cookie whose name ends like this one's may add an id.
        ``located``: the result of `locate`, if it was called.
        """
        value = located or self.locate(header)
        if value is not None:
            return _peek(value[:_HEAD])
        found = [_peek(head) for head in _heads(header, self._whole)]
        if () in found:  # it may be a marker, and the key id is in the first chunk
            found += [_peek(head) for head in _heads(header, self._first_chunk)]
        return [key_id for key_ids in found for key_id in key_ids]

    def _protect(self, data: bytes, expires: datetime | None) -> bytes:
        if isinstance(self._protector, TimeLimitedDataProtector):
            return self._protector.protect(data, expires=expires)
        if expires is not None:
            raise ConfigurationError(
                f"cookie {self.settings.name!r} cannot have an expiry inside", hint="pass a time-limited protector"
            )
        return self._protector.protect(data)


def _heads(header: bytes, needle: bytes) -> list[bytes]:
    """The first characters after each ``needle``, for at most `MAX_PER_NAME` of them."""
    heads: list[bytes] = []
    at = header.find(needle)
    while at >= 0 and len(heads) < MAX_PER_NAME:
        start = at + len(needle)
        heads.append(header[start : start + _HEAD])
        at = header.find(needle, start)
    return heads


@lru_cache(64)
def _peek(head: bytes) -> tuple[bytes, ...]:
    """The key id in the first characters of a value, if there is one. Cached, because a ring has few keys."""
    key_id = peek_key_id(head.decode("latin-1") + "A")
    return () if key_id is None else (key_id,)
