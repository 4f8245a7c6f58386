"""`DataProtector`: text and bytes, purposes, the states of keys, and `dangerous_unprotect`."""

from __future__ import annotations

import random
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.errors import (
    ConfigurationError,
    MalformedPayloadError,
    NoUsableKeyError,
    RevokedKeyError,
    TamperedPayloadError,
    UnprotectError,
    UnusableKeyError,
)
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import associated_data, head_of
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import (
    DAY,
    BoxWrapper,
    StoppedClock,
    data_protection,
    id_of,
    key_document,
    put,
    revocation_document,
    ring_of,
)


@pytest.fixture
def protector() -> DataProtector:
    return data_protection(MemoryKeyRepository()).create_protector("Shop.Cart", "v1")


# --- text and bytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["", "3 apples", "é✓🍎", "\0", "a" * 5000])
def test_text_comes_back_as_text(protector: DataProtector, data: str) -> None:
    token = protector.protect(data)
    assert token.isascii()
    assert protector.unprotect(token) == data


@pytest.mark.parametrize("data", [b"", b"3 apples", b"\xff\xfe", bytes(5000)])
def test_bytes_come_back_as_bytes(protector: DataProtector, data: bytes) -> None:
    assert protector.unprotect(protector.protect(data)) == data


def test_what_was_protected_as_text_can_be_read_as_bytes_and_the_other_way_round(protector: DataProtector) -> None:
    assert protector.unprotect(base64url.decode(protector.protect("é"))) == "é".encode()
    assert protector.unprotect(base64url.encode(protector.protect("é".encode()))) == "é"


def test_bytes_that_are_no_text_are_refused_as_text_and_not_shown(protector: DataProtector) -> None:
    with pytest.raises(MalformedPayloadError) as caught:
        protector.unprotect(base64url.encode(protector.protect(b"\xffcanary")))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("data", [None, 3, 1.5, {"a": 1}], ids=repr)
