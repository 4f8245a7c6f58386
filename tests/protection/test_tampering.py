"""Story 19: any single bit flipped, any length cut off: refused, under every algorithm, with one error per region."""

from __future__ import annotations

import logging

import pytest

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import MalformedPayloadError, TamperedPayloadError, UnknownKeyError, UnprotectError
from dpmiddleware.protection.payload import MAGIC
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import data_protection

pytestmark = pytest.mark.usefixtures("both_ways")

ALGORITHMS = [pytest.param(algorithm, id=algorithm.name) for algorithm in Algorithm]
PLAINTEXT = b"seventeen bytes !"  # two blocks of the cipher


@pytest.fixture(params=ALGORITHMS)
def protector(request: pytest.FixtureRequest) -> DataProtector:
    logging.getLogger("dpmiddleware").setLevel(logging.CRITICAL)
    algorithm: Algorithm = request.param
    return data_protection(MemoryKeyRepository(), algorithm=algorithm).create_protector("Shop.Cart")


@pytest.fixture(autouse=True)
def quiet() -> object:
    """Thousands of payloads are refused here."""
    yield
    logging.getLogger("dpmiddleware").setLevel(logging.NOTSET)


def refusal(protector: DataProtector, payload: bytes) -> UnprotectError:
    """How a payload is refused."""
    with pytest.raises(UnprotectError) as caught:
        protector.unprotect(payload)
    return caught.value


def expected_of(position: int) -> type[UnprotectError]:
    """What a wrong byte at this position of a payload leads to."""
    if position < 4:
        return MalformedPayloadError
    return UnknownKeyError if position < 20 else TamperedPayloadError


def test_every_single_bit_counts(protector: DataProtector) -> None:
    payload = protector.protect(PLAINTEXT)
    found = [
        type(refusal(protector, payload[:at] + bytes([payload[at] ^ 1 << bit]) + payload[at + 1 :]))
        for at in range(len(payload))
        for bit in range(8)
    ]
    assert found == [expected_of(at) for at in range(len(payload)) for _ in range(8)]


def test_every_length_that_is_cut_off_is_refused(protector: DataProtector) -> None:
    """Without its key id a payload is malformed; with it, tampered with."""
    payload = protector.protect(PLAINTEXT)
    found = [type(refusal(protector, payload[:size])) for size in range(len(payload))]
    assert found == [MalformedPayloadError if size < 20 else TamperedPayloadError for size in range(len(payload))]


def test_bytes_left_out_in_the_middle_or_doubled_are_refused(protector: DataProtector) -> None:
    payload = protector.protect(PLAINTEXT)
    for at in range(20, len(payload)):
        assert isinstance(refusal(protector, payload[:at] + payload[at + 1 :]), TamperedPayloadError)
        assert isinstance(refusal(protector, payload[:at] + payload[at : at + 1] + payload[at:]), TamperedPayloadError)


@pytest.mark.parametrize("more", [b"\0", b"\xff", b"\0" * 16, bytes(64), b"x" * 100_000], ids=len)
def test_anything_behind_the_end_is_refused(protector: DataProtector, more: bytes) -> None:
    assert isinstance(refusal(protector, protector.protect(PLAINTEXT) + more), TamperedPayloadError)


def test_every_character_of_the_text_counts(protector: DataProtector) -> None:
    """Base64 has unused bits. A change of these is refused too, so that a value has only one text."""
    text = protector.protect(PLAINTEXT.decode())
    for at, character in enumerate(text):
        with pytest.raises(UnprotectError):
            protector.unprotect(text[:at] + ("A" if character != "A" else "B") + text[at + 1 :])


def test_every_text_that_is_cut_off_is_refused(protector: DataProtector) -> None:
    text = protector.protect(PLAINTEXT.decode())
    for size in range(len(text)):
        with pytest.raises(UnprotectError):
            protector.unprotect(text[:size])


def test_all_refusals_of_a_body_are_alike(protector: DataProtector) -> None:
    """No padding oracle: all failures have the same error, without a cause that would reveal more."""
    payload = protector.protect(PLAINTEXT)
    flipped = [bytes([*payload[:at], payload[at] ^ 1, *payload[at + 1 :]]) for at in range(20, len(payload))]
    wrong = [*flipped, *(payload[:size] for size in range(20, len(payload))), payload + b"\0"]
    refusals = [refusal(protector, each) for each in wrong]
    assert len({(str(error), error.code, error.hint, error.key_id, error.__cause__) for error in refusals}) == 1


def test_no_other_version_of_the_magic_is_taken(protector: DataProtector) -> None:
    """The last four bits of the magic are a version, and only 0 exists."""
    body = protector.protect(PLAINTEXT)[4:]
    for version in range(1, 16):
        magic = MAGIC[:3] + bytes([MAGIC[3] | version])
        assert isinstance(refusal(protector, magic + body), MalformedPayloadError)


def test_a_refusal_names_the_key_and_shows_no_payload(protector: DataProtector) -> None:
    text = protector.protect("canary-in-the-plaintext")
    changed = text[:-30] + ("A" if text[-30] != "A" else "B") + text[-29:]
    with pytest.raises(TamperedPayloadError) as caught:
        protector.unprotect(changed)
    said = f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert caught.value.key_id is not None
    assert changed[40:60] not in said
    assert "canary" not in said


def test_an_encrypted_payload_says_nothing_of_its_text() -> None:
    protector = data_protection(MemoryKeyRepository()).create_protector("p")
    payload = protector.protect(b"canary-in-the-plaintext" * 10)
    assert b"canary" not in payload


def test_a_payload_of_another_ring_is_unknown_not_tampered() -> None:
    """With this error a shell keeps the cookie, because another slot may be able to read it."""
    here, there = (data_protection(MemoryKeyRepository()).create_protector("p") for _ in range(2))
    with pytest.raises(UnknownKeyError) as caught:
        here.unprotect(there.protect("text"))
    assert caught.value.key_id is not None


def test_a_payload_under_a_planted_key_id_opens_nothing() -> None:
    """The key id is authenticated: a body of one key under the id of another is refused."""
    dp: DataProtection = data_protection(MemoryKeyRepository())
    protector = dp.create_protector("p")
    old = protector.protect(b"text")
    other = dp.manager.create_key(activate_now=True)
    fresh = data_protection(dp.repository).create_protector("p")
    assert fresh.unprotect(old) == b"text"
    with pytest.raises(TamperedPayloadError):
        fresh.unprotect(old[:4] + other.bytes_le + old[20:])
