"""Keys wrapped with a session key on an insecure disk, and what an attacker can do there."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from dpmiddleware.at_rest import key_blob
from dpmiddleware.at_rest.cryptoapi import (
    KEY_SIZES,
    BlobError,
    SimpleKeyBlob,
    private_key_from_blob,
    public_key_from_blob,
    sign_blob,
    signed_by,
)
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper
from dpmiddleware.at_rest.key_blob_files import create_key_blob, signature_path, verify_key_blob
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding, KeyWrapper
from dpmiddleware.keys.xml import dump, parse
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, master_key, unwrapped
from tests.fakes import CountingKey
from tests.interop.vectors import load
from tests.windows import WindowsPython


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One RSA key per name."""
    return rsa.generate_private_key(65537, bits)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Keys of three people, and our signed blob."""
    for name in ("exchange", "signer", "attacker"):
        (tmp_path / f"{name}.pem").write_bytes(pem(rsa_key(name)))
        (tmp_path / f"{name}.pub").write_bytes(public_pem(rsa_key(name)))
    create_key_blob(tmp_path / "session.blob", exchange=tmp_path / "exchange.pub", signer=tmp_path / "signer.pem")
    return tmp_path


def on(disk: Path, name: str = "session.blob") -> KeyBlobKeyWrapper:
    return KeyBlobKeyWrapper.from_url(f"keyblob://{disk}/{name}?exchange={disk}/exchange.pem&trust={disk}/signer.pub")


def wrapped(wrapper: KeyWrapper) -> ET.Element:
    return wrapper.wrap(master_key(), BINDING)[1]


class TestContract(KeyWrapperContract):
    @pytest.fixture(params=["PKCS#1 v1.5", "OAEP"])
    def wrapper(self, disk: Path, request: pytest.FixtureRequest) -> KeyWrapper:
        oaep = request.param == "OAEP"
        create_key_blob(disk / "ttheirs.blob", exchange=disk / "exchange.pub", signer=disk / "signer.pem", oaep=oaep)
        url = f"keyblob://{disk}/ttheirs.blob?exchange={disk}/exchange.pem&trust={disk}/signer.pub"
        return KeyBlobKeyWrapper.from_url(url + ("&padding=oaep" if oaep else ""))

    @pytest.fixture
    def stranger(self, disk: Path) -> KeyWrapper:
        return on(disk)

    @pytest.fixture
    def unreachable(self, disk: Path) -> KeyWrapper:
        return on(disk, "gone.blob")

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        numbers = rsa_key("exchange").private_numbers()
        return [str(numbers.d).encode(), numbers.p.to_bytes(128, "big")]


# --- CryptoAPI's own blobs ------------------------------------------------------------------------------------

VECTORS = load("key-blobs")
EXCHANGE = private_key_from_blob(b64decode(VECTORS["exchange_private"]))
SIGNATURE = public_key_from_blob(b64decode(VECTORS["signature_public"]))
CASES = [pytest.param(case, id=f"{case['algorithm']}, {case['padding']}") for case in VECTORS["blobs"]]


@pytest.mark.parametrize("case", CASES)
def test_a_blob_of_cryptoapi_gives_its_key(case: dict[str, str]) -> None:
    blob = SimpleKeyBlob.parse(b64decode(case["blob"]))
    key = blob.import_key(EXCHANGE, oaep=case["padding"].startswith("OAEP"))
    plaintext = b64decode(case["plaintext_key_blob"])
    assert plaintext[:4] == b"\x08\x02\0\0"
    assert int.from_bytes(plaintext[4:8], "little") == blob.algorithm
    assert key.reveal() == plaintext[12:]
    assert len(key) == KEY_SIZES[blob.algorithm]
    assert blob.to_bytes() == b64decode(case["blob"])


@pytest.mark.parametrize("case", CASES)
def test_a_signature_of_cryptoapi_is_verified(case: dict[str, str]) -> None:
    blob, signature = b64decode(case["blob"]), b64decode(case["signature_sha256_by_signature_key"])
    assert signed_by(blob, signature, SIGNATURE)
    assert sign_blob(blob, private_key_from_blob(b64decode(VECTORS["signature_private"]))) == signature
    assert not signed_by(blob[:-1] + b"x", signature, SIGNATURE)


@pytest.mark.parametrize("case", CASES)
def test_a_signature_over_sha1_counts_for_nothing(case: dict[str, str]) -> None:
    """It is valid, as CryptoAPI would create it, but SHA-1 is too weak for a signature."""
    blob, signature = b64decode(case["blob"]), b64decode(case["signature_sha1_by_exchange_key"])
    EXCHANGE.public_key().verify(signature[::-1], blob, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 (that is the case)
    assert not signed_by(blob, signature, EXCHANGE.public_key())


@pytest.mark.parametrize("case", CASES)
def test_the_wrong_padding_gives_an_error_or_no_key_of_ours(case: dict[str, str]) -> None:
    blob = SimpleKeyBlob.parse(b64decode(case["blob"]))
    try:
        key = blob.import_key(EXCHANGE, oaep=not case["padding"].startswith("OAEP"))
    except BlobError:
        return
    assert key.reveal() != b64decode(case["plaintext_key_blob"])[12:]


def test_the_public_half_of_a_private_key_blob_is_the_public_key_blob() -> None:
    exchange = public_key_from_blob(b64decode(VECTORS["exchange_public"]))
    assert exchange.public_numbers() == EXCHANGE.public_key().public_numbers()


GOOD = b64decode(VECTORS["blobs"][0]["blob"])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(GOOD[:12], id="without a key"),
        pytest.param(b"\x08" + GOOD[1:], id="another kind"),
        pytest.param(GOOD[:1] + b"\x03" + GOOD[2:], id="another version"),
        pytest.param(GOOD[:2] + b"\x01" + GOOD[3:], id="reserved bytes set"),
        pytest.param(GOOD[:8] + b"\0\x24\0\0" + GOOD[12:], id="another exchange algorithm"),
        pytest.param(GOOD + bytes(5000), id="too long"),
    ],
)
def test_other_bytes_are_no_simple_key_blob(data: bytes) -> None:
    with pytest.raises(BlobError):
        SimpleKeyBlob.parse(data)


PRIVATE = b64decode(VECTORS["exchange_private"])
PUBLIC = b64decode(VECTORS["exchange_public"])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(PRIVATE[:-1], id="cut short"),
        pytest.param(PUBLIC, id="a public key"),
        pytest.param(PRIVATE[:100] + b"x" + PRIVATE[101:], id="another modulus"),
        pytest.param(PRIVATE[:12] + b"\xff\xff\xff\xff" + PRIVATE[16:], id="a huge one"),
    ],
)
def test_other_bytes_are_no_private_key_blob(data: bytes) -> None:
    with pytest.raises(BlobError):
        private_key_from_blob(data)


# --- CryptoAPI itself -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> WindowsPython:
    return WindowsPython(tmp_path_factory.mktemp("wine") / "prefix")


SCRIPT = Path(__file__).with_name("windows_cryptoapi.py")


def _little(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def public_blob(key: rsa.RSAPrivateKey, algorithm: int) -> bytes:
    numbers = key.public_key().public_numbers()
    head = b"\x06\x02\0\0" + _little(algorithm, 4) + b"RSA1" + _little(key.key_size, 4) + _little(numbers.e, 4)
    return head + _little(numbers.n, key.key_size // 8)


def private_blob(key: rsa.RSAPrivateKey, algorithm: int) -> bytes:
    numbers, half = key.private_numbers(), key.key_size // 16
    parts = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    head = public_blob(key, algorithm).replace(b"RSA1", b"RSA2", 1)
    return b"\x07" + head[1:] + b"".join(_little(part, half) for part in parts) + _little(numbers.d, 2 * half)


def _ask(windows: WindowsPython, op: str, *, oaep: bool, **data: bytes) -> dict[str, bytes]:
    question: dict[str, Any] = {name: b64encode(value).decode() for name, value in data.items()}
    answer = windows.ask(SCRIPT, {"op": op, "oaep": oaep, **question})
    return {name: b64decode(value) for name, value in answer.items()}


@pytest.mark.parametrize("oaep", [False, True], ids=["PKCS#1 v1.5", "OAEP"])
def test_cryptoapi_verifies_and_opens_a_blob_that_was_made_here(windows: WindowsPython, oaep: bool) -> None:
    key = Secret.random(32)
    blob = SimpleKeyBlob.export(key, rsa_key("exchange").public_key(), oaep=oaep).to_bytes()
    answer = _ask(
        windows,
        "open",
        oaep=oaep,
        exchange=private_blob(rsa_key("exchange"), 0xA400),
        signer=public_blob(rsa_key("signer"), 0x2400),
        blob=blob,
        signature=sign_blob(blob, rsa_key("signer")),
    )
    decryptor = Cipher(AES(key.reveal()), CBC(bytes(16))).decryptor()
    assert decryptor.update(answer["encrypted"]) + decryptor.finalize() == b"3 apples" + b"\x08" * 8


@pytest.mark.parametrize("oaep", [False, True], ids=["PKCS#1 v1.5", "OAEP"])
def test_a_blob_that_cryptoapi_makes_now_opens_here(windows: WindowsPython, oaep: bool) -> None:
    made = _ask(
        windows,
        "make",
        oaep=oaep,
        exchange=public_blob(rsa_key("exchange"), 0xA400),
        signer=private_blob(rsa_key("signer"), 0x2400),
    )
    assert signed_by(made["blob"], made["signature"], rsa_key("signer").public_key())
    key = SimpleKeyBlob.parse(made["blob"]).import_key(rsa_key("exchange"), oaep=oaep)
    assert key.reveal() == made["plaintext"][12:]


# --- the procedure --------------------------------------------------------------------------------------------


def test_the_blob_and_its_signature_are_for_their_owner_alone(disk: Path) -> None:
    for path in (disk / "session.blob", signature_path(disk / "session.blob")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    info = verify_key_blob(disk / "session.blob", [disk / "signer.pub"])
    assert (info.bits, info.signer) == (2048, disk / "signer.pub")


def test_an_existing_blob_is_never_replaced(disk: Path) -> None:
    """All keys that were wrapped with it would be lost."""
    before = (disk / "session.blob").read_bytes()
    with pytest.raises(ConfigurationError, match="File exists"):
        create_key_blob(disk / "session.blob", exchange=disk / "exchange.pub", signer=disk / "signer.pem")
    assert (disk / "session.blob").read_bytes() == before
    assert unwrapped(on(disk), wrapped(on(disk))) == MASTER_KEY


def replace_blob(disk: Path, *, signer: str) -> None:
    """An attacker who can write to the disk stores a blob of their own key, made with the public exchange key."""
    create_key_blob(disk / "theirs.blob", exchange=disk / "exchange.pub", signer=disk / f"{signer}.pem")
    (disk / "theirs.blob").replace(disk / "session.blob")
    (disk / "theirs.blob.sig").replace(disk / "session.blob.sig")


def counting(disk: Path, *trust: str) -> tuple[KeyBlobKeyWrapper, CountingKey]:
    key = CountingKey(rsa_key("exchange"))
    return KeyBlobKeyWrapper(disk / "session.blob", exchange=key, trust=[disk / name for name in trust]), key


def _keep_the_signature(disk: Path) -> None:
    signature = (disk / "session.blob.sig").read_bytes()
    replace_blob(disk, signer="attacker")
    (disk / "session.blob.sig").write_bytes(signature)


def _store_their_key_next_to_it(disk: Path) -> None:
    replace_blob(disk, signer="attacker")
    shutil.copy(disk / "attacker.pub", disk / "session.blob.pub")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


ATTACKS: dict[str, Callable[[Path], object]] = {
    "a blob of the attacker's key, signed by them": lambda disk: replace_blob(disk, signer="attacker"),
    "the blob replaced, the signature left": _keep_the_signature,
    "the signature taken away": lambda disk: (disk / "session.blob.sig").unlink(),
    "the signature emptied": lambda disk: (disk / "session.blob.sig").write_bytes(b""),
    "one byte of the blob changed": lambda disk: _flip(disk / "session.blob"),
    "one byte of the signature changed": lambda disk: _flip(disk / "session.blob.sig"),
    "a huge file": lambda disk: os.truncate(disk / "session.blob", 1 << 40),
    "their key stored next to it as if it were trusted": _store_their_key_next_to_it,
}


@pytest.mark.parametrize("attack", [pytest.param(attack, id=name) for name, attack in ATTACKS.items()])
def test_what_an_attacker_puts_there_never_reaches_the_exchange_key(
    disk: Path, attack: Callable[[Path], object]
) -> None:
    encrypted = wrapped(on(disk))
    attack(disk)
    wrapper, key = counting(disk, "signer.pub")
    with pytest.raises(KeyUnwrapError):
        unwrapped(wrapper, encrypted)
    with pytest.raises((KeyUnwrapError, ConfigurationError)):
        wrapped(wrapper)
    assert key.calls == 0


def test_several_signers_may_be_trusted(disk: Path) -> None:
    wrapper, _ = counting(disk, "attacker.pub", "signer.pub")
    assert unwrapped(wrapper, wrapped(on(disk))) == MASTER_KEY


def test_without_anybody_trusted_there_is_no_wrapper(disk: Path) -> None:
    with pytest.raises(ConfigurationError, match="trusted"):
        KeyBlobKeyWrapper.from_url(f"keyblob://{disk}/session.blob?exchange={disk}/exchange.pem")


def test_unsigned_has_to_be_said_and_is_warned_of(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And this is the consequence: the attacker's key is used."""
    (disk / "session.blob.sig").unlink()
    wrapper = KeyBlobKeyWrapper(disk / "session.blob", exchange=disk / "exchange.pem", allow_unsigned=True)
    with caplog.at_level(logging.WARNING):
        encrypted = wrapped(wrapper)
    assert [getattr(record, "event", "") for record in caplog.records] == ["key_blob_unsigned"]
    assert unwrapped(wrapper, encrypted) == MASTER_KEY


