"""Payloads with an expiry, which is protected together with the data, byte for byte as in ASP.NET Core. ::

    protected := BE64(ticks of the expiration, UTC) ‖ data
    purposes  := the given purposes ‖ "Microsoft.AspNetCore.DataProtection.TimeLimitedDataProtector.v1"

Ticks are units of 100 ns since the year 1. The last tick of the year 9999 means that the payload never expires. The
expiry is compared after the payload has been authenticated. At the moment of its expiration a payload is still valid.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from dpmiddleware.annotations import span
from dpmiddleware.arguments import explain
from dpmiddleware.errors import ConfigurationError, ExpiredPayloadError, MalformedPayloadError
from dpmiddleware.instants import Instant, ticks_of
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import from_utf8, to_utf8
from dpmiddleware.purposes import TIME_LIMITED

if TYPE_CHECKING:
    from dpmiddleware.protection.protector import DataProtector

__all__ = ["TimeLimitedDataProtector"]

_NEVER: Final = 0x2BCA2875F4373FFF
_T = TypeVar("_T", str, bytes)


class TimeLimitedDataProtector:
    """A `DataProtector` with an expiry. Create it with ``protector.time_limited()``."""

    __slots__ = ("_now", "_outer", "_protector")

    def __init__(self, protector: DataProtector, now: Callable[[], datetime]) -> None:
        self._outer = protector
        self._protector = protector.create_protector(TIME_LIMITED)
        self._now = now

    def create_protector(self, *purposes: str) -> TimeLimitedDataProtector:
        """Create a time-limited protector for a narrower purpose. The purpose for time limits remains the last one."""
        return TimeLimitedDataProtector(self._outer.create_protector(*purposes), self._now)

    def protect(self, data: _T, *, expires: datetime | None = None, lifetime: timedelta | None = None) -> _T:
        """Protect ``data`` until ``expires`` (aware), or for ``lifetime`` from now. With neither it does not expire.

        Text in, text out; bytes in, bytes out. `KeyManagementError` if there is no ring.
        """
        if expires is not None and lifetime is not None:
            raise ConfigurationError(
                "expires= and lifetime= are given, but not both are possible", hint="pass one of them"
            )
        if isinstance(data, str):
            return base64url.encode(self.protect(to_utf8(data), expires=expires, lifetime=lifetime))
        try:
            moment = self._now() + span(lifetime) if lifetime is not None else expires
            ticks = _NEVER if moment is None else Instant.of(moment).ticks
            plain = ticks.to_bytes(8, "big") + data
        except (AttributeError, TypeError) as error:
            protect = TimeLimitedDataProtector.protect
            raise explain(protect, error, data=data, expires=expires, lifetime=lifetime) from None
        return self._protector.protect(plain)

    def unprotect(self, data: _T) -> _T:
        """Return the protected data. `ExpiredPayloadError` if it has expired; else as `DataProtector.unprotect`."""
        if isinstance(data, str):
            return from_utf8(self._opened(base64url.decode(data))[0])
        return self._opened(data)[0]

    def unprotect_with_expiry(self, data: _T) -> tuple[_T, datetime | None]:
        """Return the protected data and when it will expire (aware, UTC); ``None`` if never."""
        if isinstance(data, str):
            opened = self.unprotect_with_expiry(base64url.decode(data))
            return from_utf8(opened[0]), opened[1]
        plain, ticks = self._opened(data)
        return plain, None if ticks == _NEVER else Instant(ticks).to_datetime()

    def _opened(self, data: bytes) -> tuple[bytes, int]:
        """The protected data, and the ticks of its end."""
        plain = self._protector.unprotect(data)
        ticks = int.from_bytes(plain[:8], "big")
        if len(plain) < 8 or ticks > _NEVER:
            raise MalformedPayloadError("the payload has no valid time limit")
        if ticks_of(self._now()) > ticks:
            raise ExpiredPayloadError(f"the payload expired at {Instant(ticks)}", expired_at=str(Instant(ticks)))
        return plain[8:], ticks
