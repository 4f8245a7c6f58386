"""Refused, unreadable and absent documents: for each, whether a key is created and which one protects.

Unreadable is never absent: a key that cannot be read may be the key that all other processes protect with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import (
    ConfigurationError,
    KeyManagementError,
    KeyUnwrapError,
    MalformedDocumentError,
    NoUsableKeyError,
    RevokedKeyError,
)
from dpmiddleware.keys import document
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.loading import IncompleteReadingError
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.signature import RingSigner, TrustedSigners
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.keys.wrapping import wrap
from dpmiddleware.keys.xml import MAX_SIZE, parse
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import (
    DAY,
    BoxWrapper,
    StoppedClock,
    bad_document,
    data_protection,
    events,
    id_of,
    key_document,
    manager,
    provider,
    put,
    revocation_document,
    ring_of,
    take_away,
)

LOST = BoxWrapper("Lost")  # a key service that is not configured
USABLE = key_document(created=-10 * DAY)
EXPIRED = key_document(created=-100 * DAY, expires=-DAY)
REVOKED = key_document(created=-20 * DAY)
REVOCATION = revocation_document(id_of(REVOKED))
UNWRAPPABLE = key_document(created=-30 * DAY, wrapper=LOST)
MALFORMED = bad_document("key")

DOCUMENTS: dict[str, tuple[StoredDocument, ...]] = {
    "usable": (USABLE,),
    "expired": (EXPIRED,),
    "revoked": (REVOKED, REVOCATION),
    "not unwrappable": (UNWRAPPABLE,),
    "malformed": (MALFORMED,),
}


@dataclass(frozen=True)
class Row:
    """holds: the documents in the store. made: whether a key is created. protects: the key that protects; "": error."""

    holds: tuple[str, ...]
    made: bool
    protects: str
    error: type[Exception] | None = None


TABLE = [
    Row((), made=True, protects="new"),
    Row(("usable",), made=False, protects="usable"),
    Row(("expired",), made=True, protects="new"),
    Row(("revoked",), made=True, protects="new"),
    Row(("not unwrappable",), made=False, protects="", error=KeyUnwrapError),
    Row(("malformed",), made=False, protects="", error=NoUsableKeyError),
    Row(("usable", "expired"), made=False, protects="usable"),
    Row(("usable", "revoked"), made=False, protects="usable"),
    Row(("usable", "not unwrappable"), made=False, protects="usable"),
    Row(("usable", "malformed"), made=False, protects="usable"),
    Row(("expired", "revoked"), made=True, protects="new"),
    Row(("expired", "not unwrappable"), made=False, protects="expired"),
    Row(("expired", "malformed"), made=False, protects="expired"),
    Row(("revoked", "not unwrappable"), made=False, protects="", error=KeyUnwrapError),
    Row(("revoked", "malformed"), made=False, protects="", error=NoUsableKeyError),
    Row(("not unwrappable", "malformed"), made=False, protects="", error=KeyUnwrapError),
    Row(("expired", "revoked", "not unwrappable", "malformed"), made=False, protects="expired"),
    Row(("usable", "expired", "revoked", "not unwrappable", "malformed"), made=False, protects="usable"),
]


def one_order_and_the_other(row: Row) -> list[tuple[StoredDocument, ...]]:
    """The order of documents in a store does not matter."""
    documents = [document for name in row.holds for document in DOCUMENTS[name]]
    return [tuple(documents), tuple(reversed(documents))]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: " and ".join(row.holds) or "nothing")
def test_what_a_ring_comes_to(row: Row) -> None:
    for documents in one_order_and_the_other(row):
        store = ring_of(*documents)
        keys = manager(store)
        if row.error is not None:
            with pytest.raises(row.error) as caught:
                keys.load_ring()
            assert isinstance(caught.value, KeyManagementError)
            assert store.location in str(caught.value)
            assert caught.value.hint
        else:
            ring = keys.load_ring()
            expected = {"usable": id_of(USABLE), "expired": id_of(EXPIRED)}.get(row.protects)
            known = {id_of(key) for key in (USABLE, EXPIRED, REVOKED, UNWRAPPABLE)}
            protecting = ring.protecting_key().id
            assert protecting == expected if expected else protecting not in known
        assert store.commits == row.made
        assert len(store.inner.read().documents) == len(documents) + row.made


@pytest.mark.parametrize("row", [row for row in TABLE if not row.made], ids=lambda row: " and ".join(row.holds))
def test_looking_again_changes_nothing(row: Row) -> None:
    """No number of attempts creates a key, and neither does a process that starts again each time."""
    store = ring_of(*one_order_and_the_other(row)[0])
    for _ in range(5):
        try:
            manager(store).load_ring()
        except KeyManagementError:
            assert row.error is not None
    assert store.commits == 0


def test_an_expired_key_that_cannot_be_unwrapped_stands_in_nobodys_way() -> None:
    old = key_document(created=-100 * DAY, expires=-DAY, wrapper=LOST)
    store = ring_of(old)
    assert manager(store).load_ring().protecting_key().id != id_of(old)
    assert store.commits == 1


def test_a_revoked_key_that_cannot_be_unwrapped_stands_in_nobodys_way() -> None:
    store = ring_of(UNWRAPPABLE, revocation_document(id_of(UNWRAPPABLE)))
    assert manager(store).load_ring().protecting_key().id != id_of(UNWRAPPABLE)
    assert store.commits == 1


def test_a_younger_key_that_cannot_be_unwrapped_blocks_and_the_older_one_protects() -> None:
    """The other processes protect with it; a third key would divide the farm."""
    younger = key_document(created=-DAY, wrapper=LOST)
    store = ring_of(USABLE, younger)
    ring = manager(store).load_ring()
    assert ring.protecting_key().id == id_of(USABLE)
    assert "cannot be" in ring.problem
    assert store.commits == 0


def test_a_younger_revoked_key_is_replaced() -> None:
    younger = key_document(created=-DAY)
    store = ring_of(USABLE, younger, revocation_document(id_of(younger)))
    ring = manager(store).load_ring()
    assert ring.protecting_key().id not in {id_of(USABLE), id_of(younger)}
    assert store.commits == 1


def test_while_making_is_blocked_each_refresh_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """An expired key still protects, and the log says so."""
    clock, store = StoppedClock(), ring_of(EXPIRED, UNWRAPPABLE)
    rings = provider(store, clock)
    for _ in range(3):
        assert rings.current().protecting_key().id == id_of(EXPIRED)
        clock.advance(minutes=2)
    assert len(events(caplog, "making_blocked")) == 3
    assert str(id_of(UNWRAPPABLE)) in str(events(caplog, "making_blocked")[0]["problem"])
    assert len(events(caplog, "key_unusable")) == 1  # reported once, not at each refresh


def test_when_the_key_service_is_back_the_key_is_used_without_a_restart() -> None:
    clock, wrapper = StoppedClock(), BoxWrapper()
    key = key_document(wrapper=wrapper)
    expired = key_document(created=-100 * DAY, expires=-DAY, wrapper=wrapper)
    store = ring_of(expired, key)
    dp = data_protection(store, clock, key_wrapper=wrapper)
    wrapper.broken = True
    with pytest.raises(KeyUnwrapError):
        dp.current()
    wrapper.broken = False
    clock.advance(seconds=2)
    assert dp.current().protecting_key().id == id_of(key)
    assert {id_of(expired), id_of(key)} == {key.id for key in dp.current().keys}
    assert store.commits == 0


def test_a_key_service_that_is_away_at_a_refresh_takes_nothing_from_a_running_process() -> None:
    """Unwrapped keys are remembered: only new ones need the service."""
    clock, wrapper = StoppedClock(), BoxWrapper()
    store = ring_of(key_document(wrapper=wrapper))
    dp = data_protection(store, clock, key_wrapper=wrapper)
    token = dp.create_protector("p").protect("text")
    wrapper.broken = True
    clock.advance(hours=25)
    assert dp.create_protector("p").unprotect(token) == "text"
    assert wrapper.unwrapped == 1
    assert dp.health().status == "ok"


def rewrapped(secret: Secret, wrapper: BoxWrapper) -> StoredDocument:
    """The key of these tests, wrapped by ``wrapper``."""
    return key_document(key_id=KEY_ID, created=-5 * DAY, secret=secret, wrapper=wrapper)


KEY_ID = uuid4()


def test_story_17_a_ring_wrapped_anew_logs_nobody_out_where_the_new_wrapping_does_not_open_yet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Story 17: the new certificate is not everywhere yet; a process that has the key uses it and reports it."""
    clock, old, new, secret = StoppedClock(), BoxWrapper("Old"), BoxWrapper("New"), Secret.random()
    store = ring_of(rewrapped(secret, old), key_document(created=-40 * DAY, wrapper=old))
    dp = data_protection(store, clock, key_wrapper=old)
    token = dp.create_protector("p").protect("text")
    snapshot = store.inner.read()
    replaced = [stored for stored in snapshot.documents if stored.name == f"key-{KEY_ID}"]
    store.inner.commit(add=[rewrapped(secret, new)], remove=replaced, expected=snapshot.version)
    for _ in range(3):
        clock.advance(minutes=2)
        assert dp.create_protector("p").unprotect(token) == "text"
        assert dp.current().protecting_key().id == KEY_ID
    (event,) = events(caplog, "key_unusable")
    assert "tests.New" in str(event["problem"])
    fresh = data_protection(store, clock, key_wrapper=old)
    assert fresh.current().protecting_key().id != KEY_ID  # a process that starts now does not have it
    put(store.inner, revocation_document(KEY_ID))
    clock.advance(seconds=11)
    with pytest.raises(RevokedKeyError):
        dp.create_protector("p").unprotect(token)


