"""The compiled core's way with ordinary tickets beside Python's: whatever it reads or writes, both do alike.

The tests of tickets run with and without it; these are the rest.
"""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import struct
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpmiddleware.arguments import unchecked
from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.web.sign_in import ticket as module
from dpmiddleware.web.sign_in.claims import LOCAL_AUTHORITY
from dpmiddleware.web.sign_in.ticket import (
    AuthenticationProperties,
    Claim,
    ClaimTypes,
    ClaimValueTypes,
    Identity,
    Principal,
    Ticket,
    _Reader,
)
from tests.interop.vectors import load

SMALL = [data for case in load("tickets")["tickets"] if len(data := b64decode(case["bytes"])) < 1500]
ADA = Ticket(
    "Cookies",
    Principal("ada", roles=["admin", "clerk"], claims={"sub": "7", "e-mail": ""}),
    AuthenticationProperties({".issued": "Thu, 01 Jan 2026 00:00:00 GMT", "shop": "7"}, is_persistent=True),
)
ascii_texts = st.text(st.characters(max_codepoint=127), max_size=127)
types = ascii_texts.filter(lambda text: text != "\0") | st.sampled_from([ClaimTypes.NAME, ClaimTypes.ROLE, "sub"])
identities = st.builds(Identity, st.lists(st.builds(Claim, types, ascii_texts), max_size=4), ascii_texts, types, types)
tickets = st.builds(
    Ticket,
    ascii_texts,
    st.lists(identities, max_size=3).map(lambda them: Principal(identities=them)),
    st.dictionaries(ascii_texts, ascii_texts, max_size=4).map(AuthenticationProperties),
)


