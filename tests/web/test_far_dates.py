"""Dates near the last one that there is: "never" as .NET writes it, and spans that reach beyond the year 9999."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents, ValidatePrincipalContext
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties
from tests.fakes import NOON, StoppedClock
from tests.web.test_absolute_end import clock, dp, give, ticket_of, visitor_with
from tests.web.test_authentication import look, sign_in, user

__all__ = ["clock", "dp"]

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def renew(context: ValidatePrincipalContext) -> None:
    context.should_renew = True


RENEWALS: dict[str, dict[str, Any]] = {
    "renew_after": {"absolute_time_span": None, "renew_after": MINUTE},
    "an event": {"absolute_time_span": None, "events": CookieAuthenticationEvents(validate_principal=renew)},
    "an event, with an end": {"events": CookieAuthenticationEvents(validate_principal=renew)},
}


@pytest.mark.parametrize("options", RENEWALS.values(), ids=RENEWALS)
def test_a_ticket_of_dotnet_that_never_expires_is_renewed_and_not_a_server_error(
    clock: StoppedClock, dp: DataProtection, options: dict[str, Any]
) -> None:
    visitor = visitor_with(dp, **options)
    give(visitor, dp, AuthenticationProperties(issued_utc=NOON, expires_utc=LAST))
    clock.advance(minutes=2)
    visitor.visit(look)
    renewed = ticket_of(visitor, dp).properties
    assert renewed.issued_utc == NOON + 2 * MINUTE
    end = options.get("absolute_time_span", timedelta(days=30))
    assert renewed.expires_utc == (LAST if end is None else NOON + end)


def test_a_user_whose_ticket_never_expires_can_authenticate_again(clock: StoppedClock, dp: DataProtection) -> None:
    visitor = visitor_with(dp, absolute_time_span=None)
    give(visitor, dp, AuthenticationProperties(issued_utc=NOON, expires_utc=LAST))
    clock.advance(minutes=2)
    visitor.visit(lambda authentication: authentication.reauthenticate())
    again = ticket_of(visitor, dp).properties
    assert (again.authenticated_utc, again.expires_utc) == (NOON + 2 * MINUTE, LAST)


@pytest.mark.parametrize(
    "options",
    [
        {"absolute_time_span": timedelta.max},
        {"absolute_time_span": timedelta.max, "expire_time_span": timedelta.max},
        {"absolute_time_span": None, "expire_time_span": timedelta(days=3_650_000)},
    ],
    ids=["absolute", "both", "idle"],
)
def test_a_span_that_means_never_signs_users_in(
    clock: StoppedClock, dp: DataProtection, options: dict[str, timedelta]
) -> None:
    visitor = visitor_with(dp, **options)
    visitor.visit(sign_in())
    clock.advance(days=10)
    assert user(visitor) == "ada"
    assert ticket_of(visitor, dp).properties.expires_utc is not None


@pytest.mark.parametrize("absolute", [None, timedelta(days=30)])
def test_a_ticket_that_was_issued_after_its_end_is_no_server_error(
    clock: StoppedClock, dp: DataProtection, absolute: timedelta | None
) -> None:
    options: dict[str, Any] = {"absolute_time_span": absolute}
    wrong = AuthenticationProperties(issued_utc=LAST, expires_utc=NOON + 9 * MINUTE, authenticated_utc=NOON)
    visitor = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=renew), **options)
    give(visitor, dp, wrong)
    visitor.visit(look)
    assert ticket_of(visitor, dp).properties == wrong, "there is no lifetime that it could have again"
    visitor.visit(lambda authentication: authentication.reauthenticate())
    assert ticket_of(visitor, dp).properties.expires_utc == NOON + timedelta(days=14)
