"""The table of purposes is part of the public format, so every line of it is repeated here."""

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
    purposes.django_signer("sid", "django.http.cookies"): (
        "dpmiddleware.DjangoSigner.v2",
        "django.http.cookies",
        "sid",
    ),
    purposes.ticket_store("Cookies", "sid"): ("dpmiddleware.TicketStore.v1", "Cookies", "sid"),
    purposes.device_bound("Cookies"): ("dpmiddleware.DeviceBound.v1", "Cookies"),
    purposes.device_challenge("Registration"): (
        "Microsoft.AspNetCore.Authentication.DeviceBoundSessions.Challenge.Registration.v1",
    ),
    purposes.device_challenge("Refresh"): (
        "Microsoft.AspNetCore.Authentication.DeviceBoundSessions.Challenge.Refresh.v1",
    ),
}


def test_no_line_of_the_table_was_edited() -> None:
    """After a change here, payloads from before would not open."""
    assert all(ours == written for ours, written in TABLE.items())
    assert len(TABLE) == len(purposes.__all__) + 2  # django_signer and device_challenge have two forms


def test_no_chain_is_the_start_of_another() -> None:
    """A value of one kind is never a value of another kind, for any names."""
    for one, other in combinations(TABLE, 2):
        assert one[: len(other)] != other
        assert other[: len(one)] != one
        assert one[0] != other[0]


def test_a_name_is_a_purpose_of_its_own_and_changes_nothing_else() -> None:
    """A name is always exactly one purpose, so it cannot imitate other purposes."""
    for name in ("", "a/b", "json", "é", "x" * 5000):
        assert purposes.cookie(name) == ("dpmiddleware.Cookie.v1", name)
        assert purposes.session("json", name)[:2] == ("dpmiddleware.Session.v1", "json")
