"""`CookiePolicy`: the least that every cookie of an application must keep to. ASP.NET Core's cookie policy.

Raises, never lowers: an attribute that is stricter already stays. Applies to every Set-Cookie header, deletions too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.caching import Headers
from dpmiddleware.web.cookies.text import SameSite, SecurePolicy, SetCookie

__all__ = ["CookiePolicy"]

_STRICTNESS: Final = ("none", "lax", "strict")
_ORDER: Final = ("expires", "max-age", "domain", "path", "secure", "samesite", "httponly")


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """What holds for all cookies of an application.

    minimum_same_site: at least this; ``none`` only makes the attribute explicit; ``None``: no matter.
    secure: ``always``, ``same_as_request`` (on HTTPS), or ``never``: as the application says. http_only: on all.
    """

    minimum_same_site: SameSite | None = None
    secure: SecurePolicy = "never"
    http_only: bool = False

    def __post_init__(self) -> None:
        if self.minimum_same_site not in {*_STRICTNESS, None}:
            raise ConfigurationError("no such minimum_same_site", hint="strict, lax, none or None")
        if self.secure not in {"same_as_request", "always", "never"}:
            raise ConfigurationError("no such secure policy", hint="same_as_request, always or never")

    def apply(self, headers: Headers, *, https: bool) -> Headers:
        """The headers of a response with every Set-Cookie as the policy wants it."""
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
    """Where the cookie's SameSite stands; below all where it has none, or none that is known."""
    value = (cookie.attribute("samesite") or "").lower()
    return _STRICTNESS.index(value) if value in _STRICTNESS else -1


def _with(cookie: SetCookie, text: str) -> SetCookie:
    """The cookie with this attribute, in ASP.NET Core's order as far as the others are."""
    name = text.partition("=")[0]
    if cookie.attribute(name) is not None and "=" not in text:
        return cookie
    kept = [other for other in cookie.attributes if _name(other) != name]
    later = (at for at, other in enumerate(kept) if _rank(other) > _rank(text))
    at = next(later, len(kept))
    return SetCookie(cookie.name, cookie.value, (*kept[:at], text, *kept[at:]))


def _name(attribute: str) -> str:
    return attribute.partition("=")[0].strip().lower()


def _rank(attribute: str) -> int:
    name = _name(attribute)
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
