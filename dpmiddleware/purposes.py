"""The purposes of everything that this package protects. They are part of the public format: never change one.

A payload opens only with the purposes that it was protected with, in the same order. Each kind of value and each name
has purposes of its own, so the value of one cookie cannot be used as another cookie, as a session, or as a sign-in.
The application name, if there is one, comes before these purposes. Formats that ASP.NET Core defines have its purposes
(``CookieAuthenticationHandler``, ``TimeLimitedDataProtector``).
"""

from __future__ import annotations

__all__ = [
    "CHECK",
    "TIME_LIMITED",
    "authentication_cookie",
    "cookie",
    "device_bound",
    "device_challenge",
    "django_signer",
    "serializer",
    "session",
    "ticket_store",
]

TIME_LIMITED = "Microsoft.AspNetCore.DataProtection.TimeLimitedDataProtector.v1"
"""The last purpose of a `TimeLimitedDataProtector`, as in ASP.NET Core."""

CHECK = "dpmiddleware.Check.v1"
"""The payload with which ``dpm check --against`` compares two rings. It is never stored."""


def authentication_cookie(scheme: str) -> tuple[str, str, str]:
    """The sign-in cookie of an authentication ``scheme``, as in ASP.NET Core."""
    return ("Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationMiddleware", scheme, "v2")


def cookie(name: str) -> tuple[str, str]:
    """A cookie that the application sets itself, and that `CookieProtection` seals."""
    return ("dpmiddleware.Cookie.v1", name)


def session(value_format: str, name: str) -> tuple[str, str, str]:
    """A session in the cookie ``name``; ``value_format``: how its mapping is serialized (``json``, ``flask``, …)."""
    return ("dpmiddleware.Session.v1", value_format, name)


def device_bound(scheme: str) -> tuple[str, str]:
    """The short-lived cookie of a device-bound sign-in of an authentication ``scheme``. Time-limited."""
    return ("dpmiddleware.DeviceBound.v1", scheme)


def device_challenge(kind: str) -> tuple[str]:
    """A challenge of device-bound sign-ins, as in ASP.NET Core 11; ``Registration`` or ``Refresh``. Time-limited."""
    return (f"Microsoft.AspNetCore.Authentication.DeviceBoundSessions.Challenge.{kind}.v1",)


def serializer(salt: str) -> tuple[str, str]:
    """A value of `ProtectedSerializer`; ``salt`` as in itsdangerous."""
    return ("dpmiddleware.Serializer.v1", salt)


def django_signer(salt: str, domain: str = "") -> tuple[str, ...]:
    """A value of the Django signing backend; ``salt`` as in Django, ``domain`` as its keys have them."""
    return ("dpmiddleware.DjangoSigner.v2", domain, salt) if domain else ("dpmiddleware.DjangoSigner.v1", salt)


def ticket_store(scheme: str, store_key: str) -> tuple[str, str, str]:
    """A sign-in ticket that is kept on the server under ``store_key``."""
    return ("dpmiddleware.TicketStore.v1", scheme, store_key)
