"""The documents of an unsigned ring are signed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware import ConfigurationError, DataProtection
from dpmiddleware.errors import RevokedKeyError, VersionConflict
from dpmiddleware.keys.sign_existing import find_unsigned, sign
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.repositories.memory import MemoryKeyRepository


@pytest.fixture
def store() -> MemoryKeyRepository:
    """The store of an unsigned ring."""
    return MemoryKeyRepository()


@pytest.fixture
def unsigned(store: MemoryKeyRepository) -> DataProtection:
    """The ring before: two keys, one of them revoked."""
    ring = DataProtection("shop", repository=store)
    ring.create_protector("p").protect("x")
    ring.manager.revoke(ring.manager.create_key(), "lost laptop")
    return ring


@pytest.fixture
def signing(store: MemoryKeyRepository) -> DataProtection:
    """The same ring, with a signer."""
    return DataProtection("shop", repository=store, signer=Ed25519Signer(Ed25519PrivateKey.generate()))


def test_what_is_shown_is_everything_that_would_be_trusted(unsigned: DataProtection, signing: DataProtection) -> None:
    """Two keys and a revocation."""
    found = find_unsigned(signing.manager)
    assert sorted(one.element.tag for one in found.unsigned) == ["key", "key", "revocation"]
    assert (found.signed, found.left_out) == (0, ())


def test_signed_it_is_the_same_ring(unsigned: DataProtection, signing: DataProtection) -> None:
    """Payloads open, the revocation applies, and nothing is left to sign."""
    payload = unsigned.create_protector("p").protect("3 apples")
    revoked = next(key for key in unsigned.manager.read().keys if key.revocation)
    assert sign(signing.manager, find_unsigned(signing.manager)) == 3
    assert signing.create_protector("p").unprotect(payload) == "3 apples"
    assert signing.current().find(revoked.id.bytes_le).revocation is not None  # type: ignore[union-attr]  # the revocation is in the store
    again = find_unsigned(signing.manager)
    assert (again.unsigned, again.signed) == ((), 3)


def test_what_is_planted_while_the_list_is_read_is_not_signed(
    unsigned: DataProtection, signing: DataProtection, store: MemoryKeyRepository
) -> None:
    """The store has changed: nothing is signed."""
    found = find_unsigned(signing.manager)
    DataProtection("shop", repository=store).manager.create_key(activate_now=True)
    before = store.read()
    with pytest.raises(VersionConflict):
        sign(signing.manager, found)
    assert store.read() == before


def test_a_document_with_somebody_elses_signature_is_never_signed_over(
    store: MemoryKeyRepository, signing: DataProtection
) -> None:
    """It is listed among the documents that are left out."""
    stranger = DataProtection("shop", repository=store, signer=Ed25519Signer(Ed25519PrivateKey.generate()))
    stranger.create_protector("p").protect("x")
    found = find_unsigned(signing.manager)
    assert found.unsigned == ()
    assert [aside.refused for aside in found.left_out] == [True]
    assert sign(signing.manager, found) == 0


def test_without_a_signer_nothing_can_be_adopted(unsigned: DataProtection) -> None:
    """The error names the option."""
    with pytest.raises(ConfigurationError, match="no signer is configured") as caught:
        find_unsigned(unsigned.manager)
    assert "--signer" in caught.value.hint


def test_a_revocation_of_all_at_the_recommended_date_reaches_what_was_adopted(
    unsigned: DataProtection, signing: DataProtection
) -> None:
    """An attacker who could write to the store before may know those keys."""
    payload = unsigned.create_protector("p").protect("x")
    found = find_unsigned(signing.manager)
    sign(signing.manager, found)
    assert found.newest_creation is not None
    outcome = signing.manager.revoke_all(found.newest_creation + timedelta(microseconds=1), "adopted", future=True)
    assert outcome.survivors == ()
    with pytest.raises(RevokedKeyError):
        signing.create_protector("p").unprotect(payload)