def test_a_key_that_was_replaced_by_another_of_its_id_is_not_kept_open() -> None:
    """With other dates it is another key, not the one that this process has unwrapped."""
    clock, old, new = StoppedClock(), BoxWrapper("Old"), BoxWrapper("New")
    store = ring_of(key_document(key_id=KEY_ID, wrapper=old))
    dp = data_protection(store, clock, key_wrapper=old)
    dp.current()
    take_away(store.inner)
    put(store.inner, key_document(key_id=KEY_ID, created=-7 * DAY, wrapper=new))
    (key,) = dp.manager.read().keys
    assert not key.usable


def test_a_successor_that_cannot_be_wrapped_is_made_later_and_the_default_protects(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, wrapper = StoppedClock(), BoxWrapper()
    key = key_document(expires=2 * DAY, wrapper=wrapper)
    store = ring_of(key)
    dp = data_protection(store, clock, key_wrapper=wrapper)
    dp.manager.read()
    wrapper.broken = True
    assert dp.current().protecting_key().id == id_of(key)
    assert store.commits == 0
    wrapper.broken = False
    clock.advance(minutes=2)
    dp.current()
    assert store.commits == 1


# --- revocations that cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(bad_document("revocation"), id="by its name"),
        pytest.param(StoredDocument("revocation-x", b""), id="of no bytes"),
        pytest.param(StoredDocument(None, b"<revocation version='1'><key"), id="no name, cut off"),
        pytest.param(StoredDocument(None, b"<revoc"), id="no name, cut off in its first tag"),
        pytest.param(StoredDocument(None, b"<?xml version='1.0'?><!-- x --> <revocation/>"), id="no name, no key"),
        pytest.param(StoredDocument(None, b"\xef\xbb\xbf<revocation>"), id="no name, a BOM"),
        pytest.param(StoredDocument(None, "<revocation>".encode("utf-16")), id="no name, UTF-16"),
        pytest.param(StoredDocument(None, b"<!DOCTYPE x []><revocation/>"), id="no name, a DTD"),
        pytest.param(StoredDocument(None, b"<revocation>" + b" " * MAX_SIZE), id="no name, too large"),
        pytest.param(StoredDocument(None, b"", problem="larger than 64 KB"), id="no name, nothing read"),
        pytest.param(StoredDocument("revocation-x", b"", problem="not a regular file"), id="a FIFO of that name"),
    ],
)
def test_a_fresh_process_fails_beside_a_revocation_that_it_cannot_read(broken: StoredDocument) -> None:
    """It is unknown which key it revokes, so no payload is opened."""
    store = ring_of(USABLE, broken)
    with pytest.raises(IncompleteReadingError, match="may be a revocation") as caught:
        manager(store).load_ring()
    assert isinstance(caught.value, MalformedDocumentError)
    assert caught.value.hint
    assert store.commits == 0


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(StoredDocument("notes", b"buy milk"), id="notes"),
        pytest.param(StoredDocument("notes", b""), id="nothing"),
        pytest.param(StoredDocument(None, b""), id="nothing, no name"),
        pytest.param(StoredDocument("other", b"<settings/>"), id="other XML"),
        pytest.param(StoredDocument(None, b"<revocations/>"), id="no name, another tag"),
        pytest.param(StoredDocument(None, b"<!-- <revocation -->"), id="no name, a comment"),
        pytest.param(StoredDocument(None, b"\x00\x01\x02"), id="no name, bytes"),
        pytest.param(StoredDocument("other", b"<revocation>"), id="another name decides"),
        pytest.param(StoredDocument("lost+found", b"", problem="not a regular file"), id="a folder"),
    ],
)
def test_foreign_documents_are_set_aside_and_named_and_stop_nothing(
    foreign: StoredDocument, caplog: pytest.LogCaptureFixture
) -> None:
    store = ring_of(USABLE, foreign)
    assert manager(store).load_ring().protecting_key().id == id_of(USABLE)
    (event,) = events(caplog, "document_set_aside")
    assert event["problem"]
    assert event["levelname"] == "ERROR"


