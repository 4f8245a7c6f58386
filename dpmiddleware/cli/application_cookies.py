"""What ``dpm check`` says of the cookies of an application: those without Secure, or too large, or read by scripts.

The layers of the application are looked at, not its requests: a cookie that a page sets by itself is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.server_limits import findings_of_limits
from dpmiddleware.web.cookies.application_cookies import CookieProtection
from dpmiddleware.web.cookies.policy import CookiePolicy
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionCookie
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator

__all__ = ["findings_of_cookies", "settings_found"]

READ_BY_SCRIPTS: Final = ("csrftoken", "csrf_token", "XSRF-TOKEN", "csrf_access_token", "csrf_refresh_token")
"""Cookies that scripts send back in a header: of Django, Starlette's CSRF packages, Angular and axios, Flask's JWT."""


def findings_of_cookies(layers: Sequence[Any]) -> Iterator[Finding]:
    """The findings of an application's layers."""
    secured = any(isinstance(p := _of(layer, "policy"), CookiePolicy) and p.secure == "always" for layer in layers)
    found = {(kind, settings): cure for kind, settings, cure in settings_found(layers)}  # Quart has some twice
    for (kind, settings), cure in () if secured else found.items():
        name = f"the {kind} cookie {settings.name!r}"
        if settings.secure == "never":
            yield Finding("cookie_not_secure", "problem", f"{name} is sent without Secure, over http as well", cure)
        elif settings.secure == "same_as_request":
            text = f"{name} is Secure only if the application sees the request as HTTPS"
            yield Finding("cookie_secure_as_request", "note", text, f"{cure}; or let the proxy forward the scheme")
    sealing = [wraps for layer in layers if isinstance(wraps := _of(layer, "protection"), CookieProtection)]
    for wraps in sealing:
        yield from _sealed_for_scripts(wraps)
    budgets = [*(settings.max_total for _, settings in found), *(wraps.max_total for wraps in sealing)]
    yield from findings_of_limits(budgets)


def _sealed_for_scripts(wraps: CookieProtection) -> Iterator[Finding]:
    """Listed names are sealed; a pattern seals such a cookie only if the application has it."""
    hint = "leave it out of cookies= of the middleware"
    listed = [name for name in READ_BY_SCRIPTS if name in wraps.names]
    if listed:
        text = f"{', '.join(listed)} is sealed, so scripts cannot send its value back in a header"
        yield Finding("scripts_read_cookie", "problem", text, hint)
    matched = [name for name in READ_BY_SCRIPTS if wraps.covers(name) and name not in wraps.names]
    if matched:
        text = f"{', '.join(matched)} would be sealed, so scripts could not send its value back in a header"
        yield Finding("scripts_read_cookie", "note", text, hint)


def settings_found(layers: Sequence[Any]) -> Iterator[tuple[str, CookieSettings, str]]:
    """Each cookie of sessions and sign-ins: what it is for, its settings, and where Secure is set."""
    for layer in layers:
        flasks, quarts = getattr(_of(layer, "session_interface"), "cookie_of", None), _of(layer, "_described")
        in_config = flasks is not None or quarts is not None
        sessions = flasks(layer) if flasks is not None else layer.cookie() if in_config else _of(layer, "sessions")
        if isinstance(sessions, SessionCookie):
            cure = "set SESSION_COOKIE_SECURE = True" if in_config else "pass secure='always' in its CookieSettings"
            yield "session", sessions.protected.settings, cure
        authenticator = _of(layer, "authenticator") or (_of(layer, "extensions") or {}).get(
            "dpmiddleware.authenticator"
        )
        if isinstance(authenticator, CookieAuthenticator):
            yield "sign-in", authenticator.cookie.settings, "pass secure='always' in its CookieSettings"


def _of(layer: Any, name: str) -> Any:
    """An attribute that the object has itself."""
    return getattr(layer, "__dict__", {}).get(name)
