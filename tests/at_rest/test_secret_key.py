"""Keys wrapped with a secret from the environment or a file."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode, urlsafe_b64encode
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dpmiddleware.at_rest import secret_key
from dpmiddleware.at_rest.secret_key import SecretKeyWrapper
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding, KeyWrapper
from dpmiddleware.keys.xml import dump, parse
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, master_key, unwrapped
from tests.interop.vectors import load
from tests.urls import url_of

STRONG = b64encode(bytes(range(100, 132)))
PASSPHRASE = "CANARY horse öäü battery".encode()


def of(*secrets: bytes) -> SecretKeyWrapper:
    return SecretKeyWrapper.of(*(Secret(secret) for secret in secrets))


def wrapped(wrapper: KeyWrapper, binding: Binding = BINDING) -> ET.Element:
    return wrapper.wrap(master_key(), binding)[1]


class TestContractOfStrongSecrets(KeyWrapperContract):
    secret = STRONG

    @pytest.fixture
    def wrapper(self, monkeypatch: pytest.MonkeyPatch) -> KeyWrapper:
        monkeypatch.setenv("SHOP_SECRET", self.secret.decode())
        return SecretKeyWrapper.from_url("secret:env:SHOP_SECRET")

    @pytest.fixture
    def stranger(self) -> KeyWrapper:
        return of(b"other" + self.secret[5:])

    @pytest.fixture
    def unreachable(self) -> KeyWrapper:
        return SecretKeyWrapper.from_url("secret:///no/such/secret")

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        return [self.secret, bytes(range(100, 132))]


class TestContractOfPassphrases(TestContractOfStrongSecrets):
    secret = PASSPHRASE

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        return [PASSPHRASE, b"CANARY horse"]


def test_the_bytes_are_those_of_the_documentation() -> None:
    """Decrypted here by hand, by the layout."""
    encrypted = wrapped(of(STRONG))
    assert encrypted.tag == "sealedKey"
    assert encrypted.attrib == {"kdf": "hkdf-sha256"}
    sealed = b64decode(encrypted.findtext("value") or "")
    key = HKDF(hashes.SHA256(), 32, sealed[:32], b"dpmiddleware.SecretKey.v1").derive(b64decode(STRONG))
    bound = b"dpmiddleware.SecretKey.v1\0" + b"\0\0\0\x04shop" + BINDING.digest + BINDING.key_id.bytes
    assert AESGCM(key).decrypt(sealed[32:44], sealed[44:], bound) == dump(master_key())


def test_the_bytes_of_a_passphrase_are_those_of_the_documentation() -> None:
    encrypted = wrapped(of(PASSPHRASE))
    assert encrypted.attrib == {"kdf": "scrypt-32768-8-3"}
    sealed = b64decode(encrypted.findtext("value") or "")
    salt = hashlib.sha256(b"dpmiddleware.SecretKey.v1\0shop").digest()
    root = hashlib.scrypt(PASSPHRASE, salt=salt, n=32768, r=8, p=3, maxmem=2**26, dklen=32)
    key = HKDF(hashes.SHA256(), 32, sealed[:32], b"dpmiddleware.SecretKey.v1").derive(root)
    bound = b"dpmiddleware.SecretKey.v1\0" + b"\0\0\0\x04shop" + BINDING.digest + BINDING.key_id.bytes
    assert AESGCM(key).decrypt(sealed[32:44], sealed[44:], bound) == dump(master_key())


RAW = bytes(range(200, 232))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b64encode(RAW), id="base64"),
        pytest.param(b64encode(RAW).rstrip(b"=") + b"\n", id="base64 without padding, with a line end"),
        pytest.param(urlsafe_b64encode(RAW), id="base64url"),
        pytest.param(RAW.hex().encode(), id="hexadecimal"),
        pytest.param(RAW.hex().upper().encode() + b"\r\n", id="hexadecimal in capitals"),
        pytest.param(RAW, id="raw bytes"),
    ],
)
def test_the_same_secret_is_read_in_each_form(value: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(value)
    wrapper = SecretKeyWrapper.from_url(url_of("secret", tmp_path / "secret"))
    encrypted = wrapped(wrapper)
    assert encrypted.get("kdf") == "hkdf-sha256"
    assert unwrapped(of(b64encode(RAW)), encrypted) == MASTER_KEY


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"correct horse battery", id="a sentence"),
        pytest.param(b64encode(bytes(31)), id="31 bytes in base64"),
        pytest.param("ключ ключ ключ ключ ключ ключ".encode(), id="not ASCII"),
        pytest.param(b"\xff" * 31, id="31 raw bytes"),
    ],
)
def test_anything_else_is_stretched(value: bytes) -> None:
    encrypted = wrapped(of(value))
    assert encrypted.get("kdf") == "scrypt-32768-8-3"
    assert unwrapped(of(value), encrypted) == MASTER_KEY


def test_white_space_around_a_passphrase_counts_for_nothing() -> None:
    assert unwrapped(of(b"  correct horse battery\n"), wrapped(of(b"correct horse battery"))) == MASTER_KEY


def test_old_secrets_still_open_and_the_first_one_wraps() -> None:
    rotated = of(STRONG, PASSPHRASE, b64encode(RAW))
    for old in (STRONG, PASSPHRASE, b64encode(RAW)):
        assert unwrapped(rotated, wrapped(of(old))) == MASTER_KEY
    assert unwrapped(of(STRONG), wrapped(rotated)) == MASTER_KEY


@pytest.mark.parametrize(
    "kdf",
    ["", "scrypt", "scrypt-1048576-8-1", "scrypt-2-1-1", "scrypt-32768-8-1", "HKDF-SHA256", "pbkdf2"],
)
def test_other_parameters_in_a_document_are_refused(kdf: str) -> None:
    wrapper = of(STRONG, PASSPHRASE)
    for secret in (STRONG, PASSPHRASE):
        encrypted = wrapped(of(secret))
        encrypted.set("kdf", kdf)
        with pytest.raises(KeyUnwrapError, match="unknown kdf"):
            wrapper.unwrap(encrypted, BINDING)


def test_the_kind_that_a_document_names_must_be_its_own() -> None:
    encrypted = wrapped(of(STRONG))
    encrypted.set("kdf", "scrypt-32768-8-3")
    with pytest.raises(KeyUnwrapError):
        of(STRONG, PASSPHRASE).unwrap(encrypted, BINDING)


def test_a_passphrase_is_stretched_once_for_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(salt: bytes, length: int, **cost: int) -> Scrypt:
        calls.append(cost)
        return Scrypt(salt, length, **cost)

    monkeypatch.setattr(secret_key, "Scrypt", counting)
    wrapper = of(PASSPHRASE)
    keys = [dump(wrapped(wrapper)) for _ in range(50)]
    assert {unwrapped(wrapper, parse(key)) for key in keys} == {MASTER_KEY}
    garbage = parse(b'<sealedKey kdf="scrypt-32768-8-3"><value>AAAA</value></sealedKey>')
    for _ in range(50):
        with pytest.raises(KeyUnwrapError):
            wrapper.unwrap(garbage, BINDING)
    assert calls == [{"n": 2**15, "r": 8, "p": 3}]


@pytest.mark.parametrize("value", [b"short", b"elevenchars", b" \n", b"abcdef012345"[:11]])
def test_a_secret_that_is_too_short_is_refused(value: bytes) -> None:
    with pytest.raises(ConfigurationError, match="shorter than 12 bytes"):
        wrapped(of(value))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        pytest.param("secret:env:NO_SUCH_VARIABLE", "is not set", id="no such variable"),
        pytest.param("secret:///no/such/file", "No such file", id="no such file"),
        pytest.param("secret:///dev/null", "is empty", id="an empty file"),
        pytest.param("secret:///dev/zero", "larger than", id="an endless file"),
        pytest.param("secret://shop/file", "does not name a file", id="two slashes"),
        pytest.param("secret:", "does not name a file", id="nothing"),
    ],
)
def test_a_secret_that_cannot_be_read_says_why(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        wrapped(SecretKeyWrapper.from_url(url))


VECTORS = load("sealed")


@pytest.mark.parametrize("case", VECTORS["secret"], ids=lambda case: case["why"])
def test_what_was_sealed_once_opens_for_ever(case: dict[str, str]) -> None:
    binding = Binding(VECTORS["ring"], UUID(VECTORS["key_id"]), bytes.fromhex(VECTORS["digest"]))
    wrapper = of(case["secret"].encode())
    assert case["decryptor_type"] in wrapper.decryptor_types
    assert unwrapped(wrapper, parse(case["encrypted"].encode()), binding) == b64decode(VECTORS["master_key"])
