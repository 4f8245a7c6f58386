"""`ProtectedSerializer` can replace a serializer of itsdangerous."""

from __future__ import annotations

import io
import json
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import BadData, BadPayload, BadSignature, BadTimeSignature, SignatureExpired, URLSafeTimedSerializer

from dpmiddleware.errors import RepositoryError
from dpmiddleware.protection import base64url
from dpmiddleware.protection.serializer import ProtectedSerializer
from dpmiddleware.purposes import serializer as serializer_purposes
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import NOON, StoppedClock, WatchedRepository, data_protection

VALUES: list[Any] = [None, True, 0, -1.5, "", "text é", [1, [2]], {}, {"id": 7, "roles": ["a", "b"]}]


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def serializer(clock: StoppedClock) -> ProtectedSerializer:
    return ProtectedSerializer(data_protection(MemoryKeyRepository(), clock))


@pytest.mark.parametrize("value", VALUES, ids=json.dumps)
def test_a_value_comes_back_as_from_itsdangerous(serializer: ProtectedSerializer, value: Any) -> None:
    theirs = URLSafeTimedSerializer("secret")
    assert serializer.loads(serializer.dumps(value)) == theirs.loads(theirs.dumps(value)) == value


def test_the_text_is_safe_in_urls_and_shows_nothing(serializer: ProtectedSerializer) -> None:
    text = serializer.dumps({"canary": "canary"})
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert b"canary" not in base64url.decode(text)


def test_text_may_come_as_bytes(serializer: ProtectedSerializer) -> None:
    assert serializer.loads(serializer.dumps([1]).encode()) == [1]


BAD = ["", "garbage", "a.b.c", b"\xff\xfe", "é", "CfDJ8", "A" * 5000, URLSafeTimedSerializer("s").dumps({"id": 1})]


@pytest.mark.parametrize(
    "text", BAD, ids=["empty", "garbage", "three parts", "bytes", "é", "a start", "long", "signed"]
)
def test_what_does_not_open_is_a_bad_signature(serializer: ProtectedSerializer, text: str | bytes) -> None:
    with pytest.raises(BadSignature) as caught:
        serializer.loads(text)
    assert caught.value.payload is None
    assert isinstance(caught.value, BadTimeSignature)


def test_a_changed_value_is_a_bad_signature(serializer: ProtectedSerializer) -> None:
    text = serializer.dumps([1])
    with pytest.raises(BadSignature):
        serializer.loads(text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:])


