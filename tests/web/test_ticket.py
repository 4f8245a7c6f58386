"""Tickets, claims and principals: the same bytes as ASP.NET Core, and nothing but our own error for other bytes."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.web.sign_in.ticket import (
    AuthenticationProperties,
    Claim,
    ClaimTypes,
    ClaimValueTypes,
    Identity,
    Principal,
    Ticket,
)
from tests.interop.vectors import load
from tests.web.ticket_json import from_json, to_json

pytestmark = pytest.mark.usefixtures("both_ways")

VECTORS = load("tickets")
SMALL = [case for case in VECTORS["tickets"] if len(case["bytes"]) < 2000]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
WORKED = bytes.fromhex(
    "05000000 07436f6f6b696573 01000000 03707764 0100 0100 02000000"
    "0100 05616c696365 0100 0100 0100 00000000"
    "3c687474703a2f2f736368656d61732e6d6963726f736f66742e636f6d2f77732f323030382f30362f6964656e746974792f636c61696d732f"
    "726f6c65 0561646d696e 0100 0100 0100 00000000 00 00 01000000 03000000"
    "072e697373756564 1d 5468752c203031204a616e20323032362030303a30303a303020474d54"
    "082e65787069726573 1d 5468752c203135204a616e20323032362030303a30303a303020474d54"
    "0b2e70657273697374656e74 00"
)
"""A ticket put together by hand from the layout in the module's docstring."""


def worked_ticket() -> Ticket:
    properties = AuthenticationProperties(
        issued_utc=NEW_YEAR, expires_utc=NEW_YEAR + timedelta(days=14), is_persistent=True
    )
    return Ticket("Cookies", Principal("alice", roles=["admin"], authentication_type="pwd"), properties)


# --- the bytes of ASP.NET Core ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS["tickets"]])
def test_a_ticket_of_aspnet_core_is_read_and_written_to_the_byte(case: dict[str, Any]) -> None:
    data = b64decode(case["bytes"])
    ticket = Ticket.deserialize(data)
    assert to_json(ticket) == case["ticket"]
    assert ticket.serialize() == data
    assert from_json(case["ticket"]) == ticket


@pytest.mark.parametrize("case", [pytest.param(case, id=case["why"]) for case in VECTORS["broken"]])
def test_a_broken_ticket_is_read_as_aspnet_core_reads_it_or_refused(case: dict[str, Any]) -> None:
    if case["ticket"] is None:
        with pytest.raises(MalformedPayloadError):
            Ticket.deserialize(b64decode(case["bytes"]))
    else:
        assert to_json(Ticket.deserialize(b64decode(case["bytes"]))) == case["ticket"]


def test_the_worked_example_comes_out_to_the_byte() -> None:
    assert worked_ticket().serialize() == WORKED
    assert Ticket.deserialize(WORKED) == worked_ticket()


@pytest.mark.parametrize("kind", ["ClaimTypes", "ClaimValueTypes"])
def test_the_constants_are_those_of_dotnet_all_of_them(kind: str) -> None:
    theirs = {
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper(): value for name, value in load("claims")[kind].items()
    }
    ours = {"ClaimTypes": ClaimTypes, "ClaimValueTypes": ClaimValueTypes}[kind]
    assert {name: value for name, value in vars(ours).items() if name.isupper()} == theirs


# --- hostile bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SMALL, ids=[case["name"] for case in SMALL])
def test_a_ticket_cut_anywhere_is_malformed(case: dict[str, Any]) -> None:
    data = b64decode(case["bytes"])
    for size in range(len(data)):
        with pytest.raises(MalformedPayloadError):
            Ticket.deserialize(data[:size])


