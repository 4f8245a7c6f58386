"""Payloads as bytes and as text, seen from outside, with and without the fast base64."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import (
    MAGIC,
    associated_data,
    from_utf8,
    head_of,
    key_id_of,
    peek_key_id,
    to_utf8,
)

ID = UUID("0c819c80-6619-4019-9536-53f8aaffee57").bytes_le
WAYS = ["compiled", "pybase64", "stdlib"]
try:
    import pybase64
except ImportError:
    pybase64 = None  # type: ignore[assignment]
NO_PYBASE64 = "pybase64 (extra speed) is not installed"


@contextmanager
def done_by(way: str) -> Iterator[None]:
    """Text is written and read in this way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPM_PURE_PYTHON", "0" if way == "compiled" else "1")
        patch.setitem(sys.modules, "pybase64", None if way == "stdlib" else pybase64)
        encode, decode_strict = base64url._codec()
        patch.setattr(base64url, "encode", encode)
        patch.setattr(base64url, "decode_strict", decode_strict)
        yield


@pytest.fixture(scope="module", params=WAYS)
def codec(request: pytest.FixtureRequest) -> Iterator[str]:
    """All ways, whichever is in use here."""
    if request.param == "compiled":
        request.getfixturevalue("compiled_core")
    if request.param == "pybase64" and pybase64 is None:
        pytest.skip(NO_PYBASE64)
    with done_by(request.param):
        yield request.param


def refused(text: str) -> bool:
    try:
        base64url.decode(text)
    except MalformedPayloadError:
        return True
    return False


# --- bytes ----------------------------------------------------------------------------------------------------------


def test_the_key_id_stands_in_clear_in_the_order_of_net_guids() -> None:
    assert head_of(ID).hex() == "09f0c9f0809c810c19661940953653f8aaffee57"
    assert key_id_of(head_of(ID) + b"body") == ID
    assert peek_key_id(head_of(ID)) == ID


@pytest.mark.parametrize("data", [b"", MAGIC, MAGIC + ID[:15], b"\0" * 40, b"\x09\xf0\xc9\xf1" + ID], ids=bytes.hex)
def test_what_is_no_payload_is_malformed(data: bytes) -> None:
    assert peek_key_id(data) is None
    with pytest.raises(MalformedPayloadError):
        key_id_of(data)


@pytest.mark.parametrize(
    ("size", "prefix"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (155, "9b01"), (300, "ac02"), (16_384, "808001")],
)
def test_story_21_lengths_of_purposes_take_as_many_bytes_as_they_need(size: int, prefix: str) -> None:
    """Story 21: purposes of 127, 128, 300 bytes; ports that write the length as one byte cannot say 128."""
    data = associated_data(ID, ["p" * size])
    assert data == head_of(ID) + bytes.fromhex("00000001" + prefix) + b"p" * size


def test_story_21_lengths_are_of_bytes_not_of_characters() -> None:
    """Story 21: 64 characters of two bytes each are 128 bytes, and those need a length of two bytes."""
    assert associated_data(ID, ["é" * 64])[24:26] == bytes.fromhex("8001")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), min_size=1, max_size=4))
def test_different_purposes_have_different_data(purposes: list[str]) -> None:
    """Joining purposes, adding an empty one, or changing their order gives different data."""
    data = associated_data(ID, purposes)
    others = [["".join(purposes)], [*purposes, ""], ["", *purposes], purposes[:-1]]
    assert all(associated_data(ID, other) != data for other in others if other != purposes)


def test_an_unpaired_surrogate_is_refused_with_the_developers_error() -> None:
    with pytest.raises(ConfigurationError, match="surrogate"):
        associated_data(ID, ["bad \ud800 purpose"])


# --- text -----------------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=100) | st.builds(bytes, st.integers(3060, 3090)))
def test_text_of_any_bytes_is_base64url_without_padding_and_comes_back(codec: str, data: bytes) -> None:
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert base64url.decode(text) == data


def test_every_payload_begins_with_the_same_five_characters() -> None:
    assert base64url.encode(head_of(ID) + b"body").startswith("CfDJ8")


UNUSUAL = [
    pytest.param("AQIDBAU=", id="padded"),
    pytest.param("AQIDBAU%", id="percent as padding"),
    pytest.param(" AQID\r\n\tBAU ", id="white space"),
    pytest.param("AQIDBAU=\n", id="padded, end of line"),
]


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_text_is_read_as_asp_net_core_reads_it(text: str, codec: str) -> None:
    assert base64url.decode(text) == bytes([1, 2, 3, 4, 5])


def test_ordinary_base64_is_read_where_its_characters_show(codec: str) -> None:
    data = bytes([0xFB, 0xFF, 0xFE, 1])
    assert base64url.decode(base64.b64encode(data).decode()) == data
    assert base64url.decode(base64.urlsafe_b64encode(data).decode()) == data