@pytest.mark.parametrize("age", [0, 59, 60, 61, 3600])
def test_an_age_is_judged_as_itsdangerous_judges_it(
    clock: StoppedClock, age: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the second: as old as allowed is allowed."""
    ours = ProtectedSerializer(data_protection(MemoryKeyRepository(), clock))
    theirs = URLSafeTimedSerializer("secret")
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: clock.now().timestamp())
    tokens = (ours.dumps("v"), theirs.dumps("v"))
    clock.advance(seconds=age)

    def outcome(serializer: ProtectedSerializer | URLSafeTimedSerializer, token: str | bytes) -> object:
        try:
            return serializer.loads(token, max_age=60)
        except SignatureExpired as error:
            return error.date_signed

    assert outcome(ours, tokens[0]) == outcome(theirs, tokens[1])


def test_an_expired_value_says_when_it_was_made(serializer: ProtectedSerializer, clock: StoppedClock) -> None:
    token = serializer.dumps("v")
    clock.advance(seconds=61)
    with pytest.raises(SignatureExpired) as caught:
        serializer.loads(token, max_age=60)
    assert caught.value.date_signed == NOON
    assert isinstance(caught.value.payload, bytes)
    assert serializer.load_payload(caught.value.payload) == "v"
    assert serializer.loads(token) == "v"


def test_a_value_made_by_a_clock_far_ahead_has_no_age(clock: StoppedClock) -> None:
    """Clocks of a farm may differ by five minutes; a value from tomorrow would never expire in time."""
    repository = MemoryKeyRepository()
    here = ProtectedSerializer(data_protection(repository, clock))
    ahead = StoppedClock(NOON + timedelta(minutes=5))
    near = ProtectedSerializer(data_protection(repository, ahead)).dumps("v")
    ahead.advance(seconds=1)
    far = ProtectedSerializer(data_protection(repository, ahead)).dumps("v")
    assert here.loads(near, max_age=60) == "v"
    with pytest.raises(SignatureExpired):
        here.loads(far, max_age=60)
    assert here.loads(far) == "v"


def test_the_moment_comes_along_where_it_is_asked_for(serializer: ProtectedSerializer) -> None:
    assert serializer.loads(serializer.dumps([1]), return_timestamp=True) == ([1], NOON)


def test_a_salt_is_another_purpose(serializer: ProtectedSerializer) -> None:
    token = serializer.dumps("v", salt="reset")
    assert serializer.loads(token, salt="reset") == "v"
    assert serializer.loads(token, salt=b"reset") == "v"
    for salt in (None, "", "Reset", "itsdangerous"):
        with pytest.raises(BadSignature):
            serializer.loads(token, salt=salt)


def test_two_serializers_of_one_salt_read_each_other() -> None:
    dp = data_protection(MemoryKeyRepository())
    token = ProtectedSerializer(dp, "reset").dumps("v")
    assert ProtectedSerializer(dp).loads(token, salt="reset") == "v"


def test_many_salts_leave_memory_flat(serializer: ProtectedSerializer) -> None:
    tokens = [serializer.dumps(n, salt=f"salt {n}") for n in range(300)]
    assert [serializer.loads(token, salt=f"salt {n}") for n, token in enumerate(tokens)] == list(range(300))
    assert serializer._protector._protector.cache_info().currsize <= 64


def test_files_are_written_and_read(serializer: ProtectedSerializer) -> None:
    file = io.StringIO()
    serializer.dump({"id": 7}, file, salt="f")
    file.seek(0)
    assert serializer.load(file, salt="f") == {"id": 7}
    file.seek(0)
    assert serializer.load_unsafe(file, salt="f") == (True, {"id": 7})


def test_unsafe_loading_shows_nothing_of_what_is_not_authentic(serializer: ProtectedSerializer) -> None:
    """Itsdangerous would return the value anyway. Here it is encrypted, and is not decrypted."""
    assert serializer.loads_unsafe(serializer.dumps([1])) == (True, [1])
    assert serializer.loads_unsafe("garbage") == (False, None)
    assert serializer.loads_unsafe(serializer.dumps([1], salt="x")) == (False, None)


def test_unsafe_loading_counts_an_expired_value_as_not_authentic(
    serializer: ProtectedSerializer, clock: StoppedClock
) -> None:
    token = serializer.dumps([1])
    clock.advance(hours=1)
    assert serializer.loads_unsafe(token, max_age=60)[0] is False


def test_what_opens_and_is_no_value_is_a_bad_payload() -> None:
    """As in itsdangerous, this is not a bad signature: an owner of the ring used another format."""
    dp = data_protection(MemoryKeyRepository())
    for inner in (b"\0" * 8 + b"no json", b"\0" * 8 + b"\xff", b"short", b"\xff" * 20):
        token = dp.create_protector(*serializer_purposes("itsdangerous")).protect(inner)
        with pytest.raises(BadPayload) as caught:
            ProtectedSerializer(dp).loads(base64url.encode(token))
        assert not isinstance(caught.value, BadSignature)
        assert caught.value.original_error is not None


def test_one_except_clause_catches_all_of_them(serializer: ProtectedSerializer) -> None:
    for text in ("garbage", "CfDJ8" + "A" * 100):
        with pytest.raises(BadData):
            serializer.loads(text)


FUZZED = ProtectedSerializer(data_protection(MemoryKeyRepository()), "fuzzed")


@given(st.one_of(st.text(max_size=100), st.binary(max_size=100), st.binary(max_size=80).map(base64url.encode)))
def test_whatever_a_client_sends_is_bad_data_and_nothing_else_happens(text: str | bytes) -> None:
    with pytest.raises(BadData):
        FUZZED.loads(text)
    assert FUZZED.loads_unsafe(text) == (False, None)


def test_another_format_may_write_bytes() -> None:
    dp = data_protection(MemoryKeyRepository())
    serializer = ProtectedSerializer(dp, serializer=pickle)
    assert serializer.loads(serializer.dumps({1: (2, b"x")})) == {1: (2, b"x")}


def test_a_value_that_cannot_be_written_is_the_callers_error(serializer: ProtectedSerializer) -> None:
    with pytest.raises(TypeError):
        serializer.dumps(object())


def test_an_outage_is_no_bad_signature() -> None:
    """Applications sign a user out on `BadSignature`. An outage of the store must not do that."""
    repository = WatchedRepository()
    good = ProtectedSerializer(data_protection(repository)).dumps("v")
    repository.go_down()
    serializer = ProtectedSerializer(data_protection(repository))
    with pytest.raises(RepositoryError):
        serializer.loads(good)
    with pytest.raises(RepositoryError):
        serializer.dumps("v")


def test_values_survive_a_rotation(clock: StoppedClock) -> None:
    repository = MemoryKeyRepository()
    token = ProtectedSerializer(data_protection(repository, clock)).dumps("v")
    clock.advance(days=91)
    later = ProtectedSerializer(data_protection(repository, clock))
    assert later.loads(token) == "v"
    assert later.loads(later.dumps("w")) == "w"


def test_its_values_are_no_values_of_other_purposes(serializer: ProtectedSerializer) -> None:
    dp = data_protection(MemoryKeyRepository())
    foreign = dp.create_protector("p").protect(b"\0" * 8 + b'"v"')
    with pytest.raises(BadSignature):
        ProtectedSerializer(dp).loads(base64url.encode(foreign))
