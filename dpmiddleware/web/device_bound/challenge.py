"""Challenges: what a browser has to sign. They are payloads with an end, byte for byte as in ASP.NET Core 11. ::

    challenge := base64url(protect(BE64(ticks of its end, UTC) ‖ body))
    body      := text(claim uid)                                        of a registration
               | text(claim uid) ‖ text(session identifier)             of a refresh
    claim uid := base64url(text(type) ‖ text(value) ‖ text(issuer))     of the claim that identifies the user
    text      := CBOR text string (RFC 8949, major type 3) of definite length

The layout is that of dotnet/aspnetcore's ``DeviceBoundSessionChallengeProtector`` (pull request 67388). A challenge is
not remembered, so within its few minutes it may be used twice: Chromium sends one proof again where an answer was
empty. It is worth nothing to anybody without the key and the ticket.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from dpmiddleware import purposes
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import UnprotectError
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector
from dpmiddleware.web.sign_in.claims import Claim, Principal, identifying_claim
from dpmiddleware.web.steps import Ring, Steps, key_waits

__all__ = ["Challenges", "claim_uid"]


class Challenges:
    """Makes and checks the challenges of an application.

    lifetime: how long each is good.
    now: the clock.
    """

    def __init__(self, data_protection: DataProtection, lifetime: timedelta, now: Callable[[], datetime]) -> None:
        self._lifetime, self._now = lifetime, now
        self._registration, self._refresh = (
            TimeLimitedDataProtector(data_protection.create_protector(*purposes.device_challenge(kind)), now)
            for kind in ("Registration", "Refresh")
        )

    def of_registration(self, principal: Principal) -> str:
        """A challenge that ``principal`` may register a key with."""
        return self._made(self._registration, _text(claim_uid(principal)))

    def of_refresh(self, principal: Principal, identifier: str) -> str:
        """A challenge for the browser's session ``identifier``."""
        return self._made(self._refresh, _text(claim_uid(principal)) + _text(identifier))

    def is_of_registration(self, challenge: str, principal: Principal) -> bool:
        """Whether `of_registration` has made this for the same user, and it is still good."""
        return self._holds(self._registration, challenge, _text(claim_uid(principal)))

    def is_of_refresh(self, challenge: str, principal: Principal, identifier: str) -> bool:
        """Whether `of_refresh` has made this for the same user and session, and it is still good."""
        return self._holds(self._refresh, challenge, _text(claim_uid(principal)) + _text(identifier))

    @staticmethod
    def wait(ring: Ring, challenge: str) -> Steps[None]:
        """Wait until a challenge can be opened at once."""
        key_id = peek_key_id(challenge)
        steps = None if key_id is None else key_waits(ring, [key_id])
        if steps is not None:
            yield from steps

    def _made(self, protector: TimeLimitedDataProtector, body: bytes) -> str:
        return base64url.encode(protector.protect(body, expires=self._now() + self._lifetime))

    @staticmethod
    def _holds(protector: TimeLimitedDataProtector, challenge: str, body: bytes) -> bool:
        try:
            return hmac.compare_digest(protector.unprotect(base64url.decode(challenge)), body)
        except UnprotectError:
            return False


def claim_uid(principal: Principal) -> str:
    """What identifies a user in a challenge, as ASP.NET Core 11 computes it; ``""`` for an anonymous user.

    It is taken from the first claim ``sub``, else ``NameIdentifier``, else ``Upn`` that is not empty, of an identity
    that is authenticated; or else it is base64url(SHA-256) of all its claims, ordered by type. .NET does not order
    claims of one type, so applications that share sign-ins with it should give their users a ``sub``.
    """
    known = [identity for identity in principal.identities if identity.is_authenticated]
    for identity in known:
        claim = identifying_claim(identity)
        if claim is not None:
            return base64url.encode(_texts([claim]))
    claims = [claim for identity in known for claim in identity.claims]
    if not claims:
        return ""
    ordered = sorted(claims, key=lambda claim: claim.type.encode("utf-16-be", "surrogatepass"))
    return base64url.encode(hashlib.sha256(_texts(ordered)).digest())


def _texts(claims: Iterable[Claim]) -> bytes:
    return b"".join(_text(part) for claim in claims for part in (claim.type, claim.value, claim.issuer))


def _text(value: str) -> bytes:
    """A CBOR text string of definite length."""
    data = value.encode("utf-8", "replace")
    size = len(data)
    if size < 24:
        return bytes([0x60 + size]) + data
    for lead, width in ((0x78, 1), (0x79, 2)):
        if size < 1 << 8 * width:
            return bytes([lead]) + size.to_bytes(width, "big") + data
    return b"\x7a" + size.to_bytes(4, "big") + data
