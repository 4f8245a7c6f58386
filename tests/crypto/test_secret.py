"""Key bytes cannot be printed, pickled or copied by accident."""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import traceback
from collections.abc import Callable

import pytest

from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor
from dpmiddleware.crypto.secret import MASTER_KEY_SIZE, Secret
from dpmiddleware.keys.key import Key
from tests.fakes import data_protection, ring_of

BYTES = b"canary-of-the-master-key-0123456"


def shown(text: str) -> bool:
    """Whether a text contains the bytes, in any of the usual forms."""
    forms = (BYTES.decode(), BYTES.hex(), base64.b64encode(BYTES).decode().rstrip("="), repr(BYTES)[2:-1])
    return any(form.lower() in text.lower() for form in forms)


WAYS_TO_PRINT: list[tuple[str, Callable[[Secret], str]]] = [
    ("str", str),
    ("repr", repr),
    ("format", lambda secret: f"{secret}"),
    ("percent", lambda secret: "%s %r" % (secret, secret)),  # noqa: UP031 (the old way prints too)
    ("in a list", lambda secret: str([secret])),
    ("ascii", ascii),
    ("as the encryptor", lambda secret: repr(AuthenticatedEncryptor(secret, Algorithm.AES_256_GCM.value))),
]


@pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in WAYS_TO_PRINT])
def test_no_way_to_print_a_secret_shows_its_bytes(way: Callable[[Secret], str]) -> None:
    text = way(Secret(BYTES))
    assert not shown(text)
    assert text


def test_a_key_of_the_ring_does_not_print_its_bytes() -> None:
    ring = data_protection(ring_of()).current()
    key = ring.protecting_key()
    assert isinstance(key, Key)
    assert key.encryptor is not None
    secret = key.encryptor._secret.reveal()
    assert secret.hex() not in f"{ring!r} {key!r} {key.encryptor!r}"
    assert repr(secret) not in f"{ring!r} {key!r}"


def test_a_traceback_or_a_log_line_with_a_secret_shows_no_bytes(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("no good secret", Secret(BYTES))
    except ValueError:
        logging.getLogger("anywhere").exception("failed with %s", Secret(BYTES))
        assert not shown(traceback.format_exc())
    assert not shown(caplog.text)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_a_secret_is_not_pickled_or_copied(duplicate: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        duplicate(Secret(BYTES))


def test_equality_is_of_bytes_and_of_secrets_only() -> None:
    assert Secret(BYTES) == Secret(BYTES)
    assert Secret(BYTES) != Secret(BYTES[:-1])
    assert Secret(BYTES) != BYTES


def test_a_secret_has_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Secret(BYTES))


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret(b"")


def test_a_new_master_key_has_512_bits_and_is_not_the_last_one() -> None:
    one, other = Secret.random(), Secret.random()
    assert len(one) == len(other) == MASTER_KEY_SIZE == 64
    assert one != other


def test_a_secret_keeps_its_own_bytes_when_the_buffer_it_came_from_is_wiped() -> None:
    buffer = bytearray(BYTES)
    secret = Secret(buffer)  # type: ignore[arg-type]  # a caller without types
    buffer[:] = bytes(len(buffer))
    assert secret.reveal() == BYTES
