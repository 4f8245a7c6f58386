"""The mapping for an application: read at its first use, all changes noticed, closed when the response starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime, timezone
from typing import Any

import pytest

from dpmiddleware.errors import ConfigurationError, KeyManagementError, MalformedPayloadError, NoUsableKeyError
from dpmiddleware.web.sessions.session import CSRF_KEYS, Session
from dpmiddleware.web.sessions.stored import JSON, JsonFormat, StoredSession, milliseconds, moment, pack, unpack

MOMENT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NOW = milliseconds(MOMENT)


def stored(mapping: dict[str, Any], **reserved: str) -> Session:
    """A session that a request contains."""
    whole = {"_dpm_id": "id-1", **reserved, **mapping}
    return Session(lambda _: StoredSession(NOW, NOW, JSON.dumps(whole), JSON.loads(JSON.dumps(whole))))


def test_an_untouched_session_is_never_opened() -> None:
    def source(_: Session) -> StoredSession | None:
        raise AssertionError("opened")

    session = Session(source)
    assert not session.accessed
    assert not session.modified


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda s: s["a"], id="item"),
        pytest.param(lambda s: s.get("a"), id="get"),
        pytest.param(lambda s: "a" in s, id="in"),
        pytest.param(len, id="len"),
        pytest.param(bool, id="bool"),
        pytest.param(list, id="iteration"),
        pytest.param(lambda s: list(reversed(s)), id="reversed"),
        pytest.param(lambda s: s.keys(), id="keys"),
        pytest.param(lambda s: s == {}, id="equality"),
        pytest.param(repr, id="repr"),
        pytest.param(lambda s: s | {}, id="union"),
        pytest.param(lambda s: {} | s, id="union-from-the-right"),
        pytest.param(lambda s: s.id, id="id"),
        pytest.param(lambda s: s.subject, id="subject"),
        pytest.param(lambda s: s.mark_accessed(), id="starlette"),
    ],
)
def test_every_way_of_reading_reads_and_changes_nothing(use: Callable[[Session], object]) -> None:
    session = stored({"a": 1})
    use(session)
    assert session.accessed
    assert not session.modified


@pytest.mark.parametrize(
    "copied",
    [dict, lambda s: json.loads(json.dumps(s)), lambda s: {**s}, lambda s: s.copy(), lambda s: {} | s],
    ids=["dict", "json", "unpacking", "copy", "union"],
)
def test_copies_of_a_session_not_yet_read_hold_what_is_in_it(copied: Callable[[Session], object]) -> None:
    """Even changes by C code."""
    assert copied(stored({"a": {"b": 1}})) == {"a": {"b": 1}}
    assert copied(Session()) == {}


@pytest.mark.parametrize(
    ("change", "after"),
    [
        pytest.param(lambda s: s.__setitem__("c", 3), {"a": 1, "n": {"x": [1]}, "c": 3}, id="set"),
        pytest.param(lambda s: s.__delitem__("a"), {"n": {"x": [1]}}, id="delete"),
        pytest.param(lambda s: s["n"]["x"].append(2), {"a": 1, "n": {"x": [1, 2]}}, id="nested"),
        pytest.param(lambda s: s.popitem(), {"a": 1}, id="popitem"),
        pytest.param(lambda s: s.pop("a"), {"n": {"x": [1]}}, id="pop"),
        pytest.param(lambda s: s.__ior__({"b": 2}), {"a": 1, "n": {"x": [1]}, "b": 2}, id="ior"),
        pytest.param(lambda s: s.update(b=2), {"a": 1, "n": {"x": [1]}, "b": 2}, id="update"),
        pytest.param(lambda s: s.setdefault("b", []).append(1), {"a": 1, "n": {"x": [1]}, "b": [1]}, id="setdefault"),
        pytest.param(lambda s: (s.clear(), s.update(z=1)), {"z": 1}, id="clear-then-set"),
    ],
)
def test_story_28_every_kind_of_change_is_seen(change: Callable[[Session], object], after: dict[str, Any]) -> None:
    session = stored({"a": 1, "n": {"x": [1]}})
    change(session)
    assert session.modified
    assert session == after
    assert JSON.loads(session.dumps()) == {"_dpm_id": "id-1", **after}


@pytest.mark.parametrize(
    "lend",
    [
        pytest.param(lambda s: s["n"], id="item"),
        pytest.param(lambda s: s.get("n"), id="get"),
        pytest.param(lambda s: dict(s.items())["n"], id="items"),
        pytest.param(lambda s: list(s.values())[1], id="values"),
        pytest.param(lambda s: s.copy()["n"], id="copy"),
        pytest.param(lambda s: (s | {})["n"], id="union"),
        pytest.param(lambda s: ({} | s)["n"], id="union-from-the-right"),
        pytest.param(lambda s: dict(s)["n"], id="dict"),
        pytest.param(lambda s: {**s}["n"], id="unpacking"),
        pytest.param(lambda s: copy(s)["n"], id="shallow-copy"),
        pytest.param(lambda s: s.setdefault("n", 0), id="setdefault"),
    ],
)
def test_whoever_was_handed_a_nested_value_may_edit_it(lend: Callable[[Session], Any]) -> None:
    session = stored({"a": 1, "n": {"x": [1]}})
    nested = lend(session)
    assert not session.modified
    nested["x"].append(2)
    assert session.modified
    assert JSON.loads(session.dumps())["n"] == {"x": [1, 2]}


class CountingFormat(JsonFormat):
    """JSON that counts how often it serializes."""

    def __init__(self) -> None:
        self.written = 0

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        self.written += 1
        return super().dumps(mapping)


@pytest.mark.parametrize(
    ("use", "written"),
    [
        pytest.param(lambda s: (s["a"], s.get("b"), "n" in s, len(s), list(s)), 0, id="nothing-that-can-be-edited"),
        pytest.param(lambda s: s["n"], 1, id="a-nested-value"),
        pytest.param(lambda s: s.update(a=2), 1, id="a-change"),
    ],
)
def test_a_session_is_written_down_only_where_it_may_have_changed(
    use: Callable[[Session], object], written: int
) -> None:
    counting, data = CountingFormat(), {"_dpm_id": "id-1", "a": 1, "n": [1]}
    session = Session(lambda _: StoredSession(NOW, NOW, JSON.dumps(data), dict(data)), value_format=counting)
    use(session)
    session.changed()
    assert counting.written == written


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.setdefault("a", 9), id="setdefault-of-what-is-there"),
        pytest.param(lambda s: s.pop("missing", None), id="pop-of-what-is-not"),
        pytest.param(lambda s: s.update({}), id="empty-update"),
        pytest.param(lambda s: s.__setitem__("a", 1), id="the-same-value"),
    ],
)
def test_a_change_that_changes_nothing_is_none(change: Callable[[Session], object]) -> None:
    session = stored({"a": 1})
    change(session)
    assert not session.modified


def test_a_change_can_be_claimed() -> None:
    session = stored({"a": 1})
    session.modified = True
    assert session.modified


def test_a_new_session_is_written_once_something_is_in_it() -> None:
    session = Session()
    assert not session.modified
    assert session.stored is None
    session["a"] = 1
    assert session.modified


def test_id_and_subject_are_kept_apart_from_what_the_application_sees() -> None:
    session = stored({"a": 1}, _dpm_subject="ada")
    assert (session.id, session.subject, dict(session)) == ("id-1", "ada", {"a": 1})


def test_an_application_cannot_write_the_id_or_the_subject_into_the_mapping() -> None:
    session = stored({})
    session["_dpm_id"] = session["_dpm_subject"] = "mine"
    kept = JSON.loads(session.dumps())
    assert kept["_dpm_id"] == "id-1"
    assert "_dpm_subject" not in kept


def test_ids_differ() -> None:
    assert Session().id != Session().id
    assert len(Session().id) == 22


# --- sign-in ------------------------------------------------------------------------------------------------


def test_signing_in_keeps_an_anonymous_cart_under_a_new_id_without_csrf_tokens() -> None:
    session = stored({"cart": ["apples"], **dict.fromkeys(CSRF_KEYS, "planted")})
    session.renew("ada")
    assert session == {"cart": ["apples"]}
    assert session.id != "id-1"
    assert session.subject == "ada"
    assert session.created is None
    assert session.modified


def test_signing_in_as_somebody_else_empties_the_session() -> None:
    session = stored({"cart": ["apples"]}, _dpm_subject="ada")
    session.renew("bob")
    assert session == {}
    assert session.subject == "bob"


def test_signing_in_again_keeps_the_session() -> None:
    session = stored({"cart": ["apples"]}, _dpm_subject="ada")
    session.renew("ada")
    assert session == {"cart": ["apples"]}


def test_renewing_without_a_subject_keeps_whose_it_is() -> None:
    session = stored({"a": 1}, _dpm_subject="ada")
    session.renew()
    assert session.subject == "ada"
    assert session.id != "id-1"


def test_signing_out_empties_the_session() -> None:
    session = stored({"cart": ["apples"]}, _dpm_subject="ada")
    session.empty()
    assert session == {}
    assert session.subject is None


@pytest.mark.parametrize("opened_before", [True, False])
@pytest.mark.parametrize("owner", ["bob", None])
def test_a_session_of_another_user_is_discarded(owner: str | None, opened_before: bool) -> None:
    session = stored({"cart": ["apples"]}, _dpm_subject="ada")
    if opened_before:
        session.mark_accessed()
    session.bind(lambda: owner)
    assert session == {}
    assert session.subject == owner
    assert session.id != "id-1"


def test_a_users_own_session_is_kept() -> None:
    session = stored({"a": 1}, _dpm_subject="ada")
    session.bind(lambda: "ada")
    assert (session, session.id, session.modified) == ({"a": 1}, "id-1", False)


def test_an_anonymous_session_becomes_the_users_under_a_new_id() -> None:
    session = stored({"a": 1, "csrf_token": "planted"})
    session.bind(lambda: "ada")
    assert session == {"a": 1}
    assert session.subject == "ada"
    assert session.id != "id-1"


def test_binding_opens_nothing() -> None:
    session = stored({"a": 1})
    session.bind(lambda: "ada")
    assert not session.accessed


# --- what must not happen silently --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.__setitem__("a", 2), id="set"),
        pytest.param(lambda s: s.clear(), id="clear"),
        pytest.param(lambda s: s.renew("ada"), id="renew"),
        pytest.param(lambda s: s.empty(), id="empty"),
        pytest.param(lambda s: s.__ior__({"b": 1}), id="ior"),
    ],
)
def test_a_change_after_the_response_has_started_raises(change: Callable[[Session], object]) -> None:
    session = stored({"a": 1})
    session.closed = True
    assert session["a"] == 1
    with pytest.raises(ConfigurationError, match="after the response had started") as caught:
        change(session)
    assert caught.value.hint


def test_an_outage_stays_one_for_the_whole_request() -> None:
    """An application that catches the error does not continue with an empty session."""
    calls: list[int] = []

    def source(_: Session) -> StoredSession | None:
        calls.append(1)
        raise NoUsableKeyError("no ring")

    session = Session(source)
    for _ in range(2):
        with pytest.raises(KeyManagementError):
            session.get("a")
    assert calls == [1]
    assert isinstance(session.failure, NoUsableKeyError)


def test_a_value_that_json_cannot_hold_is_an_error() -> None:
    session = Session()
    session["a"] = object()
    with pytest.raises(TypeError) as caught:
        session.dumps()
    assert isinstance(caught.value, ConfigurationError)
    assert "session['a']" in str(caught.value)


# --- bytes --------------------------------------------------------------------------------------------------


def test_the_plaintext_has_a_version_two_times_and_the_mapping() -> None:
    packed = pack(1, 1000, b'{"a":1}')
    assert packed.hex() == "01" + "0000000000000001" + "00000000000003e8" + b'{"a":1}'.hex()
    assert unpack(packed) == (1, 1000, b'{"a":1}')


def test_times_are_milliseconds_since_1970() -> None:
    one_ms = datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=timezone.utc)
    stored = StoredSession(milliseconds(one_ms), milliseconds(MOMENT), b"{}", {})
    assert (stored.created_ms, moment(stored.created_ms), moment(stored.renewed_ms)) == (1, one_ms, MOMENT)


@pytest.mark.parametrize(
    "plain", [b"", b"\x01", b"\x01" + b"\0" * 15, b"\x02" + b"\0" * 16 + b"{}", b"\x01" + b"\xff" * 16 + b"{}"]
)
def test_a_plaintext_of_another_kind_is_malformed(plain: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        unpack(plain)


@pytest.mark.parametrize("mapping", [{}, {"é": "ü", "n": None, "l": [1, 2.5, True]}, {"lone": "\ud800"}])
def test_json_gives_back_what_it_took(mapping: dict[str, Any]) -> None:
    assert JSON.loads(JSON.dumps(mapping)) == mapping


@pytest.mark.parametrize("data", [b"[]", b"1", b"{", b"\xff"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        JSON.loads(data)
