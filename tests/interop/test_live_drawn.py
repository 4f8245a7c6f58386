"""Drawn questions, put to us and to a running ASP.NET Core: the answers are the same, or a rule here says why not.

Seeds are fixed, so a difference comes back; ``make soak`` asks more.
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.reading import Reading
from dpmiddleware.keys.rotation import plan, resolve
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies import text as cookies
from tests.interop.damage import damaged
from tests.interop.ours import of_documents
from tests.interop.peer import ABSENT, Peer, PeerError, find_peer
from tests.interop.test_vectors_resolution import answer_of
from tests.interop.vectors import load

ROUNDS = [pytest.param(range(250), id="250"), pytest.param(range(1000, 11_000), id="10000", marks=pytest.mark.soak)]
POLICY = RotationPolicy()
NOW = datetime(2030, 6, 15, 12, 0, tzinfo=timezone.utc)


# --- dates of keys --------------------------------------------------------------------------------------------

OFFSETS = [
    timedelta(),
    *(timedelta(minutes=m) for m in (-6, -5, 5, 6)),
    *(timedelta(days=d) for d in range(-95, 96, 5)),
]
OFFSETS += [timedelta(hours=h) for h in (-73, -72, -71, -49, -48, -47, -24, 24, 47, 48, 49, 71, 72, 73)]
OFFSETS += [timedelta(microseconds=m) for m in (-1, 1)]


def drawn_keys(draw: random.Random) -> list[dict[str, Any]]:
    """Keys with dates around the borders that count; some revoked, some broken, some alike."""
    keys: list[dict[str, Any]] = []
    for _ in range(draw.choice((0, 1, 1, 2, 2, 3, 5, 8))):
        dates = [NOW + draw.choice(OFFSETS) for _ in range(3)]
        keys.append(
            {
                "key": str(UUID(int=draw.getrandbits(128))),
                **{
                    name: date.isoformat()
                    for name, date in zip(("created", "activation", "expiration"), dates, strict=True)
                },
                "revoked": draw.random() < 0.2,
                "broken": draw.random() < 0.15,
            }
        )
    if len(keys) > 1 and draw.random() < 0.3:
        keys[0]["activation"] = keys[1]["activation"]
    if len(keys) > 1 and draw.random() < 0.2:
        keys[0]["created"] = keys[1]["created"]
    return keys


@pytest.mark.parametrize("rounds", ROUNDS)
def test_drawn_keys_have_the_same_default_and_fallback(rounds: range, peer: Peer) -> None:
    ring = peer.open({"kind": "ephemeral"})
    for seed in rounds:
        keys = drawn_keys(random.Random(seed))
        if sum(key["broken"] for key in keys) > 1:
            continue  # each costs two seconds of retries there, and one says as much
        theirs = ring.ask("key.resolve", now=NOW.isoformat(), keys=[{**key, "broken": False} for key in keys])
        mine = answer_of(NOW.isoformat(), [{**key, "broken": False} for key in keys])
        assert mine == theirs, f"seed {seed}: {keys}"


def test_drawn_rings_with_a_broken_key_have_the_same_default_and_fallback(peer: Peer) -> None:
    ring, asked = peer.open({"kind": "ephemeral"}), 0
    for seed in range(500, 600):
        keys = drawn_keys(random.Random(seed))
        if asked < 2 and sum(key["broken"] for key in keys) == 1 and len(keys) > 2:
            theirs = ring.ask("key.resolve", now=NOW.isoformat(), keys=keys)
            assert answer_of(NOW.isoformat(), keys) == theirs, f"seed {seed}: {keys}"
            asked += 1
    assert asked == 2


def stored(key: dict[str, Any]) -> list[str]:
    """The documents of one drawn key, as we write them."""
    element = document.new_key(
        UUID(key["key"]),
        creation=Instant.parse(key["created"]),
        activation=Instant.parse(key["activation"]),
        expiration=Instant.parse(key["expiration"]),
        algorithm=Algorithm.AES_256_CBC_HMACSHA256,
        secret=Secret(b"k" * 64),
    )
    revocation = document.new_revocation(UUID(key["key"]), date=Instant.of(NOW), reason="drawn")
    elements = [element, revocation] if key["revoked"] else [element]
    return [document.dump(each).data.decode() for each in elements]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_key_is_made_in_the_same_drawn_rings_and_no_other(rounds: range, peer: Peer) -> None:
    """And where none is made, the same key protects."""
    for seed in rounds:
        drawn = [{**key, "broken": False} for key in drawn_keys(random.Random(seed))]
        documents = [text for key in drawn for text in stored(key)]
        ring = peer.documents(documents)
        default = ring.ask("key.ring", now=NOW.isoformat())["default"]
        made = len(ring.ask("store.documents")["documents"]) - len(documents)
        ours = of_documents(documents, None, now=str(Instant.of(NOW)))
        reading = ours.manager.read()
        decided = plan(Instant.of(NOW), reading.keys, reading.revocations, POLICY)
        assert (decided.make is not None) == bool(made), f"seed {seed}: {drawn}"
        if not made:
            assert decided.protect_with is not None
            assert str(decided.protect_with.id) == default, f"seed {seed}: {drawn}"


# --- damaged documents ----------------------------------------------------------------------------------------

DOCUMENTS = load("documents")
CANARY = base64.b64decode(DOCUMENTS["canary"])
THE_KEY: str = DOCUMENTS["key"]
Keys = dict[str, tuple[Instant, Instant, Instant, bool]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reader makes of a ring. keys: ``None`` where it is refused as a whole."""

    keys: Keys | None
    usable: dict[str, bool]
    opened: bool


