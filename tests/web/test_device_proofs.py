"""Proofs of device-bound sign-ins: which are accepted, and that hostile text is only ever refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils

from dpmiddleware.protection.base64url import decode, encode
from dpmiddleware.web.device_bound.proof import MAX_PROOF, DeviceKey, Proof, bare, parse
from tests.interop.vectors import load
from tests.web.device import Device, quoted

DEVICES = {algorithm: Device(algorithm) for algorithm in ("ES256", "RS256")}
each_algorithm = pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
each_form = pytest.mark.parametrize("form", [str, quoted, " {} ".format, ' "{}"\t'.format], ids=range(4))
VECTORS: list[dict[str, Any]] = load("device-bound")["proofs"]


def registered(text: str) -> Proof | None:
    """A proof that registers the key in it."""
    proof = parse(text)
    return proof if proof is not None and proof.key is not None and proof.is_from(proof.key) else None


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["case"] for vector in VECTORS])
@pytest.mark.parametrize("form", [str, quoted])
def test_the_vectors_are_judged_as_they_say(vector: dict[str, Any], form: Any) -> None:
    proof = parse(form(vector["jwt"]))
    first = parse(VECTORS[0]["jwt"])
    assert first is not None
    key = first.key if vector["case"] == "refresh" else proof and proof.key
    assert bool(proof and key and proof.is_from(key)) is vector["good"]


@each_algorithm
@each_form
def test_a_key_is_registered_and_proven(device: Device, form: Any) -> None:
    proof = registered(form(device.registration("a challenge".replace(" ", "-"))))
    assert proof is not None
    assert (proof.challenge, proof.algorithm) == ("a-challenge", device.algorithm)
    again = parse(form(device.refresh("another")))
    assert again is not None
    assert proof.key is not None
    assert again.key is None
    assert again.is_from(proof.key)


@each_algorithm
def test_a_key_is_kept_in_its_canonical_form_and_read_back(device: Device) -> None:
    key = DeviceKey.of({"use": "sig", "kid": "x", **dict(reversed(device.jwk.items()))})
    assert key is not None
    assert list(json.loads(key.jwk)) == sorted(device.jwk)
    assert " " not in key.jwk
    assert DeviceKey.read(key.jwk, device.algorithm) == key
    assert DeviceKey.read(json.dumps({**device.jwk, "kid": "x"}), device.algorithm) == key, "as .NET keeps it"
    assert DeviceKey.read(key.jwk, "RS256" if device.algorithm == "ES256" else "ES256") is None


OTHER = {algorithm: Device(algorithm) for algorithm in DEVICES}
WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "another typ": {"typ": "JWT"},
    "typ in capitals": {"typ": "DBSC+JWT"},
    "no typ": {"typ": None},
    "alg none": {"alg": "none"},
    "alg of HMAC": {"alg": "HS256"},
    "alg ES384": {"alg": "ES384"},
    "alg a list": {"alg": ["ES256"]},
    "no alg": {"alg": None},
    "no key": {"jwk": None},
    "a key as text": {"jwk": "x"},
    "crit": {"crit": ["x"]},
    "an empty crit": {"crit": []},
}


@each_algorithm
@pytest.mark.parametrize("changed", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_a_registration_with_this_header_is_refused(device: Device, changed: dict[str, Any]) -> None:
    assert registered(device.registration("c")) is not None
    assert registered(device.registration("c", **changed)) is None


@each_algorithm
def test_a_proof_of_another_key_is_refused(device: Device) -> None:
    """Whatever key it brings along, and whatever it says about its algorithm."""
    key = DeviceKey.of(device.jwk)
    assert key is not None
    other = OTHER[device.algorithm]
    assert registered(device.registration("c", jwk=other.jwk)) is None
    for text in (other.refresh("c"), other.registration("c"), other.registration("c", jwk=device.jwk)):
        proof = parse(text)
        assert proof is not None
        assert not proof.is_from(key)
    switched = "RS256" if device.algorithm == "ES256" else "ES256"
    proof = parse(DEVICES[switched].refresh("c"))
    assert proof is not None
    assert not proof.is_from(key)
    proof = parse(device.refresh("c", alg=switched))
    assert proof is not None
    assert not proof.is_from(key)


PAYLOADS: dict[str, Any] = {
    "jti a number": {"jti": 7},
    "jti a list": {"jti": ["c"]},
    "no jti": {},
    "jti not visible": {"jti": "a b"},
    "jti not ASCII": {"jti": "ä"},
    "jti a lone surrogate": {"jti": "\ud800"},
    "jti too long": {"jti": "c" * 1025},
    "a list": [],
    "a text": "c",
    "null": None,
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_proof_with_this_payload_is_refused(payload: Any) -> None:
    device = DEVICES["ES256"]
    header = {"alg": "ES256", "jwk": device.jwk, "typ": "dbsc+jwt"}
    assert registered(device.signed(header, {"jti": "c", "aud": "https://shop.test", "iat": 1})) is not None
    assert parse(device.signed(header, payload)) is None


EC, RSA = DEVICES["ES256"].jwk, DEVICES["RS256"].jwk
ZERO, ONE = encode(bytes(32)), encode(bytes(31) + b"\1")
KEYS: dict[str, object] = {
    "none": None,
    "a list": [EC],
    "a private member": {**EC, "d": "AA"},
    "private members of RSA": {**RSA, "d": "AA", "p": "AA"},
    "of HMAC": {"kty": "oct", "k": "AA"},
    "of Ed25519": {"kty": "OKP", "crv": "Ed25519", "x": EC["x"]},
    "on P-384": {**EC, "crv": "P-384"},
    "on secp256k1": {**EC, "crv": "secp256k1"},
    "without y": {name: value for name, value in EC.items() if name != "y"},
    "a coordinate of 33 bytes": {**EC, "x": encode(b"\0" + decode(EC["x"]))},
    "a coordinate of 31 bytes": {**EC, "x": encode(decode(EC["x"])[1:])},
    "a coordinate with padding": {**EC, "x": EC["x"] + "="},
    "a coordinate as a number": {**EC, "x": 7},
    "a coordinate that is deep": {**EC, "x": json.loads("[" * 500 + "]" * 500)},
    "a coordinate that is not ASCII": {**EC, "x": "é" * 43},
    "a point that is not on the curve": {**EC, "y": EC["x"]},
    "the point at infinity": {**EC, "x": ZERO, "y": ZERO},
    "a point near it": {**EC, "x": ZERO, "y": ONE},
    "coordinates above the field": {**EC, "x": encode(b"\xff" * 32), "y": EC["y"]},
    "RSA of 1,024 bits": {**RSA, "n": encode(b"\xff" * 128)},
    "RSA of 8,192 bits": {**RSA, "n": encode(b"\xff" * 1024)},
    "RSA with e = 1": {**RSA, "e": "AQ"},
    "RSA with e = 3": {**RSA, "e": "Aw"},
    "RSA with a leading zero in e": {**RSA, "e": "AAEAAQ"},
    "RSA with a leading zero in n": {**RSA, "n": encode(b"\0" + decode(RSA["n"]))},
    "RSA without n": {"kty": "RSA", "e": "AQAB"},
    "alg of the other kind": {**EC, "alg": "RS256"},
}


@pytest.mark.parametrize("jwk", KEYS.values(), ids=KEYS)
def test_a_key_of_this_kind_is_refused(jwk: object) -> None:
    assert DeviceKey.of(EC) is not None
    assert DeviceKey.of(RSA) is not None
    assert DeviceKey.of(jwk) is None


def test_a_signature_has_64_bytes_and_is_not_zero() -> None:
    device = DEVICES["ES256"]
    signed, _, signature = device.registration("c").rpartition(".")
    raw = decode(signature)
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    for wrong in (der, raw[:-1], raw + b"\0", bytes(64), raw[32:] + raw[:32], b"\xff" * 64):
        assert registered(f"{signed}.{encode(wrong)}") is None
    assert registered(f"{signed}.{signature}") is not None


TEXTS = {
    "empty": "",
    "quotes": '""',
    "a quote": '"',
    "dots": "..",
    "long": "x" * (MAX_PROOF + 3),
    "long with dots": "x" * 4000 + "." + "x" * 4000 + "." + "x" * 400,
    "not ASCII": "é.é.é",
    "deep lists": f"{encode(b'[' * 3000)}.{encode(b'[' * 2500)}.AA",
    "deep objects": ".".join([encode(b'{"a":' * 1000)] * 2 + ["AA"]),
    "a long number": ".".join([encode(b"1" * 2900)] * 2 + ["AA"]),
    "a member given twice": ".".join([encode(b'{"alg":"ES256","typ":"dbsc+jwt","typ":"dbsc+jwt"}')] * 2 + ["AA"]),
    "NaN": ".".join([encode(b'{"jti":NaN}')] * 2 + ["AA"]),
    "a byte order mark": ".".join([encode(b"\xef\xbb\xbf{}")] * 2 + ["AA"]),
    "bytes that are not UTF-8": ".".join([encode(b'{"jti":"\xff"}')] * 2 + ["AA"]),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_other_text_is_refused(text: str) -> None:
    assert parse(text) is None


def test_a_hundred_thousand_damaged_proofs_are_refused_and_nothing_is_raised() -> None:
    """What is well-formed is not from the key, unless it is as it was; damage to the key itself is refused too."""
    device = Device(key=ec.derive_private_key(7, ec.SECP256R1()))
    key = DeviceKey.of(device.jwk)
    whole = device.registration("challenge")
    source = random.Random(1)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\"' é\0"
    assert key is not None
    well_formed = 0
    for _ in range(100_000):
        at, length = source.randrange(len(whole)), source.choice((0, 1, 1, 1, 2, 5))
        put = "".join(source.choices(alphabet, k=source.choice((0, 1, 1, 1, 2))))
        text = whole[:at] + put + whole[at + length :]
        proof = parse(text)
        if proof is None:
            continue
        well_formed += 1
        if well_formed < 3000 and bare(text) != whole:  # a verification costs more than the rest
            assert not proof.is_from(key), text
    assert well_formed > 3000
