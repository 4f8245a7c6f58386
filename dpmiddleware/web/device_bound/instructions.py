"""What is said to a browser in headers and JSON: the offer of a session, a challenge, and the session's instructions.

The draft of 2026-02-17, as Chromium 156 reads it. In the instructions no ``origin`` is given: it is then the one that
the browser asked, whatever a proxy made of the Host header. Every answer of the refresh endpoint that is not one of
these ends the browser's session for good, unless its status is 5xx.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from dpmiddleware.web.answer import RETRY_AFTER, Answer, Headers
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.sign_in.return_urls import quoted_path

__all__ = [
    "NOT_NOW",
    "REFRESH",
    "REGISTRATION",
    "challenge_header",
    "ended",
    "instructions",
    "offer_header",
    "refusal",
]

REGISTRATION: Final = "/registration"
REFRESH: Final = "/refresh"
_PLAIN: Final[Headers] = [("cache-control", "no-store"), ("x-content-type-options", "nosniff")]


def offer_header(options: DeviceBound, path_base: str, challenge: str) -> tuple[str, str]:
    """The header that offers a session: the browser makes a key and registers it.

    path_base: where the application is mounted; decoded.
    """
    algorithms, path = " ".join(options.algorithms), _path(path_base, options.path + REGISTRATION)
    return ("secure-session-registration", f'({algorithms});path="{path}";challenge="{challenge}"')


def challenge_header(challenge: str, identifier: str) -> tuple[str, str]:
    """The header that asks for a proof."""
    return ("secure-session-challenge", f'"{challenge}";id="{identifier}"')


def instructions(
    options: DeviceBound, path_base: str, identifier: str, credential: dict[str, str], set_cookies: Sequence[str]
) -> Answer:
    """The answer that begins or continues a browser's session.

    path_base: where the application is mounted; decoded.
    identifier: of the session.
    credential: the cookie that the browser keeps fresh.
    set_cookies: the Set-Cookie lines.
    """
    scope: dict[str, Any] = {"include_site": False}
    if options.exclude:
        excluded = [_path(path_base, path) for path in options.exclude]
        scope["scope_specification"] = [{"type": "exclude", "domain": "*", "path": path} for path in excluded]
    said: dict[str, Any] = {
        "session_identifier": identifier,
        "refresh_url": _path(path_base, options.path + REFRESH),
        "scope": scope,
        "credentials": [credential],
    }
    if options.allowed_refresh_initiators:
        said["allowed_refresh_initiators"] = list(options.allowed_refresh_initiators)
    return _json(said, [("set-cookie", line) for line in set_cookies])


def ended(identifier: str) -> Answer:
    """The answer that ends a browser's session."""
    return _json({"session_identifier": identifier, "continue": False})


def refusal(status: int, *headers: tuple[str, str]) -> Answer:
    """An answer without a body."""
    return Answer([*headers, ("content-length", "0"), *_PLAIN], status=status, body=b"")


NOT_NOW: Final = refusal(503, RETRY_AFTER)
"""The answer while the key of the ticket is not known here."""


def _json(said: dict[str, Any], headers: Sequence[tuple[str, str]] = ()) -> Answer:
    body = json.dumps(said, separators=(",", ":")).encode()
    described = [("content-type", "application/json"), ("content-length", str(len(body)))]
    return Answer([*headers, *described, *_PLAIN], status=200, body=body)


def _path(path_base: str, path: str) -> str:
    return quoted_path(path_base) + path