@pytest.fixture
def utc_peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A peer in UTC beside us in UTC: dates without a zone are local ones."""
    program = find_peer()
    if program is None:
        pytest.skip(ABSENT)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with Peer(program, TZ="UTC") as running:
        yield running
    monkeypatch.undo()
    time.tzset()


def drawn_documents(seed: int) -> list[str]:
    draw = random.Random(seed)
    bases = {case["why"]: case["documents"] for case in DOCUMENTS["cases"]}
    names = ("as it was", "as it was", "revoked", "revoked all", "revoked all before creation")
    documents = list(bases[draw.choice(names)])
    at = draw.randrange(len(documents))
    documents[at] = damaged(documents[at], draw)
    return documents


def their_verdict(peer: Peer, documents: list[str]) -> Verdict:
    ring = peer.documents(documents, autoGenerate=False)
    try:
        keys: Keys = {
            key["key"]: (
                Instant.parse(key["created"]),
                Instant.parse(key["activation"]),
                Instant.parse(key["expiration"]),
                key["revoked"],
            )
            for key in ring.list_keys()
        }
    except PeerError:
        return Verdict(None, {}, opened=False)
    usable = ring.usable()
    opened = False
    if usable.get(THE_KEY):  # else it cannot be opened, and would be retried for two seconds
        try:
            opened = ring.unprotect(CANARY, "p") is not None
        except PeerError:
            opened = False
    return Verdict(keys, usable, opened)


def our_verdict(documents: list[str], now: str) -> tuple[Verdict, Reading]:
    ours = of_documents(documents, None, now=now)
    reading = ours.manager.read()
    try:
        ours.protector("p").unprotect(CANARY)
        opened = True
    except DataProtectionError:
        opened = False
    if reading.lost_revocation:
        return Verdict(None, {}, opened=opened), reading
    keys = {
        str(key.id): (key.creation_date, key.activation_date, key.expiration_date, key.revocation is not None)
        for key in reading.keys
    }
    return Verdict(keys, {str(key.id): key.usable for key in reading.keys}, opened), reading


def decided_otherwise(ours: Verdict, theirs: Verdict, reading: Reading, now: Instant) -> bool:
    """The differences that docs/compatibility.md lists."""
    empty = {str(key.id) for key in reading.keys if "empty or is not base64" in key.problem}
    if empty and ours == Verdict(theirs.keys, {**theirs.usable, **dict.fromkeys(empty, False)}, theirs.opened):
        return True  # an empty master key: usable there, and every payload fails
    resolution = resolve(now, reading.keys, POLICY)
    without_a_key = resolution.default is None and resolution.fallback is None
    return without_a_key and ours == Verdict(theirs.keys, theirs.usable, opened=True)  # it cannot even unprotect there


@pytest.mark.parametrize("rounds", ROUNDS)
def test_drawn_damage_leads_to_the_same_keys_and_the_same_payloads(rounds: range, utc_peer: Peer) -> None:
    now = Instant.of(datetime.now(timezone.utc))
    for seed in rounds:
        documents = drawn_documents(seed)
        theirs = their_verdict(utc_peer, documents)
        ours, reading = our_verdict(documents, str(now))
        if ours != theirs and not decided_otherwise(ours, theirs, reading, now):
            pytest.fail(f"seed {seed}: {documents}\nASP.NET Core: {theirs}\nhere: {ours}")


@pytest.mark.parametrize("seed", range(20))
def test_text_that_is_no_xml_fails_their_ring_and_is_set_aside_in_ours(seed: int, peer: Peer) -> None:
    """Decided: one broken file is no outage, unless it may be a revocation."""
    draw = random.Random(seed)
    good = next(case["documents"][0] for case in DOCUMENTS["cases"] if case["why"] == "as it was")
    cut = good[: draw.randrange(5, len(good))]
    with pytest.raises(PeerError):
        peer.documents([good, cut], autoGenerate=False).list_keys()
    ours = of_documents([good, cut], None, now="2026-11-22T14:48:00Z")
    assert len(ours.manager.read().set_aside) == 1
    assert ours.protector("p").unprotect(CANARY)


# --- Cookie headers -------------------------------------------------------------------------------------------

NAMES = ("a", "A", "aC1", "aC2", "aC3", "b", ".AspNetCore.Cookies", "__Host-a", "a b", "", "a\u00e4", "a[]")
VALUES = (
    "1",
    "",
    "x y",
    "chunks-2",
    "chunks-3",
    "chunks-0",
    "chunks-x",
    '"q"',
    '"',
    "%41",
    "%zz",
    "%C3%A4",
    "%ff",
    "a=b",
    "a,b",
    "\u00e4",
    "\x01",
)
GLUE = ("; ", ";", " ; ", ";;", ", ", "; \t", "")


def drawn_header(draw: random.Random) -> str:
    parts = []
    for _ in range(draw.randrange(6)):
        name, value = draw.choice(NAMES), draw.choice(VALUES)
        parts += [f"{name}={value}" if draw.random() < 0.9 else name or value, draw.choice(GLUE)]
    return "".join(parts)


def last_of_each(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """As ASP.NET Core keeps them: names without case, the last one counts."""
    return {name.lower(): value for name, value in pairs}


@pytest.mark.parametrize("rounds", ROUNDS)
def test_drawn_cookie_headers_hold_the_same_cookies(rounds: range, peer: Peer) -> None:
    for seed in rounds:
        header = drawn_header(random.Random(seed))
        theirs = last_of_each([(name, value) for name, value in peer.ask("cookies.parse", request=header)["cookies"]])
        ours = last_of_each(list(cookies.pairs(header.encode("utf-8"))))
        assert ours == theirs, f"seed {seed}: {header!r}"


@pytest.mark.parametrize("rounds", ROUNDS)
def test_drawn_chunks_are_joined_to_the_same_value(rounds: range, peer: Peer) -> None:
    """Compared where each name stands once; of several they take the last, we try all."""
    for seed in rounds:
        draw = random.Random(seed)
        names = [name for name in ("a", "aC1", "aC2", "aC3", "aC4") if draw.random() < 0.75]
        draw.shuffle(names)
        marker = draw.choice(
            ("chunks-1", "chunks-2", "chunks-3", "chunks-4", "chunks-03", "chunks--1", "chunks-2x", "plain")
        )
        header = "; ".join(f"{name}={marker if name == 'a' else draw.choice('uvwxyz') * 3}" for name in names)
        theirs = peer.ask("cookies.join", name="a", request=header, strict=False)["value"]
        raw = header.encode("utf-8")
        ours = chunks.join("a", lambda name, raw=raw: cookies.find(raw, name))  # type: ignore[misc]
        assert (ours[0] if ours else None) == theirs, f"seed {seed}: {header!r}"
