"""Payloads that end: an expiry inside what is protected, byte for byte ASP.NET Core's. ::

    protected := BE64(ticks of the expiration, UTC) ‖ data
    purposes  := those given ‖ "Microsoft.AspNetCore.DataProtection.TimeLimitedDataProtector.v1"

A tick is 100 ns since the year 1; never to expire is the last tick of the year 9999. The expiry is looked at after the
payload has been authenticated; at the very moment of its expiration a payload is still good.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from dpmiddleware.errors import ConfigurationError, ExpiredPayloadError, MalformedPayloadError
from dpmiddleware.instants import Instant
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import from_utf8, to_utf8
from dpmiddleware.purposes import TIME_LIMITED

if TYPE_CHECKING:
    from dpmiddleware.protection.protector import DataProtector

__all__ = ["TimeLimitedDataProtector"]

_NEVER: Final = 0x2BCA2875F4373FFF
_T = TypeVar("_T", str, bytes)


class TimeLimitedDataProtector:
    """`DataProtector` with an expiry; made by ``protector.time_limited()``. ``now``: where the time comes from."""

    __slots__ = ("_now", "_outer", "_protector")

    def __init__(self, protector: DataProtector, now: Callable[[], datetime]) -> None:
        self._outer = protector
        self._protector = protector.create_protector(TIME_LIMITED)
        self._now = now

    def create_protector(self, *purposes: str) -> TimeLimitedDataProtector:
        """The same for a narrower purpose; the marker of time limits stays the last one."""
        return TimeLimitedDataProtector(self._outer.create_protector(*purposes), self._now)

    def protect(self, data: _T, *, expires: datetime | None = None, lifetime: timedelta | None = None) -> _T:
        """Protect ``data`` until ``expires`` (aware), or for ``lifetime`` from now; with neither, for ever.

        Text in, text out; bytes in, bytes out. `KeyManagementError` where there is no ring.
        """
        if expires is not None and lifetime is not None:
            raise ConfigurationError("give expires= or lifetime=, not both")
        if isinstance(data, str):
            return base64url.encode(self.protect(to_utf8(data), expires=expires, lifetime=lifetime))
        moment = self._now() + lifetime if lifetime is not None else expires
        ticks = _NEVER if moment is None else Instant.of(moment).ticks
        return self._protector.protect(ticks.to_bytes(8, "big") + data)

    def unprotect(self, data: _T) -> _T:
        """What was protected, if it has not expired: `ExpiredPayloadError`, and errors as `DataProtector.unprotect`."""
        return self.unprotect_with_expiry(data)[0]

    def unprotect_with_expiry(self, data: _T) -> tuple[_T, datetime | None]:
        """The same, and when it will expire (UTC); ``None``: never."""
        if isinstance(data, str):
            opened = self.unprotect_with_expiry(base64url.decode(data))
            return from_utf8(opened[0]), opened[1]
        plain = self._protector.unprotect(data)
        ticks = int.from_bytes(plain[:8], "big")
        if len(plain) < 8 or ticks > _NEVER:
            raise MalformedPayloadError("not a payload with a time limit")
        expiration = Instant(ticks)
        if Instant.of(self._now()) > expiration:
            raise ExpiredPayloadError(f"the payload expired at {expiration}", expired_at=str(expiration))
        return plain[8:], None if ticks == _NEVER else expiration.to_datetime()
