"""`CookiePolicy`: minimum requirements for all cookies of an application, as in ASP.NET Core.

An attribute that is stricter than the policy is kept. The policy applies to every Set-Cookie header, deletions too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.answer import Headers
from dpmiddleware.web.cookies.text import SameSite, SecurePolicy, SetCookie, attribute_name

__all__ = ["CookiePolicy"]

_STRICTNESS: Final = ("none", "lax", "strict")
_ORDER: Final = ("expires", "max-age", "domain", "path", "secure", "samesite", "httponly")


@checked
@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """The requirements.

    minimum_same_site: the least strict value permitted. ``none`` only adds a missing attribute; ``None`` adds nothing.
    secure: ``always`` adds Secure, ``same_as_request`` adds it to responses over HTTPS, ``never`` adds nothing.
    http_only: whether HttpOnly is added.
    """

    minimum_same_site: SameSite | None = None
    secure: SecurePolicy = "never"
    http_only: bool = False

    def __post_init__(self) -> None:
        site, secure = self.minimum_same_site, self.secure
        if site not in {*_STRICTNESS, None}:
            raise ConfigurationError(f"minimum_same_site={site!r} is unknown", hint="use strict, lax, none or None")
        if secure not in get_args(SecurePolicy):
            raise ConfigurationError(f"secure={secure!r} is unknown", hint="use same_as_request, always or never")

    def apply(self, headers: Headers, *, https: bool) -> Headers:
        """Apply the policy to the Set-Cookie lines in the headers of a response."""
        return [
            (name, str(self._applied(SetCookie.parse(value), https=https)) if name.lower() == "set-cookie" else value)
            for name, value in headers
        ]

    def _applied(self, cookie: SetCookie, *, https: bool) -> SetCookie:
        if self.secure == "always" or (self.secure == "same_as_request" and https):
            cookie = _with(cookie, "secure")
        if self.minimum_same_site is not None and _strictness(cookie) < _STRICTNESS.index(self.minimum_same_site):
            cookie = _with(cookie, f"samesite={self.minimum_same_site}")
        return _with(cookie, "httponly") if self.http_only else cookie


def _strictness(cookie: SetCookie) -> int:
    """The rank of the cookie's SameSite; -1 if it is missing or unknown."""
    value = (cookie.attribute("samesite") or "").lower()
    return _STRICTNESS.index(value) if value in _STRICTNESS else -1


def _with(cookie: SetCookie, text: str) -> SetCookie:
    """Add an attribute at its place in ASP.NET Core's order, or replace one of the same name."""
    name = attribute_name(text)
    if cookie.attribute(name) is not None and "=" not in text:
        return cookie
    kept = [other for other in cookie.attributes if attribute_name(other) != name]
    later = (at for at, other in enumerate(kept) if _rank(other) > _rank(text))
    at = next(later, len(kept))
    return SetCookie(cookie.name, cookie.value, (*kept[:at], text, *kept[at:]))


def _rank(attribute: str) -> int:
    name = attribute_name(attribute)
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
