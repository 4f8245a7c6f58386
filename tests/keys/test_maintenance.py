"""The work of an operator on a ring in use: rotate, copy, prune, wrap again; while others write, and interrupted."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware.clock import SystemClock
from dpmiddleware.components import repository_from
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, RevokedKeyError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.interfaces import Binding, KeyRepository, StoredDocument
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.maintenance import copy, prune, rewrap, rotate_if_due
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing.contracts.together import at_once
from tests.fakes import (
    DAY,
    NOON,
    BoxWrapper,
    OvertakenRepository,
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
from tests.farm.places import STORES, place


def keys_in(repository: KeyRepository) -> list[UUID]:
    """The ids of all key documents, one per document."""
    return sorted(item.id for _, item in manager(repository).read().documents if isinstance(item, Key))


# --- rotate_if_due ----------------------------------------------------------------------------------------------------


def test_on_an_empty_store_the_first_key_is_due() -> None:
    store = MemoryKeyRepository()
    done = rotate_if_due(manager(store))
    assert [done.made] == keys_in(store)
    assert done.next_due == Instant.of(NOON) + timedelta(days=87)  # 90, minus refresh and propagation
    assert done.problem == ""


@pytest.mark.parametrize(
    ("expires_in", "makes"),
    [
        pytest.param(timedelta(days=60), False, id="not due"),
        pytest.param(timedelta(days=3, seconds=1), False, id="due in a second"),
        pytest.param(timedelta(days=3, seconds=-1), True, id="due"),
        pytest.param(timedelta(days=-1), True, id="expired"),
    ],
)
def test_a_key_is_made_when_one_is_due_and_not_before(expires_in: timedelta, makes: bool) -> None:
    store = ring_of(key_document(created=-80 * DAY, expires=expires_in))
    done = rotate_if_due(manager(store))
    assert (done.made is not None) is makes
    assert len(keys_in(store)) == (2 if makes else 1)
    assert done.next_due is not None
    assert done.next_due > Instant.of(NOON)


def test_at_the_time_it_names_the_next_one_is_made_and_not_a_second_before() -> None:
    clock, store = StoppedClock(), MemoryKeyRepository()
    for _ in range(5):
        due = rotate_if_due(manager(store, clock)).next_due
        assert due is not None
        left = due.since(Instant.of(clock.now())).total_seconds()
        clock.advance(seconds=left - 1)
        assert rotate_if_due(manager(store, clock)).made is None
        clock.advance(seconds=2)
        assert rotate_if_due(manager(store, clock)).made is not None
    assert len(keys_in(store)) == 5 + 1


def test_a_ring_of_pure_readers_lives_by_the_job_alone() -> None:
    """A year with a daily job, and readers that create no keys: every request finds an active key."""
    clock, store = StoppedClock(), MemoryKeyRepository()
    rotate_if_due(manager(store, clock))
    reader = data_protection(store, clock, auto_create_keys=False)
    protector = reader.create_protector("p")
    for _ in range(365):
        clock.advance(days=1)
        job = manager(store, clock, auto_create_keys=False)
        rotate_if_due(job)
        assert job.auto_create_keys is False
        assert protector.unprotect(protector.protect("text")) == "text"
        default = reader.current().default
        assert default is not None
        assert Instant.of(clock.now()) < default.expiration_date
    assert len(keys_in(store)) == 5


def test_many_jobs_at_once_make_one_key(tmp_path: Path) -> None:
    store = FileKeyRepository(tmp_path / "keys")
    assert at_once(6, lambda _: rotate_if_due(manager(store))) == [None] * 6
    assert len(keys_in(store)) == 1


def test_a_key_that_is_due_and_cannot_be_made_is_a_problem_and_no_silence() -> None:
    """A job that fails for weeks must not look like a job that had nothing to do."""
    kms = BoxWrapper()
    store = ring_of(key_document(created=-88 * DAY, expires=2 * DAY, wrapper=kms))
    job = manager(store, wrappers=[kms])
    job.read()
    kms.broken = True
    done = rotate_if_due(job)
    assert done.made is None
    assert "the key service is away" in done.problem
    assert done.next_due == Instant.of(NOON)


# --- copy -------------------------------------------------------------------------------------------------------------


def ring_with_everything(repository: KeyRepository) -> None:
    """Keys in several states, a revocation of one and one of all."""
    ours = KeyManager(repository, SystemClock(), ring="shop")
    first = ours.create_key()
    ours.create_key()
    ours.revoke(first, "lost")
    ours.revoke_all(reason="drill")
    ours.create_key()


def identities(repository: KeyRepository) -> Counter[object]:
    """The content of the documents in the store, counted."""
    read = KeyManager(repository, SystemClock(), ring="shop").read()
    assert read.set_aside == ()
    return Counter(item.id if isinstance(item, Key) else item for _, item in read.documents)


class WhileBothAreWrittenTo:
    """Other processes create and revoke keys in the source and in the target during the copy."""

    def __init__(self, *stores: KeyRepository, rounds: int = 4) -> None:
        self._stores, self._rounds = stores, rounds

    def write(self, number: int) -> None:
        ours = KeyManager(self._stores[number], SystemClock(), ring="shop")
        for _ in range(self._rounds):
            ours.revoke(ours.create_key(), f"written in store {number}")


def copied_while_written_to(source: KeyRepository, target: KeyRepository) -> None:
    ring_with_everything(source)
    KeyManager(target, SystemClock(), ring="shop").create_key()  # so that no key that is revoked below protects
    writers = WhileBothAreWrittenTo(source, target)
    before = identities(source)

    def copying() -> None:
        for _ in range(3):
            copy(KeyManager(source, SystemClock(), ring="shop"), KeyManager(target, SystemClock(), ring="shop"))

    jobs: list[Callable[[], object]] = [lambda: writers.write(0), lambda: writers.write(1), copying]
    assert at_once(3, lambda number: jobs[number]()) == [None] * 3
    assert identities(target).keys() >= before.keys()

    done = copy(KeyManager(source, SystemClock(), ring="shop"), KeyManager(target, SystemClock(), ring="shop"))
    assert done.left_out == ()
    found = identities(target)
    assert found.keys() >= identities(source).keys()
    assert (
        len(found) == len(identities(source)) + 1 + 2 * 4
    )  # and what was written to the target: its first key; a key and a revocation, four times
    assert set(found.values()) == {1}
    again = copy(KeyManager(source, SystemClock(), ring="shop"), KeyManager(target, SystemClock(), ring="shop"))
    assert (again.copied, again.there) == (0, len(identities(source)))


NEXT = list(zip(STORES, [*STORES[1:], STORES[0]], strict=True))
REST = [pair for pair in itertools.product(STORES, STORES) if pair not in NEXT]


@pytest.fixture
def two_stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[KeyRepository, KeyRepository]]:
    """An empty source and an empty target of the kinds that ``request.param`` names."""
    with ExitStack() as stack:
        found = []
        for side, kind in zip(("source", "target"), request.param, strict=True):
            (tmp_path / side).mkdir()
            found.append(repository_from(stack.enter_context(place(kind, request, tmp_path / side))))
        yield found[0], found[1]


@pytest.mark.parametrize("two_stores", NEXT, ids="-".join, indirect=True)
def test_a_copy_loses_nothing_and_doubles_nothing_while_both_are_written_to(
    two_stores: tuple[KeyRepository, KeyRepository],
) -> None:
    """Each kind of store once as source and once as target."""
    copied_while_written_to(*two_stores)


@pytest.mark.soak
@pytest.mark.parametrize("two_stores", REST, ids="-".join, indirect=True)
def test_a_copy_between_any_two_stores(two_stores: tuple[KeyRepository, KeyRepository]) -> None:
    copied_while_written_to(*two_stores)


def test_documents_are_copied_byte_by_byte() -> None:
    """Comments, layout, the style of another program, wrappings and signatures do not change."""
    document = key_document(wrapper=BoxWrapper())
    odd = StoredDocument(document.name, document.data.replace(b"><", b">\r\n  <!-- kept --><", 1))
    source, target = ring_of(odd), MemoryKeyRepository()
    assert copy(manager(source), manager(target)).copied == 1
    assert [stored.data for stored in target.read().documents] == [odd.data]


def test_what_is_added_to_the_source_while_it_is_copied_comes_along() -> None:
    """The version is read at the end; what was added in between is copied too."""
    late = key_document()

    class Busy(WatchedRepository):
        def version(self) -> str:
            if self.versions == 0:
                put(self.inner, late)
            return super().version()

    source, target = Busy(MemoryKeyRepository([key_document()])), MemoryKeyRepository()
    assert copy(manager(source), manager(target)).copied == 2
    assert id_of(late) in keys_in(target)


def test_no_key_is_ever_there_without_its_revocation() -> None:
    """Revocations come before keys in the commit, for stores and readers that process them one by one."""
    key = key_document()
    source = ring_of(key, revocation_document(id_of(key)), revocation_document(None))
    target = MemoryKeyRepository()
    copy(manager(source), manager(target))
    assert [str(stored.name).partition("-")[0] for stored in target.read().documents] == ["revocation"] * 2 + ["key"]


def test_two_revocations_of_one_key_are_both_copied_to_a_store_with_names(tmp_path: Path) -> None:
    """Redis and blobs have no names; .NET gives both documents the same name, which the target has already."""
    key = key_document()
    mine, theirs = (revocation_document(id_of(key), reason=reason) for reason in ("mine", "theirs"))
    source = ring_of(*(StoredDocument(None, each.data) for each in (key, mine, theirs)))
    target = FileKeyRepository(tmp_path / "keys")
    put(target, revocation_document(id_of(key), reason="here before"))
    assert copy(manager(source), manager(target)).copied == 3
    reasons = {revocation.reason for revocation in manager(target).read().revocations}
    assert reasons == {"mine", "theirs", "here before"}
    assert copy(manager(source), manager(target)).copied == 0


def test_what_cannot_be_read_is_named_and_left_out() -> None:
    bad = StoredDocument("key-bad", b"<key")
    target = MemoryKeyRepository()
    done = copy(manager(ring_of(key_document(), bad)), manager(target))
    assert ([aside.name for aside in done.left_out], done.copied) == (["key-bad"], 1)
    assert len(target.read().documents) == 1


def test_a_key_that_only_the_target_could_unwrap_is_copied_all_the_same() -> None:
    """A copy needs no certificate and no key service."""
    kms = BoxWrapper()
    key = key_document(wrapper=kms)
    target = MemoryKeyRepository()
    copy(manager(ring_of(key)), manager(target))
    token = data_protection(ring_of(key), key_wrapper=kms).create_protector("p").protect("text")
    assert data_protection(target, key_wrapper=kms).create_protector("p").unprotect(token) == "text"


def test_nothing_unsigned_is_copied_into_a_signed_ring() -> None:
    source, target = ring_of(key_document()), MemoryKeyRepository()
    signed = DataProtection("shop", repository=target, signer=Ed25519Signer(Ed25519PrivateKey.generate()))
    signed.create_protector("p").protect("text")
    with pytest.raises(ConfigurationError) as caught:
        copy(manager(source), DataProtection("shop", repository=target).manager)
    assert "sign" in caught.value.hint
    assert len(target.read().documents) == 1


# --- prune ------------------------------------------------------------------------------------------------------------


def old_key(*, expired: int, wrapper: BoxWrapper | None = None) -> StoredDocument:
    """A key that expired so many days ago."""
    return key_document(created=-(expired + 90) * DAY, expires=-expired * DAY, wrapper=wrapper)


@pytest.mark.parametrize(
    ("older_than", "lifetime", "removed"),
    [
        pytest.param(180, 0, [200, 400], id="by age"),
        pytest.param(0, 0, [10, 200, 400], id="all that expired"),
        pytest.param(180, 14, [200, 400], id="a short lifetime"),
        pytest.param(0, 14, [200, 400], id="a lifetime holds one back"),
        pytest.param(180, 365, [400], id="a long lifetime"),
        pytest.param(500, 0, [], id="none so old"),
    ],
)
def test_keys_go_by_their_age_and_by_what_they_could_still_open(
    older_than: int, lifetime: int, removed: list[int]
) -> None:
    old = {days: old_key(expired=days) for days in (10, 200, 400)}
    store = ring_of(*old.values(), key_document())
    done = prune(manager(store), older_than=older_than * DAY, longest_lifetime=lifetime * DAY)
    assert sorted(key.id for key in done.removed) == sorted(id_of(old[days]) for days in removed)
    assert len(keys_in(store)) == 4 - len(removed)
    assert {key.id for key, _ in done.kept} == {id_of(old[days]) for days in old if days not in removed}


def test_a_dry_run_says_the_same_and_does_nothing() -> None:
    store = ring_of(old_key(expired=200), key_document())
    said = prune(manager(store), older_than=180 * DAY, dry_run=True)
    assert store.commits == 0
    done = prune(manager(store), older_than=180 * DAY)
    assert [key.id for key in done.removed] == [key.id for key in said.removed]
    assert len(said.removed) == 1


@pytest.mark.parametrize("age", [0, 1, 300])
def test_the_last_default_is_never_taken_out_however_old_it_is(age: int) -> None:
    """In a ring whose writer is gone, it protects until the next key is created; nor is the key that would follow."""
    last, before = old_key(expired=age + 1), old_key(expired=age + 200)
    store = ring_of(old_key(expired=age + 400), before, last)
    prune(manager(store), older_than=timedelta(0))
    assert keys_in(store) == sorted([id_of(before), id_of(last)])
    assert data_protection(store, auto_create_keys=False).create_protector("p").protect("text")


def test_keys_that_have_not_expired_stay_revoked_or_not() -> None:
    revoked, coming = key_document(), key_document(created=0 * DAY, activated=2 * DAY)
    store = ring_of(key_document(), revoked, coming, revocation_document(id_of(revoked)))
    assert prune(manager(store), older_than=timedelta(0)).removed == ()
    assert store.commits == 0


def test_an_old_document_put_back_opens_nothing() -> None:
    """A removed key is revoked in the same commit: restored from a backup, it opens nothing."""
    clock, old = StoppedClock(), old_key(expired=200)
    store = ring_of(old)
    young = StoppedClock(NOON - 250 * DAY)
    token = data_protection(ring_of(old), young).create_protector("p").protect("text")
    put(store.inner, key_document())
    assert data_protection(store, clock).create_protector("p").unprotect(token) == "text"
    prune(manager(store, clock), older_than=180 * DAY)
    put(store.inner, old)
    with pytest.raises(RevokedKeyError):
        data_protection(store, clock).create_protector("p").unprotect(token)
    assert [r.reason for r in manager(store).read().revocations] == ["pruned"]


def test_revocations_stay_when_their_keys_go() -> None:
    old = old_key(expired=10)
    store = ring_of(old, revocation_document(id_of(old), reason="stolen"), key_document())
    prune(manager(store), older_than=180 * DAY)  # a revoked key opens nothing, so it is removed without a delay
    assert id_of(old) not in keys_in(store)
    assert [r.reason for r in manager(store).read().revocations] == ["stolen"]


def test_running_processes_are_not_alarmed(caplog: pytest.LogCaptureFixture) -> None:
    """A pruned key is not reported as lost."""
    clock, old = StoppedClock(), old_key(expired=200)
    store = ring_of(old, key_document())
    dp = data_protection(store, clock)
    dp.current()
    prune(manager(store, clock), older_than=180 * DAY)
    clock.advance(seconds=11)
    dp.create_protector("p").protect("text")
    assert dp.health().status == "ok"
    assert events(caplog, "ring_shrank") == []


def test_pruning_begins_again_when_it_is_overtaken() -> None:
    store = ring_of(old_key(expired=200), key_document())
    late = key_document()
    assert len(prune(manager(OvertakenRepository(store, lambda: put(store, late))), older_than=180 * DAY).removed) == 1
    assert len(keys_in(store)) == 2
    assert id_of(late) in keys_in(store)


@pytest.mark.parametrize(("older_than", "lifetime"), [(-1, 0), (1, -1)])
def test_a_negative_age_is_refused(older_than: int, lifetime: int) -> None:
    store = ring_of(old_key(expired=200), key_document())
    with pytest.raises(ConfigurationError):
        prune(manager(store), older_than=older_than * DAY, longest_lifetime=lifetime * DAY)
    assert store.commits == 0


# --- rewrap -----------------------------------------------------------------------------------------------------------


class TellingBox(BoxWrapper):
    """Opens only what was wrapped under its own name, like a certificate; fails after a number of wrappings."""

    def __init__(self, name: str, breaks_after: int = 1_000) -> None:
        super().__init__(name)
        self.left = breaks_after

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        self.left -= 1
        self.broken = self.left < 0
        return super().wrap(secret, binding)


def test_every_key_is_wrapped_anew_and_opens_what_it_opened() -> None:
    old, new = TellingBox("Old"), TellingBox("New")
    documents = [key_document(wrapper=old), old_key(expired=30, wrapper=old), key_document(wrapper=new)]
    store = ring_of(*documents, revocation_document(uuid4()))
    token = data_protection(store, key_wrapper=old).create_protector("p").protect("text")
    done = rewrap(manager(store, wrappers=[new, old]), new)
    assert set(done.there) == {id_of(documents[2])}
    assert set(done.wrapped) == {id_of(documents[0]), id_of(documents[1])}
    assert done.failed == ()
    assert data_protection(store, key_wrapper=new).create_protector("p").unprotect(token) == "text"
    assert len(store.inner.read().documents) == 4


def test_broken_off_it_goes_on_where_it_stopped() -> None:
    """The key service fails after two of five: the ring is complete, and the next run does the rest."""
    old, new = TellingBox("Old"), TellingBox("New", breaks_after=2)
    store = ring_of(*(key_document(wrapper=old) for _ in range(5)))
    seen: list[UUID] = []
    with pytest.raises(KeyUnwrapError):
        rewrap(manager(store, wrappers=[old]), new, progress=seen.append)
    assert len(seen) == 2
    both = manager(store, wrappers=[new, old])
    new.broken, new.left = False, 1_000
    assert all(key.usable for key in both.read().keys)
    done = rewrap(both, new)
    assert (sorted(done.there), len(done.wrapped)) == (sorted(seen), 3)
    assert all(key.usable for key in manager(store, wrappers=[new]).read().keys)
    assert len(keys_in(store)) == 5


def test_a_key_that_nothing_opens_is_named_and_left_as_it_is() -> None:
    lost, kept = key_document(wrapper=TellingBox("Gone")), key_document(wrapper=TellingBox("Old"))
    store = ring_of(lost, kept)
    done = rewrap(manager(store, wrappers=[TellingBox("Old")]), TellingBox("New"))
    assert [key.id for key in done.failed] == [id_of(lost)]
    assert list(done.wrapped) == [id_of(kept)]
    assert lost.data in [stored.data for stored in store.inner.read().documents]


def test_a_key_taken_away_meanwhile_is_no_error() -> None:
    old, new = TellingBox("Old"), TellingBox("New")
    store = ring_of(*(key_document(wrapper=old) for _ in range(2)))

    def takes_the_other(done: UUID) -> None:
        take_away(store.inner, lambda stored: str(done) not in str(stored.name))

    done = rewrap(manager(store, wrappers=[old]), new, progress=takes_the_other)
    assert len(done.wrapped) == 1
    assert keys_in(store) == list(done.wrapped)


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_key_can_be_revoked_although_a_bad_document_has_the_revocations_name(tmp_path: Path) -> None:
    """In a signed ring there is an unsigned revocation, or a truncated file: the operator's revocation is written."""
    store = FileKeyRepository(tmp_path / "keys")
    signer = Ed25519Signer(Ed25519PrivateKey.generate())
    dp = DataProtection("shop", repository=store, signer=signer)
    token = dp.create_protector("p").protect("text")
    (key,) = dp.manager.read().keys
    put(store, revocation_document(key.id, reason="unsigned"))
    assert dp.manager.revoke(key.id, "signed")
    with pytest.raises(RevokedKeyError):
        DataProtection("shop", repository=store, signer=signer).create_protector("p").unprotect(token)