@given(st.integers(0, len(WORKED) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_a_ticket_or_our_own_error(position: int, value: int) -> None:
    changed = bytearray(WORKED)
    changed[position] = value
    try:
        Ticket.deserialize(bytes(changed)).serialize()
    except (MalformedPayloadError, ConfigurationError):
        return


@given(st.binary(max_size=400))
def test_noise_after_the_version_gives_a_ticket_or_our_own_error(noise: bytes) -> None:
    try:
        Ticket.deserialize(b"\5\0\0\0\0" + noise)
    except MalformedPayloadError:
        return


def _identity_bytes(count: bytes) -> bytes:
    """A ticket up to the number of claims of its first identity."""
    return b"\5\0\0\0\0\1\0\0\0\0\1\0\1\0" + count


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\5\0\0\0\0\xff\xff\xff\xff", id="a negative number of identities"),
        pytest.param(b"\5\0\0\0\0\xff\xff\xff\x7f", id="two billion identities"),
        pytest.param(_identity_bytes(b"\xff\xff\xff\xff"), id="a negative number of claims"),
        pytest.param(_identity_bytes(b"\xff\xff\xff\x7f") + bytes(100), id="two billion claims"),
        pytest.param(b"\5\0\0\0\0\0\0\0\0\1\0\0\0\xff\xff\xff\xff", id="a negative number of properties"),
        pytest.param(b"\5\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\1a\0\1a\0", id="a property given twice"),
        pytest.param(b"\5\0\0\0\xff\xff\xff\xff\x0f", id="a negative text length"),
        pytest.param(b"\5\0\0\0\x80\x80\x80\x80\x10" + bytes(20), id="a text length with a sixth group of bits"),
        pytest.param(b"\5\0\0\0\x80\x80\x80\x80\x80\0" + bytes(20), id="a text length of six bytes"),
        pytest.param(
            b"\5\0\0\0\0\1\0\0\0" + b"\0\1\0\1\0\0\0\0\0\0\1" * 1000 + b"\0\1\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0",
            id="a thousand actors in each other",
        ),
        pytest.param(b"\5\0\0\0" + bytes(1 << 20), id="more than a megabyte"),
    ],
)
def test_what_cannot_be_is_refused_before_memory_or_stack_is_spent(data: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        Ticket.deserialize(data)


def test_a_text_length_in_more_bytes_than_needed_is_read_as_in_dotnet() -> None:
    assert Ticket.deserialize(b"\5\0\0\0\x81\x80\0a\0\0\0\0\1\0\0\0\0\0\0\0").scheme == "a"


def test_properties_of_another_version_refuse_the_ticket_instead_of_dropping_its_expiry() -> None:
    """ASP.NET Core takes such a ticket for one that never ends."""
    with pytest.raises(MalformedPayloadError, match="format 1"):
        Ticket.deserialize(b"\5\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0")


# --- round trips --------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: text != "\0")
CLAIMS = st.builds(Claim, NAMES, TEXT, NAMES, NAMES, NAMES, st.dictionaries(TEXT, TEXT, max_size=3))
IDENTITIES = st.recursive(
    st.builds(Identity, st.lists(CLAIMS, max_size=4).map(tuple), TEXT, NAMES, NAMES),
    lambda actor: st.builds(
        Identity, st.lists(CLAIMS, max_size=2).map(tuple), TEXT, NAMES, NAMES, actor, st.none() | TEXT.filter(bool)
    ),
    max_leaves=4,
)
TICKETS = st.builds(
    Ticket,
    TEXT,
    st.lists(IDENTITIES, max_size=3).map(lambda identities: Principal(identities=identities)),
    st.dictionaries(TEXT, TEXT, max_size=5).map(AuthenticationProperties),
)


@given(TICKETS)
def test_every_ticket_comes_back_as_it_was(ticket: Ticket) -> None:
    assert Ticket.deserialize(ticket.serialize()) == ticket


@pytest.mark.parametrize("size", [0, 127, 128, 16383, 16384])
def test_texts_around_the_steps_of_their_length_come_back(size: int) -> None:
    ticket = Ticket("Cookies", Principal(claims=[Claim("pad", "x" * size)]))
    assert Ticket.deserialize(ticket.serialize()) == ticket


def test_the_claim_type_left_out_is_that_of_the_identity_itself() -> None:
    """With another name claim type a name is short, and the usual name URI is written in full."""
    identity = Identity((Claim("name", "Ada"), Claim(ClaimTypes.NAME, "ada")), "oidc", "name", "role")
    data = Ticket("oidc", Principal(identities=[identity])).serialize()
    assert b"\1\0\x03Ada" in data
    assert ClaimTypes.NAME.encode() in data
    assert Ticket.deserialize(data).principal.name == "Ada"


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(Claim("\0", "x"), id="type"),
        pytest.param(Claim("x", "x", value_type="\0"), id="value type"),
        pytest.param(Claim("x", "x", issuer="\0", original_issuer="y"), id="issuer"),
        pytest.param(Claim("x", "x", original_issuer="\0"), id="original issuer"),
    ],
)
def test_a_text_that_would_be_read_as_its_default_is_not_written(claim: Claim) -> None:
    with pytest.raises(ConfigurationError, match="NUL"):
        Ticket("Cookies", Principal(claims=[claim])).serialize()


