"""What the cookie holds beside a ticket store is a reference: it signs nobody in where the store is not asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dpmiddleware.protection import base64url
from dpmiddleware.purposes import authentication_cookie
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies.text import find
from dpmiddleware.web.parts import finish
from dpmiddleware.web.sign_in.authentication import AuthenticateResult, CookieAuthenticator
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.fakes import StoppedClock, data_protection


def ask(
    authenticator: CookieAuthenticator, cookies: bytes, *, sign_in: bool = False
) -> tuple[AuthenticateResult, bytes]:
    """One request that looks at the user: what it saw, and the cookies of the browser afterwards."""
    authentication = authenticator.begin(WebRequest(cookies))
    result = authentication.result
    if sign_in:
        authentication.sign_in(Principal("ada"))
    answer = finish(authentication, 200, [])
    lines = [value for name, value in answer.added if name == "set-cookie"]
    return result, lines[-1].partition(";")[0].encode() if lines else cookies


@pytest.mark.parametrize("renewals", [0, 1, 2])
def test_a_reference_signs_nobody_in_at_a_member_without_the_store(renewals: int) -> None:
    """After a renewal it has an authentication type: without the store it was a nameless user who never leaves."""
    clock = StoppedClock()
    shop = data_protection(MemoryKeyRepository(), clock)
    options = CookieAuthenticationOptions(session_store=MemoryTicketStore(), clock=clock)
    with_store = CookieAuthenticator(shop, options)
    without = CookieAuthenticator(shop, CookieAuthenticationOptions(clock=clock))

    _, cookies = ask(with_store, b"", sign_in=True)
    for _ in range(renewals):
        clock.advance(days=8)
        result, renewed = ask(with_store, cookies)
        assert result.succeeded
        assert renewed != cookies
        cookies = renewed
    refused, _ = ask(without, cookies)
    assert not refused.succeeded
    assert refused.failure == "SessionId without a session store"

    (value,) = find(cookies, ".AspNetCore.Cookies")
    protector = shop.create_protector(*authentication_cookie("Cookies"))
    reference = Ticket.deserialize(protector.unprotect(base64url.decode(value)))
    assert reference.properties.expires_utc == clock.now() + timedelta(days=14)
