"""The policy that is kept with the ring: all members follow it, and nobody can plant one in a signed ring."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware import DataProtection, RotationPolicy
from dpmiddleware.errors import ConfigurationError, KeyManagementError, MalformedDocumentError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, maintenance
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.keys.policy import POLICY_SETTINGS, no_limit
from dpmiddleware.keys.policy_change import remove_policy, set_policy
from dpmiddleware.keys.ring_policy import PolicyDocument, new_policy
from dpmiddleware.keys.sign_existing import find_unsigned, sign
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import (
    NOON,
    StoppedClock,
    WatchedRepository,
    data_protection,
    events,
    inline,
    key_document,
    manager,
    put,
    ring_of,
    take_away,
)

DAY = timedelta(days=1)
NOW = Instant.of(NOON)
MONTH = RotationPolicy(lifetime=30 * DAY, poll=timedelta(seconds=5), max_stale=timedelta(minutes=5))


def policy_document(policy: RotationPolicy = MONTH, *, dated: timedelta = timedelta()) -> StoredDocument:
    """A policy as another process stores it, unsigned."""
    return document.dump(new_policy(policy, date=NOW + dated))


def edited(name: str, text: str | None) -> StoredDocument:
    """A policy with another value, or without one."""
    element = ET.fromstring(policy_document().data)
    (child,) = (one for one in element if one.tag.endswith("}" + name))
    if text is None:
        element.remove(child)
    child.text = text
    return StoredDocument("policy-x", ET.tostring(element))


def member(store: KeyRepository, clock: StoppedClock | None = None, **settings: Any) -> DataProtection:
    """A process of the farm, whose refreshes run in the calling thread."""
    dp = DataProtection("shop", repository=store, clock=clock or StoppedClock(), **settings)
    dp.provider._refresh.start = inline
    return dp


# --- the document -----------------------------------------------------------------------------------------------------


def test_a_policy_is_read_as_it_was_written() -> None:
    stored = policy_document()
    loaded = document.load(stored)
    assert isinstance(loaded, PolicyDocument)
    assert (loaded.set.date, loaded.set.policy) == (NOW, MONTH)
    assert stored.name == "policy-20261122T120000Z"


def test_every_time_span_is_in_it() -> None:
    written = {one.tag.rpartition("}")[2]: one.text for one in ET.fromstring(policy_document().data)}
    assert written == {"date": str(NOW), **{name: no_limit(getattr(MONTH, name)) for name in POLICY_SETTINGS}}


HIDES = policy_document().data.replace(b">5s<", b">61m<").replace(b">5m<", b">1d<")
BAD: list[tuple[str, StoredDocument, str]] = [
    ("a value that is missing", edited("poll", None), "without <poll>"),
    ("a value that is empty", edited("poll", None), "<poll>"),
    ("a value without a unit", edited("lifetime", "30"), "lifetime='30' is not a duration; a number needs its unit"),
    ("a lifetime that is too short", edited("lifetime", "3d"), "lifetime=3d is shorter than 7 days"),
    ("a poll that hides revocations", StoredDocument("p", HIDES), "more than an hour"),
    ("no date", edited("date", "soon"), "date"),
    ("another version", StoredDocument("p", policy_document().data.replace(b'version="1"', b'version="2"')), "'2'"),
]


@pytest.mark.parametrize(("stored", "said"), [pytest.param(stored, said, id=name) for name, stored, said in BAD])
def test_a_policy_that_cannot_be_read_is_set_aside_and_the_ring_is_used(
    stored: StoredDocument, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither a key nor a revocation, so it stops nothing: members follow their own settings."""
    with pytest.raises(MalformedDocumentError, match=said):
        document.load(stored)
    store = ring_of(key_document(), StoredDocument(None, stored.data))
    dp = member(store, lifetime="60d")
    assert dp.current().policy == RotationPolicy(lifetime=60 * DAY)
    assert said in str(events(caplog, "document_set_aside")[0]["problem"])
    assert manager(ring_of(StoredDocument(None, stored.data))).load_ring().default is not None, "a key is created"


def test_of_two_policies_the_later_one_counts_for_every_member() -> None:
    older, newer = policy_document(RotationPolicy(), dated=-DAY), policy_document(MONTH)
    for order in ((older, newer), (newer, older)):
        assert member(ring_of(key_document(), *order)).current().policy == MONTH


# --- members follow it ------------------------------------------------------------------------------------------------


