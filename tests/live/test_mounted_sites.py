"""Sign-ins of several applications beside each other, on gunicorn and uvicorn.

Issues: a customer of a shop was let into the administration mounted in it. Signing the present user in again was a
`RecursionError`. A reference to a ticket store signed a nameless user in where there is no store.
"""

from __future__ import annotations

import pytest

from tests.frameworks import sites
from tests.live.browser import Browser, Jar
from tests.live.serving import Site

ADMINS = ("same scheme, other cookie", "other scheme", "other ring")
SERVED = {"gunicorn": sites.WSGI, "uvicorn": sites.ASGI}


def name(browser: Browser, path: str, *, store: bool = False) -> str:
    """What a page of the sites says: the user's name. store: ask the member that has the ticket store."""
    answer = browser.get(path, X_Store="yes") if store else browser.get(path)
    assert answer.status == 200, answer
    return answer.text


# --- one application mounted in another -----------------------------------------------------------------------

PAIRS = [(server, *pair, admin) for server, known in SERVED.items() for pair in sites.pairs(known) for admin in ADMINS]


@pytest.fixture(params=PAIRS, ids="-".join)
def visitor(request: pytest.FixtureRequest, small_sites: dict[str, Site]) -> Browser:
    """A stranger at a shop with an administration mounted in it."""
    server, outer, inner, admin = request.param
    return Browser(small_sites[server].port, headers={"X-Outer": outer, "X-Inner": inner, "X-Admin": admin})


def test_a_customer_of_the_shop_is_a_stranger_to_the_administration(visitor: Browser) -> None:
    name(visitor, "/in")
    assert (name(visitor, "/"), name(visitor, "/admin/")) == ("ada", "None")
    sent = visitor.get("/admin/closed")
    assert sent.status == 302
    assert sent.location.startswith("/admin/admin-login?")
    assert name(visitor, "/") == "ada"


def test_each_application_signs_its_own_user_in_and_out(visitor: Browser) -> None:
    name(visitor, "/admin/in")
    assert (name(visitor, "/"), name(visitor, "/admin/")) == ("None", "root")
    name(visitor, "/in")
    assert (name(visitor, "/"), name(visitor, "/admin/")) == ("ada", "root")
    name(visitor, "/out")
    assert (name(visitor, "/"), name(visitor, "/admin/")) == ("None", "root")
    name(visitor, "/admin/out")
    assert visitor.jar.names() == []


# --- signing the present user in again ------------------------------------------------------------------------

SHELLS = [(server, shell) for server, known in SERVED.items() for shell in known]


@pytest.fixture(params=SHELLS, ids="-".join)
def browser(request: pytest.FixtureRequest, small_sites: dict[str, Site]) -> Browser:
    server, shell = request.param
    return Browser(small_sites[server].port, headers={"X-Outer": shell})


def test_the_present_user_is_signed_in_again_and_again(browser: Browser) -> None:
    name(browser, "/in")
    for day in range(1, 40, 5):  # longer than a ticket is valid
        before, browser.days = browser.header(), day
        assert name(browser, "/again") == "ada"
        assert browser.header() != before
        assert name(browser, "/") == "ada"


# --- a reference to a ticket store ----------------------------------------------------------------------------


@pytest.mark.parametrize("renewals", [0, 2])
def test_a_reference_signs_nobody_in_at_a_member_without_the_store(browser: Browser, renewals: int) -> None:
    name(browser, "/in", store=True)
    for _ in range(renewals):
        before, browser.days = browser.header(), browser.days + 8
        assert name(browser, "/", store=True) == "ada"
        assert browser.header() != before  # renewed
    stolen = Browser(browser.port, headers=browser.headers, days=browser.days, jar=Jar(dict(browser.jar.cookies)))
    assert name(browser, "/") == "None"  # the member without the store
    assert browser.get("/closed").status == 302  # nor is there a user without a name
    assert name(browser, "/", store=True) == "ada"
    name(browser, "/out", store=True)
    assert (name(stolen, "/"), name(stolen, "/", store=True)) == ("None", "None")
    assert stolen.get("/closed").status == 302