BROKEN = [
    pytest.param("A", id="one character"),
    pytest.param("AQIDB", id="one too many"),
    pytest.param("AQIDBAV", id="bits left over"),
    pytest.param("AR", id="bits left over after two"),
    pytest.param("AQIDBAU==", id="too much padding"),
    pytest.param("AQID=", id="padding where none fits"),
    pytest.param("AQ=IDBAU", id="padding in the middle"),
    pytest.param("====", id="nothing but padding"),
    pytest.param("-_+/", id="both alphabets, ours first"),
    pytest.param("+/-_", id="both alphabets, the other first"),
    pytest.param("+/+", id="ordinary base64 without its padding"),
    pytest.param("AQIDBAU\x00", id="a zero byte"),
    pytest.param("AQID\x0bBAU", id="white space that is none"),
    pytest.param("AQID\xa0BAU", id="no-break space"),
    pytest.param("ＡＱＩＤ", id="full-width letters"),
    pytest.param("AQIDBA\ud800", id="a surrogate"),
    pytest.param("AQIDBAU!", id="no letter of the alphabet"),
    pytest.param('"AQIDBAU"', id="quoted"),
]


@pytest.mark.parametrize("text", BROKEN)
def test_text_that_stands_for_nothing_is_malformed(text: str, codec: str) -> None:
    assert refused(text)


def test_nothing_is_the_text_of_nothing(codec: str) -> None:
    assert base64url.decode("") == b""
    assert peek_key_id("") is None


@given(text=st.text(st.characters(max_codepoint=127), max_size=40) | st.text("ABCQgw-_+/=", max_size=9))
@example(text="A===")
@example(text="AA\n==")
@example(text="+A-A")
@example(text="AAAA=AAA")
def test_all_ways_read_the_same(compiled_core: object, text: str) -> None:
    """With pybase64, without, compiled: the same bytes, the same refusals."""
    if pybase64 is None:
        pytest.skip(NO_PYBASE64)
    results = []
    for way in WAYS:
        with done_by(way):
            results.append((None if refused(text) else base64url.decode(text), base64url.decode_strict(text.encode())))
    assert results[0] == results[1] == results[2]


@given(st.binary(max_size=60), st.data())
def test_a_value_has_one_text_without_padding_and_white_space(data: bytes, draw: st.DataObject) -> None:
    """A list of refused texts can be compared: without unusual characters, a payload has only one text."""
    text = base64url.encode(data)
    if not text:
        return
    at = draw.draw(st.integers(0, len(text) - 1))
    letter = draw.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    changed = text[:at] + letter + text[at + 1 :]
    assert changed == text or refused(changed) or base64url.decode(changed) != data


def test_without_pybase64_the_standard_library_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybase64", None)
    assert base64url._fastest() == (base64url._stdlib_encode, base64url._stdlib_decode)


@pytest.mark.parametrize("wrong", ["text", None, 7], ids=lambda value: type(value).__name__)
def test_the_compiled_way_takes_bytes_and_other_buffers(codec: str, wrong: Any) -> None:
    encode: Any = base64url.encode
    decode_strict: Any = base64url.decode_strict
    if codec == "compiled":
        assert encode(bytearray(b"body")) == encode(memoryview(b"body")) == "Ym9keQ"
        assert decode_strict(bytearray(b"Ym9keQ")) == b"body"
        for operation in (encode, decode_strict):
            with pytest.raises(TypeError):
                operation(wrong)


@pytest.mark.parametrize("size", range(300))
def test_every_byte_in_every_place_is_written_and_read(codec: str, size: int) -> None:
    data = bytes(i * 7 & 0xFF for i in range(size))
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert base64url.decode_strict(text.encode()) == data


def test_a_text_of_100_kb_is_refused_or_read_and_nothing_else(codec: str) -> None:
    assert base64url.decode("A" * 100_000) == bytes(75_000)
    assert refused("=" * 100_000)
    assert refused(" " * 100_000 + "A")
    assert refused("é" * 100_000)


@given(st.binary(min_size=20, max_size=60))
def test_the_key_id_is_read_from_the_first_characters_alone(body: bytes) -> None:
    text = base64url.encode(head_of(ID) + body)
    assert peek_key_id(text) == peek_key_id(text + "garbage!" * 10) == ID


@pytest.mark.parametrize("text", ["", "abc", "CfDJ8", "CfDJ8" + "!" * 40, "é" * 40, "\ud800" * 40, "A" * 40])
def test_peeking_at_garbage_gives_nothing(text: str) -> None:
    assert peek_key_id(text) is None


# --- what is inside -------------------------------------------------------------------------------------------------


def test_text_that_cannot_be_encoded_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigurationError, match="surrogate"):
        to_utf8("\udc80")


@pytest.mark.parametrize("plain", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"], ids=bytes.hex)
def test_bytes_that_are_no_text_are_malformed_and_not_shown(plain: bytes) -> None:
    """Overlong forms and surrogates are not UTF-8. The error does not show what was decrypted."""
    with pytest.raises(MalformedPayloadError) as caught:
        from_utf8(plain)
    assert caught.value.__cause__ is None
    assert repr(plain) not in str(caught.value)