def test_a_thousand_keys_cost_one_private_key_operation(disk: Path) -> None:
    keys = [dump(wrapped(on(disk))) for _ in range(3)] * 334
    wrapper, key = counting(disk, "signer.pub")
    assert {unwrapped(wrapper, parse(each)) for each in keys} == {MASTER_KEY}
    assert key.calls == 1


def test_a_blob_of_no_use_is_tried_once(disk: Path) -> None:
    """A signed blob for another exchange key, and a ring of many keys under it."""
    encrypted = wrapped(on(disk))
    key = CountingKey(rsa_key("another exchange", 3072))
    wrapper = KeyBlobKeyWrapper(disk / "session.blob", exchange=key, trust=[disk / "signer.pub"])
    for _ in range(20):
        with pytest.raises(KeyUnwrapError, match="does not decrypt with the exchange key"):
            unwrapped(wrapper, encrypted)
    assert key.calls == 1


def test_signing_with_the_exchange_key_works_and_is_warned_of(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        create_key_blob(disk / "two.blob", exchange=disk / "exchange.pub", signer=disk / "exchange.pem")
        wrapper = KeyBlobKeyWrapper(disk / "two.blob", exchange=disk / "exchange.pem", trust=[disk / "exchange.pub"])
        assert unwrapped(wrapper, wrapped(wrapper)) == MASTER_KEY
    events = [getattr(record, "event", "") for record in caplog.records]
    assert events == ["key_blob_signed_by_exchange_key"] * 2


@pytest.mark.parametrize("algorithm", [a for a in KEY_SIZES if a != 0x6610], ids=hex)
def test_a_signed_blob_of_another_algorithm_is_refused(disk: Path, algorithm: int) -> None:
    session = Secret.random(KEY_SIZES[algorithm])
    blob = SimpleKeyBlob.export(session, rsa_key("exchange").public_key(), oaep=False, algorithm=algorithm).to_bytes()
    (disk / "session.blob").write_bytes(blob)
    (disk / "session.blob.sig").write_bytes(sign_blob(blob, rsa_key("signer")))
    wrapper, key = counting(disk, "signer.pub")
    with pytest.raises(KeyUnwrapError, match="another algorithm"):
        wrapped(wrapper)
    assert key.calls == 0


def test_a_key_of_another_length_than_its_algorithm_is_refused() -> None:
    with pytest.raises(BlobError):
        SimpleKeyBlob.export(Secret.random(16), rsa_key("exchange").public_key(), oaep=False)
    public = rsa_key("exchange").public_key()
    short = SimpleKeyBlob(0x6610, public.encrypt(bytes(16), padding.PKCS1v15()))
    with pytest.raises(BlobError):
        short.import_key(rsa_key("exchange"), oaep=False)


def test_keys_are_read_as_blobs_of_cryptoapi_too(disk: Path) -> None:
    (disk / "exchange.blob").write_bytes(private_blob(rsa_key("exchange"), 0xA400))
    (disk / "signer.blob").write_bytes(public_blob(rsa_key("signer"), 0x2400))
    wrapper = KeyBlobKeyWrapper(disk / "session.blob", exchange=disk / "exchange.blob", trust=[disk / "signer.blob"])
    assert unwrapped(wrapper, wrapped(on(disk))) == MASTER_KEY


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        pytest.param("trust={0}/signer.pub", "not name an exchange key", id="no exchange key"),
        pytest.param("exchange={0}/x&trust={0}/signer.pub&padding=pss", "padding pss", id="another padding"),
        pytest.param("exchange={0}/x&allow_unsigned=1", "option allow_unsigned", id="unsigned by URL"),
    ],
)
def test_what_its_url_cannot_say(disk: Path, query: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        KeyBlobKeyWrapper.from_url(f"keyblob://{disk}/session.blob?{query.format(disk)}")


def test_an_exchange_key_that_is_none_is_an_error_of_configuration(disk: Path) -> None:
    wrapper = KeyBlobKeyWrapper(disk / "session.blob", exchange=disk / "exchange.pub", trust=[disk / "signer.pub"])
    with pytest.raises(ConfigurationError, match="no RSA private key"):
        wrapped(wrapper)
    with pytest.raises(ConfigurationError, match="no RSA key"):
        verify_key_blob(disk / "session.blob", [disk / "session.blob"])


def test_the_session_key_is_shown_nowhere(disk: Path) -> None:
    wrapper = on(disk)
    wrapped(wrapper)
    blob = SimpleKeyBlob.parse((disk / "session.blob").read_bytes())
    session = blob.import_key(rsa_key("exchange"), oaep=False).reveal()
    shown = f"{wrapper!r} {vars(wrapper)} {vars(key_blob)}"
    assert session.hex() not in shown
    assert repr(session)[2:-1] not in shown


def test_what_was_sealed_once_opens_for_ever(tmp_path: Path) -> None:
    """With CryptoAPI's own blob, signature and keys."""
    vectors, first = load("sealed"), VECTORS["blobs"][0]
    files = {
        "session.blob": first["blob"],
        "session.blob.sig": first["signature_sha256_by_signature_key"],
        "exchange": VECTORS["exchange_private"],
        "signer": VECTORS["signature_public"],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(b64decode(content))
    wrapper = KeyBlobKeyWrapper(tmp_path / "session.blob", exchange=tmp_path / "exchange", trust=[tmp_path / "signer"])
    binding = Binding(vectors["ring"], UUID(vectors["key_id"]), bytes.fromhex(vectors["digest"]))
    (case,) = vectors["key_blob"]
    assert unwrapped(wrapper, parse(case["encrypted"].encode()), binding) == b64decode(vectors["master_key"])
