"""The compiled core beside Python's own way: the same bytes and refusals; and what only compiled code can get wrong.

The tests of encryptors, of tampering and of the vectors run with both; these are the rest.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware import compiled
from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor, BoundEncryptor, CbcHmac
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import TamperedPayloadError

SUITES = [CbcHmac(size, digest) for size in (16, 24, 32) for digest in ("sha1", "sha256", "sha384", "sha512")]
KEY = bytes(range(64))
suites = st.sampled_from(SUITES)


@pytest.fixture(scope="module", autouse=True)
def core(compiled_core: ModuleType) -> Iterator[ModuleType]:
    """The extension, switched on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPM_PURE_PYTHON", "0")
        yield compiled_core


def name_of_type(value: object) -> str:
    """A short name, for the ids of test cases."""
    return f"{type(value).__name__} {len(value)}" if isinstance(value, (bytes, str)) else type(value).__name__


class RefusedError(Exception):
    """The error that the core raises in these tests."""


def refuse() -> NoReturn:
    raise RefusedError


def pair(suite: CbcHmac, key: bytes = KEY, label: bytes = b"label", head: bytes = b"head") -> list[BoundEncryptor]:
    """The same key and label, bound in both ways: compiled, in Python."""
    encryptor = AuthenticatedEncryptor(Secret(key), suite)
    with pytest.MonkeyPatch.context() as patch:
        bound = [encryptor.bind(label, head)]
        patch.setenv("DPM_PURE_PYTHON", "1")
        return [*bound, encryptor.bind(label, head)]


def bare(
    core: ModuleType,
    *,
    cipher: str = "AES-256-CBC",
    digest: str = "sha256",
    key: bytes = KEY,
    head: bytes = b"",
    urandom: Callable[[int], bytes] = os.urandom,
) -> Any:
    """An object of the extension, without the code around it."""
    return core.CbcHmac(cipher, digest, key, b"fixed", head, urandom, refuse)


def test_the_two_ways_are_two() -> None:
    one, other = pair(SUITES[0])
    assert type(one.encrypt).__name__ == "builtin_function_or_method"
    assert type(other.encrypt).__name__ == "function"


@given(
    suite=suites,
    key=st.binary(min_size=1, max_size=200),
    label=st.binary(max_size=300),
    head=st.binary(max_size=64),
    plaintext=st.binary(max_size=5000) | st.builds(bytes, st.integers(15_000, 40_000)),
)
def test_each_way_opens_what_the_other_made(
    suite: CbcHmac, key: bytes, label: bytes, head: bytes, plaintext: bytes
) -> None:
    """Master keys above one block of SHA-512, plaintexts around every limit of the core's buffers."""
    one, other = pair(suite, key, label, head)
    assert one.decrypt(other.encrypt(plaintext)) == plaintext
    assert other.decrypt(one.encrypt(plaintext)) == plaintext


@given(suite=suites, plaintext=st.binary(max_size=100), random=st.binary(min_size=32, max_size=32))
def test_the_same_randomness_gives_the_same_bytes(suite: CbcHmac, plaintext: bytes, random: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda size: random[:size])
        one, other = pair(suite)
        assert one.encrypt(plaintext) == other.encrypt(plaintext)


@given(suite=suites, size=st.integers(0, 50), data=st.data())
def test_a_changed_payload_meets_the_same_answer(suite: CbcHmac, size: int, data: st.DataObject) -> None:
    """Truncated, extended, and with a changed byte (in the head, too, which is not checked)."""
    one, other = pair(suite)
    payload = bytearray(one.encrypt(bytes(size)))
    place = data.draw(st.integers(0, len(payload) - 1))
    change = data.draw(st.sampled_from(["cut", "cut in front", "flip", "insert"]))
    if change == "flip":
        payload[place] ^= data.draw(st.integers(1, 255))
    elif change == "insert":
        payload.insert(place, data.draw(st.integers(0, 255)))
    else:
        payload = payload[:place] if change == "cut" else payload[place:]

    def answer(bound: BoundEncryptor) -> bytes | str:
        try:
            return bound.decrypt(bytes(payload))
        except TamperedPayloadError as error:
            return str(error)

    assert answer(one) == answer(other)


def test_a_refusal_of_the_core_is_the_error_of_the_package_and_nothing_behind_it() -> None:
    with pytest.raises(TamperedPayloadError) as caught:
        pair(SUITES[0])[0].decrypt(b"head" + bytes(200))
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_refusal_that_raises_nothing_still_opens_nothing(core: ModuleType) -> None:
    bound = core.CbcHmac("AES-256-CBC", "sha256", KEY, b"fixed", b"", os.urandom, lambda: b"text")
    for payload in (bound.encrypt(b"text")[:-1], b""):
        with pytest.raises(SystemError, match="refusal"):
            bound.decrypt(payload)


@pytest.mark.parametrize("size", [4000, 4096, 4097, 16_384, 16_385, 1_000_000])
def test_threads_share_one_bound_key_at_every_size(core: ModuleType, size: int) -> None:
    """Above 16 KiB, several threads run at the same time."""
    bound = bare(core)
    texts = [bytes([number]) * size for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: bound.decrypt(bound.encrypt(text)), texts)) == texts


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers_are_copied_first(core: ModuleType, kind: Callable[[bytes], Any]) -> None:
    bound = bare(core)
    assert bound.decrypt(kind(bound.encrypt(kind(b"text")))) == b"text"


@pytest.mark.parametrize("wrong", ["text", None, 7, ["list"], object()], ids=name_of_type)
def test_what_is_no_buffer_is_a_type_error(core: ModuleType, wrong: object) -> None:
    for operation in (bare(core).encrypt, bare(core).decrypt):
        with pytest.raises(TypeError):
            operation(wrong)


