"""Cookies as text: reads and writes Set-Cookie, and has the settings of a cookie. ::

    Set-Cookie := name "=" value *( "; " attribute )
    attribute  := expires, max-age, domain, path, secure, samesite, httponly, others: in this order, in lower case

Writing follows ASP.NET Core 10. The Cookie header is read by `dpmiddleware.web.cookies.header`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final, Literal, get_args
from urllib.parse import quote

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.web.cookies.header import HTTP_TOKEN, MAX_HEADER, MAX_PER_NAME, bounded, by_name, find, pairs
from dpmiddleware.web.cookies.http_dates import http_date

__all__ = [
    "MAX_HEADER",
    "MAX_PARTITIONED",
    "MAX_PER_NAME",
    "Attributes",
    "CookieSettings",
    "SameSite",
    "SecurePolicy",
    "SetCookie",
    "attribute_name",
    "attributes",
    "bounded",
    "by_name",
    "expired",
    "find",
    "pairs",
    "render",
    "with_expiry",
]

MAX_PARTITIONED: Final = 10_240
"""Bytes of names and values in one partition of a site: the limit of the CHIPS specification, as in Chromium."""

SecurePolicy = Literal["same_as_request", "always", "never"]
SameSite = Literal["strict", "lax", "none"]
Attributes = tuple[str, ...]
"""The attributes of one Set-Cookie, in their written form: ``("path=/", "httponly")``."""

_HOST: Final = "__Host-"
_NAME: Final = re.compile(HTTP_TOKEN)
_ATTRIBUTE_VALUE: Final = re.compile(r"[ -:<-~]*")
_MAX_COOKIE: Final = 4096
_SECONDS: Final = re.compile(r"-?[0-9]{1,12}")
_LONGEST_LIFE: Final = timedelta(days=400)  # browsers keep no cookie longer
_SOME_DATE: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
_EPOCH: Final = "expires=Thu, 01 Jan 1970 00:00:00 GMT"


# --- writing Set-Cookie -------------------------------------------------------------------------------------


def attributes(
    *,
    expires: datetime | None = None,
    max_age: timedelta | None = None,
    domain: str | None = None,
    path: str | None = None,
    secure: bool = False,
    same_site: SameSite | None = None,
    http_only: bool = False,
    others: tuple[str, ...] = (),
) -> Attributes:
    """Build attributes in ASP.NET Core's order, without those that are ``None`` or false.

    expires, max_age: when the browser deletes the cookie (aware), or after which time.
    domain, path: where it sends the cookie.
    secure, same_site, http_only: as in Set-Cookie.
    others: further attributes, in their written form.
    """
    written = (
        expires is not None and f"expires={http_date(expires.astimezone(timezone.utc))}",
        max_age is not None and f"max-age={int(max_age.total_seconds())}",
        domain is not None and f"domain={domain}",
        path is not None and f"path={path}",
        secure and "secure",
        same_site is not None and f"samesite={same_site}",
        http_only and "httponly",
    )
    return (*(text for text in written if text), *others)


def with_expiry(these: Attributes, expires: datetime | str | None, max_age: int | None = None) -> Attributes:
    """Add a date (aware, or as text) to attributes that have none, and seconds. ``None``: return them unchanged."""
    if expires is None:
        return these
    date = f"expires={expires if isinstance(expires, str) else http_date(expires)}"
    return (date, *these) if max_age is None else (date, f"max-age={max_age}", *these)


def expired(these: Attributes) -> Attributes:
    """Return the attributes with a date in 1970 and without max-age, so that a browser deletes the cookie."""
    return (_EPOCH, *(text for text in these if attribute_name(text) not in {"expires", "max-age"}))


def render(name: str, value: str, these: Attributes) -> str:
    """Write a Set-Cookie header. All of the value except letters, digits and ``-._~`` is percent-encoded."""
    return "; ".join((f"{name}={quote(value, safe='')}", *these))


@dataclass(frozen=True, slots=True)
class SetCookie:
    """A Set-Cookie header of an application: name, value and attributes exactly as they were written."""

    name: str
    value: str
    attributes: Attributes

    @classmethod
    def parse(cls, line: str) -> SetCookie:
        """Read the text of a header. Without ``=``, the name is empty."""
        first, *rest = line.split(";")
        name, equals, value = first.partition("=")
        if not equals:
            name, value = "", name
        return cls(name.strip(" \t"), value.strip(" \t"), tuple(text for text in map(str.strip, rest) if text))

    def attribute(self, name: str) -> str | None:
        """The value of an attribute (name in lower case); ``""`` for a flag. The last one counts, as in browsers."""
        for text in reversed(self.attributes):
            if attribute_name(text) == name:
                return text.partition("=")[2].strip()
        return None

    def with_attribute(self, text: str) -> SetCookie:
        """Return the cookie with this attribute instead of others of the same name."""
        name = attribute_name(text)
        kept = (other for other in self.attributes if attribute_name(other) != name)
        return SetCookie(self.name, self.value, (*kept, text))

    def end(self, now: datetime) -> datetime | None:
        """When a browser deletes the cookie: Max-Age counts before Expires. ``None`` if neither can be read."""
        seconds, date = self.attribute("max-age"), self.attribute("expires")
        if seconds is not None and _SECONDS.fullmatch(seconds):
            return now + min(timedelta(seconds=int(seconds)), _LONGEST_LIFE) if int(seconds) > 0 else now
        try:
            end = parsedate_to_datetime(date or "")
        except ValueError:
            return None
        return min(end if end.tzinfo else end.replace(tzinfo=timezone.utc), now + _LONGEST_LIFE)

    def __str__(self) -> str:
        return "; ".join((f"{self.name}={self.value}", *self.attributes))


def attribute_name(text: str) -> str:
    """The name of a written attribute, in lower case."""
    return text.partition("=")[0].strip().lower()


# --- settings -----------------------------------------------------------------------------------------------


@checked
@dataclass(frozen=True, slots=True)
class CookieSettings:
    """The name of a cookie, and how it is written. `ConfigurationError` for impossible combinations.

    name: the name.
    path, domain: where the browser sends the cookie.
    secure: ``always``, ``never``, or ``same_as_request``, which needs forwarded headers if there is a proxy.
    http_only, same_site, partitioned: as in Set-Cookie.
    max_age: how long the browser keeps the cookie; ``None``: until the browser is closed.
    chunk_size: characters of a Set-Cookie header above which its value is split; ``None``: it is never split.
    max_total: bytes of Cookie header that a browser may send after this cookie is written, all cookies included.
    """

    name: str
    path: str | None = "/"
    domain: str | None = None
    secure: SecurePolicy = "same_as_request"
    http_only: bool = True
    same_site: SameSite | None = "lax"
    partitioned: bool = False
    max_age: timedelta | None = None
    chunk_size: int | None = 4050
    max_total: int = 8000

    def __post_init__(self) -> None:
        for wrong, problem, hint in _impossible(self):
            if wrong:
                raise ConfigurationError(f"cookie {printable(self.name, 80)!r}: {problem}", hint=hint)

    @classmethod
    def strict(
        cls,
        name: str,
        *,
        same_site: Literal["strict", "lax"] = "lax",
        max_age: timedelta | None = None,
        max_total: int = 8000,
    ) -> CookieSettings:
        """Make the settings of a cookie that no other host, no http page and no script can write or read.

        name: gets the prefix ``__Host-``, unless it has it. ``__Host-Http-`` also keeps scripts from writing it, in the
        browsers that know it; the others take it for ``__Host-``.
        same_site, max_age, max_total: see the class.
        """
        prefixed = name if name.startswith(_HOST) else _HOST + name
        return cls(prefixed, secure="always", same_site=same_site, max_age=max_age, max_total=max_total)

    def attributes(self, *, https: bool, expires: datetime | None = None) -> Attributes:
        """Build the attributes of a Set-Cookie. ``https``: whether the request used HTTPS. ``expires``: aware."""
        return attributes(
            expires=expires,
            max_age=self.max_age,
            domain=self.domain,
            path=self.path,
            secure=self.secure == "always" or (self.secure == "same_as_request" and https),
            same_site=self.same_site,
            http_only=self.http_only,
            others=("partitioned",) if self.partitioned else (),
        )


def _impossible(cookie: CookieSettings) -> Iterator[tuple[bool, str, str]]:
    """(whether it is so, the problem, a hint) for each combination that a browser or a header does not permit."""
    yield not _NAME.fullmatch(cookie.name), "name= is not a token of HTTP", "use letters, digits, - . _"
    secure, site = cookie.secure, cookie.same_site
    yield secure not in get_args(SecurePolicy), f"secure={secure!r} is unknown", "use same_as_request, always or never"
    yield site not in {*get_args(SameSite), None}, f"same_site={site!r} is unknown", "use strict, lax, none or None"
    for word, text in (("path", cookie.path), ("domain", cookie.domain)):
        bad = text is not None and not _ATTRIBUTE_VALUE.fullmatch(text)
        yield bad, f"a header cannot contain {word}={text!r}", "use printable ASCII characters without ;"
    relative = bool(cookie.path) and not str(cookie.path).startswith("/")
    yield relative, f"path={cookie.path!r} does not start with /", "use an absolute path"
    prefix = cookie.name.lower()  # browsers compare prefixes without case
    for needs_secure, what in (
        (prefix.startswith(("__host-", "__secure-", "__http-")), "the prefix of name="),
        (site == "none", "same_site='none': SameSite=None"),
        (cookie.partitioned, "partitioned=True: Partitioned"),
    ):
        yield needs_secure and secure != "always", f"{what} requires Secure", "set secure='always'"
    needs_http_only = prefix.startswith(("__http-", "__host-http-"))
    yield needs_http_only and not cookie.http_only, "the prefix of name= requires HttpOnly", "set http_only=True"
    is_host = prefix.startswith("__host-")
    yield (
        is_host and cookie.domain is not None,
        f"__Host- does not permit domain={cookie.domain!r}",
        "leave out domain=",
    )
    yield is_host and cookie.path != "/", f"__Host- requires path='/', not {cookie.path!r}", "set path='/'"
    yield from _impossible_sizes(cookie)


def _impossible_sizes(cookie: CookieSettings) -> Iterator[tuple[bool, str, str]]:
    yield (
        cookie.partitioned and cookie.max_total > MAX_PARTITIONED,
        f"browsers keep {MAX_PARTITIONED} bytes of a site's partitioned cookies, and silently drop the oldest",
        f"set max_total= to at most {MAX_PARTITIONED}, or less if the site has other partitioned cookies",
    )
    short = cookie.max_age is not None and cookie.max_age < timedelta(seconds=1)
    yield short, f"max_age={cookie.max_age} is less than a second", "pass a longer time, or None for a session cookie"
    yield cookie.max_total < 1, f"max_total={cookie.max_total} is less than one byte", "use a positive number"
    if cookie.chunk_size is not None:
        room = cookie.chunk_size - len(render(cookie.name, "", cookie.attributes(https=True, expires=_SOME_DATE)))
        yield (
            room < 10,
            "name= and attributes leave no room for a value in a chunk",
            "shorten name=, or raise chunk_size=",
        )
        large = cookie.chunk_size > _MAX_COOKIE
        yield large, f"browsers drop cookies of more than {_MAX_COOKIE} bytes", "set chunk_size=4050"
