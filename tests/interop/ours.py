"""Our side of a comparison: a ring from documents or a folder, at a stopped moment, without threads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.instants import Instant
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository

__all__ = ["OurRing", "StoppedClock", "in_folder", "of_documents"]


class StoppedClock:
    """A moment that does not pass. ``now``: XML Schema date."""

    def __init__(self, now: str) -> None:
        self._now = Instant.parse(now).to_datetime()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


class OurRing:
    """What an application would hold, refreshed in the calling thread."""

    def __init__(
        self,
        repository: KeyRepository,
        application: str | None,
        *,
        now: str,
        make_keys: bool = False,
        algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256,
    ) -> None:
        clock = StoppedClock(now)
        self.manager = KeyManager(repository, clock, ring="ring", algorithm=algorithm, auto_create_keys=make_keys)
        self.provider = KeyRingProvider(self.manager, start=lambda job: job())
        self._application = () if application is None else (application,)
        self._clock = clock

    def protector(self, *purposes: str) -> DataProtector:
        return DataProtector(_Rings(self.provider, self._clock), (*self._application, *purposes))


class _Rings:
    """The provider, with the time."""

    def __init__(self, provider: KeyRingProvider, clock: StoppedClock) -> None:
        self.current = provider.current
        self.find = provider.find
        self.now = clock.now


def of_documents(documents: Sequence[str], application: str | None, *, now: str) -> OurRing:
    """A ring that reads ``documents`` and makes no keys."""
    stored = [StoredDocument(None, document.encode()) for document in documents]
    return OurRing(MemoryKeyRepository(stored), application, now=now)


def in_folder(
    path: Path, application: str | None, *, now: str, algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256
) -> OurRing:
    """A ring in a folder, which makes its keys."""
    from dpmiddleware.repositories.files import FileKeyRepository

    return OurRing(FileKeyRepository(path), application, now=now, make_keys=True, algorithm=algorithm)
