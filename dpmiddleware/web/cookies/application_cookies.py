"""`CookieProtection`: seals the cookies that an application sets and opens those that it receives. ::

    plaintext := the value as the application wrote it, time-limited (see dpmiddleware.protection.time_limited)

The application does not know of it. Cookies are chosen by name or by pattern. The chunks that a ``chunks-N`` marker
announces belong to its cookie, and are not matched themselves. Only values that opened reach the application; a part of
the Cookie header that a lenient parser could read as such a cookie is removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Final, Unpack

from dpmiddleware import purposes
from dpmiddleware.arguments import checked
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError, MalformedPayloadError
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.web.answer import UNCHANGED, Answer, Headers, depends_on_cookies
from dpmiddleware.web.cookies import budget, chunks
from dpmiddleware.web.cookies.names import MAX_LENGTH, Names
from dpmiddleware.web.cookies.options import ProtectionOptions
from dpmiddleware.web.cookies.places import NOWHERE, Place, Where, place_of
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import (
    Attributes,
    CookieSettings,
    SetCookie,
    attributes,
    bounded,
    by_name,
)
from dpmiddleware.web.cookies.unprotected import Unprotected
from dpmiddleware.web.steps import Steps, key_waits

__all__ = ["MOST_NAMES", "CookieProtection", "RequestCookies"]

MOST_NAMES: Final = 50
"""Sealed cookies of one request that are opened; browsers hardly keep more per site. Others are left out."""

_KEPT_COOKIES: Final = 64
"""`ProtectedCookie` objects in a cache. It is bounded because clients choose the names that match a pattern."""
_MOST_EXPIRED: Final = 4096
"""Bytes of Set-Cookie lines that one response spends on cookies which cannot be opened; the next one continues."""
_MIN_CHUNK: Final = 512  # room for a value beside the longest name
_OCTETS: Final = r"[!#-+\--:<-\[\]-~]*"
_QUOTED: Final = r'"(?:[ !#-+\--:<-\[\]-~]|\\["\\]|\\[0-3][0-7]{2})*"'  # as http.cookies and Werkzeug quote
_VALUE: Final = re.compile(f"{_OCTETS}|{_QUOTED}")


@dataclass(slots=True)
class RequestCookies:
    """An application's own cookies in one request: a part of it (see `dpmiddleware.web.answer.Part`)."""

    companions = ()
    touched = True  # the application may set such a cookie in any response
    protection: CookieProtection
    sent: bytes
    """The Cookie header as the client sent it."""
    https: bool
    failure: KeyManagementError | None = None
    found: bool = False
    """Whether the request brought sealed cookies, whether they opened or not."""
    expire: tuple[str, ...] = ()
    """Names of cookies that the client should delete."""
    where: Where = NOWHERE
    """Host and path of the request."""
    values: dict[str, str] = field(default_factory=dict)
    """Names and values of the cookies that opened."""
    is_too_long: bool = False
    """Whether the client sent more than is looked at; then ``sent`` is empty."""
    _header: bytes | None = None
    _by_name: dict[str, list[str]] | None = None

    @property
    def by_name(self) -> dict[str, list[str]]:
        """All cookies that the client sent, parsed once."""
        if self._by_name is None:
            self._by_name = by_name(self.sent)
        return self._by_name

    def find(self, name: str) -> list[str]:
        """The values of the cookies with this name."""
        return self.by_name.get(name, [])

    @property
    def header(self) -> bytes:
        """The Cookie header for the application, with opened values."""
        return self._open()

    def _open(self) -> bytes:
        """Open the cookies, once."""
        if self.failure is not None:
            raise self.failure
        if self._header is None:
            try:
                self._header = self.protection.open(self)
            except KeyManagementError as error:
                self.failure = error
                raise
        return self._header

    def ahead(self) -> Steps[object] | None:
        """Wait for the keys that the cookies name."""
        return key_waits(self.protection.data_protection.provider, self.protection.key_ids(self))

    def work(self, status: int) -> None:
        """Nothing: sealing needs no other wait than that for the ring."""

    def answer(self, status: int, headers: Headers) -> Answer:
        """The application's cookies, sealed. `CookieTooLargeError` if a value does not fit."""
        self._open()
        answer = self.protection.seal(headers, self)
        self.close()
        return answer

    def close(self) -> None:
        """Nothing is kept that refers to the request."""
        self.where = NOWHERE


