"""Wrappers that are renewed, added later, or lost: stories of operators."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.components import wrappers_from
from dpmiddleware.errors import KeyUnwrapError
from dpmiddleware.keys.maintenance import rewrap
from dpmiddleware.repositories.memory import MemoryKeyRepository


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The URL of a secret in a file."""
    return _secret(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> str:
    """The URL of the secret that comes after it."""
    return _secret(tmp_path / "new")


def _secret(path: Path) -> str:
    path.write_text(secrets.token_urlsafe(48))
    path.chmod(0o600)
    return f"secret://{path}"


def test_story_17_the_secret_is_renewed_and_the_old_one_can_go(old: str, new: str) -> None:
    """Story 17: old keys open with the old secret, new keys use the new one; after a rewrap, the old is not needed."""
    store = MemoryKeyRepository()
    before = DataProtection("shop", repository=store, key_wrapper=old)
    payload = before.create_protector("p").protect("3 apples")

    between = DataProtection("shop", repository=store, key_wrapper=[new, old])
    made = between.manager.create_key(activate_now=True)
    assert between.create_protector("p").unprotect(payload) == "3 apples"

    outcome = rewrap(between.manager, wrappers_from(new)[0][0])
    assert made in outcome.there
    assert (len(outcome.wrapped), outcome.failed, outcome.left_out) == (1, (), ())

    after = DataProtection("shop", repository=store, key_wrapper=new, auto_create_keys=False)
    assert after.create_protector("p").unprotect(payload) == "3 apples"
    assert all(key.usable for key in after.current().keys)


def test_story_18_protection_that_comes_later_reads_the_keys_in_clear_only_if_told_to(new: str) -> None:
    """Story 18: an unencrypted ring gets a wrapper; its keys are refused, read with plain:, wrapped by a rewrap."""
    store = MemoryKeyRepository()
    payload = DataProtection("shop", repository=store).create_protector("p").protect("3 apples")

    strict = DataProtection("shop", repository=store, key_wrapper=new)
    with pytest.raises(Exception, match="no document in memory: is accepted"):
        strict.create_protector("p").unprotect(payload)

    told = DataProtection("shop", repository=store, key_wrapper=[new, "plain:"])
    assert told.create_protector("p").unprotect(payload) == "3 apples"
    rewrap(told.manager, wrappers_from(new)[0][0])
    again = DataProtection("shop", repository=store, key_wrapper=new)
    assert again.create_protector("p").unprotect(payload) == "3 apples"


def test_story_18_on_a_machine_without_the_secret_no_key_is_made_beside_those_that_are_there(
    old: str, new: str
) -> None:
    """Story 18: a machine is cloned without its secret; it reports that, and the ring is not changed."""
    store = MemoryKeyRepository()
    DataProtection("shop", repository=store, key_wrapper=old).create_protector("p").protect("x")
    version = store.version()
    clone = DataProtection("shop", repository=store, key_wrapper=new)
    with pytest.raises(KeyUnwrapError) as caught:
        clone.create_protector("p").protect("x")
    assert caught.value.hint
    assert store.version() == version
