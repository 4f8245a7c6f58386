"""The current ring: missing keys are found, revocations apply, a stale ring is used; and what that costs the store."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import trio

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import (
    ConfigurationError,
    KeyManagementError,
    NoUsableKeyError,
    RepositoryError,
    RevokedKeyError,
    UnknownKeyError,
)
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.refresh import in_thread
from dpmiddleware.protection.payload import head_of
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.testing.contracts.together import at_once
from tests.fakes import (
    DAY,
    StoppedClock,
    WatchedRepository,
    data_protection,
    events,
    id_of,
    inline,
    key_document,
    manager,
    provider,
    put,
    revocation_document,
    ring_of,
    take_away,
    until,
)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def store() -> WatchedRepository:
    return ring_of(key_document())


@pytest.fixture
def dp(store: WatchedRepository, clock: StoppedClock) -> DataProtection:
    """A warm process: the ring is loaded."""
    dp = data_protection(store, clock)
    dp.current()
    return dp


def forged() -> bytes:
    """A payload with a key id that does not exist."""
    return head_of(os.urandom(16)) + os.urandom(80)


def made_elsewhere(protector: DataProtector, store: WatchedRepository, clock: StoppedClock) -> bytes:
    """Another process creates a key that protects at once, and a payload with it."""
    put(store.inner, key_document(clock.now(), created=timedelta(0), activated=timedelta(microseconds=1)))
    return data_protection(store.inner, clock).create_protector(*protector.purposes[1:]).protect(b"from elsewhere")


# --- what a warm request costs ----------------------------------------------------------------------------------------


def test_a_warm_request_asks_the_store_nothing(dp: DataProtection, store: WatchedRepository) -> None:
    protector = dp.create_protector("p")
    calls = store.calls
    for _ in range(1_000):
        protector.unprotect(protector.protect("text"))
    assert store.calls == calls


def test_story_35_a_cold_start_costs_one_read(store: WatchedRepository, clock: StoppedClock) -> None:
    """Story 35: functions that start 300 times per second read the store once each, and write nothing."""
    for _ in range(300):
        data_protection(store, clock).create_protector("p").protect("text")
    assert (store.reads, store.versions, store.commits) == (300, 0, 0)


def test_each_poll_asks_for_the_version_and_reads_nothing(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    reads = store.reads
    for _ in range(60):
        clock.advance(seconds=10)
        for _ in range(3):
            dp.current()
    assert store.versions == 60
    assert store.reads == reads


def test_the_ring_is_read_again_once_a_day_though_nothing_moved(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """At a random moment, so that the processes of a farm do not read at the same time."""
    reads = store.reads
    clock.advance(hours=19)
    dp.current()
    assert store.reads == reads
    clock.advance(hours=5, seconds=1)
    dp.current()
    assert store.reads == reads + 1


def test_the_farm_spreads_its_daily_reads(store: WatchedRepository, clock: StoppedClock) -> None:
    moments = {manager(store, clock).load_ring().good_until for _ in range(30)}
    spread = max(moments).since(min(moments))
    assert len(moments) > 20
    assert timedelta(0) < spread <= timedelta(hours=24) / 5


# --- unknown keys -----------------------------------------------------------------------------------------------------


def test_10000_forged_ids_cause_no_read_and_one_question_a_second(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """The flood of story 7: at most two reads are allowed; a store that has not changed is not read at all."""
    protector = dp.create_protector("p")
    reads, versions = store.reads, store.versions
    for number in range(10_000):
        if number % 1_000 == 0:
            clock.advance(seconds=1)
        with pytest.raises(UnknownKeyError):
            protector.unprotect(forged())
    assert store.reads == reads
    assert store.versions - versions <= 11  # ten seconds, and one poll


def test_a_key_added_during_a_flood_is_read_within_a_second(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """10,000 forged ids per second use up the budget; the one valid payload is still opened after the second."""
    protector = dp.create_protector("p")
    reads = store.reads
    for _ in range(5_000):
        with pytest.raises(UnknownKeyError):
            protector.unprotect(forged())
    good = made_elsewhere(protector, store, clock)
    for _ in range(4_999):
        with pytest.raises(UnknownKeyError):
            protector.unprotect(forged())
    clock.advance(seconds=1)
    with pytest.raises(UnknownKeyError):
        protector.unprotect(forged())
    assert protector.unprotect(good) == b"from elsewhere"
    assert store.reads - reads <= 2


def test_an_unknown_key_is_looked_for_at_once_where_nobody_spent_the_budget(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """Story 7: found in the first request, hours after the process started, not only in its first two minutes."""
    clock.advance(hours=3)
    protector = dp.create_protector("p")
    dp.current()
    good = made_elsewhere(protector, store, clock)
    assert protector.unprotect(good) == b"from elsewhere"


def test_a_payload_that_meets_an_empty_budget_is_healed_by_a_request_a_second_later(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """Refused as unknown, so the middleware does not delete the cookie."""
    protector = dp.create_protector("p")
    with pytest.raises(UnknownKeyError):
        protector.unprotect(forged())
    good = made_elsewhere(protector, store, clock)
    with pytest.raises(UnknownKeyError):
        protector.unprotect(good)
    clock.advance(seconds=1)
    assert protector.unprotect(good) == b"from elsewhere"


@pytest.mark.usefixtures("exact_polls")
def test_an_id_that_was_not_found_is_remembered_until_the_store_moves(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    protector, payload = dp.create_protector("p"), forged()
    with pytest.raises(UnknownKeyError):
        protector.unprotect(payload)
    versions = store.versions
    for _ in range(9):
        clock.advance(seconds=1)
        with pytest.raises(UnknownKeyError):
            protector.unprotect(payload)
    assert store.versions == versions


def test_a_key_that_was_missing_and_comes_is_found_after_it_was_remembered_as_absent(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """A replica that lags: the payload arrives before its key."""
    late = key_document(clock.now(), created=timedelta(0), activated=timedelta(microseconds=1))
    other = WatchedRepository()
    put(other.inner, *store.inner.read().documents, late)
    protector = dp.create_protector("p")
    payload = data_protection(other, clock).create_protector("p").protect(b"early")
    with pytest.raises(UnknownKeyError):
        protector.unprotect(payload)
    put(store.inner, late)
    clock.advance(seconds=10)
    assert protector.unprotect(payload) == b"early"


def test_remembered_ids_are_forgotten_when_the_store_moves(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """Documents are restored one by one: each may be the missing one."""
    late = key_document(clock.now(), created=timedelta(0), activated=timedelta(microseconds=1))
    other = WatchedRepository()
    put(other.inner, *store.inner.read().documents, late)
    protector = dp.create_protector("p")
    payload = data_protection(other, clock).create_protector("p").protect(b"early")
    with pytest.raises(UnknownKeyError):
        protector.unprotect(payload)
    put(store.inner, key_document(created=-30 * DAY))
    clock.advance(seconds=10)
    dp.current()
    put(store.inner, late)
    clock.advance(seconds=1)
    assert protector.unprotect(payload) == b"early"


def test_remembered_ids_are_bounded(dp: DataProtection, clock: StoppedClock) -> None:
    protector = dp.create_protector("p")
    for _ in range(6_000):
        clock.advance(seconds=1)
        with pytest.raises(UnknownKeyError):
            protector.unprotect(forged())
    assert len(dp.provider._absent) <= 4_096


def test_a_check_that_failed_says_nothing_about_a_key(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """An id must not be remembered as absent because the store was down."""
    protector = dp.create_protector("p")
    good = made_elsewhere(protector, store, clock)
    store.go_down()
    with pytest.raises(UnknownKeyError):
        protector.unprotect(good)
    store.come_back()
    clock.advance(seconds=1)
    assert protector.unprotect(good) == b"from elsewhere"


# --- revocation -------------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_within_one_poll_by_every_process(
    store: WatchedRepository, clock: StoppedClock
) -> None:
    processes = [data_protection(store, clock).create_protector("p") for _ in range(5)]
    token = processes[0].protect("text")
    assert [each.unprotect(token) for each in processes] == ["text"] * 5
    manager(store, clock).revoke(id_of(store.inner.read().documents[0]), "stolen")
    clock.advance(seconds=10)
    for process in processes:
        with pytest.raises(RevokedKeyError):
            process.unprotect(token)
        assert process.unprotect(process.protect("new")) == "new"


def test_an_idle_process_does_not_open_what_was_revoked_while_it_slept(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """The first request after a night waits for the check, half a second at most."""
    dp.provider._refresh.start = in_thread
    protector = dp.create_protector("p")
    token = protector.protect("text")
    put(store.inner, revocation_document(id_of(store.inner.read().documents[0])))
    clock.advance(hours=9)
    with pytest.raises(RevokedKeyError):
        protector.unprotect(token)


def test_a_revocation_that_was_read_holds_until_the_process_ends(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """Story 22: the old documents are restored; in this process the key stays revoked."""
    protector = dp.create_protector("p")
    token = protector.protect("text")
    put(store.inner, revocation_document(id_of(store.inner.read().documents[0])))
    clock.advance(seconds=11)
    with pytest.raises(RevokedKeyError):
        protector.unprotect(token)
    take_away(store.inner, lambda stored: str(stored.name).startswith("revocation-"))
    for _ in range(3):
        clock.advance(days=1)
        with pytest.raises(RevokedKeyError):
            protector.unprotect(token)


def test_story_22_revoke_all_refuses_every_old_payload_within_a_poll(
    store: WatchedRepository, clock: StoppedClock
) -> None:
    """Story 22: every instance, within one poll, and the farm continues with the new key."""
    put(store.inner, key_document(created=-30 * DAY), key_document(created=-3 * DAY))
    farm = [data_protection(store, clock).create_protector("p") for _ in range(3)]
    tokens = [process.protect(f"{n}") for n, process in enumerate(farm)]
    manager(store, clock).revoke_all(reason="leak")
    clock.advance(seconds=10)
    for process in farm:
        for token in tokens:
            with pytest.raises(RevokedKeyError):
                process.unprotect(token)
    assert len({process.protect(b"new")[4:20] for process in farm}) == 1


# --- the store is down ------------------------------------------------------------------------------------------------


def test_down_at_first_use_is_the_operators_error_with_place_and_hint(clock: StoppedClock) -> None:
    store = WatchedRepository(location="redis://:***@store.example/0")
    store.go_down()
    protector = data_protection(store, clock).create_protector("p")
    for use in (lambda: protector.protect("text"), lambda: protector.unprotect(forged())):
        with pytest.raises(KeyManagementError) as caught:
            use()
        assert "redis://:***@store.example/0" in str(caught.value)
        assert caught.value.hint


def test_a_library_that_raises_anything_is_still_the_operators_error(clock: StoppedClock) -> None:
    store = WatchedRepository()
    store.failure = ZeroDivisionError("deep in a client library")
    with pytest.raises(KeyManagementError, match="could not be loaded") as caught:
        data_protection(store, clock).current()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_first_load_is_tried_again_once_a_second_not_once_a_request(
    store: WatchedRepository, clock: StoppedClock
) -> None:
    """An outage during a deployment: requests fail at once, and the store is not flooded while it starts."""
    store.go_down()
    dp = data_protection(store, clock)
    for second in range(5):
        for _ in range(200):
            with pytest.raises(RepositoryError):
                dp.current()
        assert store.calls == second + 1
        clock.advance(seconds=1)
    store.come_back()
    assert dp.current().protecting_key().usable


def test_an_error_that_is_raised_again_does_not_grow(store: WatchedRepository, clock: StoppedClock) -> None:
    """Thousands of requests raise the same error; it must not keep a frame of each."""
    store.go_down()
    dp = data_protection(store, clock)
    depths = []
    for _ in range(50):
        with pytest.raises(RepositoryError) as caught:
            dp.current()
        depths.append(len(caught.traceback))
    assert depths[-1] == depths[1]


def test_no_ring_is_no_anonymous_visitor(store: WatchedRepository, clock: StoppedClock) -> None:
    """A refused payload would sign all users out in an outage, so the error is of another family."""
    token = data_protection(store, clock).create_protector("p").protect("text")
    store.go_down()
    with pytest.raises(KeyManagementError):
        data_protection(store, clock).create_protector("p").unprotect(token)


def test_a_ring_is_served_while_the_store_is_down_and_health_says_stale_after_three_polls(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    protector = dp.create_protector("p")
    token = protector.protect("text")
    store.go_down()
    found = []
    for _ in range(5):
        clock.advance(seconds=10)
        assert protector.unprotect(token) == "text"
        found.append(dp.health().status)
    assert found == ["ok", "ok", "stale", "stale", "stale"]
    assert dp.health().ready
    assert "refused" in dp.health().problem
    assert len(events(caplog, "ring_stale")) == 1
    store.come_back()
    clock.advance(seconds=10)
    dp.current()
    health = dp.health()
    assert (health.status, health.problem, health.seconds_since_check) == ("ok", "", 0)


def test_forged_ids_during_a_short_outage_make_no_stale_ring(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """They cause checks between the polls; only missed polls are counted."""
    protector = dp.create_protector("p")
    store.go_down()
    for _ in range(8):
        clock.advance(seconds=1)
        with pytest.raises(UnknownKeyError):
            protector.unprotect(forged())
    assert dp.health().status == "ok"
    assert not events(caplog, "ring_stale")
    store.come_back()
    clock.advance(seconds=2)
    dp.current()
    assert dp.health().problem == ""


def test_story_5_a_network_error_and_its_end_make_no_key(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    """Story 5: down in a refresh, then available: the ring is the same, and no key is active before its creation."""
    before = dp.current().protecting_key().id
    for _ in range(4):
        store.go_down()
        clock.advance(hours=24)
        dp.current()
        store.come_back()
        clock.advance(seconds=11)
        assert dp.current().protecting_key().id == before
    assert store.commits == 0
    for key in dp.current().keys:
        assert key.creation_date <= key.activation_date


def test_story_3_after_a_sleep_over_the_expiry_one_of_many_makes_the_key(clock: StoppedClock) -> None:
    """Story 3: all instances wake up with an expired key; one key is created, and every payload opens everywhere."""
    store = WatchedRepository()
    farm = [data_protection(store, clock).create_protector("p") for _ in range(8)]
    old = [process.protect("old") for process in farm]
    clock.advance(days=120)
    new = [process.protect("new") for process in farm]
    assert len(store.inner.read().documents) == 2
    for process in farm:
        assert [process.unprotect(token) for token in old + new] == ["old"] * 8 + ["new"] * 8


def test_story_6_a_reader_that_starts_before_the_writer_waits_and_then_works(clock: StoppedClock) -> None:
    """Story 6: without automatic creation an empty store is a clear error; after the writer has started, all works."""
    store = WatchedRepository()
    reader = data_protection(store, clock, auto_create_keys=False).create_protector("p")
    with pytest.raises(NoUsableKeyError):
        reader.protect("text")
    assert store.commits == 0
    token = data_protection(store, clock).create_protector("p").protect("text")
    assert reader.unprotect(token) == "text"
    assert reader.unprotect(reader.protect("own")) == "own"


def test_story_6_a_readers_expired_key_goes_on_protecting(
    clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Story 6: the writer is gone and the key expires: an error event, but no outage."""
    store = ring_of(key_document(expires=DAY))
    reader = data_protection(store, clock, auto_create_keys=False).create_protector("p")
    token = reader.protect("text")
    clock.advance(days=30)
    assert reader.unprotect(token) == "text"
    assert reader.unprotect(reader.protect("new")) == "new"
    assert events(caplog, "no_default_key")


