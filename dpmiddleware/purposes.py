"""Every purpose chain that this package uses, as one table. They are part of the public format: never edit one.

A payload opens only under the chain that it was protected under, so each kind of value, and each name, has its own:
a cookie's value is no other cookie's value, no session and no sign-in. The application name, where there is one,
comes before all of these. Chains of ASP.NET Core's own formats are its own (``CookieAuthenticationHandler``,
``TimeLimitedDataProtector``).
"""

from __future__ import annotations

__all__ = [
    "CHECK",
    "TIME_LIMITED",
    "authentication_cookie",
    "cookie",
    "django_signer",
    "serializer",
    "session",
    "ticket_store",
]

TIME_LIMITED = "Microsoft.AspNetCore.DataProtection.TimeLimitedDataProtector.v1"
"""Appended last by `TimeLimitedDataProtector` (ASP.NET Core's own)."""


CHECK = "dpmiddleware.Check.v1"
"""What ``dpm check --against`` lets two rings open; it is stored nowhere."""


def authentication_cookie(scheme: str) -> tuple[str, str, str]:
    """The sign-in cookie of ASP.NET Core's authentication ``scheme`` (its own chain)."""
    return ("Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationMiddleware", scheme, "v2")


def cookie(name: str) -> tuple[str, str]:
    """A cookie of the application, wrapped without its knowing."""
    return ("dpmiddleware.Cookie.v1", name)


def session(value_format: str, name: str) -> tuple[str, str, str]:
    """A session in the cookie ``name``; ``value_format`` says how its mapping is serialized (``json``, ``flask`` …)."""
    return ("dpmiddleware.Session.v1", value_format, name)


def serializer(salt: str) -> tuple[str, str]:
    """A value of `ProtectedSerializer`; ``salt`` as in itsdangerous."""
    return ("dpmiddleware.Serializer.v1", salt)


def django_signer(salt: str) -> tuple[str, str]:
    """A value of the Django signing backend; ``salt`` as in Django."""
    return ("dpmiddleware.DjangoSigner.v1", salt)


def ticket_store(scheme: str, store_key: str) -> tuple[str, str, str]:
    """A sign-in ticket kept on the server under ``store_key``."""
    return ("dpmiddleware.TicketStore.v1", scheme, store_key)
