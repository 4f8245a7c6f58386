"""A protected cookie: what opens, what is refused, and which cookies the client has to delete."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError, KeyManagementError, MalformedPayloadError
from dpmiddleware.protection import base64url
from dpmiddleware.web.cookies.protected import Opened, ProtectedCookie
from dpmiddleware.web.cookies.text import CookieSettings, SetCookie
from tests.clients import DownRepository, Jar, StoppedClock

PURPOSE = ("tests", "sid")
ATTRIBUTES = ("path=/", "httponly")


def cookie_of(dp: DataProtection, name: str = "sid", purposes: tuple[str, ...] = PURPOSE) -> ProtectedCookie:
    return ProtectedCookie(CookieSettings(name), dp.create_protector(*purposes), ring="shop")


def sealed(dp: DataProtection, data: bytes, purposes: tuple[str, ...] = PURPOSE) -> str:
    return base64url.encode(dp.create_protector(*purposes).protect(data))


def same(plain: bytes) -> bytes:
    return plain


def flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def test_what_is_sealed_is_opened(dp: DataProtection) -> None:
    [line] = cookie_of(dp).seal(b"3 apples", b"", ATTRIBUTES)
    set_cookie = SetCookie.parse(line)
    assert set_cookie.attributes == ATTRIBUTES
    assert cookie_of(dp).open(f"a=1; sid={set_cookie.value}".encode(), same) == Opened(b"3 apples", expire=False)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("sid={value}", id="alone"),
        pytest.param("a=1; sid={value}; z=9", id="in-the-middle"),
        pytest.param("xsid={value}; sid={value}", id="after-a-name-that-ends-alike"),
        pytest.param("a=sid=1; sid={value}", id="after-a-value-that-reads-alike"),
        pytest.param("a=1;sid={value} ;z=9", id="with-other-spaces"),
        pytest.param("a=1; sid={escaped}", id="percent-encoded"),
    ],
)
def test_the_one_cookie_is_found_wherever_it_stands(dp: DataProtection, header: str) -> None:
    value = sealed(dp, b"3 apples")
    header = header.format(value=value, escaped="".join(f"%{ord(letter):02X}" for letter in value))
    assert cookie_of(dp).open(header.encode(), same) == Opened(b"3 apples", expire=False)


def test_no_cookie_is_nothing_to_say(dp: DataProtection, refusals: Callable[[], dict[str, int]]) -> None:
    assert cookie_of(dp).open(b"other=1", same) == Opened(None, expire=False)
    assert refusals() == {}


@pytest.mark.parametrize(
    ("make", "reason", "expire"),
    [
        pytest.param(lambda dp, good: "garbage", "malformed", False, id="garbage"),
        pytest.param(lambda dp, good: "x" * 100_000, "malformed", False, id="100-KB"),
        pytest.param(lambda dp, good: "chunks-3", "malformed", True, id="chunks-that-are-missing"),
        pytest.param(lambda dp, good: good[:40], "tampered", True, id="cut"),
        pytest.param(lambda dp, good: flipped(good, 60), "tampered", True, id="changed"),
        pytest.param(lambda dp, good: flipped(good, 10), "unknown_key", False, id="of-a-key-not-seen-yet"),
        pytest.param(lambda dp, good: sealed(dp, b"x", ("tests", "other")), "tampered", True, id="of-another-purpose"),
    ],
)
def test_story_26_a_bad_cookie_is_no_cookie_and_counted_by_reason(
    *,
    make: Callable[[DataProtection, str], str],
    reason: str,
    expire: bool,
    dp: DataProtection,
    refusals: Callable[[], dict[str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client deletes its cookie only if it is surely ours, after a refusal that no ring can change."""
    value = make(dp, sealed(dp, b"good"))
    with caplog.at_level(logging.DEBUG, "dpmiddleware"):
        assert cookie_of(dp).open(f"sid={value}".encode(), same) == Opened(None, expire=expire)
    assert refusals() == {reason: 1}
    assert value not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("good_first", [True, False])
@pytest.mark.parametrize("bad", ["garbage", "chunks-2", "x" * 5000])
def test_a_bad_cookie_beside_a_good_one_counts_for_nothing(dp: DataProtection, bad: str, good_first: bool) -> None:
    values = [sealed(dp, b"good"), bad]
    header = "; ".join(f"sid={value}" for value in (values if good_first else reversed(values)))
    assert cookie_of(dp).open(header.encode(), same) == Opened(b"good", expire=False)


def test_two_different_good_ones_are_anonymous_and_left_alone(
    dp: DataProtection, refusals: Callable[[], dict[str, int]]
) -> None:
    header = f"sid={sealed(dp, b'one')}; sid={sealed(dp, b'two')}".encode()
    assert cookie_of(dp).open(header, same) == Opened(None, expire=False)
    assert refusals() == {"ambiguous_cookie": 1}


def test_one_value_sealed_twice_is_one_value(dp: DataProtection) -> None:
    header = f"sid={sealed(dp, b'one')}; sid={sealed(dp, b'one')}".encode()
    assert cookie_of(dp).open(header, same) == Opened(b"one", expire=False)


def test_beside_one_that_another_ring_may_open_nothing_is_expired(dp: DataProtection) -> None:
    unknown = flipped(sealed(dp, b"x"), 10)
    assert cookie_of(dp).open(f"sid=garbage; sid={unknown}".encode(), same).expire is False


def test_no_more_than_four_are_tried(dp: DataProtection, refusals: Callable[[], dict[str, int]]) -> None:
    bad = [flipped(sealed(dp, b"x"), 60) for _ in range(4)]
    header = "; ".join(f"sid={value}" for value in (*bad, sealed(dp, b"fifth")))
    assert cookie_of(dp).open(header.encode(), same).content is None
    assert refusals() == {"tampered": 4}


