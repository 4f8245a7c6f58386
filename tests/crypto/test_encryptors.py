"""One payload under one key: round trips, and every change refused before anything is decrypted."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.crypto.derivation import derive, prepare
from dpmiddleware.crypto.encryptors import (
    Algorithm,
    AuthenticatedEncryptor,
    BoundEncryptor,
    CbcHmac,
    Gcm,
    context_header,
)
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import TamperedPayloadError, UnsupportedAlgorithmError

pytestmark = pytest.mark.usefixtures("both_ways")

ALL = [pytest.param(algorithm, id=algorithm.name) for algorithm in Algorithm]
CBC_ONLY = [
    pytest.param(algorithm, id=algorithm.name) for algorithm in Algorithm if isinstance(algorithm.value, CbcHmac)
]
HEAD = b"the head of twenty b"
KEY = Secret(bytes(range(64)))


def bound(algorithm: Algorithm, label: bytes = b"label", secret: Secret = KEY) -> BoundEncryptor:
    return AuthenticatedEncryptor(secret, algorithm.value).bind(label, HEAD)


def digest_size(algorithm: Algorithm) -> int:
    """The length of the MAC or tag."""
    suite = algorithm.value
    return {"sha256": 32, "sha512": 64}[suite.digest] if isinstance(suite, CbcHmac) else 16


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
def test_what_was_encrypted_is_decrypted(algorithm: Algorithm, size: int) -> None:
    plaintext = bytes(i & 0xFF for i in range(size))
    payload = bound(algorithm).encrypt(plaintext)
    assert payload.startswith(HEAD)
    assert bound(algorithm).decrypt(payload) == plaintext


@pytest.mark.parametrize("algorithm", ALL)
def test_a_body_is_as_long_as_the_layout_says(algorithm: Algorithm) -> None:
    """CBC: modifier, IV, whole blocks, MAC. GCM: modifier, nonce, as many bytes as the text, tag."""
    for size in (0, 15, 16, 17):
        body = len(bound(algorithm).encrypt(bytes(size))) - len(HEAD)
        is_cbc = isinstance(algorithm.value, CbcHmac)
        assert body == (16 + 16 + (size // 16 + 1) * 16 if is_cbc else 16 + 12 + size) + digest_size(algorithm)


@pytest.mark.parametrize("algorithm", ALL)
@given(junk=st.binary(max_size=200))
def test_no_junk_is_opened(algorithm: Algorithm, junk: bytes) -> None:
    with pytest.raises(TamperedPayloadError):
        bound(algorithm).decrypt(HEAD + junk)


@pytest.mark.parametrize("size", [2**31, 2**31 + 100, 2**32 + 100])
@pytest.mark.parametrize("algorithm", [Algorithm.AES_256_CBC_HMACSHA256, Algorithm.AES_256_GCM], ids=lambda a: a.name)
def test_a_payload_of_2_gib_or_more_is_refused_like_any_other(algorithm: Algorithm, size: int) -> None:
    """OpenSSL takes lengths of 31 bits. The core raised OverflowError. (These zeros are never touched: no memory.)"""
    with pytest.raises(TamperedPayloadError):
        bound(algorithm).decrypt(bytes(size))
    with pytest.raises(OverflowError, match="2 GiB"):
        bound(algorithm).encrypt(bytes(size))


@pytest.mark.parametrize("algorithm", ALL)
def test_the_same_text_is_never_encrypted_alike(algorithm: Algorithm) -> None:
    """Every payload has a key modifier and an IV or nonce of its own."""
    payloads = {bound(algorithm).encrypt(b"text") for _ in range(200)}
    starts = {payload[len(HEAD) : len(HEAD) + 16] for payload in payloads}
    assert len(payloads) == len(starts) == 200


@pytest.mark.parametrize("algorithm", ALL)
def test_another_label_or_another_key_opens_nothing(algorithm: Algorithm) -> None:
    payload = bound(algorithm).encrypt(b"text")
    for other in (bound(algorithm, label=b"Label"), bound(algorithm, secret=Secret(bytes(64)))):
        with pytest.raises(TamperedPayloadError):
            other.decrypt(payload)


@pytest.mark.parametrize("algorithm", ALL)
def test_no_algorithm_opens_what_another_made_under_the_same_key(algorithm: Algorithm) -> None:
    """The context header separates the subkeys, even if the bodies have the same layout."""
    payload = bound(algorithm).encrypt(b"text of more than one block of the cipher")
    for other in set(Algorithm) - {algorithm}:
        with pytest.raises(TamperedPayloadError):
            bound(other).decrypt(payload)


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("fill", [b"\x00", b"\xff"], ids=["zeros", "ones"])
def test_a_mac_of_all_zeros_is_refused(algorithm: Algorithm, fill: bytes) -> None:
    """The bug of ASP.NET Core 10.0.0 to 10.0.6: the MAC was compared with the wrong bytes."""
    payload = bound(algorithm).encrypt(b"text")
    size = digest_size(algorithm)
    for forged in (payload[:-size] + fill * size, payload + fill * size, payload[:-size], HEAD + fill * 200):
        with pytest.raises(TamperedPayloadError):
            bound(algorithm).decrypt(forged)


@pytest.mark.parametrize("algorithm", ALL)
def test_a_mac_over_something_else_is_refused(algorithm: Algorithm) -> None:
    """Parts of two good payloads do not make a third one."""
    one, other = bound(algorithm).encrypt(b"one"), bound(algorithm).encrypt(b"two")
    size = digest_size(algorithm)
    for mixed in (one[:-size] + other[-size:], one[:36] + other[36:], one[:48] + other[48:], one + other, one + one):
        with pytest.raises(TamperedPayloadError):
            bound(algorithm).decrypt(mixed)


@pytest.mark.parametrize("algorithm", CBC_ONLY)
def test_nothing_is_decrypted_before_the_mac_was_good(algorithm: Algorithm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPM_PURE_PYTHON", "1")
    payload = bytearray(bound(algorithm).encrypt(b"text"))
    decryptor = bound(algorithm)
    payload[-digest_size(algorithm) - 1] ^= 1  # last byte of the ciphertext: the padding, if anybody looked

    def cipher(*_: object) -> None:
        pytest.fail("the cipher was started")

    monkeypatch.setattr("dpmiddleware.crypto.encryptors.Cipher", cipher)
    with pytest.raises(TamperedPayloadError):
        decryptor.decrypt(bytes(payload))


@pytest.mark.parametrize("algorithm", CBC_ONLY)
def test_the_mac_is_compared_in_constant_time_and_whole(algorithm: Algorithm, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hmac.compare_digest` sees every MAC, at its full length. (The compiled core has ``CRYPTO_memcmp`` for it.)"""
    monkeypatch.setenv("DPM_PURE_PYTHON", "1")
    compared: list[tuple[int, int]] = []
    compare: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    payload = bound(algorithm).encrypt(b"text")
    monkeypatch.setattr(hmac, "compare_digest", watched)
    bound(algorithm).decrypt(payload)
    assert compared == [(digest_size(algorithm), digest_size(algorithm))]


