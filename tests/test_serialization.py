"""What is written can be read back; what cannot be written is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.json.tag import TaggedJSONSerializer

from dpmiddleware import ConfigurationError, ProtectedSerializer
from dpmiddleware.flask.sessions import FlaskFormat
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.serialization import MAX_DEPTH, json_encoder
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import JSON
from tests.fakes import data_protection

RoundTrip = Callable[[dict[str, Any]], dict[str, Any]]


def nested(levels: int, kind: type = list) -> Any:
    """A value of this many levels."""
    value: Any = "deep inside"
    for _ in range(levels):
        value = {"a": value} if kind is dict else kind([value])
    return value


def of_a_serializer(serializer: Any = None) -> RoundTrip:
    protected = ProtectedSerializer(data_protection(MemoryKeyRepository()), salt="s", serializer=serializer)
    return lambda mapping: dict(protected.loads(protected.dumps(mapping)))


def of_a_session(mapping: dict[str, Any]) -> dict[str, Any]:
    session = Session()
    session.update(mapping)
    found = JSON.loads(session.dumps())
    return {name: found[name] for name in mapping}


def of_flask(provider: Any = None) -> RoundTrip:
    value_format = FlaskFormat(provider)
    return lambda mapping: value_format.loads(value_format.dumps(mapping))


def of_django(kind: str) -> RoundTrip:
    from django.core.signing import JSONSerializer

    from dpmiddleware.django import session_cookie

    value_format = getattr(session_cookie, kind)(JSONSerializer())
    return lambda mapping: dict(value_format.loads(value_format.dumps(mapping)))


FORMATS: dict[str, Callable[[], RoundTrip]] = {
    "sessions": lambda: of_a_session,
    "serializer": of_a_serializer,
    "serializer with Flask's tagged JSON": lambda: of_a_serializer(TaggedJSONSerializer()),
    "Flask": of_flask,
    "Flask, fast": lambda: of_flask(Flask("x").json),
    "Django": lambda: of_django("DjangoFormat"),
    "Django, fast": lambda: of_django("_JsonFormat"),
}


@pytest.fixture(params=FORMATS)
def round_trip(request: pytest.FixtureRequest) -> RoundTrip:
    return FORMATS[request.param]()


def deeper(frames: int, call: Callable[[], Any]) -> Any:
    """Call from a stack that is this much deeper, as inside a framework with its middleware."""
    return call() if frames == 0 else deeper(frames - 1, call)


@pytest.mark.parametrize("kind", [list, dict, tuple])
def test_what_was_too_deep_to_be_read_was_written(round_trip: RoundTrip, kind: type) -> None:
    """977 levels of JSON were written, and could not be read: a session that ended with each request."""
    for levels in (*range(1, 20), *range(90, 110), 150, 200, 300, 450, 480, 490, *range(900, 1000, 7), 2000, 100_000):
        mapping = {"ok": 1, "deep": nested(levels, kind)}
        if levels < MAX_DEPTH:
            assert str(round_trip(mapping)["deep"]).count("deep inside") == 1
        else:
            with pytest.raises(ConfigurationError, match=r"\['deep'\]") as caught:
                round_trip(mapping)
            assert caught.value.hint


@pytest.mark.parametrize("kind", [list, dict, tuple])
def test_the_deepest_value_is_written_and_read_on_a_deep_stack(round_trip: RoundTrip, kind: type) -> None:
    mapping = {"deep": nested(MAX_DEPTH - 1, kind)}
    assert deeper(min(300, sys.getrecursionlimit() // 3), lambda: round_trip(mapping))


def test_wide_values_and_brackets_in_text_are_not_deep(round_trip: RoundTrip) -> None:
    mapping = {"wide": [[] for _ in range(500)], "text": "[{" * 500, "many": {str(n): {} for n in range(500)}}
    assert round_trip(mapping) == mapping


def test_a_value_that_contains_itself_is_named(round_trip: RoundTrip) -> None:
    looped: list[Any] = []
    looped.append(looped)
    with pytest.raises(ConfigurationError, match=r"\['looped'\]"):
        round_trip({"ok": 1, "looped": looped})


class Thing:
    """A class that no format knows."""


CULPRITS: dict[str, tuple[dict[str, Any], str]] = {
    "at the top": ({"ok": 1, "thing": Thing()}, r"\['thing'\] cannot be serialized \(Thing\)"),
    "in a list": ({"cart": [1, {"what": [Thing()]}]}, r"\['cart'\]\[1\]\['what'\]\[0\] cannot be .*\(Thing\)"),
    "a set": ({"ids": {1, 2}}, r"\['ids'\] cannot be serialized \(set\)"),
    "an enormous number": ({"big": 10**5000}, r"\['big'\] cannot be serialized \(int\)"),
    "a key": ({"cart": {(1, 2): 3}}, r"a key of \w+\['cart'\] cannot be serialized \(tuple\)"),
}


@pytest.mark.parametrize("case", CULPRITS)
def test_a_value_that_cannot_be_written_is_named(round_trip: RoundTrip, case: str) -> None:
    """``TypeError: Object of type Thing is not JSON serializable``: which of forty values?"""
    mapping, message = CULPRITS[case]
    with pytest.raises(ConfigurationError, match=message) as caught:
        round_trip(mapping)
    assert caught.value.hint
    assert isinstance(caught.value, TypeError), "as the json module raises it"


def test_a_serializer_names_what_is_not_a_mapping_as_well() -> None:
    serializer = ProtectedSerializer(data_protection(MemoryKeyRepository()), salt="s")
    with pytest.raises(ConfigurationError, match=r"^value\[2\] cannot be serialized \(date\)"):
        serializer.dumps([1, 2, date(2026, 1, 1)])
    with pytest.raises(ConfigurationError, match=r"^value cannot be serialized \(date\)"):
        serializer.dumps(date(2026, 1, 1))
    with pytest.raises(ConfigurationError, match=r"^value\[0\] is nested more than 100 levels deep"):
        serializer.dumps(nested(200))


def test_an_error_of_the_application_passes_through() -> None:
    class Custom:
        def dumps(self, obj: object) -> str:
            if obj == {}:
                return "{}"
            raise LookupError("mine")

        def loads(self, payload: object) -> object:
            return payload

    with pytest.raises(LookupError, match="mine"):
        ProtectedSerializer(data_protection(MemoryKeyRepository()), salt="s", serializer=Custom()).dumps(1)


@pytest.fixture(autouse=True)
def _recursion_limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    assert sys.getrecursionlimit() == before


class Unusual(dict[str, Any]):
    """A mapping of an application; ``json`` writes it as a dictionary."""


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("sort_keys", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"b": 1, "a": [True, None, 1.5, -0.0, 1e300, float("inf"), 10**30]}, id="numbers"),
        pytest.param({"ä": 'ß\u2028\ud800\x00"\\/', "": "é" * 50}, id="text"),
        pytest.param({1: "a", 2.5: "b"}, id="keys-that-are-not-text"),
        pytest.param({"deep": nested(90, dict), "tuple": (1, (2,))}, id="nested"),
        pytest.param(Unusual(a=Unusual(b=1)), id="subclasses"),
        pytest.param("only text", id="text-alone"),
    ],
)
@pytest.mark.parametrize("has_c_code", [True, False])
def test_the_encoder_that_is_kept_writes_what_json_writes(
    value: object, sort_keys: bool, ensure_ascii: bool, has_c_code: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_c_code:
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    encode = json_encoder(ensure_ascii=ensure_ascii, sort_keys=sort_keys)
    expected = json.dumps(value, ensure_ascii=ensure_ascii, sort_keys=sort_keys, separators=(",", ":"))
    assert [encode(value), encode(value)] == [expected, expected]


def test_the_encoder_that_is_kept_forgets_a_value_that_failed() -> None:
    encode, inner = json_encoder(), {"fine": [1]}
    with pytest.raises(TypeError, match="not JSON serializable"):
        encode({"inner": inner, "bad": date(2026, 1, 1)})
    assert encode({"inner": inner}) == '{"inner":{"fine":[1]}}'
