"""Payloads with an expiry: exact to the tick, and with a purpose of their own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from dpmiddleware.errors import (
    ConfigurationError,
    ExpiredPayloadError,
    MalformedPayloadError,
    TamperedPayloadError,
)
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector
from dpmiddleware.purposes import TIME_LIMITED
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import NOON, StoppedClock, data_protection

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def plain(clock: StoppedClock) -> DataProtector:
    return data_protection(MemoryKeyRepository(), clock).create_protector("Shop.Reset")


@pytest.fixture
def limited(plain: DataProtector) -> TimeLimitedDataProtector:
    return plain.time_limited()


def test_it_opens_until_the_very_moment_and_not_after(limited: TimeLimitedDataProtector, clock: StoppedClock) -> None:
    """As ASP.NET Core: at the moment of its expiration a payload is still good."""
    token = limited.protect("ada", lifetime=HOUR)
    clock.advance(hours=1)
    assert limited.unprotect(token) == "ada"
    clock.advance(microseconds=1)
    with pytest.raises(ExpiredPayloadError) as caught:
        limited.unprotect(token)
    assert caught.value.expired_at == "2026-11-22T13:00:00Z"
    assert "ada" not in str(caught.value)


def test_an_expiry_may_be_a_moment(limited: TimeLimitedDataProtector, clock: StoppedClock) -> None:
    moment = NOON + HOUR
    assert limited.unprotect_with_expiry(limited.protect("ada", expires=moment)) == ("ada", moment)


def test_a_moment_in_another_zone_is_the_same_moment(limited: TimeLimitedDataProtector) -> None:
    tokyo = timezone(timedelta(hours=9))
    token = limited.protect("ada", expires=(NOON + HOUR).astimezone(tokyo))
    data, expiry = limited.unprotect_with_expiry(token)
    assert (data, expiry) == ("ada", NOON + HOUR)
    assert expiry is not None
    assert expiry.utcoffset() == timedelta(0)


def test_without_an_expiry_it_never_ends(limited: TimeLimitedDataProtector, clock: StoppedClock) -> None:
    token = limited.protect("ada")
    clock.jump(days=365 * 1000)
    assert limited.unprotect_with_expiry(token) == ("ada", None)


def test_what_has_expired_already_can_be_made_and_not_opened(limited: TimeLimitedDataProtector) -> None:
    for token in (limited.protect("ada", expires=NOON - MICROSECOND), limited.protect("ada", lifetime=-HOUR)):
        with pytest.raises(ExpiredPayloadError):
            limited.unprotect(token)


def test_a_clock_that_is_set_back_opens_it_again(limited: TimeLimitedDataProtector, clock: StoppedClock) -> None:
    """Expiry is a comparison with the wall clock, nothing is remembered."""
    token = limited.protect("ada", lifetime=HOUR)
    clock.jump(hours=2)
    with pytest.raises(ExpiredPayloadError):
        limited.unprotect(token)
    clock.jump(hours=-1)
    assert limited.unprotect(token) == "ada"


def test_bytes_stay_bytes(limited: TimeLimitedDataProtector) -> None:
    assert limited.unprotect(limited.protect(b"\xff", lifetime=HOUR)) == b"\xff"
    assert limited.unprotect(limited.protect(b"")) == b""


def test_plain_and_limited_protectors_refuse_each_others_payloads(
    plain: DataProtector, limited: TimeLimitedDataProtector
) -> None:
    with pytest.raises(TamperedPayloadError):
        limited.unprotect(plain.protect("ada"))
    with pytest.raises(TamperedPayloadError):
        plain.unprotect(limited.protect("ada"))


def test_the_marker_of_time_limits_comes_last(plain: DataProtector, limited: TimeLimitedDataProtector) -> None:
    """Narrower purposes can be added before or after `time_limited`, with the same result."""
    narrow = limited.create_protector("v2")
    assert narrow._protector.purposes == ("shop", "Shop.Reset", "v2", TIME_LIMITED)
    assert plain.create_protector("v2").time_limited().unprotect(narrow.protect("ada")) == "ada"


@pytest.mark.parametrize("inner", [b"", b"1234567", b"\x2b\xca\x28\x75\xf4\x37\x40\x00data", b"\xff" * 8])
def test_a_payload_whose_inside_is_no_expiry_is_malformed(plain: DataProtector, inner: bytes) -> None:
    """Only an owner of the ring can create one: fewer than eight bytes, or an impossible time."""
    forged = plain.create_protector(TIME_LIMITED).protect(inner)
    with pytest.raises(MalformedPayloadError):
        plain.time_limited().unprotect(forged)


def test_both_ways_to_say_it_at_once_are_refused(limited: TimeLimitedDataProtector) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        limited.protect("ada", expires=NOON, lifetime=HOUR)


def test_a_moment_without_a_time_zone_is_refused(limited: TimeLimitedDataProtector) -> None:
    with pytest.raises((ConfigurationError, ValueError), match="time zone"):
        limited.protect("ada", expires=datetime(2026, 11, 22))  # noqa: DTZ001 (the point)


def test_the_expiry_is_looked_at_after_the_payload_was_authenticated(
    limited: TimeLimitedDataProtector, clock: StoppedClock
) -> None:
    token = limited.protect(b"ada", lifetime=HOUR)
    clock.advance(hours=2)
    with pytest.raises(TamperedPayloadError):
        limited.unprotect(token[:-1] + bytes([token[-1] ^ 1]))
