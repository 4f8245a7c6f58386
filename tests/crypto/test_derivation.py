"""SP 800-108 in counter mode: what the known answers do not show."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.crypto.derivation import derive, prepare, short_hmac


def by_the_book(master_key: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """The formula of NIST SP 800-108, section 4.1, with Python's own HMAC."""
    fixed = label + b"\0" + context + (8 * size).to_bytes(4, "big")
    blocks = range(1, size // 64 + 2)
    return b"".join(hmac.digest(master_key, i.to_bytes(4, "big") + fixed, "sha512") for i in blocks)[:size]


@given(st.binary(max_size=200), st.binary(max_size=80), st.binary(max_size=80), st.integers(1, 200))
def test_any_subkey_is_what_the_formula_says(key: bytes, label: bytes, context: bytes, size: int) -> None:
    assert derive(key, label, context, size) == by_the_book(key, label, context, size)


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(1, 130))
def test_a_prepared_state_gives_the_same_as_deriving_in_one_go(first: bytes, rest: bytes, size: int) -> None:
    """Also when it is used twice: a call copies the state and leaves it as it was."""
    prepared = prepare(b"key", b"label", first, size)
    expected = derive(b"key", b"label", first + rest, size)
    assert prepared(rest) == prepared(rest) == expected


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 129, 192])
def test_the_length_of_the_output_is_part_of_the_input(size: int) -> None:
    """A shorter output is not a prefix of a longer one: two calls, one per subkey, would give different keys."""
    assert derive(b"k", b"l", b"c", size) != derive(b"k", b"l", b"c", size + 1)[:size]
    assert len(derive(b"k", b"l", b"c", size)) == size


def test_label_and_context_do_not_run_into_each_other() -> None:
    assert derive(b"k", b"ab", b"c", 32) != derive(b"k", b"a", b"bc", 32)


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@given(key=st.binary(min_size=1, max_size=64), message=st.binary(max_size=300))
def test_the_short_hmac_is_the_hmac(digest: str, key: bytes, message: bytes) -> None:
    """Of keys that fit into one block, as subkeys do."""
    assert short_hmac(digest)(key, message) == hmac.digest(key, message, digest)