@checked
class CookieProtection:
    """Which cookies of an application are sealed, and how.

    cookies: names and patterns, ``["sid", "auth*"]``; compared exactly.
    options: see `ProtectionOptions`.
    """

    def __init__(
        self, data_protection: DataProtection, cookies: Sequence[str], **options: Unpack[ProtectionOptions]
    ) -> None:
        secure, chunk_size = options.get("secure", False), options.get("chunk_size", 4050)
        if chunk_size is not None and chunk_size < _MIN_CHUNK:
            raise ConfigurationError(f"chunk_size={chunk_size} is less than {_MIN_CHUNK}", hint="use the default")
        self.names = tuple(cookies)
        self._chosen = Names(cookies)
        self._max_age = options.get("max_age", timedelta(days=14))
        self._settings = CookieSettings(
            "sealed",
            path=options.get("path", "/"),
            domain=options.get("domain"),
            secure="always" if secure else "same_as_request",
            http_only=options.get("http_only", False),
            same_site=options.get("same_site"),
            partitioned=options.get("partitioned", False),
            max_age=self._max_age,
            chunk_size=chunk_size,
            max_total=options.get("max_total", 8000),
        )
        self._forced = attributes(
            secure=secure,
            same_site=self._settings.same_site,
            http_only=self._settings.http_only,
            others=("partitioned",) if self._settings.partitioned else (),
        )
        self._unprotected = Unprotected(
            options.get("accept_unprotected_until"),
            data_protection.clock,
            writes=options.get("writes_unprotected", False),
        )
        self.data_protection = data_protection
        self._cookie: Callable[[str], ProtectedCookie] = lru_cache(_KEPT_COOKIES)(self._make_cookie)

    @property
    def max_total(self) -> int:
        """Bytes of Cookie header that a browser may send after a sealed cookie was written."""
        return self._settings.max_total

    def covers(self, name: str) -> bool:
        """Whether a cookie with this name is sealed."""
        return self._chosen.match(name)

    def _make_cookie(self, name: str) -> ProtectedCookie:
        """The sealed cookie with this name; its attributes are the application's."""
        if len(name) > MAX_LENGTH:
            raise ConfigurationError(
                f"the name of a sealed cookie has {len(name)} characters, more than {MAX_LENGTH}",
                hint="use a shorter name, or leave it out of cookies=",
            )
        size, total = self._settings.chunk_size, self._settings.max_total
        settings = CookieSettings(name, secure="always", chunk_size=size, max_total=total)
        protector = self.data_protection.create_protector(*purposes.cookie(name)).time_limited()
        return ProtectedCookie(settings, protector, ring=self.data_protection.ring)

    # --- the request ----------------------------------------------------------------------------------------

    def key_ids(self, request: RequestCookies) -> list[bytes]:
        """The key ids in the sealed cookies of a request. They are not encrypted, and nothing is verified."""
        if not self._chosen.may_be_in(request.sent):
            return []
        names, found = self._names(request)[0], []
        for name in names:
            for value in request.find(name):
                text = value if chunks.announced(value) == 0 else "".join(request.find(f"{name}C1")[:1])
                key_id = peek_key_id(text)
                if key_id is not None and key_id not in found:
                    found.append(key_id)
        return found

    def begin(self, header: bytes, *, https: bool, where: Where = NOWHERE) -> RequestCookies:
        """The cookies of a request. Nothing is opened yet.

        header: the Cookie header. If it is too long, the application gets none of it.
        https: whether the connection is encrypted.
        where: returns host and path of the request; called only if cookies at other places have to be expired.
        """
        sent = bounded(header)
        return RequestCookies(self, sent, https, where=where, is_too_long=sent is not header)

    def open(self, request: RequestCookies) -> bytes:
        """Open the sealed cookies of a request. `KeyManagementError` if there are some and there is no ring."""
        header = request.sent
        if not self._chosen.may_be_in(header):
            return header
        names, chunk_names = self._names(request)
        request.found = bool(names)
        for name in names:
            if self._unprotected.is_one(request.find(name)):
                continue
            opened = self._cookie(name).open(header, _cookie_value, find=request.find)
            if opened.content is not None:
                request.values[name] = opened.content
            elif opened.expire:
                request.expire += (name,)
        keeps = lambda part, ours: self._unprotected.accepts(part, map(request.find, ours))  # noqa: E731
        return self._chosen.replaced_in(header, request.values, chunk_names, keeps)

    def _names(self, request: RequestCookies) -> tuple[list[str], set[str]]:
        """The names of the sealed cookies in a request, at most `MOST_NAMES`; and the names of their chunks."""
        found = {
            name: max(map(chunks.announced, values))
            for name, values in request.by_name.items()
            if len(name) <= MAX_LENGTH and self._chosen.match(name)
        }
        chunk_names = {chunk for name, count in found.items() for chunk in chunks.chunk_names(name, count)}
        return [name for name in found if name not in chunk_names][:MOST_NAMES], chunk_names

    # --- the response ---------------------------------------------------------------------------------------

    def seal(self, headers: Headers, request: RequestCookies) -> Answer:
        """Seal the cookies in the headers of the response to a request; expire those that cannot be opened."""
        if self._unprotected.is_written:
            return depends_on_cookies(headers) if request.found else UNCHANGED
        others: Headers = []
        set_now: dict[tuple[str, Place], SetCookie] = {}  # the last one for each name and place counts
        for header in headers:
            if header[0].lower() != "set-cookie":
                continue
            cookie = SetCookie.parse(header[1])
            if not cookie.name or not self._chosen.match(cookie.name):
                others.append(header)
            else:
                for attribute in self._forced:
                    cookie = cookie.with_attribute(attribute)
                set_now[cookie.name, place_of(cookie.attributes)] = cookie
        lines: list[str] = []
        for cookie in set_now.values():
            taken = [other.attributes for other in set_now.values() if other.name == cookie.name]
            lines += self._lines(cookie, request, taken)
        lines = self._expired(request, {name for name, _ in set_now}) + lines
        if not (lines or request.found):
            return UNCHANGED
        if set_now:
            before = [value for _, value in others]
            budget.check(request.sent, [*before, *lines], self._settings.max_total, next(iter(set_now))[0])
        answer = depends_on_cookies(headers, lines)
        return Answer([*others, *answer.added], answer.dropped | {"set-cookie"}) if set_now else answer

    def _expired(self, request: RequestCookies, set_now: set[str]) -> list[str]:
        """The lines that delete the cookies which cannot be opened, as many as one response can hold."""
        lines: list[str] = []
        room, attributes = _MOST_EXPIRED, self._settings.attributes(https=request.https)
        for name in request.expire:
            if name not in set_now:
                ended = self._cookie(name).delete(request.sent, attributes)
                room -= sum(map(len, ended))
                if room < 0:
                    break
                lines += ended
        return lines

    def _lines(self, cookie: SetCookie, request: RequestCookies, taken: Sequence[Attributes]) -> list[str]:
        """What goes to the client for a cookie that the application sets or deletes. taken: see `Cleanup`."""
        now = self.data_protection.clock.now()
        end, name = cookie.end(now) or now + self._max_age, cookie.name
        if end <= now:
            return self._cookie(name).delete(request.sent, cookie.attributes, request.where, taken, https=request.https)
        if not _VALUE.fullmatch(cookie.value):
            raise ConfigurationError(
                f"the value of the sealed cookie {name!r} contains characters that a Cookie header cannot contain",
                hint="quote it as http.cookies does, or encode it as base64url",
            )
        is_another = request.values.get(name, cookie.value) != cookie.value
        return self._cookie(name).seal(
            cookie.value.encode("ascii"),
            request.sent,
            cookie.attributes,
            expires=end,
            where=request.where,
            always=is_another,
            taken=taken,
            https=request.https,
        )


def _cookie_value(plain: bytes) -> str:
    """A plaintext as the value of a cookie. `MalformedPayloadError` if a Cookie header cannot contain it."""
    text = plain.decode("latin-1")
    if not _VALUE.fullmatch(text):
        raise MalformedPayloadError("the value contains characters that a Cookie header cannot contain")
    return text
