"""Tickets written here, read by a running ASP.NET Core, and the other way round."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import HealthCheck, given, settings

from dpmiddleware.web.sign_in.ticket import Ticket
from tests.interop.peer import Peer, PeerRing
from tests.web.test_ticket import TICKETS
from tests.web.ticket_json import to_json


@pytest.fixture(scope="module")
def ring(peer: Peer) -> PeerRing:
    """Some ring: the peer asks for one with every question."""
    return peer.open({"kind": "ephemeral"})


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TICKETS)
def test_aspnet_core_reads_the_same_in_a_ticket_of_ours_and_writes_the_same_bytes(
    ring: PeerRing, ticket: Ticket
) -> None:
    data = ticket.serialize()
    read = ring.ask("ticket.deserialize", data=b64encode(data).decode())["ticket"]
    assert read == to_json(ticket)
    assert b64decode(ring.ask("ticket.serialize", ticket=read)["data"]) == data
