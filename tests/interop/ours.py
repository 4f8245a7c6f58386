"""Our side of a comparison: a ring from documents or a folder, at a stopped moment, without threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.instants import Instant
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import StoppedClock, inline

__all__ = ["OurRing", "in_folder", "of_documents"]


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
        clock = StoppedClock(Instant.parse(now).to_datetime())
        self.manager = KeyManager(repository, clock, ring="ring", algorithm=algorithm, auto_create_keys=make_keys)
        self.provider = KeyRingProvider(self.manager, start=inline)
        self._application = () if application is None else (application,)

    def protector(self, *purposes: str) -> DataProtector:
        return DataProtector(self.provider, (*self._application, *purposes))


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
