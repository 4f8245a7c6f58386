"""One ring, written by this package and by ASP.NET Core, through Redis, PostgreSQL and a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.testing.contracts.together import at_once
from tests.farm.places import place
from tests.interop.peer import Peer, PeerRing

ROUNDS = 6
PURPOSE = "Farm.Mixed"


def spec_of(url: str) -> dict[str, Any]:
    """The place of a URL in the form that the peer needs."""
    parts = urlsplit(url)
    if parts.scheme == "redis":
        return {"kind": "redis", "url": parts.netloc, "key": parse_qs(parts.query)["key"][0]}
    if parts.scheme.startswith("postgresql"):
        connection = f"Host={parts.hostname};Port={parts.port};Username={parts.username};Database={parts.path[1:]}"
        return {"kind": "postgres", "connection": connection}
    return {"kind": "fs", "path": url}


@pytest.fixture(params=["folder", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with place(request.param, request, tmp_path) as url:
        yield url


class Both:
    """An empty place, and a member of each kind."""

    def __init__(self, peer: Peer, url: str) -> None:
        self._peer, self._url = peer, url
        self.theirs = self.their_member()
        if url.startswith("postgresql"):
            self.theirs.ask("sql.create")

    def their_member(self) -> PeerRing:
        """A process of the peer that starts now, configured as in an application."""
        return self._peer.open(spec_of(self._url), app="shop", autoGenerate=False)

    def our_member(self) -> DataProtection:
        """A process of this package that starts now."""
        return DataProtection("shop", repository=self._url, auto_create_keys=False)


@pytest.fixture
def both(peer: Peer, url: str) -> Both:
    return Both(peer, url)


def their_key(ring: PeerRing) -> UUID:
    """The peer creates a key that protects at once."""
    now = datetime.now(timezone.utc)
    made = ring.ask("key.create", activation=now.isoformat(), expiration=(now + timedelta(days=90)).isoformat())
    return UUID(made["key"])


def test_a_ring_that_both_write_to_at_once_is_read_whole_by_both(both: Both) -> None:
    """Twelve keys created at the same time, half of them by the peer: none lost, none twice; all payloads open."""
    running = both.our_member()
    payloads: dict[str, list[bytes]] = {"ours": [], "theirs": []}
    keys: dict[str, list[UUID]] = {"ours": [], "theirs": []}

    def write_ours() -> None:
        for number in range(ROUNDS):
            keys["ours"].append(running.manager.create_key(activate_now=True))
            member = both.our_member()
            payloads["ours"].append(member.create_protector(PURPOSE).protect(b"ours %d" % number))

    def write_theirs() -> None:
        for number in range(ROUNDS):
            keys["theirs"].append(their_key(both.theirs))
            payloads["theirs"].append(both.theirs.protect(b"theirs %d" % number, PURPOSE))

    writers: list[Callable[[], None]] = [write_ours, write_theirs]
    assert at_once(2, lambda number: writers[number]()) == [None, None]

    made = sorted([*keys["ours"], *keys["theirs"]])
    assert len(set(made)) == 2 * ROUNDS
    assert sorted(UUID(key["key"]) for key in both.their_member().list_keys()) == made
    assert sorted(key.id for key in both.our_member().manager.read().keys) == made
    assert len(both.our_member().repository.read().documents) == 2 * ROUNDS
    fresh_theirs, fresh_ours = both.their_member(), both.our_member().create_protector(PURPOSE)
    for who, found in payloads.items():
        for number, payload in enumerate(found):
            expected = b"%s %d" % (who.encode(), number)
            assert fresh_theirs.unprotect(payload, PURPOSE) == expected
            assert fresh_ours.unprotect(payload) == expected


def test_what_they_make_and_revoke_reaches_a_running_member_of_ours(both: Both) -> None:
    """Without a restart: the peer's key is found for its first payload, and the peer's revocation applies."""
    their_key(both.theirs)
    protector = both.our_member().create_protector(PURPOSE)
    assert protector.unprotect(both.theirs.protect(b"first", PURPOSE)) == b"first"
    version = both.our_member().repository.version()
    second = their_key(both.theirs)
    payload = both.theirs.protect(b"second", PURPOSE)
    assert both.our_member().repository.version() != version
    assert protector.unprotect(payload) == b"second"
    both.theirs.ask("key.revoke", key=str(second), reason="drill")
    revoked = {key.id for key in both.our_member().manager.read().keys if key.revocation is not None}
    assert revoked == {second}


def test_what_we_revoke_and_rewrite_they_read(both: Both) -> None:
    """Our revocation applies in the peer; a ring of ours with one key removed and one added is complete for it."""
    manager = both.our_member().manager
    first, second = manager.create_key(activate_now=True), manager.create_key(activate_now=True)
    manager.revoke(first, "drill")
    assert {UUID(key["key"]): key["revoked"] for key in both.their_member().list_keys()} == {first: True, second: False}
    assert set(both.their_member().usable().values()) == {True}