@pytest.mark.parametrize("algorithm", CBC_ONLY)
@pytest.mark.parametrize(
    ("padding", "cut"),
    [
        pytest.param(b"\0" * 16, 0, id="no padding"),
        pytest.param(b"\x11" * 16, 0, id="longer than a block"),
        pytest.param(b"\2" * 15 + b"\3", 0, id="not all alike"),
        pytest.param(b"\1" * 15 + b"\2", 0, id="one too few"),
        pytest.param(b"\x10" * 32, 1, id="no whole block"),
    ],
)
def test_bad_padding_behind_a_good_mac_looks_like_every_other_refusal(
    algorithm: Algorithm, padding: bytes, cut: int
) -> None:
    """Only an owner of the key can create one. Even so, all causes have the same error and message."""
    suite = algorithm.value
    assert isinstance(suite, CbcHmac)
    context = context_header(suite) + bytes(16)
    keys = derive(KEY.reveal(), b"label", context, suite.key_size + digest_size(algorithm))
    encrypt = Cipher(AES(keys[: suite.key_size]), CBC(bytes(16))).encryptor()
    sealed = bytes(16) + encrypt.update(padding)[: len(padding) - cut]
    mac = hmac.digest(keys[suite.key_size :], sealed, suite.digest)
    with pytest.raises(TamperedPayloadError) as of_padding:
        bound(algorithm).decrypt(HEAD + bytes(16) + sealed + mac)
    with pytest.raises(TamperedPayloadError) as of_mac:
        bound(algorithm).decrypt(HEAD + bytes(16) + sealed + bytes(len(mac)))
    assert str(of_padding.value) == str(of_mac.value)
    assert of_padding.value.__cause__ is None


