"""Error reporters show the local variables of a traceback. None of them holds key bytes or a password."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from datetime import timedelta

import pytest
from itsdangerous import BadSignature

from dpmiddleware import DataProtectionError, ProtectedSerializer
from dpmiddleware.crypto import derivation, encryptors
from dpmiddleware.crypto.encryptors import Algorithm, CbcHmac, Suite
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import UnsupportedAlgorithmError
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import associated_data
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing.frames import shown_in
from dpmiddleware.tracebacks import hides_locals
from tests.fakes import StoppedClock, data_protection, key_document

SECRET = b"the key bytes that nobody may see"


# --- the decorator ----------------------------------------------------------------------------------------------------


def keep(key: bytes) -> str:
    """A frame that holds a key, of a module that is not a test."""
    return str(KEEPER["keep"](key))


KEEPER: dict[str, Callable[..., object]] = {}
exec(  # noqa: S102
    compile(
        """
def keep(key):
    copied = key + b"!"
    return fail(copied)

def fail(copied):
    try:
        raise ValueError("bad key")
    except ValueError as error:
        raise RuntimeError("no") from error
""",
        "/elsewhere/keeper.py",
        "exec",
    ),
    KEEPER,
)


def test_the_frames_of_an_undecorated_function_show_what_they_hold() -> None:
    """Else the tests below would pass whatever happened."""
    with pytest.raises(RuntimeError) as caught:
        keep(SECRET)
    assert shown_in(caught.value, [SECRET])
    text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "nobody may see" in text


@pytest.mark.parametrize("call", [lambda hidden: hidden(SECRET), lambda hidden: hidden(key=SECRET)])
def test_the_frames_of_a_decorated_function_are_empty(call: Callable[[Callable[..., object]], object]) -> None:
    with pytest.raises(RuntimeError) as caught:
        call(hides_locals(KEEPER["keep"]))
    assert isinstance(caught.value.__cause__, ValueError)
    assert shown_in(caught.value, [SECRET]) == []


def test_an_error_that_was_already_being_handled_keeps_its_variables() -> None:
    with pytest.raises(RuntimeError) as caught:
        handle_one_and_raise_another()
    assert shown_in(caught.value, [SECRET])
    assert shown_in(caught.value, [b"another"]) == []


def handle_one_and_raise_another() -> None:
    try:
        keep(SECRET)
    except RuntimeError:
        hides_locals(KEEPER["keep"])(b"another")


# --- payloads ---------------------------------------------------------------------------------------------------------


def subkeys_of(master_key: bytes, suite: Suite, label: bytes, payload: bytes) -> bytes:
    size = suite.key_size + (encryptors._DIGESTS[suite.digest] if isinstance(suite, CbcHmac) else 0)
    context = encryptors.context_header(suite) + payload[20:36]
    return derivation.derive(master_key, label, context, size)


@pytest.mark.usefixtures("both_ways")
class TestPayloads:
    """Python derives subkeys in a frame; a traceback with local variables was enough to forge a payload."""

    MASTER_KEY = bytes(range(64))
    DAMAGES: dict[str, Callable[[bytes], bytes]] = {  # noqa: RUF012
        "last byte": lambda payload: payload[:-1] + bytes([payload[-1] ^ 1]),
        "first byte of the body": lambda payload: payload[:40] + bytes([payload[40] ^ 1]) + payload[41:],
        "cut": lambda payload: payload[:-3],
        "cut to the head": lambda payload: payload[:20],
        "longer": lambda payload: payload + bytes(16),
    }

    @pytest.mark.parametrize("damage", DAMAGES)
    @pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda algorithm: algorithm.name)
    def test_the_traceback_of_a_refused_payload_does_not_hold_its_subkeys(
        self, algorithm: Algorithm, damage: str
    ) -> None:
        stored = key_document(secret=Secret(self.MASTER_KEY), algorithm=algorithm)
        dp = data_protection(MemoryKeyRepository([stored]))
        protector = dp.create_protector("p")
        payload = self.DAMAGES[damage](protector.protect(b"text"))
        key = dp.current().keys[0]
        label = associated_data(key.id.bytes_le, protector.purposes)
        subkeys = subkeys_of(self.MASTER_KEY, algorithm.value, label, payload)
        secrets = [self.MASTER_KEY, subkeys, subkeys[: algorithm.value.key_size]]
        for refuse in (
            lambda: protector.unprotect(payload),
            lambda: protector.unprotect(base64url.encode(payload)),
            lambda: protector.dangerous_unprotect(payload),
        ):
            with pytest.raises(DataProtectionError) as caught:
                refuse()
            assert shown_in(caught.value, secrets) == []

    def test_the_traceback_of_a_value_that_does_not_open_does_not_hold_subkeys(self) -> None:
        dp = data_protection(MemoryKeyRepository([key_document(secret=Secret(self.MASTER_KEY))]))
        serializer = ProtectedSerializer(dp, salt="reset")
        payload = base64url.decode(serializer.dumps("ada"))
        damaged = base64url.encode(payload[:-1] + bytes([payload[-1] ^ 1]))
        label = associated_data(dp.current().keys[0].id.bytes_le, ("shop", "dpmiddleware.Serializer.v1", "reset"))
        subkeys = subkeys_of(self.MASTER_KEY, Algorithm.AES_256_CBC_HMACSHA256.value, label, payload)
        with pytest.raises(BadSignature) as caught:
            serializer.loads(damaged)
        assert shown_in(caught.value, [self.MASTER_KEY, subkeys, subkeys[:32], subkeys[32:]]) == []

    def test_an_expired_payload_and_a_wrong_type_show_no_key(self) -> None:
        clock = StoppedClock()
        dp = data_protection(MemoryKeyRepository([key_document(secret=Secret(self.MASTER_KEY))]), clock)
        protector = dp.create_protector("p").time_limited()
        token = protector.protect(b"text", lifetime=timedelta(minutes=1))
        label = associated_data(dp.current().keys[0].id.bytes_le, (*protector._protector.purposes,))
        subkeys = subkeys_of(self.MASTER_KEY, Algorithm.AES_256_CBC_HMACSHA256.value, label, token)
        clock.advance(hours=1)
        for fail in (lambda: protector.unprotect(token), lambda: dp.create_protector("p").protect(3)):  # type: ignore[type-var]
            with pytest.raises(Exception) as caught:
                fail()
            assert shown_in(caught.value, [self.MASTER_KEY, subkeys, subkeys[:32]]) == []

    def test_an_algorithm_that_is_missing_is_said_without_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(_: object) -> None:
            raise UnsupportedAlgorithmError("the installed version of cryptography does not have TripleDES")

        monkeypatch.setattr(CbcHmac, "block_cipher", missing)
        encryptors.context_header.cache_clear()
        encryptor = encryptors.AuthenticatedEncryptor(Secret(self.MASTER_KEY), CbcHmac(24, "sha256", "3DES"))
        with pytest.raises(UnsupportedAlgorithmError) as caught:
            encryptor.bind(b"label")
        encryptors.context_header.cache_clear()
        assert shown_in(caught.value, [self.MASTER_KEY]) == []

    def test_a_failure_of_the_system_while_a_payload_is_made_shows_no_key(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def without_entropy(_: int) -> bytes:
            raise OSError("no entropy")

        monkeypatch.setattr(os, "urandom", without_entropy)
        bound = encryptors.AuthenticatedEncryptor(Secret(self.MASTER_KEY), CbcHmac(32)).bind(b"label")
        with pytest.raises(OSError, match="entropy") as caught:
            bound.encrypt(b"text")
        assert shown_in(caught.value, [self.MASTER_KEY]) == []
