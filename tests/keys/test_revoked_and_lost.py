"""A revoked default key leaves a successor; a revocation that the store loses is reported and stored again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware.cli.check import findings_of
from dpmiddleware.cli.main import main
from dpmiddleware.cli.ring import RingView
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, RepositoryError, RevokedKeyError
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.key import KeyState
from dpmiddleware.keys.signers import Ed25519Signer
from tests.fakes import (
    DAY,
    NOON,
    BoxWrapper,
    StoppedClock,
    WatchedRepository,
    data_protection,
    events,
    id_of,
    key_document,
    manager,
    put,
    revocation_document,
    ring_of,
    take_away,
)


def is_a_revocation(stored: StoredDocument) -> bool:
    return b"<revocation" in stored.data


# --- the key that protects is revoked ---------------------------------------------------------------------------------

RINGS: dict[str, tuple[list[StoredDocument], int]] = {
    "the only key": ([key_document()], 0),
    "an older key beside it": ([key_document(created=-3 * DAY), key_document()], 1),
    "a successor that is not active yet": ([key_document(), key_document(activated=DAY)], 0),
    "a successor that a clock ahead has activated": ([key_document(), key_document(activated=timedelta(minutes=4))], 1),
    "an expired key that still protects": ([key_document(created=-90 * DAY, expires=-DAY)], 0),
}


@pytest.mark.parametrize(("documents", "revoked"), RINGS.values(), ids=RINGS.keys())
def test_revoking_the_key_that_protects_left_readers_without_one(documents: list[StoredDocument], revoked: int) -> None:
    """The recommended set-up: web processes that only read, and a job that creates keys once a day."""
    clock, store = StoppedClock(), ring_of(*documents)
    web = data_protection(store, clock, auto_create_keys=False)
    protector = web.create_protector("p")
    old = protector.protect("text") if "expired" not in str(documents) else ""
    operator = manager(store, clock)
    before = {key.id for key in operator.read().keys}
    assert operator.revoke(id_of(documents[revoked]), "stolen")
    assert store.commits == 1
    clock.advance(seconds=11)
    token = protector.protect(b"text")
    (successor,) = {key.id for key in operator.read().keys} - before
    assert UUID(bytes_le=token[4:20]) == successor
    if revoked == len(documents) - 1 and len(documents) == 1:
        with pytest.raises(RevokedKeyError):
            protector.unprotect(old)
    assert protector.unprotect(token) == b"text"


def test_revoking_another_key_creates_none() -> None:
    documents = [key_document(created=-3 * DAY), key_document(), key_document(activated=DAY)]
    for one in (id_of(documents[0]), id_of(documents[2]), uuid4()):
        store = ring_of(*documents)
        assert manager(store).revoke(one)
        assert len(store.inner.read().documents) == 4


def test_revoke_all_reaches_a_successor_that_a_clock_ahead_has_activated() -> None:
    """It is revoked, and preferred until its activation is over: the new key has to be activated after it."""
    clock, store = StoppedClock(), ring_of(key_document(), key_document(activated=timedelta(minutes=4)))
    done = manager(store, clock).revoke_all()
    ring = data_protection(store, clock, auto_create_keys=False).current()
    assert ring.protecting_key().id == done.new_key
    assert ring.protecting_key().revocation is None


def test_a_successor_is_wrapped_or_nothing_is_revoked() -> None:
    """Members that unwrap keys accept no key that is not wrapped."""
    wrapper = BoxWrapper()
    key = key_document(wrapper=wrapper)
    store = ring_of(key)
    with pytest.raises(ConfigurationError, match="nothing was written") as caught:
        manager(store).revoke(id_of(key))
    assert "key_wrapper=" in caught.value.hint
    assert store.commits == 0
    assert manager(store, wrappers=[wrapper]).revoke(id_of(key))
    assert all(one.wrapped for one in manager(store, wrappers=[wrapper]).read().keys)


def test_check_says_that_no_key_protects_beside_a_revocation_of_the_future(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DataProtection("shop", repository=tmp_path).create_protector("p").protect("x")
    place = ["--repository", str(tmp_path)]
    assert main(["keys", "revoke-all", "--before", "2090-01-01", "--future", "--yes", *place]) == 0
    capsys.readouterr()
    assert main(["check", *place]) == 1
    assert "fit for production" not in capsys.readouterr().out


def test_check_does_not_say_fit_for_production_where_no_key_protects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--repository", str(tmp_path / "empty"), "--application", "shop"]) == 1
    shown = capsys.readouterr().out
    assert "[no_default_key]" in shown
    assert "fit for production" not in shown


@pytest.mark.parametrize("year", [2099, 9999])
def test_check_names_keys_that_never_rotate(year: int) -> None:
    endless = key_document(expires=NOON.replace(year=year) - NOON)
    for documents, expected in (([endless], 1), ([key_document()], 0), ([key_document(expires=700 * DAY)], 0)):
        dp = data_protection(ring_of(*documents), StoppedClock())
        found = [one for one in findings_of(dp, RingView.of(dp)) if one.code == "key_never_rotates"]
        assert len(found) == expected
        assert all(str(id_of(endless)) in one.text and str(year) in one.text for one in found)


# --- a revocation disappears ------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


def farm(clock: StoppedClock, *, auto_create_keys: bool) -> tuple[WatchedRepository, DataProtection, UUID]:
    """A store with a revoked key and its successor, and a process that has read both."""
    key = key_document()
    store = ring_of(key, revocation_document(id_of(key)), key_document(created=timedelta(hours=-1)))
    dp = data_protection(store, clock, auto_create_keys=auto_create_keys)
    dp.current()
    return store, dp, id_of(key)


def test_a_revocation_that_disappears_was_silent(clock: StoppedClock, caplog: pytest.LogCaptureFixture) -> None:
    store, dp, key_id = farm(clock, auto_create_keys=False)
    assert dp.health().problem == ""
    take_away(store.inner, is_a_revocation)
    for _ in range(3):
        clock.advance(seconds=11)
        dp.current()
    (lost,) = events(caplog, "ring_shrank")
    assert str(key_id) in str(lost["missing"])
    assert lost["levelname"] == "ERROR"
    assert str(key_id) in dp.health().problem
    assert dp.health().status == "ok"
    (found,) = [one for one in findings_of(dp, RingView.of(dp)) if one.code == "ring_shrank"]
    assert found.level == "problem"
    assert str(key_id) in found.text
    assert dp.current().find(key_id.bytes_le).state(dp.manager.now()) is KeyState.REVOKED  # type: ignore[union-attr]
    assert store.commits == 0


def test_a_lost_revocation_of_all_keys_is_reported(clock: StoppedClock, caplog: pytest.LogCaptureFixture) -> None:
    store = ring_of(key_document(), revocation_document(None), key_document(created=timedelta(hours=1)))
    dp = data_protection(store, clock, auto_create_keys=False)
    dp.manager.read()
    take_away(store.inner, is_a_revocation)
    dp.manager.read()
    (lost,) = events(caplog, "ring_shrank")
    assert lost["missing"] == "*"
    assert "all keys" in dp.manager.read().loss


def test_a_member_that_creates_keys_stores_a_lost_revocation_again_byte_for_byte(clock: StoppedClock) -> None:
    store, dp, key_id = farm(clock, auto_create_keys=True)
    (before,) = [one.data for one in store.inner.read().documents if is_a_revocation(one)]
    take_away(store.inner, is_a_revocation)
    clock.advance(seconds=11)
    dp.current()
    assert [one.data for one in store.inner.read().documents if is_a_revocation(one)] == [before]
    clock.advance(seconds=11)
    dp.current()
    assert store.commits == 1
    assert dp.health().problem == ""
    fresh = data_protection(store, clock).current().find(key_id.bytes_le)
    assert fresh is not None
    assert fresh.revocation is not None


def test_a_signed_revocation_is_stored_again_by_a_member_without_the_signer(clock: StoppedClock) -> None:
    store, signer = WatchedRepository(), Ed25519Signer(Ed25519PrivateKey.generate())
    job = DataProtection("shop", repository=store, signer=signer, clock=clock).manager
    job.revoke(job.create_key(), "stolen")
    web, fresh = (
        DataProtection("shop", repository=store, trusted_signers=[signer.public_key], clock=clock).manager
        for _ in range(2)
    )
    web.load_ring()
    take_away(store.inner, is_a_revocation)
    web.load_ring()
    reading = fresh.read()
    assert (len(reading.revocations), reading.set_aside) == (1, ())


def test_two_members_store_it_again_once(clock: StoppedClock) -> None:
    store, one, _ = farm(clock, auto_create_keys=True)
    other = data_protection(store, clock)
    other.current()
    take_away(store.inner, is_a_revocation)
    clock.advance(seconds=11)
    one.current()
    other.current()
    assert sum(map(is_a_revocation, store.inner.read().documents)) == 1


def test_nothing_is_written_into_a_store_that_lost_keys_too(clock: StoppedClock) -> None:
    """It may be another store: a volume that is not mounted."""
    store, dp, _ = farm(clock, auto_create_keys=True)
    take_away(store.inner)
    clock.advance(seconds=11)
    dp.current()
    assert store.commits == 0
    assert "has lost" in dp.health().problem


def test_a_store_that_refuses_leaves_the_ring_in_use_and_the_loss_reported(clock: StoppedClock) -> None:
    store, dp, key_id = farm(clock, auto_create_keys=True)
    store.commit_failure = RepositoryError("read-only")
    take_away(store.inner, is_a_revocation)
    clock.advance(seconds=11)
    assert dp.current().protecting_key().revocation is None
    assert str(key_id) in dp.health().problem


def test_a_lost_revocation_can_be_made_again_by_hand(clock: StoppedClock) -> None:
    """The process that knows it does not answer that the key is revoked already."""
    store, dp, key_id = farm(clock, auto_create_keys=False)
    take_away(store.inner, is_a_revocation)
    assert dp.manager.revoke(key_id, "again") is True
    assert dp.manager.revoke(key_id, "again") is False
    assert sum(map(is_a_revocation, store.inner.read().documents)) == 1


def test_a_revocation_that_is_only_renamed_or_copied_is_not_lost(
    clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    store, dp, _ = farm(clock, auto_create_keys=False)
    (document,) = [one for one in store.inner.read().documents if is_a_revocation(one)]
    put(store.inner, StoredDocument("revocation-elsewhere", document.data))
    take_away(store.inner, lambda one: one.name == document.name)
    clock.advance(seconds=11)
    dp.current()
    assert events(caplog, "ring_shrank") == []
