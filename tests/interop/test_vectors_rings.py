"""Rings and payloads that ASP.NET Core wrote: what opens, what is refused, and how."""

from __future__ import annotations

import base64
import functools
from typing import Any

import pytest

from dpmiddleware.errors import (
    ExpiredPayloadError,
    MalformedPayloadError,
    RevokedKeyError,
    TamperedPayloadError,
    UnknownKeyError,
    UnprotectError,
)
from dpmiddleware.instants import Instant
from tests.interop.ours import OurRing, of_documents
from tests.interop.vectors import load

pytestmark = pytest.mark.usefixtures("both_ways")

RINGS: list[dict[str, Any]] = load("rings")["rings"]
REVOKED: list[dict[str, Any]] = load("revoked")["rings"]
REFUSED: list[dict[str, Any]] = load("refused")["payloads"]
TIMED = load("time-limited")
THAT_DAY = "2026-11-22T14:48:00Z"


def by_id(rings: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(ring, id=ring["id"]) for ring in rings]


@functools.cache
def recorded_ring(ring_id: str) -> tuple[dict[str, Any], OurRing]:
    ring = next(ring for ring in RINGS if ring["id"] == ring_id)
    return ring, of_documents(ring["documents"], ring["application"], now=THAT_DAY)


@pytest.mark.parametrize("ring", by_id(RINGS))
def test_every_payload_of_asp_net_core_is_opened(ring: dict[str, Any]) -> None:
    ours = of_documents(ring["documents"], ring["application"], now=THAT_DAY)
    for case in ring["payloads"]:
        opened = ours.protector(*case["purposes"]).unprotect(base64.b64decode(case["payload"]))
        assert opened == base64.b64decode(case["plaintext"]), case["purposes"]


@pytest.mark.parametrize("ring", by_id(RINGS))
def test_every_text_of_asp_net_core_is_opened(ring: dict[str, Any]) -> None:
    ours = of_documents(ring["documents"], ring["application"], now=THAT_DAY)
    for case in ring["texts"]:
        assert ours.protector(*case["purposes"]).unprotect(case["payload"]) == case["text"], case["purposes"]


@pytest.mark.parametrize("ring", by_id(RINGS))
def test_a_payload_of_one_application_is_refused_by_another(ring: dict[str, Any]) -> None:
    other = of_documents(ring["documents"], f"{ring['application']} 2", now=THAT_DAY)
    case = ring["payloads"][0]
    with pytest.raises(TamperedPayloadError):
        other.protector(*case["purposes"]).unprotect(base64.b64decode(case["payload"]))


REFUSALS = {
    "The provided payload cannot be decrypted because it was": MalformedPayloadError,
    "An error occurred during a cryptographic operation": MalformedPayloadError,
    "The key {": UnknownKeyError,
    "The payload was invalid": TamperedPayloadError,
    "The computed authentication tag did not match": TamperedPayloadError,
}
"""ASP.NET Core's message begins so; ours is of this class."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{n}-{case['ring']}-{case['why']}".replace(" ", "-")) for n, case in enumerate(REFUSED)],
)
def test_a_changed_payload_is_refused_as_asp_net_core_refuses_it(case: dict[str, Any]) -> None:
    _, ours = recorded_ring(case["ring"])
    protector = ours.protector(*case["purposes"])
    payload: Any = case["text"] if "text" in case else base64.b64decode(case["payload"])
    if case["accepted"]:
        protector.unprotect(payload)
        return
    with pytest.raises(UnprotectError) as caught:
        protector.unprotect(payload)
    expected = next(error for words, error in REFUSALS.items() if case["error"].startswith(words))
    assert type(caught.value) is expected


@pytest.mark.parametrize("ring", by_id(REVOKED))
def test_revoked_keys_are_those_that_asp_net_core_calls_revoked(ring: dict[str, Any]) -> None:
    ours = of_documents(ring["documents"], ring["application"], now=THAT_DAY)
    stored = {key["key"] for key in ring["keys"]} & {key["key"] for key in ring["payloads"]}
    revoked = {str(key.id): key.revocation is not None for key in ours.manager.read().keys}
    assert revoked == {key["key"]: key["revoked"] for key in ring["keys"] if key["key"] in stored}


@pytest.mark.parametrize("ring", by_id(REVOKED))
def test_payloads_of_revoked_keys_are_refused_and_opened_only_at_ones_own_risk(ring: dict[str, Any]) -> None:
    ours = of_documents(ring["documents"], ring["application"], now=THAT_DAY)
    for case in ring["payloads"]:
        protector, payload = ours.protector(*case["purposes"]), base64.b64decode(case["payload"])
        plaintext = base64.b64decode(case["plaintext"])
        if case["refused"]:
            with pytest.raises(RevokedKeyError) as caught:
                protector.unprotect(payload)
            assert caught.value.key_id == case["key"]
        else:
            assert protector.unprotect(payload) == plaintext
        dangerous = protector.dangerous_unprotect(payload)
        expected = case["dangerous"]
        assert dangerous == (plaintext, expected["requiresMigration"], expected["wasRevoked"])


@pytest.mark.parametrize("number", range(len(TIMED["payloads"])))
def test_a_time_limited_payload_is_good_until_the_moment_inside(number: int) -> None:
    case = TIMED["payloads"][number]
    ours = of_documents(TIMED["documents"], TIMED["application"], now=THAT_DAY)
    protector, payload = ours.protector(*case["purposes"]).time_limited(), base64.b64decode(case["payload"])
    if case["error"] is not None:
        with pytest.raises(ExpiredPayloadError) as caught:
            protector.unprotect(payload)
        assert Instant.parse(caught.value.expired_at) == Instant.parse(case["expires"])
        return
    data, expires = protector.unprotect_with_expiry(payload)
    assert data == base64.b64decode(case["plaintext"])
    read_as = Instant.parse(case["read_as"])
    assert expires == (None if read_as.ticks == 0x2BCA2875F4373FFF else read_as.to_datetime())


@pytest.mark.parametrize("number", range(len(TIMED["payloads"])))
def test_a_time_limited_payload_is_no_plain_one(number: int) -> None:
    case = TIMED["payloads"][number]
    ours = of_documents(TIMED["documents"], TIMED["application"], now=THAT_DAY)
    with pytest.raises(TamperedPayloadError):
        ours.protector(*case["purposes"]).unprotect(base64.b64decode(case["payload"]))
