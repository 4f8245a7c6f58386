"""The page about cookies of the shops, with cookies that are missing, foreign or broken."""

from __future__ import annotations

from dpmiddleware import DataProtection
from dpmiddleware.protection import base64url
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Principal, Ticket
from example_apps.plants.cookies import CookieFacts, describe_cookie, describe_ring, in_session, in_ticket
from example_apps.plants.stock import changed_basket, customer, lines


def described(header: str, ring: DataProtection | None = None) -> CookieFacts:
    ring = ring or DataProtection("shop", repository="memory:")
    return describe_cookie(ring, header.encode(), "session", "The session", [])


def test_no_cookie_has_no_parts_and_no_key() -> None:
    facts = described("other=1")
    assert (list(facts.parts), facts.payload, facts.key_id, facts.key) == ([], None, None, None)


def test_a_cookie_of_another_ring_shows_its_key_id_and_that_the_ring_does_not_have_it() -> None:
    other = DataProtection("shop", repository="memory:")
    value = base64url.encode(other.create_protector("x").protect(b"1 fern"))
    facts = described(f"session={value}")
    default = other.current().default
    assert default is not None
    assert (facts.key_id, facts.key, facts.plaintext) == (default.id, None, None)
    assert facts.parts == [("session", len(value))]


def test_a_cookie_of_this_ring_shows_state_and_sizes() -> None:
    ring = DataProtection("shop", repository="memory:")
    facts = described(f"session={base64url.encode(ring.create_protector('x').protect(b'1 fern'))}", ring)
    assert facts.key is not None
    assert (facts.key.state, facts.key.is_default) == ("active", True)
    assert facts.plaintext is not None
    assert facts.plaintext[0] <= len(b"1 fern") <= facts.plaintext[1]
    ring.manager.revoke(facts.key.id, "stolen")
    later = describe_ring(DataProtection("shop", repository=ring.repository))
    assert [(key.state, key.revoked) for key in later if key.id == facts.key_id] == [("revoked", "stolen")]


def test_what_is_no_payload_is_said_to_be_none() -> None:
    for value in ("rubbish", "chunks-3", "chunks-999999999", "CfDJ8!"):
        facts = described(f"session={value}; sessionC1=x")
        assert (facts.payload, facts.key_id, facts.key) == (None, None, None)
        assert len(facts.parts) <= 2


def test_of_a_session_only_what_the_visitor_put_in_is_shown() -> None:
    session = {"basket": {"fern": 2, "aloe": 1}, "note": "for you", "csrf_token": "secret", "user_id": 7}
    assert in_session(session) == [("basket", "2 × fern, 1 × aloe"), ("note", "for you")]
    assert in_session({}) == []


def test_of_a_ticket_the_first_claims_and_the_terms_are_shown() -> None:
    grace = customer("grace", "compiler")
    assert grace is not None
    shown = dict(in_ticket(Ticket("Cookies", grace, AuthenticationProperties(is_persistent=True))))
    assert shown["claim name"] == "grace"
    assert shown["and"] == "177 more claims"
    assert shown["kept when the browser is closed"] == "yes"
    assert "ends" not in shown, "a ticket without an end"
    assert in_ticket(None) == []
    assert "and" not in dict(in_ticket(Ticket("Cookies", Principal("ada"))))


def test_a_basket_holds_known_plants_twenty_of_each_at_most() -> None:
    basket: dict[str, int] = {}
    for _ in range(25):
        basket = changed_basket(basket, "fern", 1)
    assert basket == {"fern": 20}
    assert changed_basket({"fern": 1}, "fern", -1) == changed_basket({}, "unknown", 1) == {}
    assert [(line.plant.id, line.price) for line in lines({"fern": 2, "gone": 1})] == [("fern", 2900)]