@pytest.mark.parametrize("garbage", ["bad", "chunks", "eyJ1c2VyIjoiYWRhIn0.aQ.x"])
def test_cookies_of_garbage_ahead_of_the_real_one_log_nobody_out(dp: DataProtection, garbage: str) -> None:
    """Four were enough: they used up the number of cookies that are tried."""
    for many in (3, 4, 5, 150):
        header = f"sid={garbage}; " * many + f"sid={sealed(dp, b'real')}; " + f"sid={garbage}; " * many
        assert cookie_of(dp).open(header.encode(), same).content == b"real"


def test_a_cookie_under_a_revoked_key_is_expired(dp: DataProtection) -> None:
    value = sealed(dp, b"x")
    key = dp.current().default
    assert key is not None
    dp.manager.revoke(key.id, "stolen")
    other = DataProtection("shop", repository=dp.repository, clock=dp.clock)
    assert cookie_of(other).open(f"sid={value}".encode(), same) == Opened(None, expire=True)


def test_the_reader_may_refuse_too(dp: DataProtection, refusals: Callable[[], dict[str, int]]) -> None:
    def read(plain: bytes) -> bytes:
        raise MalformedPayloadError("not ours")

    assert cookie_of(dp).open(f"sid={sealed(dp, b'x')}".encode(), read) == Opened(None, expire=True)
    assert refusals() == {"malformed": 1}


def test_an_outage_is_not_a_bad_cookie(clock: StoppedClock) -> None:
    down = DataProtection("shop", repository=DownRepository(), clock=clock)
    loaded = DataProtection("shop", repository="memory:", clock=clock)
    with pytest.raises(KeyManagementError, match=r"keys\.example"):
        cookie_of(down).open(f"sid={sealed(loaded, b'x')}".encode(), same)


def test_story_29_growth_over_chunks_and_back_leaves_nothing_behind(dp: DataProtection, clock: StoppedClock) -> None:
    cookie, jar = cookie_of(dp), Jar(clock)
    for size in (10, 4500, 2700, 2900, 10):
        lines = cookie.seal(b"x" * size, jar.header.encode(), ATTRIBUTES)
        jar.take(("set-cookie", line) for line in lines)
        assert cookie.open(jar.header.encode(), same).content == b"x" * size
    assert list(jar.cookies) == ["sid"]


@pytest.mark.parametrize("size", range(2700, 3001, 25))
def test_story_29_around_one_chunk_every_size_comes_back(dp: DataProtection, clock: StoppedClock, size: int) -> None:
    """As text these are 3,700 to 4,200 characters."""
    cookie, jar = cookie_of(dp), Jar(clock)
    jar.take(("set-cookie", line) for line in cookie.seal(b"x" * size, b"", ATTRIBUTES))
    assert cookie.open(jar.header.encode(), same).content == b"x" * size


def test_story_29_chunks_of_two_values_never_mix(dp: DataProtection, clock: StoppedClock) -> None:
    one, two = Jar(clock), Jar(clock)
    one.take(("set-cookie", line) for line in cookie_of(dp).seal(b"1" * 4500, b"", ATTRIBUTES))
    two.take(("set-cookie", line) for line in cookie_of(dp).seal(b"2" * 4500, b"", ATTRIBUTES))
    one.cookies["sidC2"] = two.cookies["sidC2"]
    assert cookie_of(dp).open(one.header.encode(), same) == Opened(None, expire=True)


def test_what_does_not_fit_is_an_error_when_written(dp: DataProtection) -> None:
    with pytest.raises(CookieTooLargeError) as caught:
        cookie_of(dp).seal(b"x" * 6000, b"", ATTRIBUTES)
    assert "8000" in str(caught.value)
    assert "max_total" in caught.value.hint


def test_deleting_takes_the_chunks_along(dp: DataProtection, clock: StoppedClock) -> None:
    cookie, jar = cookie_of(dp), Jar(clock)
    jar.take(("set-cookie", line) for line in cookie.seal(b"x" * 4500, b"", ATTRIBUTES))
    jar.take(("set-cookie", line) for line in cookie.delete(jar.header.encode(), ATTRIBUTES))
    assert jar.cookies == {}


def test_the_key_ids_of_all_values_are_seen_without_opening(dp: DataProtection) -> None:
    default = dp.current().default
    assert default is not None
    value = sealed(dp, b"x")
    assert cookie_of(dp).key_ids(f"sid=garbage; sid={value}".encode()) == [default.id.bytes_le]


def test_the_key_id_of_a_chunked_value_is_seen_in_its_first_chunk(dp: DataProtection, clock: StoppedClock) -> None:
    default = dp.current().default
    assert default is not None
    jar = Jar(clock)
    jar.take(("set-cookie", line) for line in cookie_of(dp).seal(b"x" * 4500, b"", ATTRIBUTES))
    assert cookie_of(dp).key_ids(jar.header.encode()) == [default.id.bytes_le]


def test_no_more_than_a_few_key_ids_are_peeked_at(dp: DataProtection) -> None:
    header = "; ".join(f"sid={flipped(sealed(dp, b'x'), 10 + n)}" for n in range(9))
    assert len(cookie_of(dp).key_ids(header.encode())) == 4


def test_an_expiry_needs_a_place_inside(dp: DataProtection, clock: StoppedClock) -> None:
    with pytest.raises(ConfigurationError, match="expiry"):
        cookie_of(dp).seal(b"x", b"", ATTRIBUTES, expires=clock.now())
