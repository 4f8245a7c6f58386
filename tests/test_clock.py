"""The system's clock: tests can move it, and it may be wrong."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from unittest.mock import patch

import pytest
from freezegun import freeze_time

from dpmiddleware import DataProtection, ExpiredPayloadError, KeyManagementError, ProtectedSerializer
from dpmiddleware.clock import Clock, SystemClock
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionCookie
from dpmiddleware.web.sessions.stored import milliseconds, milliseconds_of
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Principal, Ticket
from tests.fakes import StoppedClock, data_protection

HOUR = timedelta(hours=1)


def test_the_clock_is_that_of_the_system() -> None:
    assert abs(SystemClock().now() - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_a_test_that_replaces_time_time_moves_the_clock() -> None:
    """Django's ``freeze_time`` does; the clock asked ``datetime.now`` and did not move."""
    with patch.object(time, "time", return_value=1_000_000_000.25):
        assert SystemClock().now() == datetime(2001, 9, 9, 1, 46, 40, 250_000, tzinfo=timezone.utc)


def test_freezegun_moves_a_payload_past_its_expiry() -> None:
    with freeze_time("2026-01-01 12:00") as frozen:
        dp = DataProtection("shop", repository=MemoryKeyRepository())
        protector, serializer = dp.create_protector("p").time_limited(), ProtectedSerializer(dp, salt="s")
        token, value = protector.protect("text", lifetime=HOUR), serializer.dumps("text")
        assert protector.unprotect(token) == serializer.loads(value, max_age=3600) == "text"
        frozen.tick(timedelta(hours=2))
        with pytest.raises(ExpiredPayloadError):
            protector.unprotect(token)
        assert serializer.loads_unsafe(value, max_age=3600) == (False, None)


@pytest.mark.parametrize(("hours", "remains"), [(0, True), (2, False)])
def test_freezegun_moves_a_session_past_its_end(hours: int, remains: bool) -> None:
    """Sessions read the system's clock as a number, without a date."""
    with freeze_time("2026-01-01 12:00") as frozen:
        sessions = SessionCookie(DataProtection("shop", repository=MemoryKeyRepository()), idle=HOUR)
        part = sessions.begin(b"", https=True)
        part.session["user"] = "ada"
        [line] = sessions.lines(part)
        frozen.tick(timedelta(hours=hours))
        back = sessions.begin(line.partition(";")[0].encode(), https=True).session
        assert (back.get("user") == "ada") is remains


@pytest.mark.parametrize("clock", [SystemClock(), StoppedClock()], ids=["system", "another"])
def test_a_clock_in_milliseconds_shows_what_it_shows_as_a_date(clock: Clock) -> None:
    before, number, after = clock.now(), milliseconds_of(clock)(), clock.now()
    assert milliseconds(before) - 1 <= number <= milliseconds(after) + 1


# --- a clock that is wrong --------------------------------------------------------------------------------------------

WRONG = [
    pytest.param(datetime(1969, 12, 31, 23, 59, 59, tzinfo=timezone.utc), id="a second before 1970"),
    pytest.param(datetime(1901, 1, 1, tzinfo=timezone.utc), id="1901"),
    pytest.param(datetime(1, 2, 1, tzinfo=timezone.utc), id="year 1"),
]


@pytest.mark.parametrize("now", WRONG)
def test_payloads_values_and_tickets_are_made_and_read_before_1970(now: datetime) -> None:
    clock = StoppedClock(now)
    dp = data_protection(MemoryKeyRepository(), clock)
    protector, serializer = dp.create_protector("p").time_limited(), ProtectedSerializer(dp, salt="s")
    assert protector.unprotect_with_expiry(protector.protect("text", lifetime=HOUR)) == ("text", now + HOUR)
    assert serializer.loads(serializer.dumps("text"), max_age=60, return_timestamp=True) == ("text", now)
    properties = AuthenticationProperties(issued_utc=now, expires_utc=now + HOUR)
    ticket = Ticket.deserialize(Ticket("Cookies", Principal("ada"), properties).serialize())
    assert (ticket.properties.issued_utc, ticket.properties.expires_utc) == (now, now + HOUR)


@pytest.mark.parametrize("now", WRONG)
def test_a_session_before_1970_says_that_the_clock_is_wrong(now: datetime) -> None:
    """It was a bare struct.error."""
    clock = StoppedClock(now)
    cookie = SessionCookie(data_protection(MemoryKeyRepository(), clock), CookieSettings("session"))
    request = cookie.begin(b"", https=False)
    request.session["a"] = 1
    with pytest.raises(KeyManagementError, match=f"the clock shows {now.year:04}-.*before 1970") as caught:
        cookie.lines(request)
    assert caught.value.hint == "set the clock of this machine"


def test_a_session_outlives_a_clock_that_jumps_before_1970() -> None:
    clock = StoppedClock()
    cookie = SessionCookie(data_protection(MemoryKeyRepository(), clock), CookieSettings("session"))
    request = cookie.begin(b"", https=False)
    request.session["a"] = 1
    header = cookie.lines(request)[0].partition(";")[0].encode()
    clock.jump(days=-365 * 80)
    later = cookie.begin(header, https=False)
    assert later.session["a"] == 1
    later.session["b"] = 2
    with pytest.raises(DataProtectionError):
        cookie.lines(later)
    clock.jump(days=365 * 80)
    assert cookie.begin(header, https=False).session["a"] == 1
