"""Long values over several cookies: ASP.NET Core's cases, the edges around one chunk, and properties."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.web.cookies.chunks import MAX_CHUNKS, announced, chunk_names, delete, join, leftovers, split
from dpmiddleware.web.cookies.text import Attributes, CookieSettings, attributes, expired, find, render

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "cookies.json").read_text("utf-8")
)
TEXT = st.text(alphabet="abcXYZ019-_", max_size=600)

EXACT_NAMES = {"c=chunks-2; CC1=a; cC2=b": "chunks-2"}
"""Where ASP.NET Core compares names without case and we do not (docs/compatibility.md)."""


def options(given: dict[str, Any]) -> Attributes:
    """The CookieOptions of a vector as attributes, even for impossible combinations."""
    same_site = given.get("sameSite", "Unspecified").lower()
    return attributes(
        expires=datetime.fromisoformat(given["expires"]) if given.get("expires") else None,
        max_age=timedelta(seconds=given["maxAge"]) if given.get("maxAge") else None,
        domain=given.get("domain"),
        path=given.get("path"),
        secure=given.get("secure", False),
        same_site=None if same_site == "unspecified" else same_site,
        http_only=given.get("httpOnly", False),
        others=tuple(given.get("extensions", ())),
    )


def finder(header: str | bytes) -> Callable[[str], list[str]]:
    return partial(find, header.encode() if isinstance(header, str) else header)


def header(cookies: list[tuple[str, str]]) -> bytes:
    """What a browser sends back for cookies that were set."""
    return "; ".join(f"{name}={value}" for name, value in cookies).encode()


# --- as ASP.NET Core ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["split"], ids=lambda case: f"{case['name']}-{len(case['value'])}")
def test_values_are_split_as_aspnet_core_splits_them(case: dict[str, Any]) -> None:
    """More than `MAX_CHUNKS` chunks are an error only here. The split is the same."""
    these, size = options(case["options"]), case["chunkSize"] or 4050
    cookies = split(case["name"], case["value"], these, size, limit=1000)
    assert [render(name, value, these) for name, value in cookies] == case["set_cookie"]
    if len(cookies) > MAX_CHUNKS + 1:
        with pytest.raises(CookieTooLargeError):
            split(case["name"], case["value"], these, size)


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["join"] if not case["strict"]], ids=lambda case: case["request"]
)
def test_chunks_are_joined_as_aspnet_core_joins_them(case: dict[str, Any]) -> None:
    """Not its strict mode, which raises for an incomplete set. Here the result is a value that does not open."""
    expected = EXACT_NAMES.get(case["request"], case["value"])
    assert join(case["name"], finder(case["request"])) == ([] if expected is None else [expected])


@pytest.mark.parametrize("case", VECTORS["delete"], ids=lambda case: f"{case['request']}-{len(case['options'])}")
def test_a_cookie_is_deleted_as_aspnet_core_deletes_it(case: dict[str, Any]) -> None:
    """And the chunks that ASP.NET Core leaves because the marker is damaged."""
    find, these = finder(case["request"]), options(case["options"])
    left = ["cC1"] if "chunks-x" in case["request"] else []
    expected = [*case["set_cookie"], *(render(name, "", expired(these)) for name in left)]
    assert delete(case["name"], find, these) == expected


def test_the_edge_case_of_the_original_test_suite() -> None:
    cookies = split("TestCookie", "v" * 62, ("path=/", "samesite=lax"), 44)
    assert [len(value) for _, value in cookies] == [len("chunks-8"), *[8] * 7, 6]


# --- story 29: edges, growth, what is missing or mixed ------------------------------------------------------


@pytest.mark.parametrize("size", [*range(3900, 4201, 20), 3988, 3989, 3990, 3991])
def test_around_the_size_of_one_chunk_every_value_comes_back(size: int) -> None:
    these = CookieSettings(".AspNetCore.Cookies").attributes(https=True)
    cookies = split(".AspNetCore.Cookies", "v" * size, these, 4050)
    assert len(cookies) == (1 if size <= 3989 else 3)
    assert all(len(render(name, value, these)) <= 4050 for name, value in cookies)
    assert join(".AspNetCore.Cookies", finder(header(cookies))) == ["v" * size]


def test_from_one_to_three_chunks_and_back_nothing_is_left_over() -> None:
    these = ("path=/",)
    jar: dict[str, str] = {}
    for size in (100, 9000, 5000, 100):
        request = finder(header(list(jar.items())))
        cookies = split("c", "v" * size, these, 4050)
        for name in leftovers("c", request, kept=len(cookies) - 1):
            del jar[name]
        jar.update(cookies)
        assert join("c", finder(header(list(jar.items())))) == ["v" * size]
        assert len(jar) == len(cookies)


def test_all_chunks_left_over_are_expired_with_a_marker_or_without() -> None:
    """ASP.NET Core ends at the first one missing, and does nothing without a marker: the others stayed."""
    assert leftovers("c", finder("c=chunks-4; cC1=a; cC3=c; cC4=d")) == ["cC1", "cC3", "cC4"]
    assert leftovers("c", finder("c=plain; cC2=b; cC20=z; cC21=no")) == ["cC2", "cC20"]
    assert leftovers("c", finder("cC1=a")) == ["cC1"]
    assert leftovers("c", finder("c=chunks-4; cC3=c; cC4=d"), kept=2) == ["cC3", "cC4"]


def test_of_an_oversized_marker_only_the_chunks_that_are_there_are_expired() -> None:
    assert leftovers("c", finder("c=chunks-999999999; cC1=a; cC2=b")) == ["cC1", "cC2"]


@pytest.mark.parametrize(
    ("request_header", "values"),
    [
        pytest.param("c=chunks-2; cC1=a", ["chunks-2"], id="missing"),
        pytest.param("c=chunks-2; cC1=a; cC2=", ["chunks-2"], id="empty"),
        pytest.param("c=chunks-2; cC2=b; cC1=a", ["ab"], id="in-another-order"),
        pytest.param("c=chunks-1; cC1=a; cC2=b", ["a"], id="more-than-announced"),
        pytest.param(
            "c=chunks-21; " + "; ".join(f"cC{n}=x" for n in range(1, 22)), ["chunks-21"], id="more-than-allowed"
        ),
        pytest.param("c=short; c=chunks-2; cC1=a; cC2=b", ["short", "ab"], id="whole-and-chunked"),
        pytest.param("c=chunks-2; cC1=a; cC2=b; c=chunks-2; cC1=x; cC2=y", ["ab", "xy"], id="two-sets"),
        pytest.param("c=chunks-2; cC1=old; cC1=a; cC2=b", ["oldb", "ab"], id="a-chunk-of-another-path"),
        pytest.param("c=chunks-" + "9" * 5000, ["chunks-" + "9" * 5000], id="a-number-without-end"),
    ],
)
def test_what_a_request_brings_is_joined_whole_or_not_at_all(request_header: str, values: list[str]) -> None:
    assert join("c", finder(request_header)) == values


def test_too_many_chunks_are_an_error_when_written() -> None:
    with pytest.raises(CookieTooLargeError) as caught:
        split("c", "v" * 90_000, ("path=/",), 4050)
    assert "chunks" in str(caught.value)
    assert caught.value.hint


def test_no_room_for_a_value_is_an_error() -> None:
    with pytest.raises(CookieTooLargeError, match="room"):
        split("c", "v" * 90, ("path=/" + "x" * 90,), 100)


def test_only_a_marker_in_reach_announces_chunks() -> None:
    texts = ("chunks-1", "chunks-020", "chunks-21", "chunks-0", "Chunks-1", "x")
    assert [announced(text) for text in texts] == [1, 20, 0, 0, 0, 0]


# --- properties ---------------------------------------------------------------------------------------------


@given(value=TEXT.filter(bool), chunk_size=st.integers(min_value=60, max_value=300))
def test_every_value_comes_back_from_its_cookies(value: str, chunk_size: int) -> None:
    these = ("path=/", "httponly")
    cookies = split("c", value, these, chunk_size, limit=1000)
    assert join("c", finder(header(cookies)), limit=1000) == [value]
    assert join("c", finder(header(cookies[::-1])), limit=1000) == [value]
    assert all(len(render(name, part, these)) <= chunk_size for name, part in cookies)


@given(value=TEXT.filter(lambda text: len(text) > 100), gone=st.integers(min_value=0, max_value=100))
def test_with_a_chunk_missing_no_part_of_the_value_comes_out(value: str, gone: int) -> None:
    cookies = split("c", value, ("path=/",), 60)
    del cookies[1 + gone % (len(cookies) - 1)]
    assert join("c", finder(header(cookies))) == [cookies[0][1]]


@given(before=st.integers(min_value=0, max_value=MAX_CHUNKS), after=st.integers(min_value=0, max_value=MAX_CHUNKS))
def test_what_is_left_over_and_what_is_kept_are_all_the_chunks(before: int, after: int) -> None:
    jar = [("c", f"chunks-{before}"), *((name, "x") for name in chunk_names("c", before))]
    assert leftovers("c", finder(header(jar)), kept=after) == chunk_names("c", before)[after:]