def test_too_stale_is_an_error_where_the_policy_says_so(store: WatchedRepository, clock: StoppedClock) -> None:
    policy = RotationPolicy(max_stale=timedelta(minutes=5))
    protector = data_protection(store, clock, policy=policy).create_protector("p")
    token = protector.protect("text")
    store.go_down()
    clock.advance(minutes=4, seconds=59)
    assert protector.unprotect(token) == "text"
    clock.advance(seconds=11)
    with pytest.raises(KeyManagementError):
        protector.unprotect(token)
    store.come_back()
    clock.advance(seconds=10)
    assert protector.unprotect(token) == "text"


def test_a_limit_on_staleness_hurts_no_process_that_merely_slept(store: WatchedRepository, clock: StoppedClock) -> None:
    policy = RotationPolicy(max_stale=timedelta(minutes=5))
    protector = data_protection(store, clock, policy=policy).create_protector("p")
    token = protector.protect("text")
    clock.advance(hours=8)
    assert protector.unprotect(token) == "text"


# --- the store forgets ------------------------------------------------------------------------------------------------


def test_a_store_that_was_emptied_logs_nobody_out_and_gets_no_new_key(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis is flushed: processes that have the keys continue, one error reports it, and no new key is created."""
    protector = dp.create_protector("p")
    token = protector.protect("text")
    key = dp.current().protecting_key().id
    take_away(store.inner)
    for _ in range(5):
        clock.advance(hours=25)
        assert protector.unprotect(token) == "text"
        assert protector.protect(b"x")[4:20] == key.bytes_le
    assert store.commits == 0
    shrank = events(caplog, "ring_shrank")
    assert len(shrank) == 1
    assert str(key) in str(shrank[0]["missing"])


def test_no_successor_is_made_into_the_hole(store: WatchedRepository, clock: StoppedClock) -> None:
    """New processes would have only that key, and running processes would not have it."""
    protector = data_protection(store, clock).create_protector("p")
    protector.protect("text")
    take_away(store.inner)
    clock.advance(days=58)
    protector.protect("text")
    assert store.commits == 0


def test_keys_put_back_end_the_alarm(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    documents = store.inner.read().documents
    for _ in range(2):
        take_away(store.inner)
        clock.advance(seconds=11)
        dp.current()
        put(store.inner, *documents)
        clock.advance(seconds=11)
        dp.current()
    assert len(events(caplog, "ring_shrank")) == 2
    assert not dp.current().problem


def test_a_revoked_key_that_goes_away_is_no_loss(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Pruning removes keys, and keeps their revocations."""
    key = store.inner.read().documents[0]
    put(store.inner, revocation_document(id_of(key)))
    take_away(store.inner, lambda stored: stored.name == key.name)
    clock.advance(seconds=11)
    dp.current()
    assert not events(caplog, "ring_shrank")


# --- rotation, seen from a process ------------------------------------------------------------------------------------


def test_a_year_of_rotations_is_seen_by_all_and_refuses_nobody(clock: StoppedClock) -> None:
    """Three processes, one request per day each: every payload opens everywhere, every key is read a day before use."""
    store = WatchedRepository()
    farm = [data_protection(store, clock) for _ in range(3)]
    tokens: list[bytes] = []
    for day in range(365):
        protectors = [process.create_protector("p") for process in farm]
        tokens = [*tokens[-9:], protectors[day % 3].protect(b"x")]
        for protector in protectors:
            assert [protector.unprotect(token) for token in tokens] == [b"x"] * len(tokens)
        clock.advance(days=1)
    keys = manager(store, clock).read().keys
    assert len(keys) == 5  # one per rotation
    _, *others = sorted(keys, key=lambda key: key.creation_date)
    assert all(key.activation_date.since(key.creation_date) >= timedelta(days=2) for key in others)


def test_story_16_a_key_that_never_expires_and_one_that_begins_later() -> None:
    """Story 16: an expiry at the end of time, an activation in the future: no overflow, and no second key."""
    clock = StoppedClock()
    endless = key_document(expires=timedelta(days=365 * 7973))
    ahead = key_document(created=-DAY, activated=30 * DAY)
    store = ring_of(endless, ahead)
    dp = data_protection(store, clock)
    assert dp.current().protecting_key().id == id_of(endless)
    clock.advance(days=30)
    assert dp.current().protecting_key().id == id_of(ahead)
    assert store.commits == 0


@pytest.mark.parametrize(("behind", "keys"), [(4, 1), (5, 1), (6, 2)], ids=str)
def test_story_16_clocks_five_minutes_apart_share_a_key(behind: int, keys: int) -> None:
    """Story 16: within the clock skew a slower clock uses a key that is not active yet; beyond it, a key is created.

    Either way every payload opens on both sides.
    """
    store, ahead, late = WatchedRepository(), StoppedClock(), StoppedClock()
    late.jump(minutes=-behind)
    one = data_protection(store, ahead).create_protector("p")
    token = one.protect("text")
    other = data_protection(store, late).create_protector("p")
    assert other.unprotect(token) == "text"
    back = other.protect("back")
    ahead.advance(seconds=1)
    assert one.unprotect(back) == "back"
    assert len(store.inner.read().documents) == keys


def test_story_16_a_clock_that_jumps_back_refuses_nobody(dp: DataProtection, clock: StoppedClock) -> None:
    """Story 16: the wall clock is set back by a year and forward again; the ring is still used."""
    protector = dp.create_protector("p")
    token = protector.protect("text")
    for days in (-365, 365, 3650, -3650):
        clock.jump(days=days)
        clock.advance(seconds=11)
        assert protector.unprotect(token) == "text"
        assert protector.unprotect(protector.protect("new")) == "new"


# --- starting, waiting, health ----------------------------------------------------------------------------------------


def test_start_begins_the_load_and_does_not_wait_for_it() -> None:
    store = ring_of(key_document())
    store.gate = threading.Event()
    dp = DataProtection("shop", repository=store, clock=StoppedClock())
    dp.start()
    assert dp.health().status == "starting"
    assert not dp.health().ready
    assert store.entered.wait(20)
    store.gate.set()
    until(lambda: dp.health().ready)
    assert dp.health().keys == 1
    assert dp.health().default_key == dp.current().protecting_key().id


def test_a_first_load_that_never_ends_is_told_after_a_while(
    store: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every repository has a timeout; one that does not must not delay a request forever."""
    monkeypatch.setattr("dpmiddleware.keys.waiting.Budget.first_load", 0.01)
    store.gate = threading.Event()
    dp = DataProtection("shop", repository=store, clock=StoppedClock())
    with pytest.raises(RepositoryError, match="has not answered yet") as caught:
        dp.create_protector("p").protect("text")
    assert store.location in str(caught.value)
    assert caught.value.hint
    store.gate.set()
    until(lambda: dp.health().ready)


def test_health_begins_the_load_if_nobody_did() -> None:
    dp = DataProtection("shop", repository=ring_of(key_document()), clock=StoppedClock())
    until(lambda: dp.health().ready)


def test_health_says_down_and_why(store: WatchedRepository, clock: StoppedClock) -> None:
    store.go_down()
    dp = data_protection(store, clock)
    health = dp.health()
    assert (health.status, health.ready, health.keys, health.seconds_since_check) == ("down", False, 0, None)
    assert store.location in health.problem


def test_a_probe_keeps_an_idle_process_current(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock
) -> None:
    versions = store.versions
    for _ in range(6):
        clock.advance(seconds=10)
        dp.health()
    assert store.versions == versions + 6


def test_a_wait_is_due_in_three_cases_only(store: WatchedRepository, clock: StoppedClock) -> None:
    dp = data_protection(store, clock)
    known, unknown = id_of(store.inner.read().documents[0]).bytes_le, uuid4().bytes_le
    assert dp.wait_is_due(None)  # there is no ring yet
    dp.wait(None)
    assert not dp.wait_is_due(None)
    assert not dp.wait_is_due(known)
    assert dp.wait_is_due(unknown)  # a key that the ring lacks
    dp.wait(unknown)
    assert not dp.wait_is_due(unknown)
    clock.advance(seconds=20)
    assert not dp.wait_is_due(known)
    clock.advance(seconds=1)
    assert dp.wait_is_due(known)  # an idle process


def test_asking_whether_a_wait_is_due_costs_nothing(store: WatchedRepository) -> None:
    dp = data_protection(store)
    for _ in range(100):
        dp.wait_is_due(uuid4().bytes_le)
    assert store.calls == 0


def test_a_wait_raises_where_there_is_no_ring_and_not_for_an_unknown_key(
    store: WatchedRepository, clock: StoppedClock
) -> None:
    dp = data_protection(store, clock)
    dp.wait(uuid4().bytes_le)
    store.go_down()
    with pytest.raises(KeyManagementError):
        data_protection(store, clock).wait(None)


def test_a_part_that_cannot_be_opened_is_told_to_the_caller_and_not_to_a_thread(
    store: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of a trusted signer is read at the first use of the ring; if it is missing, the caller gets an error."""
    lost: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lost.append)
    dp = DataProtection("shop", repository=store, trusted_signers=["/nowhere/signer.pem"])
    for _ in range(3):
        with pytest.raises((ConfigurationError, KeyManagementError), match=r"signer\.pem"):
            dp.create_protector("p").protect("text")
    assert not dp.health().ready
    assert lost == []


# --- threads ----------------------------------------------------------------------------------------------------------


def test_threads_that_come_first_together_load_once_and_agree() -> None:
    store = WatchedRepository()
    dp = DataProtection("shop", repository=store)
    tokens: list[str] = []
    assert at_once(16, lambda number: tokens.append(dp.create_protector("p").protect(f"{number}"))) == [None] * 16
    assert store.commits == 1
    assert store.reads == 2  # before and after the key was created
    assert len({token[:26] for token in tokens}) == 1
    opened = sorted(int(dp.create_protector("p").unprotect(token)) for token in tokens)
    assert opened == list(range(16))


def test_threads_hammering_through_rotations_and_refreshes_refuse_nothing(clock: StoppedClock) -> None:
    """One protector for all threads, a clock that runs fast, new keys and forged ids in between."""
    store = WatchedRepository()
    dp = DataProtection("shop", repository=store, clock=clock)
    protector = dp.create_protector("p")

    def work(number: int) -> None:
        for step in range(60):
            text = f"{number} {step}"
            token = protector.protect(text)
            if number == 0:
                clock.advance(hours=20)
            if step % 7 == number % 7:
                with pytest.raises(UnknownKeyError):
                    protector.unprotect(forged())
            assert protector.unprotect(token) == text

    assert at_once(8, work) == [None] * 8
    assert store.reads > 2


def test_while_one_refresh_flies_no_second_one_begins(store: WatchedRepository, clock: StoppedClock) -> None:
    dp = DataProtection("shop", repository=store, clock=clock)
    dp.current()
    calls = store.calls
    store.gate = threading.Event()
    clock.advance(seconds=11)
    assert at_once(12, lambda _: [dp.current() for _ in range(50)]) == [None] * 12
    assert store.calls == calls + 1
    store.gate.set()


def test_at_most_eight_requests_wait_and_the_rest_go_on(
    dp: DataProtection, store: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are few worker threads: a flood of forged cookies on a store that hangs must not occupy all of them."""
    monkeypatch.setattr("dpmiddleware.keys.waiting.Budget.refresh", 60)
    monkeypatch.setattr("dpmiddleware.keys.refresh.REFRESH", 60)
    dp.provider._refresh.start = in_thread
    store.gate = threading.Event()
    protector, refused = dp.create_protector("p"), []

    def ask() -> None:
        try:
            protector.unprotect(forged())
        except UnknownKeyError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: len(refused) == 12)
    assert dp.provider._refresh.waiting == 8
    assert not dp.wait_is_due(uuid4().bytes_le)
    store.gate.set()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 20
    assert dp.provider._refresh.waiting == 0


def test_when_no_thread_can_be_had_the_ring_goes_on_serving(store: WatchedRepository, clock: StoppedClock) -> None:
    """The interpreter is shutting down, or the process is at its limit."""
    dp = data_protection(store, clock)
    token = dp.create_protector("p").protect("text")

    def refuse(job: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    dp.provider._refresh.start = refuse
    clock.advance(seconds=11)
    assert dp.create_protector("p").unprotect(token) == "text"
    dp.provider._refresh.start = inline
    clock.advance(seconds=11)
    assert dp.current()


# --- an event loop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_on_an_event_loop_nothing_waits_for_a_store_that_does_not_answer(
    store: WatchedRepository, clock: StoppedClock, library: str
) -> None:
    """Idle for hours, a store that hangs, a payload with an unknown key: the loop continues with its ring."""
    dp = DataProtection("shop", repository=store, clock=clock)
    protector = dp.create_protector("p")
    token = protector.protect("text")
    store.gate = threading.Event()
    waits: list[float] = []
    clock.advance(hours=9)

    async def requests() -> None:
        for _ in range(50):
            assert protector.unprotect(token) == "text"
            with pytest.raises(UnknownKeyError):
                protector.unprotect(forged())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dp.provider._refresh, "wait_for", lambda *_: waits.append(1))
        if library == "asyncio":
            asyncio.run(requests())
        else:
            trio.run(requests)
    assert waits == []
    assert not store.gate.is_set()
    store.gate.set()


@pytest.mark.usefixtures("exact_polls")
def test_a_provider_by_itself_has_the_same_clock_and_policy_as_its_manager(clock: StoppedClock) -> None:
    rings = provider(ring_of(key_document()), clock, policy=RotationPolicy(poll=timedelta(seconds=60)))
    store = rings.manager.repository
    assert isinstance(store, WatchedRepository)
    rings.current()
    clock.advance(seconds=59)
    rings.current()
    assert store.versions == 0
    clock.advance(seconds=1)
    rings.current()
    assert store.versions == 1
    assert rings.now() == clock.now()
