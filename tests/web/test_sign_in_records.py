"""What is logged and counted about sign-ins: the same mark for one sign-in, and never a name."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.sign_in.authentication import RequestAuthentication
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.records import mark_of
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Claim, Principal
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.fakes import NOON, StoppedClock, reset_telemetry
from tests.web.browser import Visitor
from tests.web.test_absolute_end import MONTH, SECOND, give, renew_as_aspnet_core, ticket_of, visitor_with
from tests.web.test_authentication import look, sign_out
from tests.web.test_freshness import confirm

EVENTS = {"signed_in", "signed_out", "sign_in_renewed", "sign_in_ended"}
SECRET = Principal("ada.lovelace", claims=[Claim("sub", "customer 4711"), Claim("email", "ada@shop.example")])


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository="memory:", key_wrapper="plain:", clock=clock)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    reset_telemetry(monkeypatch)
    with caplog.at_level(logging.DEBUG, "dpmiddleware"):
        yield


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """(event, reason) of the records of sign-ins."""
    said = [vars(record) for record in caplog.records]
    return [(each["event"], each.get("reason", "")) for each in said if each.get("event") in EVENTS]


def marks(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {vars(record)["sign_in"] for record in caplog.records if vars(record).get("event") in EVENTS}


def counted() -> dict[tuple[str, str], int]:
    return {key: count for key, count in telemetry.counts().items() if key[0] in EVENTS}


def sign_in(auth: RequestAuthentication) -> None:
    auth.sign_in(SECRET)


@pytest.mark.parametrize("store", [None, MemoryTicketStore], ids=["in the cookie", "in a store"])
def test_the_whole_life_of_a_sign_in_has_one_mark(
    dp: DataProtection, clock: StoppedClock, caplog: pytest.LogCaptureFixture, store: Any
) -> None:
    visitor = visitor_with(dp, session_store=store and store(), clock=clock)
    visitor.visit(sign_in)
    clock.advance(days=8)
    visitor.visit(look)
    visitor.visit(confirm)
    visitor.visit(sign_out)
    assert logged(caplog) == [
        ("signed_in", ""),
        ("sign_in_renewed", "sliding"),
        ("sign_in_renewed", "reauthenticated"),
        ("signed_out", ""),
    ]
    assert counted() == dict.fromkeys(logged(caplog), 1)
    [mark] = marks(caplog)
    assert len(mark) == 16


def test_nothing_in_the_records_leads_to_a_person(
    dp: DataProtection, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in)
    identifier = ticket_of(visitor, dp).properties.sign_in_id
    assert identifier
    clock.moment += MONTH + SECOND
    visitor.visit(look)
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    # no word that may be in an id or in the time of a record by chance
    for secret in ("lovelace", "ada@", "customer", "shop.example", identifier, visitor.jar[".AspNetCore.Cookies"]):
        assert secret not in text
    assert marks(caplog) == {hashlib.sha256(identifier.encode()).hexdigest()[:16]}, "as docs/operations.md computes it"


ENDS = {
    "expired": (timedelta(days=14, seconds=1), {}),
    "absolute": (timedelta(days=30, seconds=1), {}),
    "future": (-timedelta(minutes=5, seconds=1), {}),
    "rejected": (timedelta(0), {"validate_principal": lambda context: setattr(context, "principal", None)}),
}


@pytest.mark.parametrize("reason", ENDS)
def test_the_end_of_a_sign_in_has_its_reason(
    dp: DataProtection, clock: StoppedClock, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    moved, handlers = ENDS[reason]
    visitor = visitor_with(dp, events=CookieAuthenticationEvents(**handlers))
    visitor.visit(sign_in)
    clock.moment += moved
    visitor.visit(look)
    assert logged(caplog) == [("signed_in", ""), ("sign_in_ended", reason)]
    assert counted()["sign_in_ended", reason] == 1
    assert len(marks(caplog)) == 1


def test_a_ticket_that_is_not_in_the_store_any_more_has_ended(
    dp: DataProtection, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = visitor_with(dp, session_store=MemoryTicketStore())
    visitor.visit(sign_in)
    copy = Visitor(visitor.authenticator, dict(visitor.jar))
    visitor.visit(sign_out)
    copy.visit(look)
    assert logged(caplog)[-1] == ("sign_in_ended", "not_in_store")


def test_who_brings_an_ended_ticket_again_and_again_is_counted_and_does_not_fill_the_disk(
    dp: DataProtection, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in)
    clock.moment += MONTH
    for _ in range(100):
        visitor.visit(look)
    assert counted()["sign_in_ended", "expired"] == 100
    assert len(logged(caplog)) == 2


@pytest.mark.parametrize("cookie", ["", "garbage", "CfDJ8" + "A" * 200], ids=["none", "garbage", "a payload"])
def test_signing_out_and_looking_without_a_sign_in_is_no_event(
    dp: DataProtection, caplog: pytest.LogCaptureFixture, cookie: str
) -> None:
    visitor = visitor_with(dp)
    for page in (look, sign_out):
        visitor.jar = {".AspNetCore.Cookies": cookie} if cookie else {}
        visitor.visit(page)
    assert logged(caplog) == []


def test_a_second_sign_in_is_another_one_and_new_claims_are_not(
    dp: DataProtection, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = visitor_with(dp)
    visitor.visit(sign_in)
    visitor.visit(lambda auth: auth.sign_in(SECRET, auth.result.ticket.properties))  # type: ignore[union-attr]
    assert len(marks(caplog)) == 1
    visitor.visit(sign_in)
    assert len(marks(caplog)) == 2


def test_a_ticket_of_aspnet_core_gets_its_id_when_it_is_renewed_here_and_keeps_it_there(
    dp: DataProtection, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = visitor_with(dp)
    give(visitor, dp, AuthenticationProperties(issued_utc=NOON, expires_utc=NOON + timedelta(days=14)))
    assert mark_of(ticket_of(visitor, dp)) == mark_of(None) == ""
    clock.advance(days=8)
    visitor.visit(look)
    mark = mark_of(ticket_of(visitor, dp))
    renew_as_aspnet_core(visitor, dp, clock.moment)
    visitor.visit(sign_out)
    assert marks(caplog) == {mark}
