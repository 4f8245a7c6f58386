"""Cookies as text: find one in a Cookie header, read and render Set-Cookie, and the settings of a cookie of ours. ::

    Cookie     := part *( ";" part )
    part       := OWS name "=" value OWS            (anything else in a part, a comma too, drops that part)
    value      := 1*octet | DQUOTE *octet DQUOTE    (quotes stay in the value)
    Set-Cookie := name "=" value *( "; " attribute )
    attribute  := expires, max-age, domain, path, secure, samesite, httponly, others: in this order, lower case

Read and written as ASP.NET Core 10 does, with two exceptions: names are compared exactly (a browser may let
``__host-x`` through where it would guard ``__Host-x``), and all cookies of a name are found, not only the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal
from urllib.parse import quote

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.web.cookies.http_dates import http_date

__all__ = [
    "MOST_OF_ONE_NAME",
    "Attributes",
    "CookieSettings",
    "SameSite",
    "SecurePolicy",
    "SetCookie",
    "attributes",
    "expired",
    "find",
    "pairs",
    "render",
    "with_expiry",
]

MOST_OF_ONE_NAME: Final = 4
"""How many cookies of one name are looked at: one a path is usual, more is somebody playing."""

SecurePolicy = Literal["same_as_request", "always", "never"]
SameSite = Literal["strict", "lax", "none"]
Attributes = tuple[str, ...]
"""The attributes of one Set-Cookie, each as it is written: ``("path=/", "httponly")``."""

_HTTP_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 (a token of RFC 9110, nothing secret)
_OWS: Final = r"(?:[ \t]|\r\n[ \t])*"
_OCTET: Final = r"[!#-+\--:<-\[\]-~]"
_PART: Final = re.compile(rf'{_OWS}({_HTTP_TOKEN})=({_OCTET}+|"{_OCTET}*"){_OWS}'.encode())
_OCTETS: Final = b"".join(re.findall(_OCTET.encode(), bytes(range(128))))
_NAME: Final = re.compile(_HTTP_TOKEN)
_ATTRIBUTE_VALUE: Final = re.compile(r"[ -:<-~]*")
_ESCAPES: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_LONGEST_COOKIE: Final = 4096
_MOST_PARTITIONED: Final = 10_240
"""Bytes of names and values in one partition of a site: the limit of the CHIPS specification, seen in Chromium."""
_SOME_DATE: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
_EPOCH: Final = "expires=Thu, 01 Jan 1970 00:00:00 GMT"


# --- reading a Cookie header --------------------------------------------------------------------------------


def find(header: bytes, name: str, most: int = MOST_OF_ONE_NAME) -> list[str]:
    """The values of the cookies called exactly ``name`` (a token), in the header's order, the first ``most`` of them.

    Equal to picking them out of `pairs`, at a fraction of the cost: nothing but the parts that may hold the name is
    looked at, each once.
    """
    needle = name.encode("ascii") + b"="
    found: list[str] = []
    end = 0
    while len(found) < most and (at := header.find(needle, end)) >= 0:
        start = header.rfind(b";", end, at) + 1
        end = header.find(b";", at)
        part = header[start:] if end < 0 else header[start:end]
        value = _value(part, needle)
        if value is not None:
            found.append(_unescaped(value.decode("ascii")))
        if end < 0:
            break
    return found


def _value(part: bytes, needle: bytes) -> bytes | None:
    """The value in a well-formed ``part`` whose name and ``=`` are ``needle``; else ``None``."""
    plain = part.strip(b" \t")
    if plain.startswith(needle):
        value = plain[len(needle) :]
        if value and not value.translate(None, _OCTETS):  # as the expression would say, at a third of its cost
            return value
    match = _PART.fullmatch(part)
    return match[2] if match and match[1] == needle[:-1] else None


def pairs(header: bytes) -> Iterator[tuple[str, str]]:
    """Every well-formed cookie of a header as (name, value), in order, repeated names too."""
    for part in header.split(b";"):
        match = _PART.fullmatch(part)
        if match:
            yield match[1].decode("ascii"), _unescaped(match[2].decode("ascii"))


def _unescaped(value: str) -> str:
    """Percent-decoded as .NET does it: UTF-8, what is no escape or no UTF-8 stays as it stands, ``+`` is a plus."""
    return _ESCAPES.sub(_unescape, value) if "%" in value else value


def _unescape(match: re.Match[str]) -> str:
    escapes, at = match[0], 0
    characters = []
    for character in bytes.fromhex(escapes.replace("%", "")).decode("utf-8", "surrogateescape"):
        lone = "\udc80" <= character <= "\udcff"
        characters.append(escapes[at : at + 3] if lone else character)
        at += 3 * len(character.encode("utf-8", "surrogateescape"))
    return "".join(characters)


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
    """Attributes in ASP.NET Core's order; what is ``None`` or false is left out. Dates are aware, cut to seconds."""
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


def with_expiry(these: Attributes, expires: datetime | str | None) -> Attributes:
    """Attributes that were made without a date, with one in its place: aware, or as text; ``None``: as they are."""
    if expires is None:
        return these
    return (f"expires={expires if isinstance(expires, str) else http_date(expires)}", *these)


