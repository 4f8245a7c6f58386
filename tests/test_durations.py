"""Durations as text: one parser, for settings, options and documents."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware import durations
from dpmiddleware.durations import duration, in_short

ROOT = Path(__file__).parents[1]
READ = {
    "30d": timedelta(days=30),
    "10s": timedelta(seconds=10),
    "1h30m": timedelta(minutes=90),
    "1h 30m": timedelta(minutes=90),
    " 2W ": timedelta(days=14),
    "90m": timedelta(minutes=90),
    "0.5s": timedelta(milliseconds=500),
    "250ms": timedelta(milliseconds=250),
    "1d1h1m1s1ms": timedelta(days=1, hours=1, minutes=1, seconds=1, milliseconds=1),
    "0s": timedelta(),
}
REFUSED = ("", " ", "90", "3x", "d", "-1d", "30m1h", "1d1d", "1e3s", "1.d", "1mm", "٣d", "1d!", "P30D", "9" * 12 + "d")


@pytest.mark.parametrize("text", READ)
def test_a_duration_is_read(text: str) -> None:
    assert duration(text) == READ[text]


@pytest.mark.parametrize("text", REFUSED)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


def test_a_duration_beyond_what_python_can_count_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        duration("999999999w")


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36_500)))
def test_what_is_written_is_read_again(span: timedelta) -> None:
    assert duration(in_short(span)) == span


def test_what_is_written_is_short() -> None:
    spans = {in_short(span) for span in READ.values()}
    assert spans == {"30d", "10s", "1h30m", "14d", "500ms", "250ms", "1d1h1m1s1ms", "0s"}
    assert in_short(timedelta(seconds=-90)) == "-1m30s"


def test_there_is_no_second_parser() -> None:
    """A pattern with units of time is in no other module."""
    pattern = re.compile(r"\[(?:smhdw]|dh\]|hd\])|\(\?P<(?:days|hours)>")
    found = [path for path in (ROOT / "dpmiddleware").rglob("*.py") if pattern.search(path.read_text("utf-8"))]
    assert [path for path in found if path != Path(durations.__file__)] == []