@pytest.mark.parametrize("given", [b"", bytes(31), bytes(33), "x" * 32, None], ids=name_of_type)
def test_randomness_of_a_wrong_length_or_kind_encrypts_nothing(core: ModuleType, given: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        bare(core, urandom=lambda _: given).encrypt(b"text")


def test_a_source_of_randomness_that_fails_is_heard(core: ModuleType) -> None:
    def broken(_: int) -> bytes:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        bare(core, urandom=broken).encrypt(b"text")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"cipher": "AES-256-GCM"}, ValueError, id="another mode"),
        pytest.param({"cipher": "DES-EDE3-CBC"}, ValueError, id="another block"),
        pytest.param({"cipher": "ROT13"}, RuntimeError, id="a cipher that nobody has"),
        pytest.param({"digest": "CRC32"}, RuntimeError, id="a digest that nobody has"),
        pytest.param({"digest": "sha3-224"}, ValueError, id="a digest of larger blocks"),
        pytest.param({"digest": "NULL"}, ValueError, id="no digest at all"),
        pytest.param({"digest": "md5"}, ValueError, id="a digest that is too short"),
        pytest.param({"key": bytes(129)}, ValueError, id="a key of more than a block"),
        pytest.param({"head": bytes(65)}, ValueError, id="a head of more than 64 bytes"),
    ],
)
def test_sizes_beyond_its_buffers_are_refused_when_a_key_is_bound(
    core: ModuleType, change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        bare(core, **change)


def test_an_algorithm_that_the_core_does_not_have_is_done_in_python(
    core: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a system whose policy took it out of OpenSSL."""

    def without(*_: object) -> NoReturn:
        raise RuntimeError("libcrypto failed: unsupported")

    expected = pair(SUITES[0])[0].encrypt(b"text")
    monkeypatch.setattr(compiled, "_import", lambda _: _with(core, without))
    bound = AuthenticatedEncryptor(Secret(KEY), SUITES[0]).bind(b"label", b"head")
    assert bound.decrypt(expected) == b"text"
    assert type(bound.decrypt).__name__ == "function"


def _with(core: ModuleType, replaced: object) -> ModuleType:
    """The extension with another class in it."""
    changed = ModuleType(core.__name__)
    changed.__dict__.update(vars(core), CbcHmac=replaced)
    return changed


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_bound_key_cannot_be_pickled_or_copied(core: ModuleType, copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        copied(bare(core))
    with pytest.raises(TypeError):
        pickle.dumps(bare(core).encrypt)


def test_a_bound_key_cannot_be_made_half_or_changed(core: ModuleType) -> None:
    with pytest.raises(TypeError):
        core.CbcHmac.__new__(core.CbcHmac)
    with pytest.raises(TypeError):
        core.CbcHmac("AES-256-CBC", "sha256", KEY, b"", b"", os.urandom, refuse, rounds=1)
    with pytest.raises(TypeError):
        core.CbcHmac.encrypt = None
    with pytest.raises(AttributeError):
        bare(core).head = b"another"
    with pytest.raises(TypeError):
        type("Mine", (core.CbcHmac,), {})


def test_what_a_bound_key_was_given_is_let_go_with_it(core: ModuleType) -> None:
    class Source:
        def __call__(self, size: int) -> bytes:
            return os.urandom(size)

    def count() -> int:
        gc.collect()
        return sum(type(thing) is Source for thing in gc.get_objects())

    bound = bare(core, urandom=Source())
    bound.encrypt(b"text")
    assert count() == 1
    del bound
    assert count() == 0


def resident() -> int:
    """The memory of this process in bytes. Its peak would depend on earlier tests. 0: not available here."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_no_call_leaves_memory_behind(core: ModuleType) -> None:
    """Valid and refused payloads, keys created and freed: neither Python's blocks nor the process grow."""

    def work(times: int) -> tuple[int, int]:
        bound = bare(core)
        payload = bound.encrypt(bytes(5000))
        for _ in range(times):
            bound.decrypt(bound.encrypt(payload))
            bare(core)
            with contextlib.suppress(RefusedError):
                bound.decrypt(payload[:-1])
            with contextlib.suppress(RuntimeError):
                bare(core, cipher="ROT13")
        gc.collect()
        return sys.getallocatedblocks(), resident()

    work(200)
    blocks, size = work(200)
    blocks_after, size_after = work(3000)
    assert blocks_after - blocks < 1000  # one a round would be 3000
    assert size_after - size < 3_000_000  # 1 KB a round would show, and a round makes a dozen contexts


class TestDescribe:
    """`compiled.describe` names the implementation in use."""

    def test_the_core_names_its_openssl(self) -> None:
        assert compiled.describe().startswith("compiled core, OpenSSL ")

    def test_a_switch_in_the_environment_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DPM_PURE_PYTHON", "1")
        assert compiled.describe() == "pure Python: DPM_PURE_PYTHON is set"

    def test_a_core_that_is_missing_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compiled, "_import", lambda _: "libcrypto.so.3: cannot open shared object file")
        assert "not built here" in compiled.describe()
        assert "libcrypto.so.3" in compiled.describe()
        assert compiled.load("crypto._cbc_hmac") is None

    @pytest.mark.parametrize(("switch", "said"), [("1", "pure Python"), ("0", "compiled core"), ("", "compiled core")])
    def test_dpm_says_it_with_its_version(self, switch: str, said: str) -> None:
        told = subprocess.run(
            [sys.executable, "-m", "dpmiddleware", "--version"],
            env=os.environ | {"DPM_PURE_PYTHON": switch},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said in told.stdout
