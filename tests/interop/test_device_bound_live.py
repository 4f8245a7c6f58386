"""A bound ticket at a running ASP.NET Core 10, which does not know of bindings: it reads and renews, and keeps them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.protection import base64url
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.purposes import authentication_cookie
from dpmiddleware.web.device_bound.binding import Binding
from dpmiddleware.web.device_bound.proof import DeviceKey
from dpmiddleware.web.sign_in.ticket import Ticket
from tests.interop.test_sign_in_live import Browser, browser, there
from tests.web.device import Device

__all__ = ["browser", "there"]  # fixtures
TICKET = ".AspNetCore.Cookies"


@pytest.fixture
def protector(there: tuple[str, Path]) -> DataProtector:
    dp = DataProtection("shop", repository=there[1], key_wrapper="plain:", auto_create_keys=False)
    return dp.create_protector(*authentication_cookie("Cookies"))


def test_aspnet_core_renews_a_bound_ticket_and_keeps_its_items_in_order(
    browser: Browser, protector: DataProtector
) -> None:
    """[55]"""

    def ticket() -> Ticket:
        return Ticket.deserialize(protector.unprotect(base64url.decode(browser.jar[TICKET])))

    browser.here("/login?name=ada")
    signed = ticket()
    key = DeviceKey.of(Device().jwk)
    assert key is not None
    binding = Binding.new(key, browser.clock.now())._replace(confirmed=True)
    binding.put_into(signed.properties)
    browser.jar[TICKET] = base64url.encode(protector.protect(signed.serialize()))
    before = browser.jar[TICKET]
    browser.at(browser.clock.now() + timedelta(days=8))
    assert browser.there("/me").status == 200
    assert browser.jar[TICKET] != before, "renewed"
    renewed = ticket()
    assert Binding.of(renewed.properties) == binding
    dates = {".issued", ".expires"}
    kept = [(name, value) for name, value in renewed.properties.items.items() if name not in dates]
    assert kept == [(name, value) for name, value in signed.properties.items.items() if name not in dates]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_bound_ticket_signs_in_there(browser: Browser, protector: DataProtector, algorithm: str) -> None:
    """Who shares a sign-in with .NET 10 shares it without the binding: the documentation says so."""
    browser.here("/login?name=ada")
    bound = Ticket.deserialize(protector.unprotect(base64url.decode(browser.jar[TICKET])))
    key = DeviceKey.of(Device(algorithm).jwk)
    assert key is not None
    Binding.new(key, browser.clock.now()).put_into(bound.properties)
    browser.jar[TICKET] = base64url.encode(protector.protect(bound.serialize()))
    assert '"ada"' in browser.there("/me").body
