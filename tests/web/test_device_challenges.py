"""Challenges of device-bound sign-ins, and the cookie which says that one was answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from dpmiddleware import purposes
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import UnprotectError
from dpmiddleware.protection.base64url import decode, encode
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies.text import CookieSettings, SetCookie
from dpmiddleware.web.device_bound.bound_cookie import BoundCookie
from dpmiddleware.web.device_bound.challenge import Challenges, claim_uid
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.sign_in.claims import Claim, Identity, Principal
from tests.fakes import StoppedClock, data_protection, key_document
from tests.interop.vectors import load

VECTORS: dict[str, Any] = load("device-bound")
ADA, BOB = (Principal(name, claims={"sub": name}) for name in ("ada", "bob"))
MINUTE = timedelta(minutes=1)
LIFE = 5 * MINUTE


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return data_protection(MemoryKeyRepository(), clock)


@pytest.fixture
def challenges(dp: DataProtection, clock: StoppedClock) -> Challenges:
    return Challenges(dp, LIFE, clock.now)


def bound_cookie(dp: DataProtection, clock: StoppedClock, scheme: str = "Cookies", name: str = "auth") -> BoundCookie:
    return BoundCookie(dp, scheme, CookieSettings(name), DeviceBound("require"), clock.now)


def sent(lines: list[str]) -> bytes:
    """The Cookie header of a browser with these cookies."""
    return "; ".join(line.partition(";")[0] for line in lines).encode()


# --- ASP.NET Core's bytes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "vector", VECTORS["claim_uids"], ids=lambda vector: str([claim[0] for claim in vector["claims"]])
)
def test_a_user_is_identified_as_aspnet_core_does_it(vector: dict[str, Any]) -> None:
    claims = [Claim(kind, value, issuer=issuer) for kind, value, issuer in vector["claims"]]
    identity = Identity(claims, "Cookies")
    assert claim_uid(Principal(identities=[identity])) == vector["uid"]
    stranger = Identity([Claim("sub", "somebody else")])
    assert claim_uid(Principal(identities=[stranger, identity])) == vector["uid"], "only who is authenticated counts"


@pytest.mark.parametrize(
    "vector", VECTORS["challenges"], ids=lambda vector: f"{vector['purpose'][-15:]} {vector['application']}"
)
def test_a_challenge_has_aspnet_cores_bytes(vector: dict[str, Any]) -> None:
    """Its content, and what opens it. What is made here opens with the same purposes to the same bytes."""
    ends = datetime.fromisoformat(VECTORS["ends"])
    clock = StoppedClock(ends - MINUTE)
    key = key_document(clock.now(), key_id=UUID(VECTORS["key_id"]), secret=Secret(bytes.fromhex(VECTORS["master_key"])))
    ring = DataProtection(
        vector["application"] or None, repository=MemoryKeyRepository([key]), key_wrapper="plain:", clock=clock
    )
    challenges = Challenges(ring, LIFE, clock.now)
    alice, sid = Principal("Alice", claims={"sub": "alice"}), VECTORS["session_identifier"]
    is_registration = "Registration" in vector["purpose"]

    def holds(challenge: str, principal: Principal = alice, identifier: str = sid) -> bool:
        if is_registration:
            return challenges.is_of_registration(challenge, principal)
        return challenges.is_of_refresh(challenge, principal, identifier)

    assert holds(vector["challenge"])
    assert not holds(vector["challenge"], BOB)
    assert is_registration or not holds(vector["challenge"], alice, "another")
    made = challenges.of_registration(alice) if is_registration else challenges.of_refresh(alice, sid)
    protector = ring.create_protector(vector["purpose"]).time_limited()
    assert protector.unprotect_with_expiry(decode(made)) == (bytes.fromhex(vector["plain"]), clock.now() + LIFE)
    clock.advance(minutes=1, seconds=1)
    assert not holds(vector["challenge"])


def test_a_text_of_any_length_is_written_as_cbor_has_it(challenges: Challenges) -> None:
    for length in (0, 1, 23, 24, 255, 256, 65_535, 65_536):
        claim = Claim("sub", "x" * length or "y", issuer="")
        raw = decode(claim_uid(Principal(identities=[Identity([claim], "Cookies")])))
        value = claim.value.encode()
        size = len(value)
        head = {0: bytes([0x60 + size]) if size < 24 else b"", 1: b"\x78" + bytes([size & 255])}
        wide = {2: b"\x79" + (size & 65_535).to_bytes(2, "big"), 4: b"\x7a" + size.to_bytes(4, "big")}
        width = 0 if size < 24 else 1 if size < 256 else 2 if size < 65_536 else 4
        assert raw == b"\x63sub" + {**head, **wide}[width] + value + b"\x6fLOCAL AUTHORITY"


# --- when and for what they are good --------------------------------------------------------------------------------


def test_a_challenge_is_good_for_its_minutes_and_as_often_as_it_is_sent(
    challenges: Challenges, clock: StoppedClock
) -> None:
    registration, refresh = challenges.of_registration(ADA), challenges.of_refresh(ADA, "sid")
    for _ in range(2):
        assert challenges.is_of_registration(registration, ADA)
        assert challenges.is_of_refresh(refresh, ADA, "sid")
        clock.advance(minutes=2, seconds=30)
    clock.advance(seconds=1)
    assert not challenges.is_of_registration(registration, ADA)
    assert not challenges.is_of_refresh(refresh, ADA, "sid")


def test_a_challenge_is_of_one_kind_one_user_one_session_and_one_application(
    challenges: Challenges, dp: DataProtection, clock: StoppedClock
) -> None:
    registration, refresh = challenges.of_registration(ADA), challenges.of_refresh(ADA, "sid")
    assert not challenges.is_of_registration(registration, BOB)
    assert not challenges.is_of_registration(refresh, ADA)
    assert not challenges.is_of_refresh(registration, ADA, "")
    assert not challenges.is_of_refresh(registration, ADA, "sid")
    assert not challenges.is_of_refresh(refresh, ADA, "another")
    assert not challenges.is_of_refresh(refresh, BOB, "sid")
    for text in ("", "x", "é", refresh[:-1], refresh + "A", refresh.swapcase()):
        assert not challenges.is_of_refresh(text, ADA, "sid")
    other = Challenges(
        DataProtection("mail", repository=MemoryKeyRepository(), key_wrapper="plain:", clock=clock), LIFE, clock.now
    )
    assert not other.is_of_registration(registration, ADA)


def payloads(dp: DataProtection, clock: StoppedClock) -> dict[str, tuple[str, Callable[[str], bool]]]:
    """Of each kind one with the same content as far as that is possible, and what opens it."""
    challenges, cookie, other = (
        Challenges(dp, LIFE, clock.now),
        bound_cookie(dp, clock),
        bound_cookie(dp, clock, "Admin"),
    )
    ticket = dp.create_protector(*purposes.authentication_cookie("Cookies"))

    def opens(text: str) -> bool:
        try:
            ticket.unprotect(text)
        except UnprotectError:
            return False
        return True

    def in_cookie(cookie: BoundCookie) -> tuple[str, Callable[[str], bool]]:
        value = SetCookie.parse(cookie.seal(b"", "sid")[-1]).value
        return value, lambda text: cookie.lack(f"auth.Bound={text}".encode(), "sid") is None

    return {
        "ticket": (ticket.protect("sid"), opens),
        "bound cookie": in_cookie(cookie),
        "bound cookie of another scheme": in_cookie(other),
        "registration": (challenges.of_registration(ADA), lambda text: challenges.is_of_registration(text, ADA)),
        "refresh": (challenges.of_refresh(ADA, "sid"), lambda text: challenges.is_of_refresh(text, ADA, "sid")),
    }


def test_ticket_bound_cookie_and_challenges_are_not_exchangeable(dp: DataProtection, clock: StoppedClock) -> None:
    """At the protector too: the purpose alone refuses what has the same bytes inside."""
    made = payloads(dp, clock)
    for text, opens in made.values():
        assert opens(text)
    for (_, opens), (other, _) in permutations(made.values(), 2):
        assert not opens(other)
    chains = [
        purposes.authentication_cookie("Cookies"),
        *((*chain, purposes.TIME_LIMITED) for chain in (
            purposes.device_bound("Cookies"),
            purposes.device_bound("Admin"),
            purposes.device_challenge("Registration"),
            purposes.device_challenge("Refresh"),
        )),
    ]  # fmt: skip
    for one, other_chain in permutations(chains, 2):
        payload = dp.create_protector(*one).protect(b"the same")
        with pytest.raises(UnprotectError):
            dp.create_protector(*other_chain).unprotect(payload)


# --- the bound cookie -----------------------------------------------------------------------------------------------


def test_a_bound_cookie_proves_its_session_for_its_life_and_the_grace(dp: DataProtection, clock: StoppedClock) -> None:
    cookie = bound_cookie(dp, clock)
    [line] = cookie.seal(b"", "sid")
    header = sent([line])
    assert SetCookie.parse(line).attribute("max-age") == "600"
    assert cookie.lack(header, "sid") is None
    assert cookie.lack(header, "another") == "other_session"
    assert cookie.lack(b"auth.Bound=x", "sid") == "unreadable"
    assert cookie.lack(b"other=x", "sid") == "none"
    clock.advance(minutes=11)
    assert cookie.lack(header, "sid") is None
    clock.advance(seconds=1)
    assert cookie.lack(header, "sid") == "expired"


def test_the_first_bound_cookie_lives_for_a_minute(dp: DataProtection, clock: StoppedClock) -> None:
    """So that the next request is followed by a refresh, which confirms the binding."""
    cookie = bound_cookie(dp, clock)
    [line] = cookie.seal(b"", "sid", is_first=True)
    assert SetCookie.parse(line).attribute("max-age") == "60"
    clock.advance(minutes=2, seconds=1)
    assert cookie.lack(sent([line]), "sid") == "expired"


def test_of_several_bound_cookies_up_to_four_are_tried(dp: DataProtection, clock: StoppedClock) -> None:
    cookie = bound_cookie(dp, clock)
    good = sent(cookie.seal(b"", "sid"))
    other = sent(cookie.seal(b"", "another"))
    assert cookie.lack(b"; ".join([other, b"auth.Bound=x", other, other, good]), "sid") is None
    assert cookie.lack(b"; ".join([other, other, other, other, good]), "sid") == "other_session"


@pytest.mark.parametrize("path", ["/", "/shop"])
@pytest.mark.parametrize("same_site", ["strict", "lax", "none", None])
@pytest.mark.parametrize("http_only", [True, False])
def test_what_is_announced_of_the_cookie_is_what_is_set(
    dp: DataProtection, clock: StoppedClock, path: str, same_site: Any, http_only: bool
) -> None:
    """Where they differ, Chromium refreshes with every request. It is always Secure."""
    ticket = CookieSettings(
        "auth",
        path=path,
        secure="always" if same_site == "none" else "same_as_request",
        same_site=same_site,
        http_only=http_only,
        max_age=timedelta(days=3),
    )
    cookie = BoundCookie(dp, "Cookies", ticket, DeviceBound("require"), clock.now)
    announced = cookie.credential
    for is_first in (False, True):
        written = SetCookie.parse(cookie.seal(b"", "sid", is_first=is_first)[-1])
        assert written.name == announced["name"] == "auth.Bound"
        assert sorted((*announced["attributes"].split("; "), f"max-age={60 if is_first else 600}")) == sorted(
            written.attributes
        )
        assert "secure" in written.attributes
    mark = SetCookie.parse(cookie.marked())
    assert set(mark.attributes) == {"max-age=10", *announced["attributes"].split("; ")}


NAMES = {
    "auth": "auth.Bound",
    ".AspNetCore.Cookies": ".AspNetCore.Cookies.Bound",
    "__Host-auth": "__Host-auth.Bound",
    "__Secure-auth": "__Secure-auth.Bound",
    "__Http-auth": "__Http-auth.Bound",
    "__Host-Http-auth": "__Host-auth.Bound",
    "__host-http-auth": "__Host-auth.Bound",
}


@pytest.mark.parametrize(("ticket", "name"), NAMES.items(), ids=NAMES)
def test_the_name_of_the_bound_cookie_is_one_that_chromium_takes(
    dp: DataProtection, clock: StoppedClock, ticket: str, name: str
) -> None:
    settings = CookieSettings(ticket, secure="always")
    cookie = BoundCookie(dp, "Cookies", settings, DeviceBound("require"), clock.now)
    assert (cookie.name, cookie.mark) == (name, name.replace(".Bound", ".Again"))


def test_a_payload_of_another_ring_proves_nothing(dp: DataProtection, clock: StoppedClock) -> None:
    elsewhere = data_protection(MemoryKeyRepository(), clock)
    header = sent(bound_cookie(elsewhere, clock).seal(b"", "sid"))
    assert bound_cookie(dp, clock).lack(header, "sid") == "unreadable"


def test_the_value_is_a_time_limited_payload_under_its_purpose(dp: DataProtection, clock: StoppedClock) -> None:
    value = SetCookie.parse(bound_cookie(dp, clock).seal(b"", "sid")[-1]).value
    protector = dp.create_protector("dpmiddleware.DeviceBound.v1", "Cookies").time_limited()
    assert protector.unprotect_with_expiry(decode(value)) == (b"sid", clock.now() + 11 * MINUTE)
    assert value == encode(decode(value))
