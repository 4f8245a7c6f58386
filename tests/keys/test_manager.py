"""Changes to a ring: create, revoke, revoke all; retried changes; one key, although many processes find one due."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, NoUsableKeyError, RepositoryError, VersionConflict
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.key import KeyState
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import (
    DAY,
    NOON,
    BoxWrapper,
    OvertakenRepository,
    StoppedClock,
    WatchedRepository,
    events,
    id_of,
    key_document,
    manager,
    put,
    revocation_document,
    ring_of,
)

TICK = timedelta(microseconds=1)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


def now(clock: StoppedClock) -> Instant:
    return Instant.of(clock.now())


def overtaken(times: int, *documents: StoredDocument) -> OvertakenRepository:
    """A store to which another process adds a document just before each of the first ``times`` commits."""
    inner, left = MemoryKeyRepository(), list(documents)
    return OvertakenRepository(
        inner, lambda: put(inner, left.pop() if left else StoredDocument(None, b"<note/>")), times
    )


# --- making -----------------------------------------------------------------------------------------------------------


def test_the_first_key_begins_at_once_and_lives_90_days(clock: StoppedClock) -> None:
    key = manager(MemoryKeyRepository(), clock).load_ring().protecting_key()
    assert key.creation_date == key.activation_date == now(clock)
    assert key.expiration_date.since(now(clock)) == timedelta(days=90)
    assert key.state(now(clock)) is KeyState.ACTIVE
    assert key.algorithm == "AES-256-CBC + HMACSHA256"


def test_one_key_a_rotation_by_five_managers_that_share_a_store(clock: StoppedClock) -> None:
    """Over a year, in any order: five keys, each created three days before its first use."""
    store = WatchedRepository()
    farm = [manager(store, clock) for _ in range(5)]
    for hour in range(0, 365 * 24, 12):
        farm[hour // 12 % 5].load_ring()
        farm[hour // 12 * 3 % 5].load_ring()
        clock.advance(hours=12)
    keys = sorted(farm[0].read().keys, key=lambda key: key.activation_date)
    assert len(keys) == store.commits == 5
    for before, after in pairwise(keys):
        assert after.activation_date == before.expiration_date
        assert timedelta(hours=48) < after.activation_date.since(after.creation_date) <= timedelta(hours=72)


def test_story_1_of_many_that_start_at_once_one_makes_the_key_and_the_others_take_it(clock: StoppedClock) -> None:
    """Another process commits between reading and commit: read again, and find its key."""
    made = key_document(clock.now(), created=timedelta(0))
    store = overtaken(1, made)
    assert manager(store, clock).load_ring().protecting_key().id == id_of(made)
    assert len(store.inner.read().documents) == 1


def test_a_change_that_is_overtaken_is_begun_again(clock: StoppedClock) -> None:
    store = overtaken(5)
    manager(store, clock).load_ring()
    assert store.commits == 6
    assert len(manager(store.inner, clock).read().keys) == 1


def test_a_store_that_never_keeps_still_is_an_error_after_a_while(clock: StoppedClock) -> None:
    store = overtaken(10_000)
    with pytest.raises(RepositoryError, match="faster than it can be read") as caught:
        manager(store, clock).load_ring()
    assert not isinstance(caught.value, VersionConflict)
    assert caught.value.hint
    assert store.commits == 20


def test_a_key_made_by_hand_waits_until_all_know_it(clock: StoppedClock) -> None:
    keys = manager(ring_of(key_document()), clock)
    before = keys.load_ring().protecting_key().id
    new = keys.create_key()
    assert keys.load_ring().protecting_key().id == before
    clock.advance(days=2)
    assert keys.load_ring().protecting_key().id == new


def test_a_key_made_by_hand_may_begin_at_once(clock: StoppedClock) -> None:
    keys = manager(ring_of(key_document()), clock)
    new = keys.create_key(activate_now=True, lifetime=timedelta(days=10))
    key = keys.load_ring().protecting_key()
    assert key.id == new
    assert key.expiration_date.since(now(clock)) == timedelta(days=10)


def test_the_first_key_made_by_hand_begins_at_once(clock: StoppedClock) -> None:
    keys = manager(MemoryKeyRepository(), clock)
    new = keys.create_key()
    assert keys.load_ring().protecting_key().id == new


def test_an_operator_may_make_a_key_beside_one_that_cannot_be_read(clock: StoppedClock) -> None:
    """Only automatic creation is blocked."""
    keys = manager(ring_of(key_document(wrapper=BoxWrapper("Lost"))), clock)
    new = keys.create_key(activate_now=True)
    assert keys.load_ring().protecting_key().id == new


def test_a_new_key_is_wrapped_by_the_first_wrapper_and_bound_to_its_ring(clock: StoppedClock) -> None:
    first, second, store = BoxWrapper("First"), BoxWrapper("Second"), MemoryKeyRepository()
    keys = manager(store, clock, wrappers=[first, second])
    assert keys.load_ring().protecting_key().wrapped
    (stored,) = store.read().documents
    assert b"tests.First, tests" in stored.data
    assert b"Second" not in stored.data


def test_no_second_key_is_tried_where_the_first_would_be_revoked_at_birth(clock: StoppedClock) -> None:
    """A revocation with a date in the future: an error until then, not many revoked keys."""
    old = key_document()
    store = ring_of(old, revocation_document(None, dated=timedelta(hours=1)))
    keys = manager(store, clock)
    for _ in range(3):
        with pytest.raises(NoUsableKeyError):
            keys.load_ring().protecting_key()
        clock.advance(minutes=15)
    assert store.commits == 0
    clock.advance(minutes=16)
    assert keys.load_ring().protecting_key().id != id_of(old)
    assert store.commits == 1


# --- revoking ---------------------------------------------------------------------------------------------------------


def test_a_key_is_revoked_with_its_reason(clock: StoppedClock, caplog: pytest.LogCaptureFixture) -> None:
    stored = key_document()
    keys = manager(ring_of(stored), clock)
    assert keys.revoke(id_of(stored), "laptop stolen") is True
    key, _successor = keys.read().keys
    assert key.revocation is not None
    assert key.revocation.reason == "laptop stolen"
    assert key.state(now(clock)) is KeyState.REVOKED
    assert events(caplog, "key_revoked")[0]["key_id"] == str(id_of(stored))


def test_a_key_is_revoked_once(clock: StoppedClock) -> None:
    stored = key_document()
    store = ring_of(stored)
    keys = manager(store, clock)
    assert [keys.revoke(id_of(stored)) for _ in range(3)] == [True, False, False]
    assert store.commits == 1


def test_a_key_that_is_not_there_yet_can_be_revoked(clock: StoppedClock) -> None:
    """It was in a backup: if it is ever restored, it opens nothing."""
    lost = key_document()
    store = ring_of(key_document())
    keys = manager(store, clock)
    assert keys.revoke(id_of(lost))
    put(store.inner, lost)
    states = {key.id: key.state(now(clock)) for key in keys.read().keys}
    assert states[id_of(lost)] is KeyState.REVOKED


def test_a_reason_may_be_anything_and_comes_back_as_it_was(clock: StoppedClock) -> None:
    stored = key_document()
    keys = manager(ring_of(stored), clock)
    keys.revoke(id_of(stored), 'a < b & "c"\r\n\té')
    key, _successor = keys.read().keys
    assert key.revocation is not None
    assert key.revocation.reason == 'a < b & "c"\r\n\té'


@pytest.mark.parametrize(
    "reason", ["a\x00b", "\x1b[2J", "\ufffe", "\ud800", "x" * 100_000], ids=["0", "1b", "fffe", "d800", "long"]
)
def test_a_reason_that_no_document_can_hold_does_not_cost_the_revocation(reason: str, clock: StoppedClock) -> None:
    """A revocation that cannot be read would stop every process that starts."""
    stored = key_document()
    store = ring_of(stored)
    manager(store, clock).revoke(id_of(stored), reason)
    reading = manager(store, clock).read()
    assert (reading.set_aside, reading.lost_revocation) == ((), "")
    assert reading.keys[0].revocation is not None


# --- revoking all -----------------------------------------------------------------------------------------------------


def test_revoke_all_by_default_spares_nothing_and_leaves_a_new_key_in_the_same_step(clock: StoppedClock) -> None:
    old, young = key_document(), key_document(created=timedelta(0))
    store = ring_of(old, young)
    keys = manager(store, clock)
    done = keys.revoke_all(reason="leak")
    assert store.commits == 1
    assert done.date == now(clock).next()  # one tick later than the newest key
    assert {key.id for key in done.revoked} == {id_of(old), id_of(young)}
    assert done.survivors == ()
    ring = keys.load_ring()
    assert ring.protecting_key().id == done.new_key
    assert ring.protecting_key().creation_date == done.date
    assert {key.id for key in ring.keys if key.revocation} == {id_of(old), id_of(young)}


def test_revoke_all_by_default_is_dated_now_where_every_key_is_older(clock: StoppedClock) -> None:
    assert manager(ring_of(key_document()), clock).revoke_all().date == now(clock)


def test_revoke_all_reaches_a_key_that_a_clock_ahead_has_made(clock: StoppedClock) -> None:
    """Created by a machine an hour ahead: the date is later, and there is a key that protects at once."""
    ahead = key_document(created=timedelta(hours=1))
    keys = manager(ring_of(ahead), clock)
    done = keys.revoke_all()
    assert done.date == (now(clock) + timedelta(hours=1)).next()
    assert [key.id for key in done.revoked] == [id_of(ahead)]
    assert keys.load_ring().protecting_key().id == done.new_key


def test_revoke_all_on_an_empty_ring_makes_the_first_key(clock: StoppedClock) -> None:
    keys = manager(MemoryKeyRepository(), clock)
    done = keys.revoke_all()
    assert (done.revoked, done.survivors) == ((), ())
    assert keys.load_ring().protecting_key().id == done.new_key


def test_revoke_all_before_a_date_names_who_survives(clock: StoppedClock) -> None:
    """Created at the date or after it."""
    before, at, after, revoked = (key_document(created=days * DAY) for days in (-3, -2, -1, -1))
    store = ring_of(before, at, after, revoked, revocation_document(id_of(revoked)))
    done = manager(store, clock).revoke_all(now(clock) - 2 * DAY)
    assert {key.id for key in done.revoked} == {id_of(before)}
    assert {key.id for key in done.survivors} == {id_of(at), id_of(after)}


def test_a_date_ahead_has_to_be_meant(clock: StoppedClock) -> None:
    store = ring_of(key_document())
    keys = manager(store, clock)
    with pytest.raises(ConfigurationError, match="is in the future") as caught:
        keys.revoke_all(now(clock) + TICK)
    assert "--future" in caught.value.hint
    assert store.commits == 0
    done = keys.revoke_all(now(clock) + DAY, future=True)
    assert done.date == now(clock) + DAY


def test_the_key_beside_a_revocation_dated_ahead_protects_from_now_on(clock: StoppedClock) -> None:
    """It is created at that date, so it is not revoked, and a key is available at once."""
    keys = manager(ring_of(key_document()), clock)
    done = keys.revoke_all(now(clock) + DAY, future=True)
    assert keys.load_ring().protecting_key().id == done.new_key
    clock.advance(days=2)
    assert keys.load_ring().protecting_key().id == done.new_key


def test_revoke_all_that_is_overtaken_by_a_new_key_reaches_that_too(clock: StoppedClock) -> None:
    """An attacker creates a key while the keys are being revoked."""
    sneaked = key_document(created=timedelta(seconds=30))
    store = overtaken(1, sneaked)
    put(store.inner, key_document())
    done = manager(store, clock).revoke_all()
    assert id_of(sneaked) in {key.id for key in done.revoked}
    assert manager(store.inner, clock).load_ring().protecting_key().id == done.new_key


def test_revoke_all_works_where_a_key_claims_the_end_of_time(clock: StoppedClock) -> None:
    """Planted, or a mistake: no date is later, so it survives, is listed, and can be revoked by its id."""
    element = document.new_key(
        uuid4(),
        creation=Instant.parse("9999-12-31T23:59:59.9999999Z"),
        activation=now(clock) - DAY,
        expiration=Instant.parse("9999-12-31T23:59:59.9999999Z"),
        algorithm=Algorithm.AES_256_GCM,
        secret=Secret.random(),
    )
    odd, old = document.dump(element), key_document()
    keys = manager(ring_of(odd, old), clock)
    done = keys.revoke_all()
    assert [key.id for key in done.revoked] == [id_of(old)]
    assert [key.id for key in done.survivors] == [id_of(odd)]
    keys.revoke(id_of(odd))
    assert keys.load_ring().protecting_key().id == done.new_key


# --- documents of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    ["{0}", "{0:B}", "N", "upper"],
)
def test_a_revocation_finds_its_key_however_the_id_is_spelled(form: str, clock: StoppedClock) -> None:
    stored = key_document()
    key_id = id_of(stored)
    forms = {"{0}": str(key_id), "{0:B}": f"{{{key_id}}}", "N": key_id.hex, "upper": str(key_id).upper()}
    written = revocation_document(key_id).data.replace(str(key_id).encode(), forms[form].encode())
    store = ring_of(stored, StoredDocument("revocation-x", written))
    (key,) = manager(store, clock).read().keys
    assert key.revocation is not None


def test_what_is_remembered_is_not_unwrapped_again_and_what_is_new_is(clock: StoppedClock) -> None:
    """A refresh with 1,000 keys calls the key service only for the new one."""
    wrapper = BoxWrapper()
    store = ring_of(*(key_document(wrapper=wrapper) for _ in range(20)))
    keys = manager(store, clock, wrappers=[wrapper])
    for _ in range(3):
        keys.read()
    assert wrapper.unwrapped == 20
    put(store.inner, key_document(wrapper=wrapper))
    assert len(keys.read().keys) == 21
    assert wrapper.unwrapped == 21


def test_a_document_that_changes_in_place_is_read_anew(clock: StoppedClock) -> None:
    """A ring that was wrapped again, or restored from a backup: bytes are compared, not names."""
    stored = key_document()
    store = ring_of(stored)
    keys = manager(store, clock)
    keys.read()
    (old,) = store.inner.read().documents
    other = key_document(key_id=id_of(stored), expires=5 * DAY)
    store.inner.commit(add=[other], remove=[old], expected=store.inner.version())
    (key,) = keys.read().keys
    assert key.expiration_date == now(clock) + 5 * DAY


def test_a_ring_is_good_until_its_default_expires_or_a_day_has_passed(clock: StoppedClock) -> None:
    day = manager(ring_of(key_document()), clock).load_ring()
    assert timedelta(hours=19) < day.good_until.since(now(clock)) <= timedelta(hours=24)
    heir = key_document(created=-DAY, activated=timedelta(hours=2), expires=90 * DAY)
    soon = manager(ring_of(key_document(expires=timedelta(hours=2)), heir), clock).load_ring()
    assert soon.good_until == now(clock) + timedelta(hours=2)


def test_a_ring_with_a_key_that_cannot_be_unwrapped_is_looked_at_again_in_a_minute(clock: StoppedClock) -> None:
    ring = manager(
        ring_of(key_document(), key_document(created=-5 * DAY, wrapper=BoxWrapper("Lost"))), clock
    ).load_ring()
    assert ring.good_until == now(clock) + timedelta(minutes=1)


def test_a_manager_has_the_policy_it_was_given(clock: StoppedClock) -> None:
    policy = RotationPolicy(lifetime=timedelta(days=8))
    keys = KeyManager(MemoryKeyRepository(), clock, policy=policy)
    assert keys.load_ring().protecting_key().expiration_date == Instant.of(NOON) + timedelta(days=8)
    assert isinstance(keys.create_key(), UUID)
