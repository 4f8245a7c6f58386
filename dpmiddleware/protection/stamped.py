"""`StampedProtector`: values as text, each with the time at which it was made. ::

text := base64url(protect(BE64(ticks when made, UTC) ‖ data))
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from dpmiddleware.errors import UnprotectError
from dpmiddleware.instants import ticks_of
from dpmiddleware.protection import base64url
from dpmiddleware.telemetry import refused

if TYPE_CHECKING:
    from dpmiddleware.protection.protector import DataProtector

__all__ = ["SKEW_SECONDS", "Provider", "StampedProtector"]

SKEW_SECONDS: Final = 300
"""How far the clock of another machine may be ahead of ours. A value from further ahead is refused where ages count."""
_STAMP: Final = 8
_PROTECTORS: Final = 64


class Provider(Protocol):
    """What creates protectors: `dpmiddleware.data_protection.DataProtection`."""

    ring: str

    def create_protector(self, *purposes: str) -> DataProtector:
        """Create a protector."""
        ...

    def now(self) -> datetime:
        """Wall-clock time, aware."""
        ...


class StampedProtector:
    """Protects values under a salt: a value from one salt does not open under another.

    purposes: the purposes that belong to a salt. kind: names the values in the log.
    """

    def __init__(self, provider: Provider, purposes: Callable[[str], tuple[str, ...]], kind: str) -> None:
        self._provider = provider
        self._kind = kind
        self._protector = lru_cache(_PROTECTORS)(lambda salt: provider.create_protector(*purposes(salt)))

    def protect(self, data: bytes, salt: str) -> str:
        """Protect ``data`` together with the current time."""
        stamp = ticks_of(self._provider.now()).to_bytes(_STAMP, "big")
        return base64url.encode(self._protector(salt).protect(stamp + data))

    def unprotect(self, text: str, salt: str) -> tuple[int, bytes]:
        """Return when the value was made (ticks), and its data. An `UnprotectError` is counted and logged."""
        try:
            plain = self._protector(salt).unprotect(base64url.decode(text))
        except UnprotectError as error:
            refused(error.code, key_id=error.key_id, ring=self._provider.ring, where=f"{self._kind} {salt}")
            raise
        return int.from_bytes(plain[:_STAMP], "big"), plain[_STAMP:]