def test_nothing_but_text_and_bytes_is_taken(protector: DataProtector, data: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        protector.protect(data)  # type: ignore[type-var]  # what a caller without types might do
    with pytest.raises((TypeError, AttributeError, KeyError)):  # from Python 3.12 on a dict takes a slice as a key
        protector.unprotect(data)  # type: ignore[type-var]  # likewise


def test_text_with_an_unpaired_surrogate_is_refused_when_it_is_protected(protector: DataProtector) -> None:
    with pytest.raises(ConfigurationError, match="surrogate"):
        protector.protect("\ud800")


@pytest.mark.parametrize("token", ["", "garbage", "CfDJ8", "é" * 30, "=", " ", "a" * 100_000, "\ud800"])
def test_garbage_is_refused_as_malformed(protector: DataProtector, token: str) -> None:
    with pytest.raises(MalformedPayloadError):
        protector.unprotect(token)


FUZZED = data_protection(MemoryKeyRepository()).create_protector("fuzzed")
PREFIX = FUZZED.protect(b"")[:20]


@given(
    st.one_of(st.text(max_size=120), st.binary(max_size=120), st.binary(max_size=80).map(lambda tail: PREFIX + tail))
)
@example("CfDJ8")
@example(PREFIX)
def test_whatever_a_client_sends_is_refused_and_nothing_else_happens(data: Any) -> None:
    """One family of errors, so that a shell that catches it has caught everything."""
    for opened in (FUZZED, FUZZED.time_limited()):
        with pytest.raises(UnprotectError):
            opened.unprotect(data)
    with pytest.raises(UnprotectError):
        FUZZED.dangerous_unprotect(data)


# --- purposes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("a", "bc"), ("ab", "c"), id="the border between two"),
        pytest.param(("a", "b"), ("ab",), id="one in place of two"),
        pytest.param(("a", "b"), ("b", "a"), id="order"),
        pytest.param(("a",), ("A",), id="case"),
        pytest.param(("a",), ("a", ""), id="an empty one more"),
        pytest.param(("", "a"), ("a",), id="an empty one before"),
        pytest.param(("é",), ("e\u0301",), id="no normalisation"),
        pytest.param(("p" * 127,), ("p" * 128,), id="127 and 128 bytes"),
        pytest.param(("p" * 300,), ("p" * 44,), id="300 is not 44, the rest of a division by 256"),
        pytest.param(("a",), ("a\0",), id="a zero byte"),
        pytest.param(("a",), ("a ",), id="a space"),
    ],
)
def test_story_21_other_purposes_are_other_protectors(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Story 21: ("a","bc") and ("ab","c"), 127, 128 and 300 bytes, non-ASCII, empty."""
    dp = data_protection(MemoryKeyRepository())
    token = dp.create_protector(*one).protect("text")
    assert dp.create_protector(*one).unprotect(token) == "text"
    with pytest.raises(TamperedPayloadError):
        dp.create_protector(*other).unprotect(token)


def test_a_chain_is_its_purposes_in_order() -> None:
    dp = data_protection(MemoryKeyRepository())
    chain = dp.create_protector("a").create_protector("b", "c")
    assert chain.purposes == ("shop", "a", "b", "c")
    assert dp.create_protector("a", "b", "c").unprotect(chain.protect("text")) == "text"


def test_a_protector_opens_nothing_of_those_made_from_it() -> None:
    dp = data_protection(MemoryKeyRepository())
    parent = dp.create_protector("a")
    child = parent.create_protector("b")
    for one, other in ((parent, child), (child, parent)):
        with pytest.raises(TamperedPayloadError):
            other.unprotect(one.protect("text"))


def test_a_bad_purpose_is_refused_when_the_protector_is_made() -> None:
    dp = data_protection(MemoryKeyRepository())
    with pytest.raises(ConfigurationError, match="surrogate"):
        dp.create_protector("\ud800")
    with pytest.raises(ConfigurationError, match="surrogate"):
        dp.create_protector("a").create_protector("\udfff")


@pytest.mark.parametrize("purposes", [(), (None,), (b"bytes",), (["list"],), ("a", 1)], ids=repr)
def test_purposes_are_text_and_there_is_at_least_one(purposes: tuple[str, ...]) -> None:
    dp = data_protection(MemoryKeyRepository())
    with pytest.raises(ConfigurationError):
        dp.create_protector(*purposes)
    with pytest.raises(ConfigurationError):
        dp.create_protector("a").create_protector(*purposes)


def test_story_10_two_applications_in_one_store_do_not_read_each_other() -> None:
    """Story 10: the same keys, other names; the refusal says what it may be."""
    repository = MemoryKeyRepository()
    shop = data_protection(repository, application="shop").create_protector("p")
    blog = data_protection(repository, application="blog").create_protector("p")
    token = shop.protect("text")
    with pytest.raises(TamperedPayloadError, match="another purpose or application") as caught:
        blog.unprotect(token)
    assert caught.value.key_id is not None
    assert shop.unprotect(token) == "text"


def test_an_application_without_a_name_has_no_purpose_more() -> None:
    repository = MemoryKeyRepository()
    nameless = data_protection(repository, application=None).create_protector("shop", "p")
    named = data_protection(repository, application="shop").create_protector("p")
    assert nameless.purposes == named.purposes == ("shop", "p")
    assert named.unprotect(nameless.protect("text")) == "text"


def test_story_9_what_a_payload_opens_under_is_only_the_name(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Story 9: another folder, host name, trailing slash, environment: the payload still opens."""
    repository = MemoryKeyRepository()
    token = data_protection(repository).create_protector("p").protect("text")
    monkeypatch.chdir(str(tmp_path))
    for name, value in {"HOSTNAME": "other", "PWD": "/srv/shop/", "HOME": "/nowhere", "WEBSITE_SITE_NAME": "x"}.items():
        monkeypatch.setenv(name, value)
    assert data_protection(repository).create_protector("p").unprotect(token) == "text"


# --- keys -----------------------------------------------------------------------------------------------------------


def test_every_key_of_the_ring_opens_its_payloads_whatever_its_dates() -> None:
    """Expiry and activation decide which key protects, never which payloads open."""
    clock, repository = StoppedClock(), MemoryKeyRepository()
    token = data_protection(repository, clock).create_protector("p").protect("text")
    for days in (0, 91, 3650):
        clock.advance(days=days)
        assert data_protection(repository, clock).create_protector("p").unprotect(token) == "text"
    clock.jump(days=-20_000)
    assert data_protection(repository, clock).create_protector("p").unprotect(token) == "text"


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda algorithm: algorithm.name)
def test_a_ring_of_mixed_algorithms_opens_everything(algorithm: Algorithm) -> None:
    """The algorithm is that of the key; choosing another one changes the keys made from now on."""
    clock, repository = StoppedClock(), MemoryKeyRepository()
    token = data_protection(repository, clock, algorithm=algorithm).create_protector("p").protect("text")
    clock.advance(days=100)
    other = data_protection(repository, clock, algorithm=Algorithm.AES_256_GCM).create_protector("p")
    assert other.unprotect(token) == "text"
    assert other.unprotect(other.protect("new")) == "new"


def test_dangerous_unprotect_of_the_default_key_asks_for_nothing(protector: DataProtector) -> None:
    assert protector.dangerous_unprotect(protector.protect("text")) == ("text", False, False)
    assert protector.dangerous_unprotect(protector.protect(b"\xff")) == (b"\xff", False, False)


def test_dangerous_unprotect_says_that_another_key_protects_now() -> None:
    clock, repository = StoppedClock(), MemoryKeyRepository()
    dp = data_protection(repository, clock)
    token = dp.create_protector("p").protect("text")
    clock.advance(seconds=11)
    put(repository, key_document(clock.now(), created=timedelta(0)))
    again = dp.create_protector("p")
    assert again.dangerous_unprotect(token) == ("text", True, False)
    assert again.dangerous_unprotect(again.protect("text")) == ("text", False, False)