def expired(these: Attributes) -> Attributes:
    """The same cookie's attributes with a date in 1970 and no max-age: what makes a browser drop it."""
    return (_EPOCH, *(text for text in these if _attribute_name(text) not in {"expires", "max-age"}))


def render(name: str, value: str, these: Attributes) -> str:
    """The text of one Set-Cookie header; the value is percent-encoded but for letters, digits and ``-._~``."""
    return "; ".join((f"{name}={quote(value, safe='')}", *these))


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One Set-Cookie header of an application: name and value as they stand, attributes in their own order and case."""

    name: str
    value: str
    attributes: Attributes

    @classmethod
    def parse(cls, line: str) -> SetCookie:
        """Read a header's text; a line without ``=`` has an empty name."""
        first, *rest = line.split(";")
        name, equals, value = first.partition("=")
        if not equals:
            name, value = "", name
        return cls(name.strip(" \t"), value.strip(" \t"), tuple(text for text in map(str.strip, rest) if text))

    def attribute(self, name: str) -> str | None:
        """The value of an attribute (name in lower case): the last one given, as browsers do; ``""`` for a flag."""
        for text in reversed(self.attributes):
            if _attribute_name(text) == name:
                return text.partition("=")[2].strip()
        return None

    def with_attribute(self, text: str) -> SetCookie:
        """The same cookie with this attribute in place of those of its name."""
        name = _attribute_name(text)
        kept = (other for other in self.attributes if _attribute_name(other) != name)
        return SetCookie(self.name, self.value, (*kept, text))

    def __str__(self) -> str:
        return "; ".join((f"{self.name}={self.value}", *self.attributes))


def _attribute_name(text: str) -> str:
    return text.partition("=")[0].strip().lower()


# --- settings -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CookieSettings:
    """How a cookie of ours is named and written. Impossible combinations are a `ConfigurationError` at once.

    secure: ``same_as_request`` is right behind a proxy only where forwarded headers are honoured.
    max_age: how long the browser keeps it; ``None``: until it is closed.
    chunk_size: characters of a whole Set-Cookie header, above which a value is split; ``None``: never split.
    max_total: bytes of a Cookie header that this cookie and its chunks may fill.
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
    max_total: int = 7168

    def __post_init__(self) -> None:
        for wrong, problem, hint in _impossible(self):
            if wrong:
                raise ConfigurationError(f"cookie {printable(self.name, 80)!r}: {problem}", hint=hint)

    def attributes(self, *, https: bool, expires: datetime | None = None) -> Attributes:
        """What stands behind the value in Set-Cookie. ``https``: whether the request came so. ``expires``: aware."""
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
    """(is it so, what is wrong, what to do) for each combination that a browser or a header would not take."""
    yield not _NAME.fullmatch(cookie.name), "a name of other characters than an HTTP token's", "letters, digits, - . _"
    yield (
        cookie.secure not in {"same_as_request", "always", "never"},
        "no such secure policy",
        "same_as_request, always or never",
    )
    yield cookie.same_site not in {"strict", "lax", "none", None}, "no such same_site", "strict, lax, none or None"
    for word, value in (("path", cookie.path), ("domain", cookie.domain)):
        yield value is not None and not _ATTRIBUTE_VALUE.fullmatch(value), f"a {word} that no header can hold", ""
    yield bool(cookie.path) and not str(cookie.path).startswith("/"), "a path that does not start with /", ""

    secure, prefix = cookie.secure == "always", cookie.name.lower()  # browsers compare prefixes without case
    yield (
        prefix.startswith(("__host-", "__secure-", "__http-")) and not secure,
        "its prefix demands Secure",
        "secure='always'",
    )
    yield prefix.startswith("__host-") and cookie.domain is not None, "__Host- allows no domain", "leave domain out"
    yield prefix.startswith("__host-") and cookie.path != "/", "__Host- demands the path /", "path='/'"
    yield (
        prefix.startswith(("__http-", "__host-http-")) and not cookie.http_only,
        "its prefix demands HttpOnly",
        "http_only=True",
    )
    yield cookie.same_site == "none" and not secure, "SameSite=None demands Secure", "secure='always'"
    yield cookie.partitioned and not secure, "Partitioned demands Secure", "secure='always'"
    yield (
        cookie.partitioned and cookie.max_total > _MOST_PARTITIONED,
        f"of a site's partitioned cookies browsers keep {_MOST_PARTITIONED} bytes, and silently drop the oldest",
        f"a max_total of {_MOST_PARTITIONED}, or less where the site has other partitioned cookies",
    )

    yield cookie.max_age is not None and cookie.max_age < timedelta(seconds=1), "a max_age under a second", ""
    yield cookie.max_total < 1, "a max_total under one byte", ""
    if cookie.chunk_size is not None:
        room = cookie.chunk_size - len(render(cookie.name, "", cookie.attributes(https=True, expires=_SOME_DATE)))
        yield room < 10, "name and attributes leave no room for a value in a chunk", "a larger chunk_size"
        yield (
            cookie.chunk_size > _LONGEST_COOKIE,
            f"browsers drop cookies above {_LONGEST_COOKIE} bytes",
            "chunk_size=4050",
        )