def test_half_a_surrogate_pair_becomes_a_replacement_character_as_in_dotnet() -> None:
    ticket = Ticket("Cookies", Principal(claims=[Claim("x", "a\ud83db")]))
    assert Ticket.deserialize(ticket.serialize()).principal.value("x") == "a\ufffdb"


def test_actors_too_deep_to_be_read_are_not_written() -> None:
    identity = Identity()
    for _ in range(40):
        identity = Identity(actor=identity)
    with pytest.raises(ConfigurationError, match="deep"):
        Ticket("Cookies", Principal(identities=[identity])).serialize()


# --- principals ---------------------------------------------------------------------------------------------


def test_a_principal_says_name_roles_and_claims() -> None:
    ada = Principal("ada", roles=["admin", "dev"], claims={"email": "ada@shop.example"})
    assert (ada.name, ada.roles, ada.is_authenticated) == ("ada", ("admin", "dev"), True)
    assert ada.is_in_role("dev")
    assert not ada.is_in_role("DEV")
    assert ada.value("email") == "ada@shop.example"
    assert ada.values(ClaimTypes.ROLE) == ("admin", "dev")
    assert ada.value("phone") is None


@pytest.mark.parametrize("size", [1_048_000, 1_048_576, 1_048_577, 5_000_000])
def test_a_ticket_that_is_too_long_to_be_read_is_not_written(size: int) -> None:
    """It was written, and refused with the next request."""
    overhead = len(Ticket("x", _someone(Claim("a", "y" * 100_000))).serialize()) - 100_000
    ticket = Ticket("x", _someone(Claim("a", "y" * (size - overhead))))
    if size <= 1_048_576:
        assert Ticket.deserialize(ticket.serialize()) == ticket
    else:
        with pytest.raises(ConfigurationError, match=r"a ticket of [0-9]{7} bytes") as caught:
            ticket.serialize()
        assert caught.value.hint


def test_nobody_has_no_identity_and_is_not_authenticated() -> None:
    nobody = Principal()
    assert (nobody.identity, nobody.name, nobody.subject, nobody.is_authenticated) == (None, None, None, False)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"roles": "admin"}, "as roles, not str", id="roles as one text would be its letters"),
        pytest.param({"name": "ada", "identities": []}, "either", id="a name and identities"),
    ],
)
def test_a_principal_that_would_not_mean_what_it_says_is_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        Principal(**arguments)


def _someone(*claims: Claim, authentication_type: str = "x") -> Principal:
    return Principal(identities=[Identity(claims, authentication_type)])


def test_the_subject_is_the_uid_that_antiforgery_tokens_of_aspnet_core_are_bound_to() -> None:
    """The value was computed from the published layout: SHA-256 of type, value and issuer."""
    assert _someone(Claim("sub", "42")).subject == "8NjLznIeDWQhw2iclSvQ0C3u72GckpSM8TTsyIZNuLg="