def test_dangerous_unprotect_opens_under_a_revoked_key_and_says_so() -> None:
    document = key_document()
    repository = ring_of(document)
    dp = data_protection(repository)
    protector = dp.create_protector("p")
    token = protector.protect("text")
    dp.manager.revoke(id_of(document))
    fresh = data_protection(repository).create_protector("p")
    assert fresh.dangerous_unprotect(token) == ("text", True, True)
    with pytest.raises(RevokedKeyError) as caught:
        fresh.unprotect(token)
    assert caught.value.key_id == str(id_of(document))


def test_dangerous_unprotect_of_a_tampered_payload_is_still_refused() -> None:
    """A revocation is the only thing that it ignores."""
    document = key_document()
    repository = ring_of(document)
    token = data_protection(repository).create_protector("p").protect(b"text")
    put(repository.inner, revocation_document(id_of(document)))
    fresh = data_protection(repository).create_protector("p")
    with pytest.raises(TamperedPayloadError):
        fresh.dangerous_unprotect(token[:-1] + bytes([token[-1] ^ 1]))


def test_a_forged_payload_of_a_revoked_key_says_revoked_before_anything_is_tried() -> None:
    """As in ASP.NET Core: the key is checked before the bytes."""
    document = key_document()
    repository = ring_of(document, revocation_document(id_of(document)))
    protector = data_protection(repository).create_protector("p")
    with pytest.raises(RevokedKeyError):
        protector.unprotect(b"\x09\xf0\xc9\xf0" + id_of(document).bytes_le + bytes(100))


def test_a_payload_under_a_key_that_cannot_be_unwrapped_is_unusable_not_unknown() -> None:
    clock, wrapper, repository = StoppedClock(), BoxWrapper(), MemoryKeyRepository()
    old = data_protection(repository, clock, key_wrapper=wrapper)
    token = old.create_protector("p").protect("text")
    other = BoxWrapper("Other")
    put(repository, key_document(clock.now(), created=timedelta(0), wrapper=other))
    fresh = data_protection(repository, clock, key_wrapper=other).create_protector("p")
    with pytest.raises(UnusableKeyError, match="cannot be used") as caught:
        fresh.unprotect(token)
    assert caught.value.key_id is not None
    assert isinstance(caught.value, UnprotectError)


def test_a_ring_without_a_key_to_protect_with_still_opens() -> None:
    """A reader whose only key was revoked refuses to protect, with the operator's error and a hint."""
    document = key_document()
    repository = ring_of(document, revocation_document(id_of(document)))
    reader = data_protection(repository, auto_create_keys=False).create_protector("p")
    with pytest.raises(NoUsableKeyError) as caught:
        reader.protect("text")
    assert "dpm keys" in caught.value.hint


def test_a_protector_keeps_few_keys_ready_and_opens_all() -> None:
    """State is bounded: a ring of 100 keys, each used in turn, twice."""
    documents = [key_document(created=-(n + 1) * DAY) for n in range(100)]
    repository = ring_of(*documents)
    protector = data_protection(repository).create_protector("p")
    ring = data_protection(repository).current()
    payloads = []
    for key in ring.keys:
        assert key.encryptor is not None
        raw = key.id.bytes_le
        payloads.append(key.encryptor.bind(associated_data(raw, protector.purposes), head_of(raw)).encrypt(b"text"))
    assert [protector.unprotect(payload) for payload in payloads * 2] == [b"text"] * 200
    assert len(protector._bound) <= 64


def test_many_threads_may_open_payloads_of_more_keys_than_are_kept_ready() -> None:
    """Each thread removes old keys while the others do the same."""
    dp = data_protection(ring_of(*(key_document(created=-(n + 1) * DAY) for n in range(160))))
    protector, ring = dp.create_protector("p"), dp.current()
    payloads, errors = [], []
    for key in ring.keys:
        assert key.encryptor is not None
        raw = key.id.bytes_le
        payloads.append(key.encryptor.bind(associated_data(raw, protector.purposes), head_of(raw)).encrypt(b"text"))

    def work(seed: int) -> None:
        order = random.Random(seed)
        try:
            for _ in range(600):
                protector.unprotect(order.choice(payloads))
        except Exception as error:  # noqa: BLE001 (carried over to the test's own thread)
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
    assert len(protector._bound) <= 64 + 16  # one a thread that was just making room


def test_repr_names_the_purposes(protector: DataProtector) -> None:
    assert repr(protector) == "<DataProtector for shop › Shop.Cart › v1>"


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_story_24_a_value_protected_again_after_each_rotation_keeps_its_size() -> None:
    """Story 24: a session that lives through three rotations has one layer of encryption and one size."""
    clock, repository = StoppedClock(), MemoryKeyRepository()
    protector = data_protection(repository, clock).create_protector("p")
    token = protector.protect("a session")
    sizes, keys = {len(token)}, set()
    for _ in range(3):
        clock.advance(days=89)
        dp = data_protection(repository, clock)
        dp.current()
        clock.advance(days=2)
        protector = data_protection(repository, clock).create_protector("p")
        opened = protector.dangerous_unprotect(token)
        assert opened == ("a session", True, False)
        token = protector.protect(opened.data)
        sizes.add(len(token))
        keys.add(token[:26])
    assert len(sizes) == 1
    assert len(keys) == 3