def test_foreign_documents_alone_do_not_keep_a_first_key_from_being_made() -> None:
    store = ring_of(StoredDocument("notes", b"buy milk"), StoredDocument("other", b"<settings/>"))
    manager(store).load_ring()
    assert store.commits == 1


def test_a_bad_revocation_beside_a_good_one_the_good_one_holds() -> None:
    """On the last good ring: a refresh that fails still passes on the revocations that it read."""
    clock, store = StoppedClock(), ring_of(USABLE)
    dp = data_protection(store, clock)
    protector = dp.create_protector("p")
    token = protector.protect("text")
    put(store, revocation_document(id_of(USABLE)), bad_document("revocation"))
    clock.advance(seconds=11)
    with pytest.raises(RevokedKeyError):
        protector.unprotect(token)
    with pytest.raises(NoUsableKeyError):
        protector.protect("more")
    assert store.commits == 1  # the document added above; no key was created
    assert dp.health().problem


def test_a_bad_revocation_leaves_the_last_good_ring_and_its_payloads() -> None:
    clock, store = StoppedClock(), ring_of(USABLE)
    dp = data_protection(store, clock)
    protector = dp.create_protector("p")
    token = protector.protect("text")
    bad = bad_document("revocation")
    put(store, bad)
    clock.advance(seconds=11)
    assert protector.unprotect(token) == "text"
    assert "revocation" in dp.health().problem
    take_away(store, lambda stored: stored.name == bad.name)
    clock.advance(seconds=11)
    assert protector.unprotect(token) == "text"
    assert dp.health().problem == ""


