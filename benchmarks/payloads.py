"""Payloads: against Fernet, against signing with itsdangerous, with many keys, and with an unknown key."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from unittest.mock import patch
from uuid import uuid4

from cryptography.fernet import Fernet
from itsdangerous import URLSafeTimedSerializer

from benchmarks.harness import Case
from dpmiddleware import Algorithm, DataProtection, ProtectedSerializer, UnprotectError
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.protection.payload import associated_data, head_of
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository

__all__ = ["cases", "ring_of"]

SECRET = "a secret key for benchmarks"
SESSION = {
    "user": "b7e23ec2-9af2-4c0b-8d5e-1f6a3c7d9e04",
    "csrf": "9f2b6c1d8e4a70355b1c9d2e8f7a6b403c5d1e9f",
    "cart": {"A-1093": 2, "K-7741": 1, "Q-0358": 12},
    "seen": ["Zx81Qp", "m0Vt7e", "aLw92k", "Tj4HsB", "eR6yDn", "u3XcGf"],
    "locale": "de-AT",
    "issued": 1795363200,
}
"""A session of about 256 bytes of JSON, with typical tokens, which do not compress."""
MONTH = 31 * 86_400
"""Seconds: the default max_age of Flask."""


def ring_of(count: int, now: Instant) -> MemoryKeyRepository:
    """A store with ``count`` keys. The last one is the default key, the others have expired one after the other."""
    stored = []
    for number in range(count):
        begin = now - timedelta(days=count - number)
        end = now + timedelta(days=80) if number == count - 1 else begin + timedelta(days=1)
        element = document.new_key(
            uuid4(),
            creation=begin,
            activation=begin,
            expiration=end,
            algorithm=Algorithm.AES_256_CBC_HMACSHA256,
            secret=Secret.random(),
        )
        stored.append(document.dump(element))
    return MemoryKeyRepository(stored)


def _text_cases(size: int) -> Iterator[Case]:
    text = base64.b64encode(os.urandom(size))[:size].decode()
    raw = text.encode()
    fernet = Fernet(Fernet.generate_key())
    token = fernet.encrypt(raw)
    for name, algorithm, goal in (
        ("CBC", Algorithm.AES_256_CBC_HMACSHA256, 1.2),
        ("GCM", Algorithm.AES_256_GCM, 0.65),
    ):
        protector = DataProtection("bench", repository="memory:", algorithm=algorithm).create_protector("a", "b")
        protect, unprotect = partial(protector.protect, text), partial(protector.unprotect, protector.protect(text))
        yield Case(f"{name} text protect, {size} B", protect, partial(fernet.encrypt, raw), goal, "Fernet")
        yield Case(f"{name} text unprotect, {size} B", unprotect, partial(fernet.decrypt, token), goal, "Fernet")


def _serializer_cases() -> Iterator[Case]:
    ours = ProtectedSerializer(DataProtection("bench", repository="memory:"), "session")
    options = {"key_derivation": "hmac", "digest_method": hashlib.sha1}  # as in Flask's sessions
    theirs = URLSafeTimedSerializer(SECRET, "session", signer_kwargs=options)
    sealed, signed = ours.dumps(SESSION), theirs.dumps(SESSION)
    yield Case(
        "session dict out", lambda: ours.dumps(SESSION), lambda: theirs.dumps(SESSION), 0.75, "itsdangerous, signing"
    )
    yield Case(
        "session dict in",
        lambda: ours.loads(sealed, MONTH),
        lambda: theirs.loads(signed, MONTH),
        0.75,
        "itsdangerous, signing",
    )


def _ring_cases() -> Iterator[Case]:
    now = Instant.of(DataProtection("bench", repository="memory:").now())
    one = DataProtection("bench", repository="memory:").create_protector("a")
    many_dp = DataProtection("bench", repository=ring_of(10_000, now))
    many = many_dp.create_protector("a")
    only = one.protect(b"x" * 256)
    oldest_key = many_dp.current().keys[0]
    assert oldest_key.encryptor is not None
    raw_id = oldest_key.id.bytes_le
    oldest = oldest_key.encryptor.bind(associated_data(raw_id, many.purposes), head_of(raw_id)).encrypt(b"x" * 256)
    yield Case(
        "oldest of 10,000 keys",
        lambda: many.unprotect(oldest),
        lambda: one.unprotect(only),
        1.1,
        "the only key of a ring",
    )
    forged = only[:4] + os.urandom(16) + only[20:]

    def refuse() -> None:
        try:
            one.unprotect(forged)
        except UnprotectError:
            return

    refuse()
    python = _in_python("a")
    theirs = python.protect(b"x" * 256)
    yield Case("unknown key refused", refuse, lambda: python.unprotect(theirs), 0.15, "an unprotect in Python")


def _in_python(*purposes: str) -> DataProtector:
    """A protector that does not use the compiled core. A refusal must cost much less than one of its operations."""
    with patch.dict(os.environ, DPM_PURE_PYTHON="1"):
        protector = DataProtection("bench", repository="memory:").create_protector(*purposes)
        protector.protect(b"prepares the key")
    return protector


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _text_cases(256)
    yield from _serializer_cases()
    yield from _ring_cases()