def test_the_subject_stays_when_roles_come_and_differs_between_users() -> None:
    assert Principal("ada").subject == Principal("ada", roles=["admin"]).subject
    assert Principal("ada").subject != Principal("bob").subject
    assert _someone(Claim("sub", "1"), Claim("name", "a")).subject == _someone(Claim("sub", "1")).subject
    assert _someone(Claim("sub", "1", issuer="x")).subject != _someone(Claim("sub", "1", issuer="y")).subject
    assert _someone(Claim("a", "1"), Claim("b", "2")).subject == _someone(Claim("b", "2"), Claim("a", "1")).subject


def test_who_is_not_authenticated_has_no_subject() -> None:
    assert _someone(Claim("sub", "42"), authentication_type="").subject is None


# --- properties ---------------------------------------------------------------------------------------------


def test_properties_are_texts_that_dotnet_reads() -> None:
    moment = datetime(2026, 1, 2, 4, 4, 5, 999999, tzinfo=timezone(timedelta(hours=1)))
    properties = AuthenticationProperties(
        issued_utc=moment, expires_utc=moment, is_persistent=True, allow_refresh=False, redirect_uri="/cart"
    )
    assert properties.items == {
        ".persistent": "",
        ".refresh": "False",
        ".issued": "Fri, 02 Jan 2026 03:04:05 GMT",
        ".expires": "Fri, 02 Jan 2026 03:04:05 GMT",
        ".redirect": "/cart",
    }
    assert properties.issued_utc == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def test_setting_a_property_to_nothing_takes_it_out() -> None:
    properties = AuthenticationProperties(is_persistent=True, allow_refresh=True, redirect_uri="/", issued_utc=NEW_YEAR)
    properties.is_persistent = False
    properties.allow_refresh = properties.redirect_uri = properties.issued_utc = properties.expires_utc = None
    assert not properties.items


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("never", id="a word"),
        pytest.param("Fri, 01 Jan 2026 00:00:00 GMT", id="another day of the week"),
        pytest.param("Thu, 01 Jan 2026 00:00:00 UTC", id="UTC"),
        pytest.param("Thu, 1 Jan 2026 00:00:00 GMT ", id="a day without zero"),
        pytest.param("Thu, 32 Jan 2026 00:00:00 GMT", id="a day that is none"),
        pytest.param("2026-01-01T00:00:00.0000000Z ", id="another format"),
        pytest.param("Thu, ٠١ Jan 2026 00:00:00 GMT", id="digits of another script"),
    ],
)
def test_an_expiry_that_cannot_be_read_is_long_past(text: str) -> None:
    """ASP.NET Core takes it for none: a ticket for ever."""
    properties = AuthenticationProperties({".expires": text, ".issued": text})
    assert properties.expires_utc is not None
    assert properties.expires_utc < NEW_YEAR - timedelta(days=365000)
    assert properties.issued_utc is None


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("True", True), (" true ", True), ("False", False), ("FALSE", False), ("no", None), ("", None)],
)
def test_allow_refresh_is_read_as_dotnet_reads_a_boolean(text: str, allowed: bool | None) -> None:
    assert AuthenticationProperties({".refresh": text}).allow_refresh is allowed


def test_tokens_are_kept_under_their_names() -> None:
    properties = AuthenticationProperties({"x": "y"})
    properties.tokens = {"access_token": "a", "id_token": "b"}
    assert properties.items[".TokenNames"] == "access_token;id_token"
    assert properties.items[".Token.id_token"] == "b"
    properties.tokens = {"access_token": "c"}
    assert properties.tokens == {"access_token": "c"}
    assert ".Token.id_token" not in properties.items
    properties.tokens = {}
    assert properties.items == {"x": "y"}
    with pytest.raises(ValueError, match="semicolon"):
        properties.tokens = {"a;b": "c"}


def test_a_date_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        AuthenticationProperties(issued_utc=datetime(2026, 1, 1))  # noqa: DTZ001 (that is the point)
