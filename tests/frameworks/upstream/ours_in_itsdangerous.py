"""A pytest plugin: itsdangerous' serializers are ours, each secret key a ring of its own."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import itsdangerous.serializer
import itsdangerous.timed

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.protection.serializer import ProtectedSerializer


class FreezableClock:
    """The clock that freezegun stops: ``time.time``."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), timezone.utc)

    def monotonic(self) -> float:
        return time.monotonic()


@lru_cache
def ring(secret: str) -> DataProtection:
    """One ring a secret, as one ring a deployment."""
    return DataProtection(secret, repository="memory:", key_wrapper="plain:", clock=FreezableClock())


class OurSerializer(ProtectedSerializer):
    """Takes what itsdangerous' takes; signers and fallbacks have no meaning on a ring."""

    def __init__(self, secret_key: Any, salt: str | bytes = b"itsdangerous", serializer: Any = None, **_: Any) -> None:
        newest = secret_key if isinstance(secret_key, str | bytes) else secret_key[-1]
        name = newest if isinstance(newest, str) else newest.decode()
        super().__init__(ring(name), salt, serializer)


itsdangerous.serializer.Serializer = OurSerializer  # type: ignore[assignment, misc]  # the point
itsdangerous.timed.TimedSerializer = OurSerializer  # type: ignore[assignment, misc]  # the point
