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
    MalformedPayloadError,
    UnknownKeyError,
    UnprotectError,
    UnusableKeyError,
)
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import MAGIC, peek_key_id
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector
from dpmiddleware.web.cookies import budget, chunks
from dpmiddleware.web.cookies.places import NOWHERE, Cleanup, Where, everywhere_else
from dpmiddleware.web.cookies.text import MAX_PER_NAME, Attributes, CookieSettings, expired, find, render
from dpmiddleware.web.steps import Ring, Steps, key_waits

__all__ = ["START", "Opened", "ProtectedCookie"]

_T = TypeVar("_T")

START: Final = base64url.encode(MAGIC)[:5].encode("ascii")
"""With what the value of a payload begins."""
_HEAD: Final = 27
"""Characters with magic and key id. The last one contains two bits of what follows."""


class Opened(NamedTuple, Generic[_T]):
    """What was found under the name of a cookie."""

    content: _T | None
    """The content; ``None`` if no cookie was found, if none opens, or if several open and none of them counts."""
    expire: bool
    """Whether the client should delete its cookies: none opens, they are ours, and no ring could ever open them."""


class ProtectedCookie:
    """A cookie with a protected value. Errors of the key ring (`KeyManagementError`) are not handled here.

    settings: name and attributes of the cookie.
    protector: for the purpose of this cookie. A time-limited one adds an expiry to the value.
    ring: the name of the ring, for the log.
    as_aspnet: delete it exactly as ASP.NET Core does, by a date; otherwise by ``max-age=0`` as well, which depends on
        no clock and is what some programs need.
    """

    def __init__(
        self,
        settings: CookieSettings,
        protector: DataProtector | TimeLimitedDataProtector,
        *,
        ring: str,
        as_aspnet: bool = False,
    ) -> None:
        self._ended = expired if as_aspnet else _expired_at_once
        self.settings = settings
        self._protector = protector
        self._ring = ring
        self._name = settings.name.encode("ascii")
        self._whole = self._name + b"="
        self._chunk = self._name + b"C"
        self._first_chunk = self._chunk + b"1="

    def locate(self, header: bytes) -> bytes | None:
        """Find the value in the usual case: one cookie of the name, not split, as `seal` writes it.

        ``None`` in all other cases, which `key_ids` and `open` then examine.
        """
        before, _, rest = header.partition(self._whole)  # half the cost of `find`
        value, _, after = rest.partition(b";")
        if value[: len(START)] != START or (before and before[-2:] != b"; ") or after.partition(self._whole)[1]:
            return None
        return value

    def open(
        self,
        header: bytes,
        read: Callable[[bytes], _T],
        located: bytes | None = None,
        *,
        choose: Callable[[Sequence[_T]], _T | None] | None = None,
        find: chunks.Find | None = None,
    ) -> Opened[_T]:
        """Find the cookie in a Cookie header and open it.

        All cookies of the name are tried, and those that do not open are ignored if one opens.

        header: the Cookie header.
        read: converts the plaintext to the content; may refuse it with an `UnprotectError`.
        located: the result of `locate`, if it was called.
        choose: if several different contents open, returns the one that counts; by default none does.
        find: finds cookies in the header, if it has been parsed already.
        """
        value = located or (self.locate(header) if find is None else None)
        payload = None if value is None else base64url.decode_strict(value)
        if payload is None:
            return self._open_each(find or self._finder(header), read, choose)
        try:
            return Opened(read(self._protector.unprotect(payload)), False)  # noqa: FBT003 (a keyword costs a tenth)
        except UnprotectError as refusal:
            return Opened(None, expire=self._is_final(refusal, payload))

    def _finder(self, header: bytes) -> chunks.Find:
        return partial(find, header)

    def _open_each(
        self,
        find: chunks.Find,
        read: Callable[[bytes], _T],
        choose: Callable[[Sequence[_T]], _T | None] | None,
    ) -> Opened[_T]:
        opened: dict[bytes, _T] = {}
        verdicts: list[bool] = []  # whether each refusal is final (the errors themselves would refer to this frame)
        values = chunks.join(self.settings.name, find)
        values.sort(key=lambda value: peek_key_id(value) is None)  # payloads first: others must not use up the limit
        for value in values[:MAX_PER_NAME]:
            try:
                plain = self._protector.unprotect(base64url.decode(value))
                opened[plain] = read(plain)
            except UnprotectError as refusal:
                verdicts.append(self._is_final(refusal, value))
        if len(opened) > 1:
            chosen = choose([*opened.values()]) if choose else None
            if chosen is None:
                telemetry.refused("ambiguous_cookie", key_id=None, ring=self._ring, where=self.settings.name)
            return Opened(chosen, expire=False)
        return Opened(next(iter(opened.values()), None), expire=not opened and bool(verdicts) and all(verdicts))

    def _is_final(self, refusal: UnprotectError, value: str | bytes) -> bool:
        """Count a refusal; ``True`` if the cookie is surely ours, and neither a ring nor a refresh could open it.

        What is neither a payload nor a chunk marker may belong to another application on the host, since browsers do
        not tell ports apart.
        """
        telemetry.refused(refusal.code, key_id=refusal.key_id, ring=self._ring, where=self.settings.name)
        if isinstance(refusal, UnknownKeyError | UnusableKeyError):
            return False
        if not isinstance(refusal, MalformedPayloadError):
            return True
        if isinstance(value, str):
            return chunks.announced(value) > 0 or self._decrypts(value)
        return self._decrypts(value)

    def _decrypts(self, value: str | bytes) -> bool:
        """Whether only the content of a value was refused."""
        try:
            self._protector.unprotect(base64url.decode(value) if isinstance(value, str) else value)
        except UnprotectError:
            return False
        return True

    def seal(
        self,
        data: bytes,
        header: bytes,
        attributes: Attributes,
        *,
        expires: datetime | None = None,
        where: Where = NOWHERE,
        always: bool = False,
        taken: Sequence[Attributes] = (),
        https: bool = False,
        response: Sequence[str] = (),
    ) -> list[str]:
        """Return the Set-Cookie lines for ``data``. Lines that delete old cookies and chunks come first.

        `CookieTooLargeError` if a browser would then send more than browsers or ``max_total`` permit.

        data: the plaintext.
        header: the Cookie header of the request.
        attributes: the attributes of each Set-Cookie.
        expires: the expiry inside the payload, for time-limited protectors only.
        where, always, taken, https: see `Cleanup`.
        response: the Set-Cookie lines that the response has already.
        """
        name, size, limit = self.settings.name, self.settings.chunk_size, self.settings.max_total
        value = base64url.encode(self._protector.protect(data) if expires is None else self._expiring(data, expires))
        most = 0 if always else 1
        is_usual = header.count(self._name) <= most or (  # the first search decides in most requests
            header.find(self._chunk) < 0 and header.count(self._whole) <= most
        )
        line = "; ".join((f"{name}={value}", *attributes))  # as `render`, since base64url needs no escapes
        if is_usual and (size is None or len(line) < size):
            lines = [line]
            if not response and len(header) + len(line) <= limit:
                return lines
        else:
            cookies = chunks.split(name, value, attributes, size)
            lines = [render(each, value, attributes) for each, value in cookies]
            if not is_usual:
                cleanup = Cleanup(where, always, taken, https)
                lines = self.cleaned(header, attributes, cleanup, lines, kept=len(cookies) - 1)
        budget.check(header, [*response, *lines], limit, name)
        return lines

    def delete(
        self,
        header: bytes,
        attributes: Attributes,
        where: Where = NOWHERE,
        taken: Sequence[Attributes] = (),
        *,
        https: bool = False,
    ) -> list[str]:
        """Return the Set-Cookie lines that delete the cookie and those of its chunks that the request contains."""
        lines = chunks.delete(self.settings.name, self._finder(header), attributes, self._ended)
        return self.cleaned(header, attributes, Cleanup(where, True, taken, https), lines, chunks.MAX_CHUNKS)  # noqa: FBT003

    def cleaned(
        self, header: bytes, attributes: Attributes, cleanup: Cleanup, lines: list[str], kept: int = 0
    ) -> list[str]:
        """Put in front of ``lines`` those that delete old chunks, and old cookies at other places.

        header: the Cookie header of the request.
        attributes: those of the cookie that ``lines`` write or delete.
        cleanup: what to do about cookies of the name at other places.
        lines: the Set-Cookie lines of this cookie.
        kept: how many chunks they write or delete.
        """
        name, find = self.settings.name, self._finder(header)
        ends = [render(chunk, "", self._ended(attributes)) for chunk in chunks.leftovers(name, find, kept)]
        enough = 1 if cleanup.always else 2
        counts = {each: len(find(each)) for each in (name, *chunks.chunk_names(name, chunks.MAX_CHUNKS))}
        names = [each for each, count in counts.items() if count >= enough]
        lines = [*ends, *lines]
        if not names:
            return lines
        are_several = max(counts.values()) > 1
        return [*everywhere_else(names, attributes, cleanup, lines, are_several=are_several), *lines]

    def waits(self, ring: Ring, header: bytes, located: bytes | None) -> Steps[None] | None:
        """Waiting until the cookie can be opened at once; ``None`` where it can be opened now.

        located: the result of `locate`.
        """
        key_ids = self.key_ids(header) if located is None else _peek(located[:_HEAD])
        for key_id in key_ids:
            if ring.wait_is_due(key_id):
                return key_waits(ring, key_ids)
        return None

    def key_ids(self, header: bytes) -> Sequence[bytes]:
        """Return the key ids in the cookie's values. They are not encrypted, and nothing is verified.

        For a quick decision whether to wait for the ring. A cookie whose name ends like this one's may add an id.
        """
        found = [_peek(head) for head in _heads(header, self._whole)]
        if () in found:  # it may be a marker, and the key id is in the first chunk
            found += [_peek(head) for head in _heads(header, self._first_chunk)]
        return [key_id for key_ids in found for key_id in key_ids]

    def _expiring(self, data: bytes, expires: datetime) -> bytes:
        if isinstance(self._protector, TimeLimitedDataProtector):
            return self._protector.protect(data, expires=expires)
        raise ConfigurationError(
            f"cookie {self.settings.name!r} cannot have an expiry inside", hint="pass a time-limited protector"
        )


def _expired_at_once(these: Attributes) -> Attributes:
    date, *others = expired(these)
    return (date, "max-age=0", *others)


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
