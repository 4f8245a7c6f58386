"""Points in time at 100 ns: read, written, compared, moved."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.instants import Instant

LAST = 3_155_378_975_999_999_999
TICKS = st.integers(0, LAST)


@given(TICKS)
def test_what_is_written_is_read_as_the_same(ticks: int) -> None:
    assert Instant.parse(str(Instant(ticks))) == Instant(ticks)


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_a_datetime_comes_back_to_the_microsecond(moment: datetime) -> None:
    assert Instant.of(moment).to_datetime() == moment
    assert str(Instant.of(moment)).startswith(moment.strftime("%Y-").rjust(5, "0"))


@given(TICKS, TICKS)
def test_order_is_that_of_the_ticks(one: int, other: int) -> None:
    assert (Instant(one) < Instant(other)) == (one < other)
    assert (Instant(one) <= Instant(other)) == (one <= other)
    assert (Instant(one) > Instant(other)) == (one > other)
    assert (Instant(one) >= Instant(other)) == (one >= other)
    assert (Instant(one) == Instant(other)) == (one == other)


@given(st.integers(10**17, LAST // 2), st.timedeltas(timedelta(days=-3000), timedelta(days=3000)))
def test_there_and_back_again(ticks: int, span: timedelta) -> None:
    moved = Instant(ticks) + span
    assert moved - span == Instant(ticks)
    assert moved.since(Instant(ticks)) == span


READ = [
    pytest.param("2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z", id="plain"),
    pytest.param("2026-11-22T12:00:00z", "2026-11-22T12:00:00Z", id="a small z"),
    pytest.param(" \n2026-11-22T12:00:00Z\t", "2026-11-22T12:00:00Z", id="spaces around"),
    pytest.param("2026-11-22T12:00:00.1234567Z", "2026-11-22T12:00:00.1234567Z", id="seven digits"),
    pytest.param("2026-11-22T12:00:00.12345674Z", "2026-11-22T12:00:00.1234567Z", id="rounded down"),
    pytest.param("2026-11-22T12:00:00.12345675Z", "2026-11-22T12:00:00.1234568Z", id="rounded up"),
    pytest.param("2026-11-22T12:00:00.99999999Z", "2026-11-22T12:00:01Z", id="rounded into the next second"),
    pytest.param("2026-11-22T12:00:00.5Z", "2026-11-22T12:00:00.5Z", id="one digit"),
    pytest.param("2026-11-22T12:00:00.50Z", "2026-11-22T12:00:00.5Z", id="zeros at the end"),
    pytest.param("2026-11-22T12:00:00+05:30", "2026-11-22T06:30:00Z", id="east"),
    pytest.param("2015-03-01T19:13:19.7573854-08:00", "2015-03-02T03:13:19.7573854Z", id="west"),
    pytest.param("2026-11-22T12:00:00-14:00", "2026-11-23T02:00:00Z", id="the furthest zone"),
    pytest.param("2026-11-22Z", "2026-11-22T00:00:00Z", id="a day"),
    pytest.param("2026-11Z", "2026-11-01T00:00:00Z", id="a month"),
    pytest.param("2026Z", "2026-01-01T00:00:00Z", id="a year"),
    pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="the first"),
    pytest.param("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z", id="the last"),
    pytest.param("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", id="a leap day"),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_dates_are_read_as_asp_net_core_reads_them(text: str, expected: str) -> None:
    assert str(Instant.parse(text)) == expected


UNREADABLE = [
    "", "now", "22.11.2026", "2026-11-22 12:00:00Z", "2026-11-22T12:00Z", "2026-11-22T24:00:00Z",
    "2026-11-22T12:60:00Z", "2026-11-22T12:00:60Z", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
    "2026-11-22T12:00:00+14:01", "2026-11-22T12:00:00+13:60", "2026-11-22T12:00:00 Z", "2026-11-22T12:00:00.Z",
    "10000-01-01T00:00:00Z", "-2026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "Sun, 22 Nov 2026 12:00:00 GMT",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.99999999Z",
    "２０２６-11-22T12:00:00Z", "2026-11-22T12:00:00ZZ", "2026-11-22T12:00:00Z\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Instant.parse(text)


@given(st.text(max_size=40))
def test_no_text_is_another_error(text: str) -> None:
    try:
        Instant.parse(text)
    except (ValueError, OverflowError):
        return


@pytest.fixture
def tokyo() -> Iterator[None]:
    """The time zone of this machine is Tokyo."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process can be set on POSIX only")
def test_no_offset_means_local_time(tokyo: None) -> None:
    assert str(Instant.parse("2026-11-22T12:00:00")) == "2026-11-22T03:00:00Z"
    assert str(Instant.parse("2026-11-22")) == "2026-11-21T15:00:00Z"
    assert str(Instant.parse("2026-11-22T12:00:00Z")) == "2026-11-22T12:00:00Z"


def test_the_next_tick_is_the_least_later_instant() -> None:
    moment = Instant.parse("2026-11-22T12:00:00Z")
    assert moment < moment.next()
    assert str(moment.next()) == "2026-11-22T12:00:00.0000001Z"
    assert moment.next().since(moment) == timedelta(0)  # a span has microseconds only


def test_outside_the_years_1_to_9999_there_is_nothing() -> None:
    for ticks in (-1, LAST + 1):
        with pytest.raises(ValueError, match="years 1 to 9999"):
            Instant(ticks)


def test_at_the_ends_of_time_arithmetic_stops() -> None:
    """A key that expires in the year 9999 must not cause a failure: revoking all keys still has to work."""
    assert Instant(LAST).next() == Instant(LAST) + timedelta(days=90) == Instant(LAST)
    assert Instant(5) - timedelta(days=1) == Instant(0)


def test_a_naive_datetime_names_no_instant() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Instant.of(datetime(2026, 11, 22))  # noqa: DTZ001 (the point)


def test_repr_can_be_read() -> None:
    assert repr(Instant.parse("2026-11-22T12:00:00Z")) == "Instant('2026-11-22T12:00:00Z')"
