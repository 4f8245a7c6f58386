"""`CookieProtection`: seals the cookies that an application sets, opens the ones that it gets, without its knowing. ::

    plaintext := the value as the application wrote it, time-limited (see dpmiddleware.protection.time_limited)

Which: names, or patterns with ``*``. A chunk is resolved before patterns are: what belongs to a ``chunks-N`` marker is
never matched by itself. Into the application's Cookie header come only values that opened; a part of the header that
some lenient parser could take for a cookie of such a name is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, TypedDict, Unpack

from dpmiddleware import purposes
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError, MalformedPayloadError
from dpmiddleware.printable import printable
from dpmiddleware.web.answer import UNCHANGED, Answer, Headers, depends_on_cookies
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import CookieSettings, SameSite, SetCookie, attributes, pairs
from dpmiddleware.web.steps import Steps, key_waits

__all__ = ["MOST_NAMES", "CookieProtection", "ProtectionOptions", "RequestCookies"]

MOST_NAMES: Final = 50
"""Wrapped cookies of one request that are opened; browsers hardly keep more a site. Others are left out."""

_KEPT_COOKIES: Final = 64
"""`ProtectedCookie` objects kept ready; names that match a pattern are chosen by clients, so this is bounded."""
_LONGEST_NAME: Final = 256
_SMALLEST_CHUNK: Final = 512  # room for a value beside the longest name
_LONGEST_LIFE: Final = timedelta(days=400)  # browsers cut to this
_TOKEN_BYTES: Final = bytes(c for c in range(33, 127) if c not in b'"(),/:;<=>?@[\\]{}')
_OTHER_BYTES: Final = bytes(c for c in range(256) if c not in _TOKEN_BYTES)
_PATTERN: Final = re.compile(r"[*!#$%&'+\-.^_`|~0-9A-Za-z]+")
_SECONDS: Final = re.compile(r"-?[0-9]{1,12}")
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
    _header: bytes | None = None

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
        return key_waits(self.protection.data_protection.provider, self.protection.key_ids(self.sent))

    def work(self, status: int) -> None:
        """Nothing: sealing needs no other wait than that for the ring."""

    def answer(self, status: int, headers: Headers) -> Answer:
        """The application's cookies, sealed. `CookieTooLargeError` if a value does not fit."""
        self._open()
        return self.protection.seal(headers, self)

    def close(self) -> None:
        """Nothing is kept."""


class ProtectionOptions(TypedDict, total=False):
    """How wrapped cookies are written; every one may be left out.

    secure, http_only, partitioned: put these attributes on each cookie, whatever the application said; same_site: this
    one instead of the application's. max_age: how long a value lives that the application set no end for (14 days).
    path, domain: where a cookie that can never be opened is expired at the client (``/``, none). chunk_size,
    max_total: see `CookieSettings`.
    """

    secure: bool
    http_only: bool
    same_site: SameSite | None
    partitioned: bool
    max_age: timedelta
    path: str | None
    domain: str | None
    chunk_size: int | None
    max_total: int


