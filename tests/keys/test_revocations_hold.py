"""A revocation that was read applies to the ring in use, even if the refresh does not give a new ring."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import NoUsableKeyError, RevokedKeyError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import StoppedClock, data_protection


class Farm:
    """One process on a store in memory, refreshed in the calling thread, and its first payload."""

    def __init__(self) -> None:
        self.clock, self.repository = StoppedClock(), MemoryKeyRepository()
        self.dp = data_protection(self.repository, self.clock)
        self.protector = self.dp.create_protector("p")
        self.token = self.protector.protect("1 apple")

    def store(self, *documents: StoredDocument) -> None:
        self.repository.commit(add=documents, expected=self.repository.version())

    def pass_poll(self) -> None:
        self.clock.advance(seconds=self.dp.policy.poll.total_seconds() + 1)


def now(farm: Farm) -> Instant:
    return Instant.of(farm.clock.now())


@pytest.fixture
def farm() -> Farm:
    return Farm()


def test_a_revocation_of_all_dated_ahead_refuses_what_was_good_before(farm: Farm) -> None:
    """As written by RevokeAllKeys of .NET: without a new key, and none can be created until that date."""
    ahead = document.new_revocation(None, date=now(farm) + timedelta(days=1), reason="")
    farm.store(document.dump(ahead))
    farm.pass_poll()
    with pytest.raises(RevokedKeyError):
        farm.protector.unprotect(farm.token)
    assert farm.protector.dangerous_unprotect(farm.token) == ("1 apple", True, True)
    with pytest.raises(NoUsableKeyError):
        farm.protector.protect("more")


def test_a_fresh_process_on_such_a_ring_refuses_payloads_and_is_no_outage(farm: Farm) -> None:
    ahead = document.new_revocation(None, date=now(farm) + timedelta(days=1), reason="")
    farm.store(document.dump(ahead))
    fresh = data_protection(farm.repository, farm.clock).create_protector("p")
    with pytest.raises(RevokedKeyError):
        fresh.unprotect(farm.token)


def test_a_revocation_holds_although_the_key_that_takes_over_cannot_be_unwrapped(farm: Farm) -> None:
    (key,) = farm.dp.manager.read().keys
    moment = now(farm)
    broken = document.new_key(
        uuid4(),
        creation=moment,
        activation=moment + timedelta(seconds=1),
        expiration=moment + timedelta(days=90),
        algorithm=Algorithm.AES_256_GCM,
        secret=Secret.random(),
    )
    unreadable = document.dump(broken)
    unreadable = StoredDocument(unreadable.name, unreadable.data.replace(b"AES_256_GCM", b"AES_512_GCM"))
    farm.store(unreadable, document.dump(document.new_revocation(key.id, date=moment, reason="stolen")))
    farm.pass_poll()
    with pytest.raises(RevokedKeyError):
        farm.protector.unprotect(farm.token)