def test_new_keys_live_as_long_as_the_ring_says() -> None:
    dp = member(ring_of(policy_document()), lifetime="60d")
    key = dp.current().protecting_key()
    assert key.expiration_date.since(key.creation_date) == 30 * DAY


def test_the_job_that_rotates_obeys_it() -> None:
    """A key with 20 days left is due if the ring says propagation=25d; the job's own settings do not."""
    wide = RotationPolicy(propagation=25 * DAY)
    store = ring_of(key_document(expires=20 * DAY), policy_document(wide))
    assert maintenance.rotate_if_due(manager(store)).made is not None
    assert maintenance.rotate_if_due(manager(ring_of(key_document(expires=20 * DAY)))).made is None


def test_a_change_of_the_policy_reaches_a_running_member_within_one_poll() -> None:
    clock, store = StoppedClock(), MemoryKeyRepository()
    watched = WatchedRepository(store)
    dp = member(watched, clock)
    dp.current()
    set_policy(manager(store, clock), {"poll": "1m"})
    clock.advance(seconds=10)
    assert dp.current().policy == RotationPolicy(poll=timedelta(minutes=1))
    asked = watched.calls
    clock.advance(seconds=50)
    dp.current()
    assert watched.calls == asked, "it polls once per minute now"
    clock.advance(seconds=11)
    dp.current()
    assert watched.calls > asked


def test_a_ring_that_is_too_old_by_the_rings_policy_is_not_used() -> None:
    clock, store = StoppedClock(), ring_of(key_document(), policy_document())
    dp = member(store, clock)
    dp.current()
    store.go_down()
    clock.advance(minutes=6)
    with pytest.raises(KeyManagementError, match="connection refused"):
        dp.current()


def test_without_a_policy_in_the_ring_each_member_follows_its_own() -> None:
    store = ring_of(key_document())
    assert member(store, poll="3s").current().policy == RotationPolicy(poll=timedelta(seconds=3))
    assert data_protection(store).current().policy == RotationPolicy()


def test_settings_that_differ_from_the_ring_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    store = ring_of(key_document(), policy_document())
    member(store, lifetime="90d", poll="5s", propagation=timedelta(days=1)).current()
    (event,) = events(caplog, "policy_differs")
    assert event["settings"] == "lifetime, propagation", "the default is a difference too, if somebody has set it"


def test_a_policy_object_that_differs_is_a_warning_and_defaults_are_not(caplog: pytest.LogCaptureFixture) -> None:
    store = ring_of(key_document(), policy_document())
    member(store).current()
    assert not events(caplog, "policy_differs")
    member(store, policy=RotationPolicy(clock_skew=timedelta(minutes=1))).current()
    (event,) = events(caplog, "policy_differs")
    assert event["settings"] == "clock_skew"


# --- changes ----------------------------------------------------------------------------------------------------------


def test_what_is_not_stated_stays_as_it_was() -> None:
    ring = manager(MemoryKeyRepository())
    set_policy(ring, {"lifetime": "30d", "max_stale": "5m"})
    change = set_policy(ring, {"poll": "5s", "max_stale": "none"})
    assert change.before == RotationPolicy(lifetime=30 * DAY, max_stale=timedelta(minutes=5))
    assert change.after == RotationPolicy(lifetime=30 * DAY, poll=timedelta(seconds=5))


def test_there_is_one_document_whatever_the_clock_says() -> None:
    clock, store = StoppedClock(), MemoryKeyRepository()
    ring = manager(store, clock)
    set_policy(ring, {"lifetime": "30d"})
    clock.jump(days=-1)
    set_policy(ring, {"lifetime": "40d"})
    assert len(store.read().documents) == 1
    assert ring.policy_in(ring.read()).lifetime == 40 * DAY


def test_the_same_policy_again_writes_nothing() -> None:
    store = WatchedRepository()
    set_policy(manager(store), {"lifetime": "30d"})
    set_policy(manager(store), {"lifetime": "720h"})
    assert store.commits == 1


def test_a_policy_that_is_removed_leaves_members_to_their_settings() -> None:
    clock, store = StoppedClock(), ring_of(key_document(), policy_document())
    dp = member(store, clock, lifetime="60d")
    assert dp.current().policy == MONTH
    assert remove_policy(manager(store, clock)).before == MONTH
    clock.advance(seconds=6)
    assert dp.current().policy == RotationPolicy(lifetime=60 * DAY)
    commits = store.commits
    assert remove_policy(manager(store, clock)).before is None
    assert store.commits == commits


