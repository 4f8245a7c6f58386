"""Which key is the default, and whether one is due: 200 invented rings that ASP.NET Core's resolver was asked about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.rotation import resolve
from tests.interop.vectors import load

CASES: list[dict[str, Any]] = load("resolution")["cases"]


def key_of(invented: dict[str, Any]) -> Key:
    """A key as the recorded question describes it."""
    key_id = UUID(invented["key"])
    encryptor = AuthenticatedEncryptor(Secret(b"any"), Algorithm.AES_256_GCM.value)
    broken = bool(invented.get("broken"))
    return Key(
        key_id,
        Instant.parse(invented["created"]),
        Instant.parse(invented["activation"]),
        Instant.parse(invented["expiration"]),
        encryptor=None if broken else encryptor,
        problem="broken" if broken else "",
        revocation=Revocation(key_id, None, "") if invented.get("revoked") else None,
    )


def answer_of(now: str, invented: list[dict[str, Any]]) -> dict[str, Any]:
    """Our answer in the form of the recorded ones."""
    resolution = resolve(Instant.parse(now), [key_of(key) for key in invented], RotationPolicy())
    default, fallback = (None if key is None else str(key.id) for key in (resolution.default, resolution.fallback))
    return {"default": default, "fallback": fallback, "generate": default is None}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_default_key_is_the_one_that_asp_net_core_takes(number: int) -> None:
    case = CASES[number]
    expected = {name: case[name] for name in ("default", "fallback", "generate")}
    assert answer_of(case["now"], case["keys"]) == expected