@pytest.fixture(scope="module", autouse=True)
def read(compiled_core: ModuleType) -> Iterator[Callable[[bytes], Ticket | None]]:
    """The core's reader, switched on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPM_PURE_PYTHON", "0")
        yield compiled()


def compiled() -> Callable[[bytes], Ticket | None]:
    return module._compiled()[0]


def written(ticket: Ticket) -> bytes | None:
    """By the core."""
    return module._compiled()[1](ticket)


def whole(data: bytes) -> Ticket | None:
    """What the whole reader makes of it; ``None`` for an error."""
    try:
        return _Reader(data, 4).ticket()
    except (MalformedPayloadError, IndexError, struct.error):
        return None


@given(tickets)
@example(ADA)
def test_an_ordinary_ticket_is_read_by_the_core(ticket: Ticket) -> None:
    data = ticket.serialize()
    assert compiled()(data) == whole(data) == ticket


@given(
    st.sampled_from([*SMALL, ADA.serialize()]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3),
)
def test_a_changed_ticket_is_left_alone_or_read_as_the_whole_reader_does(
    data: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(changed)] = value
    found = compiled()(bytes(changed))
    assert found is None or (changed.startswith(b"\5\0\0\0") and found == whole(bytes(changed)))


@pytest.mark.parametrize("data", [*SMALL, ADA.serialize()], ids=range(len(SMALL) + 1))
def test_a_ticket_cut_anywhere_is_left_alone(data: bytes, read: Callable[[bytes], Ticket | None]) -> None:
    assert all(read(data[:size]) is None for size in range(len(data)))


@given(st.binary(max_size=200))
def test_noise_is_left_alone_or_read_as_the_whole_reader_does(noise: bytes) -> None:
    data = b"\5\0\0\0\0" + noise
    found = compiled()(data)
    assert found is None or found == whole(data)


@pytest.mark.parametrize(
    "ticket",
    [
        pytest.param(Ticket("Cookies", Principal(claims=[Claim("name", "Zo\u00eb")])), id="not ASCII"),
        pytest.param(Ticket("Cookies", Principal(claims=[Claim("x", "x" * 128)])), id="a length of two bytes"),
        pytest.param(Ticket("Cookies", Principal(claims=[Claim("x", "x", issuer="y")])), id="an issuer"),
        pytest.param(Ticket("Cookies", Principal(claims=[Claim("x", "x", value_type="y")])), id="a value type"),
        pytest.param(Ticket("Cookies", Principal(claims=[Claim("x", "x", properties={"y": "z"})])), id="properties"),
        pytest.param(Ticket("Cookies", Principal(identities=[Identity(actor=Identity())])), id="an actor"),
        pytest.param(Ticket("Cookies", Principal(identities=[Identity(bootstrap_context="jwt")])), id="a token kept"),
    ],
)
def test_what_is_not_ordinary_is_left_to_the_whole_reader(
    ticket: Ticket, read: Callable[[bytes], Ticket | None]
) -> None:
    assert read(ticket._serialize()) is None
    assert written(ticket) in {None, ticket._serialize()}
    assert Ticket.deserialize(ticket.serialize()) == ticket


LENGTHS = st.sampled_from([0, 1, 63, 64, 127, 128, 8191, 8192, 16_383, 16_384])
any_texts = (
    st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800"])
    | st.builds(lambda letter, length: letter * length, st.sampled_from(["x", "\u00e9"]), LENGTHS)
)
any_claims = st.builds(
    Claim,
    any_texts | types,
    any_texts,
    any_texts | st.just(ClaimValueTypes.STRING),
    any_texts | st.just(LOCAL_AUTHORITY),
    any_texts,
    st.dictionaries(any_texts, any_texts, max_size=1),
)
any_identities = st.recursive(
    st.builds(Identity, st.lists(any_claims | st.builds(Claim, types, any_texts), max_size=3), any_texts, types, types),
    lambda inner: st.builds(Identity, actor=st.none() | inner, bootstrap_context=st.none() | any_texts),
    max_leaves=2,
)
any_tickets = st.builds(
    Ticket,
    any_texts,
    st.lists(any_identities, max_size=2).map(lambda them: Principal(identities=them)),
    st.dictionaries(any_texts, any_texts, max_size=3).map(AuthenticationProperties),
)


@given(any_tickets | tickets)
@example(ADA)
def test_what_it_writes_python_writes_too(ticket: Ticket) -> None:
    data = written(ticket)
    if data is None:
        return
    assert data == ticket._serialize() == ticket.serialize()
    assert whole(data) == ticket


def test_an_ordinary_ticket_is_written_by_the_core_beyond_ascii_too() -> None:
    zoe = Ticket("Cookies", Principal("Zo\u00eb", claims={"x": "x" * 20_000}))
    assert written(zoe) == zoe._serialize()


@pytest.mark.parametrize(
    ("kind", "ticket"),
    [
        pytest.param(ConfigurationError, Ticket("Cookies", Principal(claims=[Claim("\0", "x")])), id="a lone NUL"),
        pytest.param(AttributeError, Ticket("Cookies", unchecked(Principal)(identities=["x"])), id="no identity"),
        pytest.param(AttributeError, Ticket(7, Principal()), id="a number for a text"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_written_is_the_error_that_python_makes_of_it(kind: type[Exception], ticket: Ticket) -> None:
    assert written(ticket) is None
    with pytest.raises(kind):
        ticket.serialize()


def test_its_objects_are_as_good_as_those_that_python_makes(read: Callable[[bytes], Ticket | None]) -> None:
    """Every field set, frozen, equal and alike in a set; pickled and copied like others."""
    ticket = read(ADA.serialize())
    assert ticket is not None
    [identity] = ticket.principal.identities
    things: list[Any] = [ticket, ticket.principal, identity, *identity.claims]
    for thing in things:
        assert all(hasattr(thing, each.name) for each in fields(thing))
        with pytest.raises(AttributeError):
            setattr(thing, fields(thing)[0].name, "another")
    assert pickle.loads(pickle.dumps(ticket)) == copy.deepcopy(ticket) == ADA
    assert {ticket.principal} == {ADA.principal}
    assert ticket.principal.subject == ADA.principal.subject
    ticket.properties.items["shop"] = "8"
    assert read(ADA.serialize()) == ADA


def test_claims_share_no_properties_that_could_be_changed(read: Callable[[bytes], Ticket | None]) -> None:
    ticket = read(ADA.serialize())
    assert ticket is not None
    one, other, *_ = ticket.principal
    assert one.properties is not other.properties


@pytest.mark.parametrize("data", ["text", None, 7, bytearray(ADA.serialize())], ids=lambda value: type(value).__name__)
def test_what_is_not_bytes_is_left_to_python(data: Any, read: Callable[[bytes], Ticket | None]) -> None:
    assert read(data) is None


def test_a_ticket_in_another_kind_of_buffer_is_read_all_the_same() -> None:
    data: Any = bytearray(ADA.serialize())
    assert Ticket.deserialize(data) == ADA


class Odd(str):
    """A text with an opinion of its own; its hash is a text's."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = str.__hash__


class Reversed(dict[str, str]):
    """A dictionary that tells its items in another order."""

    def items(self) -> Any:
        return reversed(list(super().items()))


