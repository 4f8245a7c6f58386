"""Test doubles for the clock, stores, key wrappers and private keys, and short functions that build rings."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dpmiddleware import telemetry
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyUnwrapError, RepositoryError
from dpmiddleware.keys.interfaces import Binding, KeyRepository, KeyWrapper, Snapshot, StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing import clock as clocks
from dpmiddleware.testing.contracts.documents import DAY, NOON, id_of, key_document, revocation_document
from dpmiddleware.testing.contracts.store import commit as put
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore

__all__ = [
    "DAY",
    "NOON",
    "BoxWrapper",
    "CountingKey",
    "OvertakenRepository",
    "StoppedClock",
    "WatchedRepository",
    "WatchedTicketStore",
    "bad_document",
    "data_protection",
    "events",
    "id_of",
    "inline",
    "key_document",
    "manager",
    "provider",
    "put",
    "reset_telemetry",
    "revocation_document",
    "ring_of",
    "take_away",
    "until",
]


class StoppedClock(clocks.StoppedClock):
    """At a noon in November."""

    def __init__(self, now: datetime = NOON) -> None:
        super().__init__(now)


class WatchedRepository:
    """A repository that counts calls. ``failure``: raised by every call. ``gate``: every call waits until it is set."""

    def __init__(self, inner: KeyRepository | None = None, location: str = "redis://store.example/0") -> None:
        self.inner: KeyRepository = MemoryKeyRepository() if inner is None else inner
        self.failure: Exception | None = None
        self.commit_failure: Exception | None = None
        self.gate: threading.Event | None = None
        self.entered = threading.Event()
        self.reads = self.versions = self.commits = 0
        self._location = location

    @property
    def location(self) -> str:
        return self._location

    @property
    def calls(self) -> int:
        """Round trips of any kind."""
        return self.reads + self.versions + self.commits

    def read(self) -> Snapshot:
        self.reads += 1
        self._pass()
        return self.inner.read()

    def version(self) -> str:
        self.versions += 1
        self._pass()
        return self.inner.version()

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        self.commits += 1
        self._pass()
        if self.commit_failure is not None:
            raise self.commit_failure
        self.inner.commit(add=add, remove=remove, expected=expected)

    def go_down(self) -> None:
        """From now on the store does not answer."""
        self.failure = RepositoryError(f"cannot read {self.location}: connection refused", hint="is it running?")

    def come_back(self) -> None:
        self.failure = None

    def _pass(self) -> None:
        self.entered.set()
        if self.gate is not None and not self.gate.wait(60):
            raise RepositoryError("nobody opened the gate")
        if self.failure is not None:
            raise self.failure


class OvertakenRepository(WatchedRepository):
    """Calls ``meanwhile`` just before each of the first ``times`` commits: another process is faster."""

    def __init__(self, inner: KeyRepository, meanwhile: Callable[[], object], times: int = 1) -> None:
        super().__init__(inner)
        self.meanwhile = meanwhile
        self.times = times

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        if self.times:
            self.times -= 1
            self.meanwhile()
        super().commit(add=add, remove=remove, expected=expected)


class CountingKey:
    """A private key in a hardware module: it counts how often it is used, and can be unplugged."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        self.calls = 0
        self.gone = False

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        self.calls += 1
        if self.gone:
            raise ValueError("the module is not plugged in")
        return self._key.decrypt(ciphertext, padding)


class WatchedTicketStore(MemoryTicketStore):
    """A ticket store whose look-ups are counted, and that can be made to fail."""

    def __init__(self, *, down: bool = False) -> None:
        super().__init__()
        self.down = down
        self.asked = 0

    def get(self, name: str) -> bytes | None:
        self.asked += 1
        if self.down:
            raise RepositoryError("the ticket store does not answer")
        return super().get(name)


class BoxWrapper:
    """A key wrapper that hides nothing, and that can fail like a key service that is not available."""

    def __init__(self, name: str = "Box") -> None:
        self.name = f"tests.{name}, tests"
        self.broken = False
        self.unwrapped = 0

    @property
    def decryptor_types(self) -> frozenset[str]:
        return frozenset({self.name})

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        self._check()
        box = ET.Element("box")
        box.append(secret)
        return self.name, box

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        self._check()
        self.unwrapped += 1
        return encrypted[0]

    def _check(self) -> None:
        if self.broken:
            raise KeyUnwrapError("the key service is away", hint="bring it back")


# --- documents ------------------------------------------------------------------------------------------------------


def bad_document(kind: str = "key", data: bytes = b"<key id=") -> StoredDocument:
    """A truncated document. ``kind``: key, revocation or anything else."""
    return StoredDocument(f"{kind}-{uuid4()}", data)


def take_away(repository: KeyRepository, wanted: Callable[[StoredDocument], bool] = lambda _: True) -> None:
    """Remove documents, by default all, as another process does."""
    snapshot = repository.read()
    repository.commit(remove=[stored for stored in snapshot.documents if wanted(stored)], expected=snapshot.version)


# --- rings ----------------------------------------------------------------------------------------------------------


def inline(job: Callable[[], None]) -> None:
    """Run a refresh at once, in the calling thread."""
    job()


def manager(
    repository: KeyRepository,
    clock: StoppedClock | None = None,
    *,
    wrappers: Sequence[KeyWrapper] = (),
    policy: RotationPolicy | None = None,
    auto_create_keys: bool = True,
) -> KeyManager:
    """A manager of the ring "shop"."""
    return KeyManager(
        repository,
        clock or StoppedClock(),
        ring="shop",
        wrappers=wrappers,
        policy=policy,
        auto_create_keys=auto_create_keys,
    )


def provider(
    repository: KeyRepository, clock: StoppedClock | None = None, *, policy: RotationPolicy | None = None
) -> KeyRingProvider:
    """A provider of the ring "shop" whose refreshes run in the calling thread."""
    return KeyRingProvider(manager(repository, clock, policy=policy), start=inline)


def data_protection(
    repository: KeyRepository,
    clock: StoppedClock | None = None,
    *,
    application: str | None = "shop",
    key_wrapper: KeyWrapper | None = None,
    policy: RotationPolicy | None = None,
    algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256,
    auto_create_keys: bool = True,
) -> DataProtection:
    """The object of an application, with refreshes that run in the calling thread."""
    dp = DataProtection(
        application,
        repository=repository,
        key_wrapper=key_wrapper,
        policy=policy,
        algorithm=algorithm,
        auto_create_keys=auto_create_keys,
        clock=clock or StoppedClock(),
    )
    dp.provider._refresh.start = inline
    return dp


def ring_of(*documents: StoredDocument) -> WatchedRepository:
    """A store with these documents; no calls are counted yet."""
    return WatchedRepository(MemoryKeyRepository(documents))


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    """The fields of each event of this name."""
    return [vars(record) for record in caplog.records if vars(record).get("event") == name]


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for other threads or processes; fail after ``seconds``."""
    pause = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail(f"still not after {seconds} s")


def reset_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been counted or logged yet."""
    monkeypatch.setattr(telemetry, "_counts", type(telemetry._counts)())
    monkeypatch.setattr(telemetry, "_last_line", {})