# --- with a trusted signer --------------------------------------------------------------------------------------------


def signed_manager(store: MemoryKeyRepository, *, seed: int = 1) -> KeyManager:
    signer = Ed25519Signer(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
    return KeyManager(
        store,
        StoppedClock(),
        ring="shop",
        signer=RingSigner(signer, ring="shop"),
        verifier=TrustedSigners([signer.public_key], ring="shop"),
    )


def test_a_store_whose_documents_are_all_refused_is_an_error_of_configuration() -> None:
    """The store of another ring, or of another signer: no key is created there."""
    store = MemoryKeyRepository([USABLE])
    with pytest.raises(ConfigurationError, match=r"no document in .+ is accepted") as caught:
        signed_manager(store).load_ring()
    assert "trusted_signers" in caught.value.hint
    assert len(store.read().documents) == 1


def test_an_unsigned_document_beside_signed_ones_is_refused_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryKeyRepository()
    ring = signed_manager(store).load_ring()
    planted = key_document(created=timedelta(0), activated=timedelta(seconds=1))
    put(store, planted, revocation_document(ring.protecting_key().id), bad_document("revocation"))
    again = signed_manager(store).load_ring()
    assert again.protecting_key().id == ring.protecting_key().id
    assert [key.id for key in again.keys] == [ring.protecting_key().id]
    assert len(events(caplog, "document_refused")) == 2
    assert len(events(caplog, "document_set_aside")) == 1


def test_who_would_write_unsigned_into_a_signed_ring_writes_nothing() -> None:
    store = MemoryKeyRepository()
    key = signed_manager(store).load_ring().protecting_key()
    unsigned = manager(store)
    for change in (unsigned.create_key, lambda: unsigned.revoke(key.id), unsigned.revoke_all):
        with pytest.raises(ConfigurationError, match="signed"):
            change()
    assert len(store.read().documents) == 1


def test_signatures_that_nobody_looks_at_are_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryKeyRepository()
    signed_manager(store).load_ring()
    manager(store).load_ring()
    assert events(caplog, "signatures_ignored")


def test_a_signed_document_of_another_signer_never_reaches_the_key_service() -> None:
    """Documents are verified before they are unwrapped: planted keys cause no calls to a key service."""
    wrapper, store = BoxWrapper(), MemoryKeyRepository()
    put(store, key_document(wrapper=wrapper))
    signer = Ed25519Signer(ed25519.Ed25519PrivateKey.generate())
    trusting = KeyManager(
        store,
        StoppedClock(),
        ring="shop",
        wrappers=[wrapper],
        verifier=TrustedSigners([signer.public_key], ring="shop"),
    )
    assert len(trusting.read().refused) == 1
    assert wrapper.unwrapped == 0


# --- unencrypted keys where keys are wrapped --------------------------------------------------------------------------


def test_a_key_in_clear_is_refused_where_keys_are_wrapped() -> None:
    """An attacker who can write to the store could plant one, and forge the payloads that it protects."""
    wrapper = BoxWrapper()
    planted, good = key_document(created=-DAY), key_document(created=-2 * DAY, wrapper=wrapper)
    ring = manager(ring_of(planted, good), wrappers=[wrapper]).load_ring()
    assert [key.id for key in ring.keys] == [id_of(good)]
    with pytest.raises(ConfigurationError, match=r"no document in .+ is accepted"):
        manager(ring_of(planted), wrappers=[wrapper]).load_ring()


def test_a_key_in_clear_is_read_where_plain_was_said() -> None:
    wrapper = BoxWrapper()
    keys = KeyManager(ring_of(USABLE), StoppedClock(), ring="shop", wrappers=[wrapper], allow_plain=True)
    assert keys.load_ring().protecting_key().id == id_of(USABLE)


# --- one id twice -----------------------------------------------------------------------------------------------------


def test_the_same_key_stored_twice_counts_once() -> None:
    twice = StoredDocument(None, USABLE.data)
    ring = manager(ring_of(USABLE, twice)).load_ring()
    assert [key.id for key in ring.keys] == [id_of(USABLE)]
    assert ring.protecting_key().usable


def test_two_different_keys_of_one_id_are_unusable_in_whatever_order_and_number() -> None:
    """It is unknown which of them other processes use; a payload might open in one process and not in another."""
    key_id = id_of(USABLE)
    first, second = (StoredDocument(None, key_document(key_id=key_id, created=-10 * DAY).data) for _ in range(2))
    later = StoredDocument(None, key_document(key_id=key_id, created=-9 * DAY).data)
    lost = StoredDocument(None, key_document(key_id=key_id, created=-9 * DAY, wrapper=LOST).data)
    rings = [(first, second), (first, later), (first, lost), (first, second, first), (first, second, later)]
    for documents in (order for ring in rings for order in permutations(ring)):
        (key,) = manager(ring_of(*documents)).read().keys
        assert not key.usable
        assert "two different keys" in key.problem


def test_a_copy_that_can_be_unwrapped_is_used_in_place_of_one_that_cannot() -> None:
    """A ring in the middle of being wrapped again."""
    copies = (USABLE, StoredDocument(None, _same_key_wrapped()))
    for documents in permutations(copies):
        (key,) = manager(ring_of(*documents)).read().keys
        assert key.usable


def _same_key_wrapped() -> bytes:
    """The usable key, wrapped under a wrapper that is not configured here."""
    element = parse(USABLE.data)
    wrap(element, LOST, "shop")
    return document.dump(element).data
