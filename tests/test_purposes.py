"""The table of purposes: part of the public format, so every line of it is written down here a second time."""

from __future__ import annotations

from itertools import combinations

from dpmiddleware import purposes

TABLE: dict[tuple[str, ...], tuple[str, ...]] = {
    (purposes.CHECK,): ("dpmiddleware.Check.v1",),
    (purposes.TIME_LIMITED,): ("Microsoft.AspNetCore.DataProtection.TimeLimitedDataProtector.v1",),
    purposes.authentication_cookie("Cookies"): (
        "Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationMiddleware",
        "Cookies",
        "v2",
    ),
    purposes.cookie("sid"): ("dpmiddleware.Cookie.v1", "sid"),
    purposes.session("json", "sid"): ("dpmiddleware.Session.v1", "json", "sid"),
    purposes.serializer("sid"): ("dpmiddleware.Serializer.v1", "sid"),
    purposes.django_signer("sid"): ("dpmiddleware.DjangoSigner.v1", "sid"),
    purposes.ticket_store("Cookies", "sid"): ("dpmiddleware.TicketStore.v1", "Cookies", "sid"),
}


def test_no_line_of_the_table_was_edited() -> None:
    """Whatever is changed here can no longer open what was protected before."""
    assert all(ours == written for ours, written in TABLE.items())
    assert len(TABLE) == len(purposes.__all__)


def test_no_chain_is_the_start_of_another() -> None:
    """A value of one kind is no value of another kind, whatever names are chosen."""
    for one, other in combinations(TABLE, 2):
        assert one[: len(other)] != other
        assert other[: len(one)] != one
        assert one[0] != other[0]


def test_a_name_is_a_purpose_of_its_own_and_changes_nothing_else() -> None:
    """No name can climb into another chain: it stands alone in its place."""
    for name in ("", "a/b", "json", "é", "x" * 5000):
        assert purposes.cookie(name) == ("dpmiddleware.Cookie.v1", name)
        assert purposes.session("json", name)[:2] == ("dpmiddleware.Session.v1", "json")
