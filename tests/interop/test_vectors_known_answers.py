"""Known answers of each step between a plaintext and its payload, with fixed random bytes in place of random ones."""

from __future__ import annotations

import base64
import os
from typing import Any
from uuid import UUID

import pytest

from dpmiddleware.crypto.derivation import derive
from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor, CbcHmac, Gcm, Suite, context_header
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import associated_data, head_of, key_id_of, peek_key_id
from tests.interop.vectors import load

pytestmark = pytest.mark.usefixtures("both_ways")

CONTEXT_HEADERS = load("context-headers")
KDF = load("kdf")
AAD = load("aad")
ENCRYPTOR = load("encryptor")
PAYLOAD = load("payload-10.0.5")["cases"][0]
PAYLOADS = load("payloads")
KEY_SIZES = {"128": 16, "192": 24, "256": 32}


def cases(file: dict[str, Any]) -> list[Any]:
    return [pytest.param(case, id=case["why"]) for case in file["cases"]]


def suite_of(case: dict[str, Any]) -> Suite:
    cipher, size, mode = case["alg"].split("_")
    if mode == "GCM":
        return Gcm(KEY_SIZES[size])
    return CbcHmac(KEY_SIZES[size], case["mac"].removeprefix("HMAC").lower(), cipher)


def fix_random(monkeypatch: pytest.MonkeyPatch, random: bytes) -> None:
    """The next random bytes are ``random``, and there are no more of them."""
    left = bytearray(random)

    def urandom(size: int) -> bytes:
        taken, left[:size] = bytes(left[:size]), b""
        assert len(taken) == size
        return taken

    monkeypatch.setattr(os, "urandom", urandom)


@pytest.mark.parametrize("case", cases(CONTEXT_HEADERS))
def test_each_algorithm_has_its_published_context_header(case: dict[str, Any]) -> None:
    keys = bytes.fromhex(case["keys"])
    assert derive(b"", b"", b"", len(keys)) == keys
    assert context_header(suite_of(case)).hex() == case["header"]


@pytest.mark.parametrize("case", cases(KDF))
def test_keys_are_derived_as_sp800_108_says(case: dict[str, Any]) -> None:
    kdk = bytes(i & 0xFF for i in range(50_000)) if case["kdk"] == "long" else bytes.fromhex(case["kdk"])
    assert derive(kdk, bytes.fromhex(KDF["label"]), bytes.fromhex(KDF["context"]), case["n"]).hex() == case["out"]


@pytest.mark.parametrize("case", cases(AAD))
def test_purposes_become_the_known_associated_data(case: dict[str, Any]) -> None:
    assert associated_data(UUID(case["key_id"]).bytes_le, case["purposes"]).hex() == case["aad"]


@pytest.mark.parametrize("case", cases(ENCRYPTOR))
def test_a_body_is_what_the_original_writes_from_these_random_bytes(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encryptor = AuthenticatedEncryptor(Secret(bytes.fromhex(ENCRYPTOR["master_key"])), suite_of(case))
    plaintext, body = bytes.fromhex(ENCRYPTOR["plaintext"]), bytes.fromhex(case["body"])
    fix_random(monkeypatch, bytes.fromhex(case["km"] + case.get("iv", case.get("nonce"))))
    bound = encryptor.bind(bytes.fromhex(ENCRYPTOR["aad"]))
    assert bound.decrypt(body) == plaintext
    assert bound.encrypt(plaintext) == body


def test_a_payload_of_asp_net_core_10_0_5_has_every_known_part() -> None:
    payload = base64url.decode(PAYLOAD["payload"])
    key_id = key_id_of(payload)
    aad = associated_data(key_id, PAYLOAD["purposes_full"])
    suite = suite_of({"alg": PAYLOAD["alg"], "mac": PAYLOAD["mac"]})
    secret = Secret(base64.b64decode(PAYLOAD["master_key_b64"]))
    keys = derive(secret.reveal(), aad, context_header(suite) + bytes.fromhex(PAYLOAD["km"]), 64)
    assert payload.hex() == PAYLOAD["payload_hex"]
    assert UUID(bytes_le=key_id) == UUID(PAYLOAD["key_id"])
    assert aad.hex() == PAYLOAD["aad"]
    assert (keys[:32].hex(), keys[32:].hex()) == (PAYLOAD["ke"], PAYLOAD["kh"])
    assert payload[20:].hex() == PAYLOAD["km"] + PAYLOAD["iv"] + PAYLOAD["ciphertext"] + PAYLOAD["mac_bytes"]
    opened = AuthenticatedEncryptor(secret, suite).bind(aad, payload[:20]).decrypt(payload)
    assert opened.decode() == PAYLOAD["plaintext"]


def test_its_text_is_the_text_that_we_write() -> None:
    assert base64url.encode(bytes.fromhex(PAYLOAD["payload_hex"])) == PAYLOAD["payload"]
    assert peek_key_id(PAYLOAD["payload"]) == UUID(PAYLOAD["key_id"]).bytes_le


@pytest.mark.parametrize("case", cases(PAYLOADS))
def test_a_whole_payload_is_what_these_random_bytes_give(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    key_id = UUID(PAYLOADS["key_id"]).bytes_le
    suite = suite_of(case)
    encryptor = AuthenticatedEncryptor(Secret(bytes.fromhex(PAYLOADS["master_key"])), suite)
    plaintext, payload = bytes.fromhex(case["plaintext"]), bytes.fromhex(case["payload"])
    iv = PAYLOADS["nonce"] if isinstance(suite, Gcm) else PAYLOADS["iv"][: 16 if suite.cipher == "3DES" else 32]
    fix_random(monkeypatch, bytes.fromhex(PAYLOADS["km"] + iv))
    bound = encryptor.bind(associated_data(key_id, case["purposes"]), head_of(key_id))
    assert bound.decrypt(payload) == plaintext
    assert bound.encrypt(plaintext) == payload
