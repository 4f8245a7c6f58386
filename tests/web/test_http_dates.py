"""Dates in HTTP: one form, which is also the only one that is read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpmiddleware.web.cookies.http_dates import http_date, read_http_date

OFFSETS = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-14 * 60, 14 * 60))
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS)  # noqa: DTZ001 (bounds are naive)


@given(MOMENTS)
@example(datetime(1969, 12, 31, 23, 59, 59, 999_999, timezone.utc))
@example(datetime(1970, 1, 1, tzinfo=timezone.utc))
@example(datetime(9999, 12, 28, 23, 59, 59, 999_999, timezone.utc))
@example(datetime(2024, 2, 29, 12, tzinfo=timezone.utc))
def test_a_date_is_what_the_standard_library_makes_of_it_cut_to_seconds(moment: datetime) -> None:
    utc = moment.astimezone(timezone.utc)
    assert http_date(moment) == format_datetime(utc, usegmt=True)
    assert read_http_date(http_date(moment)) == utc.replace(microsecond=0)


def test_a_second_ends_where_the_next_one_begins() -> None:
    """Dates are truncated to seconds."""
    last, first = (
        datetime(2026, 1, 1, 0, 0, 0, 999_999, timezone.utc),
        datetime(2026, 1, 1, 0, 0, 1, 0, timezone.utc),
    )
    assert [http_date(moment)[17:25] for moment in (last, first, last)] == ["00:00:00", "00:00:01", "00:00:00"]


def test_a_date_without_a_time_zone_names_no_moment() -> None:
    with pytest.raises(ValueError, match="time zone"):
        http_date(datetime(2026, 1, 1))  # noqa: DTZ001 (that is the point)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="nothing"),
        pytest.param("", id="empty"),
        pytest.param("Fri, 01 Jan 2026 00:00:00 GMT", id="another weekday"),
        pytest.param("Thu, 1 Jan 2026 00:00:00 GMT", id="a day of one digit"),
        pytest.param("Thu, 01 Jan 2026 00:00:00 UTC", id="another zone"),
        pytest.param("Thu, 01 Jan 2026 24:00:00 GMT", id="the 24th hour"),
        pytest.param("Thu, 32 Jan 2026 00:00:00 GMT", id="the 32nd"),
        pytest.param("Thu, 01-Jan-2026 00:00:00 GMT", id="hyphens"),
        pytest.param("thu, 01 jan 2026 00:00:00 gmt", id="small letters"),
        pytest.param("Thu, \u0660\u0661 Jan 2026 00:00:00 GMT", id="other digits"),
        pytest.param("Thu, 01 Jan 2026 00:00:00 GMT ", id="a blank behind"),
    ],
)
def test_anything_else_is_no_date(text: str | None) -> None:
    assert read_http_date(text) is None