class CookieProtection:
    """Which cookies of an application are wrapped, and how.

    cookies: names and patterns, ``["sid", "auth*"]``; compared exactly.
    """

    def __init__(
        self, data_protection: DataProtection, cookies: Sequence[str], **options: Unpack[ProtectionOptions]
    ) -> None:
        secure, chunk_size = options.get("secure", False), options.get("chunk_size", 4050)
        if chunk_size is not None and chunk_size < _SMALLEST_CHUNK:
            raise ConfigurationError(f"wrapped cookies need a chunk_size of {_SMALLEST_CHUNK} or more")
        self._matches = _matcher(cookies)
        self._needles = [name.partition("*")[0].encode("ascii") for name in cookies]
        self._max_age = options.get("max_age", timedelta(days=14))
        self._settings = CookieSettings(
            "wrapped",
            path=options.get("path", "/"),
            domain=options.get("domain"),
            secure="always" if secure else "same_as_request",
            http_only=options.get("http_only", False),
            same_site=options.get("same_site"),
            partitioned=options.get("partitioned", False),
            max_age=self._max_age,
            chunk_size=chunk_size,
            max_total=options.get("max_total", 7168),
        )
        self._forced = attributes(
            secure=secure,
            same_site=self._settings.same_site,
            http_only=self._settings.http_only,
            others=("partitioned",) if self._settings.partitioned else (),
        )
        self.data_protection = data_protection
        self._cookie: Callable[[str], ProtectedCookie] = lru_cache(_KEPT_COOKIES)(self._make_cookie)

    def _make_cookie(self, name: str) -> ProtectedCookie:
        """The wrapped cookie of this name; its attributes are the application's."""
        if len(name) > _LONGEST_NAME:
            raise ConfigurationError(f"a wrapped cookie with a name of {len(name)} characters")
        size, total = self._settings.chunk_size, self._settings.max_total
        settings = CookieSettings(name, secure="always", chunk_size=size, max_total=total)
        protector = self.data_protection.create_protector(*purposes.cookie(name)).time_limited()
        return ProtectedCookie(settings, protector, ring=self.data_protection.ring)

    # --- the request ----------------------------------------------------------------------------------------

    def key_ids(self, header: bytes) -> list[bytes]:
        """The key ids that a request's wrapped cookies name in clear."""
        names = self._names(header)[0] if self._may_concern(header) else []
        return [key_id for name in names for key_id in self._cookie(name).key_ids(header)]

    def begin(self, header: bytes, *, https: bool) -> RequestCookies:
        """The cookies of a request with this Cookie header. Nothing is opened yet."""
        return RequestCookies(self, header, https)

    def open(self, request: RequestCookies) -> bytes:
        """Open the sealed cookies of a request. `KeyManagementError` if there are some and there is no ring."""
        header = request.sent
        if not self._may_concern(header):
            return header
        names, chunk_names = self._names(header)
        request.found = bool(names)
        values: dict[str, str] = {}
        for name in names:
            opened = self._cookie(name).open(header, _cookie_value)
            if opened.content is not None:
                values[name] = opened.content
            elif opened.expire:
                request.expire += (name,)
        return b";".join(self._parts(header, values, chunk_names)).strip()

    def _may_concern(self, header: bytes) -> bool:
        """Whether a name that is wrapped can be in there at all: most requests end here."""
        return any(header.find(needle) >= 0 for needle in self._needles)

    def _names(self, header: bytes) -> tuple[list[str], set[str]]:
        """(names of wrapped cookies in a header, the first `MOST_NAMES`; names of their chunks)."""
        found: dict[str, int] = {}
        for name, value in pairs(header):
            if len(name) <= _LONGEST_NAME and self._matches(name):
                found[name] = max(found.get(name, 0), chunks.announced(value))
        chunk_names = {chunk for name, count in found.items() for chunk in chunks.chunk_names(name, count)}
        return [name for name in found if name not in chunk_names][:MOST_NAMES], chunk_names

    def _parts(self, header: bytes, values: dict[str, str], chunk_names: set[str]) -> Iterator[bytes]:
        """The parts of a Cookie header for the application: opened values in place of sealed ones, others as sent."""
        left = dict(values)
        for part in header.split(b";"):
            pair = next(pairs(part), None)
            names = _possible_names(part) if pair is None else [pair[0]]
            if not any(name in chunk_names or self._matches(name) for name in names):
                yield part
            elif pair is not None and pair[0] in left:
                yield f" {pair[0]}={left.pop(pair[0])}".encode("ascii")

    # --- the response ---------------------------------------------------------------------------------------

    def seal(self, headers: Headers, request: RequestCookies) -> Answer:
        """Seal the cookies in the headers of the response to a request; expire those that cannot be opened."""
        others: Headers = []
        set_now: dict[tuple[str, str, str], SetCookie] = {}  # the last one for each name, domain and path counts
        for header in headers:
            if header[0].lower() != "set-cookie":
                continue
            cookie = SetCookie.parse(header[1])
            if not cookie.name or not self._matches(cookie.name):
                others.append(header)
            else:
                place = (cookie.name, (cookie.attribute("domain") or "").lower(), cookie.attribute("path") or "")
                set_now[place] = cookie
        lines = [line for cookie in set_now.values() for line in self._lines(cookie, request.sent)]
        ended = self._settings.attributes(https=request.https)
        for name in request.expire:
            if not any(place[0] == name for place in set_now):
                lines += self._cookie(name).delete(request.sent, ended)
        if not (lines or request.found):
            return UNCHANGED
        answer = depends_on_cookies(headers, lines)
        return Answer([*others, *answer.added], answer.dropped | {"set-cookie"}) if set_now else answer

    def _lines(self, cookie: SetCookie, sent: bytes) -> list[str]:
        """What goes to the client for a cookie that the application sets or deletes."""
        for attribute in self._forced:
            cookie = cookie.with_attribute(attribute)
        now = self.data_protection.clock.now()
        end = self._end(cookie, now)
        if end <= now:
            return self._cookie(cookie.name).delete(sent, cookie.attributes)
        if not _VALUE.fullmatch(cookie.value):
            raise ConfigurationError(
                f"the value of the wrapped cookie {cookie.name!r} holds characters that no Cookie header can",
                hint="quote it, as http.cookies does, or encode it as base64url",
            )
        return self._cookie(cookie.name).seal(cookie.value.encode("ascii"), sent, cookie.attributes, expires=end)

    def _end(self, cookie: SetCookie, now: datetime) -> datetime:
        """When the value ends, as a browser reckons it: Max-Age before Expires; with neither, ``max_age``."""
        seconds, date = cookie.attribute("max-age"), cookie.attribute("expires")
        if seconds is not None and _SECONDS.fullmatch(seconds):
            return now + min(timedelta(seconds=int(seconds)), _LONGEST_LIFE) if int(seconds) > 0 else now
        try:
            end = parsedate_to_datetime(date or "")
        except ValueError:
            return now + self._max_age
        return min(end if end.tzinfo else end.replace(tzinfo=timezone.utc), now + _LONGEST_LIFE)


def _matcher(cookies: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name is, or matches, one of these. Linear in the name's length."""
    if isinstance(cookies, str) or not cookies:
        raise ConfigurationError("cookies= takes a list of names and patterns", hint='cookies=["sid", "auth*"]')
    for name in cookies:
        if not _PATTERN.fullmatch(name):
            raise ConfigurationError(f"{printable(name, 80)!r} is no name of a cookie, and no pattern of names")
    expression = re.compile("|".join(map(_expression, cookies)))
    return lambda name: expression.fullmatch(name) is not None


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; what a ``*`` has matched is not tried again (as in fnmatch)."""
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{text})" for text in middle) + ".*" + last


def _possible_names(part: bytes) -> list[str]:
    """What a lenient parser might take for the name of a cookie in a malformed part: any token before any ``=``."""
    names: list[str] = []
    for text in part.split(b"=")[:-1]:
        end = text.rstrip(_OTHER_BYTES)
        names.append(end[len(end.rstrip(_TOKEN_BYTES)) :].decode("ascii"))
    return names


def _cookie_value(plain: bytes) -> str:
    """A plaintext that may stand in a Cookie header; else `MalformedPayloadError`."""
    text = plain.decode("latin-1")
    if not _VALUE.fullmatch(text):
        raise MalformedPayloadError("a value that cannot stand in a Cookie header")
    return text