def test_an_error_of_the_library_does_not_hang_on_to_a_refusal() -> None:
    """`InvalidTag` reveals nothing, but all causes must have the same error."""
    payload = bytearray(bound(Algorithm.AES_256_GCM).encrypt(b"text"))
    payload[-1] ^= 1
    with pytest.raises(TamperedPayloadError) as caught:
        bound(Algorithm.AES_256_GCM).decrypt(bytes(payload))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_two_threads_may_share_one_bound_encryptor() -> None:
    """The states that are kept are copied, never written to."""
    shared = {algorithm: bound(algorithm) for algorithm in Algorithm}

    def work(number: int) -> bool:
        text = f"text {number}".encode()
        return all(each.decrypt(each.encrypt(text)) == text for each in shared.values())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_a_second_algorithm_of_the_same_kind_has_the_same_bytes() -> None:
    """A suite is its parameters: a key read as another descriptor kind opens the same payloads."""
    one = AuthenticatedEncryptor(Secret(b"k" * 64), CbcHmac(32, "sha256"))
    same = AuthenticatedEncryptor(Secret(b"k" * 64), CbcHmac(32))
    assert one.same_as(same)
    assert not one.same_as(AuthenticatedEncryptor(Secret(b"k" * 64), CbcHmac(32, "sha512")))
    assert not one.same_as(AuthenticatedEncryptor(Secret(b"K" * 64), CbcHmac(32)))
    assert same.bind(b"l").decrypt(one.bind(b"l").encrypt(b"text")) == b"text"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: CbcHmac(20), id="AES-160"),
        pytest.param(lambda: CbcHmac(0), id="AES-0"),
        pytest.param(lambda: CbcHmac(32, "md5"), id="MD5"),
        pytest.param(lambda: CbcHmac(16, "sha256", "3DES"), id="3DES-128"),
        pytest.param(lambda: CbcHmac(32, "sha256", "RC4"), id="RC4"),
        pytest.param(lambda: Gcm(12), id="GCM-96"),
    ],
)
def test_what_nobody_has_is_refused_when_it_is_named(make: Callable[[], object]) -> None:
    with pytest.raises(UnsupportedAlgorithmError):
        make()


def test_gcm_subkeys_differ_from_payload_to_payload() -> None:
    """A nonce that repeats is harmless, because the key modifier gives each payload a key of its own."""
    encryptor = bound(Algorithm.AES_256_GCM)
    one, other = encryptor.encrypt(b"text"), encryptor.encrypt(b"text")
    subkey = prepare(KEY.reveal(), b"label", context_header(Gcm(32)), 32)
    keys = [subkey(payload[20:36]) for payload in (one, other)]
    assert keys[0] != keys[1]
    assert AESGCM(keys[0]).decrypt(one[36:48], one[48:], None) == b"text"