IMPOSSIBLE = {
    "a poll that is too long": ({"poll": "2h"}, "poll=2h is more than an hour"),
    "a lifetime that is too short": ({"lifetime": "3d"}, "lifetime=3d is shorter than 7 days"),
    "no duration": ({"poll": "often"}, "poll='often' is not a duration"),
}


@pytest.mark.parametrize(("settings", "said"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_policy_that_is_not_possible_is_not_written(settings: dict[str, str], said: str) -> None:
    store = WatchedRepository()
    with pytest.raises(ConfigurationError, match=said):
        set_policy(manager(store), settings)
    assert store.commits == 0


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_of_a_ring_has_its_policy() -> None:
    source, target = manager(ring_of(key_document(), policy_document())), manager(MemoryKeyRepository())
    assert maintenance.copy(source, target).copied == 2
    assert target.policy_in(target.read()) == MONTH
    assert maintenance.copy(source, target).copied == 0


def test_a_ring_that_has_a_policy_keeps_it() -> None:
    source = manager(ring_of(key_document(), policy_document(dated=DAY)))
    target = manager(ring_of(policy_document(RotationPolicy(poll=timedelta(seconds=7)))))
    assert maintenance.copy(source, target).copied == 1
    assert target.policy_in(target.read()).poll == timedelta(seconds=7)


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def signer() -> Ed25519Signer:
    return Ed25519Signer(Ed25519PrivateKey.generate())


def test_a_policy_that_is_planted_in_a_signed_ring_is_refused(
    signer: Ed25519Signer, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = MemoryKeyRepository(), StoppedClock()
    member(store, clock, signer=signer).current()
    put(store, policy_document())
    reader = member(store, clock, trusted_signers=[signer.public_key])
    assert reader.current().policy == RotationPolicy()
    (event,) = events(caplog, "document_refused")
    assert "not signed" in str(event["problem"])


def test_a_policy_that_was_changed_after_it_was_signed_is_refused(signer: Ed25519Signer) -> None:
    store, clock = MemoryKeyRepository(), StoppedClock()
    writer = member(store, clock, signer=signer)
    writer.current()
    set_policy(writer.manager, {"lifetime": "30d"})
    assert writer.manager.policy_in(writer.manager.read()).lifetime == 30 * DAY
    (stored,) = (one for one in store.read().documents if str(one.name).startswith("policy-"))
    take_away(store, lambda one: one.locator == stored.locator)
    put(store, StoredDocument(stored.name, stored.data.replace(b"<lifetime>30d<", b"<lifetime>3000d<")))
    reader = member(store, clock, trusted_signers=[signer.public_key])
    assert reader.current().policy == RotationPolicy()


def test_a_policy_of_another_ring_is_refused(signer: Ed25519Signer) -> None:
    store, clock = MemoryKeyRepository(), StoppedClock()
    set_policy(member(store, clock, signer=signer, ring="staging").manager, {"lifetime": "30d"})
    reader = member(store, clock, signer=signer, ring="production")
    assert reader.manager.policy_in(reader.manager.read()) == RotationPolicy()


def test_without_the_signer_nothing_is_written_to_a_signed_ring(signer: Ed25519Signer) -> None:
    store, clock = MemoryKeyRepository(), StoppedClock()
    member(store, clock, signer=signer).current()
    before = store.version()
    for other in (member(store, clock), member(store, clock, trusted_signers=[signer.public_key])):
        with pytest.raises(ConfigurationError, match="the ring is signed, but no signer is configured"):
            set_policy(other.manager, {"lifetime": "30d"})
    assert store.version() == before


def test_a_policy_is_signed_with_the_ring(signer: Ed25519Signer) -> None:
    store, clock = MemoryKeyRepository(), StoppedClock()
    plain = member(store, clock)
    plain.current()
    set_policy(plain.manager, {"lifetime": "30d"})
    signing = member(store, clock, signer=signer)
    assert sign(signing.manager, find_unsigned(signing.manager)) == 2
    reader = member(store, clock, trusted_signers=[signer.public_key])
    assert reader.current().policy == RotationPolicy(lifetime=30 * DAY)


def test_a_folder_keeps_one_policy(tmp_path: Path) -> None:
    ring = manager(FileKeyRepository(tmp_path))
    set_policy(ring, {"lifetime": "30d"})
    set_policy(ring, {"lifetime": "40d"})
    (file,) = tmp_path.glob("*.xml")
    assert file.name.startswith("policy-")
    assert b"<lifetime>40d</lifetime>" in file.read_bytes()