@pytest.mark.parametrize(
    "principal",
    [
        pytest.param(Principal(claims=[Claim(Odd("t"), "v")]), id="a claim's type"),
        pytest.param(Principal(claims=[Claim("t", Odd("v"))]), id="a claim's value"),
        pytest.param(Principal(identities=[Identity((), "x", Odd("n"))]), id="a name claim type"),
    ],
)
def test_texts_of_other_classes_are_left_to_python(principal: Principal) -> None:
    """What their methods do, or raise, is what happens; and it happens where they are asked."""
    ticket = Ticket("Cookies", principal)
    assert written(ticket) is None
    try:
        ticket.serialize()
    except ZeroDivisionError:
        return


def test_dictionaries_of_other_classes_are_left_to_python() -> None:
    ticket = Ticket("Cookies", Principal("ada"), AuthenticationProperties())
    ticket.properties.items = Reversed(a="1", b="2")
    assert written(ticket) is None
    assert list(Ticket.deserialize(ticket.serialize()).properties.items) == ["b", "a"]


def test_an_interrupt_while_writing_is_not_swallowed() -> None:
    class Interrupting:
        @property
        def scheme(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(Interrupting())  # type: ignore[arg-type]


def test_a_debugger_that_looks_at_everything_sees_no_half_ticket(read: Callable[[bytes], Ticket | None]) -> None:
    """With a garbage collector that runs all the time, and keeps hold of all that it sees."""
    seen: list[Any] = []

    def keep(*_: object) -> None:
        seen[:] = gc.get_objects(0)

    before = gc.get_threshold()
    gc.callbacks.append(keep)
    gc.set_threshold(1)
    try:
        assert read(ADA.serialize()) == ADA
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(keep)


def test_a_codec_is_made_of_classes_and_texts_or_not_at_all(read: object) -> None:
    make: Any = importlib.import_module("dpmiddleware.web.sign_in._ticket").Codec
    classes: list[Any] = [Claim, Identity, Principal, Ticket, AuthenticationProperties]
    for arguments in ([], [*classes], [*classes, "", "", "", None], [*classes[:4], "a class", "", "", "", ""]):
        with pytest.raises(TypeError):
            make(*arguments)
    with pytest.raises(TypeError):
        pickle.dumps(make(*classes, "", "", "", ""))


@dataclass(frozen=True, slots=True)
class WithAnotherField:
    """A claim that has got a field since the core was built."""

    type: str
    value: str
    value_type: str
    issuer: str
    original_issuer: str
    properties: dict[str, str]
    confidence: int = 0


@dataclass(frozen=True, slots=True)
class InAnotherOrder:
    """Fields of a claim, two of them exchanged."""

    value: str
    type: str
    value_type: str
    issuer: str
    original_issuer: str
    properties: dict[str, str]


@pytest.mark.parametrize("changed", [WithAnotherField, InAnotherOrder, Identity, str])
def test_where_the_fields_of_a_class_have_changed_the_codec_declines_and_python_reads_and_writes(
    read: object, changed: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make: Any = importlib.import_module("dpmiddleware.web.sign_in._ticket").Codec
    with pytest.raises(ValueError, match="other fields"):
        make(changed, Identity, Principal, Ticket, AuthenticationProperties, "", "", "", "")
    data = ADA.serialize()
    monkeypatch.setattr(module, "Claim", changed)
    compiled_read, compiled_write = module._compiled()
    assert compiled_read(data) is None
    assert compiled_write(ADA) is None
    monkeypatch.undo()
    monkeypatch.setattr(module, "_read_ordinary", compiled_read)
    monkeypatch.setattr(module, "_write_ordinary", compiled_write)
    assert Ticket.deserialize(data) == ADA
    assert ADA.serialize() == data


def test_what_was_read_and_written_leaves_nothing_behind(read: Callable[[bytes], Ticket | None]) -> None:
    """Objects of any kind, and references: of tickets that were read, of changed ones, of ones cut short."""
    data = ADA.serialize()
    broken = [data[:size] for size in range(0, len(data), 7)] + [data.replace(b"admin", b"adm\xff\xff")]
    unwritable = Ticket("Cookies", Principal(claims=[Claim("x", "\ud800")]))

    def work() -> tuple[int, int]:
        for _ in range(200):
            read(data)
            written(ADA)
            written(unwritable)
            for each in broken:
                read(each)
        gc.collect()
        return sys.getallocatedblocks(), sys.getrefcount(ClaimTypes.NAME) + sys.getrefcount(Claim)

    work()
    seen = [work() for _ in range(4)]
    grown = [after[0] - before[0] for before, after in pairwise(seen)]
    assert min(grown) < 100, grown  # one per round would be 200 each time; other threads of the tests make some
    assert len({references for _, references in seen}) == 1
