"""The shops of the examples, each started with its command and used by a customer with a cookie jar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from dpmiddleware import DataProtection
from tests.examples.customer import Customer, running
from tests.servers import wait_for

SESSIONS = {"django": "django_session", "flask": "flask_session", "starlette": "starlette_session"}
TICKET = ".AspNetCore.Cookies"


class Shop(NamedTuple):
    """A running shop. ring: the same keys, opened by this process."""

    url: str
    session: str
    keys: Path
    ring: DataProtection


@pytest.fixture(scope="module", params=sorted(SESSIONS))
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    keys = tmp_path_factory.mktemp("keys")
    with running(f"example_apps.{request.param}_shop", "--keys", str(keys)) as url:
        ring = DataProtection("fern-and-stone", repository=keys, key_wrapper="plain:", auto_create_keys=False)
        yield Shop(url, SESSIONS[request.param], keys, ring)


@pytest.fixture
def customer(shop: Shop) -> Customer:
    return Customer(shop.url)


def key_of(customer: Customer, cookie: str) -> UUID:
    """The key id that the page about cookies shows for a cookie."""
    section = customer.get("/cookie").text.partition(f"<code>{cookie}</code></h2>")[2]
    found = re.search(r'class="key"><code>([0-9a-f-]{36})</code>', section)
    assert found is not None, section
    return UUID(found[1])


def test_signing_in_takes_the_password_and_leads_where_one_wanted_to_go(customer: Customer) -> None:
    asked = customer.get("/account")
    assert asked.path == "/sign-in?ReturnUrl=%2Faccount"
    assert customer.sign_in(password="guessed").status == 403
    assert customer.who() is None
    page = customer.sign_in(to=asked.path)
    assert (page.status, page.path) == (200, "/account")
    assert "Good to see you, ada." in page.text
    assert customer.who() == "ada"


def test_a_return_address_elsewhere_is_not_followed(customer: Customer) -> None:
    page = customer.sign_in(to="/sign-in?ReturnUrl=//evil.example/")
    assert (page.status, page.path) == (200, "/")


def test_the_basket_is_in_the_session(customer: Customer) -> None:
    customer.get("/")
    customer.post("/basket/add", plant="fern")
    customer.post("/basket/add", plant="fern")
    customer.post("/basket/add", plant="aloe")
    page = customer.post("/basket/remove", plant="aloe")
    assert page.path == "/basket"
    assert "Maidenhair fern" in page.main
    assert "£29.00" in page.main
    assert "Aloe" not in page.main
    assert "Maidenhair fern" not in Customer(customer.url).get("/basket").main, "another visitor has another"


def test_what_is_no_plant_is_not_put_into_the_basket(customer: Customer) -> None:
    customer.get("/")
    assert "Your basket is empty" in customer.post("/basket/add", plant="<script>").main


def test_the_basket_is_kept_at_sign_in_and_emptied_at_sign_out(shop: Shop, customer: Customer) -> None:
    customer.get("/")
    customer.post("/basket/add", plant="palm")
    customer.sign_in()
    assert "Parlour palm" in customer.get("/basket").main
    customer.post("/sign-out")
    assert customer.who() is None
    assert "Your basket is empty" in customer.get("/basket").main
    assert customer.names(TICKET) == customer.names(shop.session) == []
    assert customer.get("/account").path.startswith("/sign-in")


def test_a_link_signs_nobody_in_or_out(customer: Customer) -> None:
    """Only forms do: browsers send the cookies with a link of another site, too."""
    assert customer.get("/sign-in?name=ada&password=analytical").status == 200
    assert customer.who() is None
    customer.sign_in()
    assert customer.get("/sign-out").status == 405
    assert customer.who() == "ada"


def test_the_page_about_cookies_names_key_state_dates_and_sizes(shop: Shop, customer: Customer) -> None:
    customer.sign_in(keep="yes")
    customer.post("/basket/add", plant="snake")
    page = customer.get("/cookie").text
    key = shop.ring.manager.read().keys[0]
    assert key_of(customer, shop.session) == key_of(customer, TICKET)
    assert page.count(f"{key.creation_date.to_datetime():%Y-%m-%d %H:%M}") >= 3
    assert page.count(f"{key.expiration_date.to_datetime():%Y-%m-%d %H:%M}") >= 3
    assert "AES-256-CBC + HMACSHA256" in page
    assert "1 × snake" in page
    assert "<dd>yes</dd>" in page, "the sign-in outlives the browser"
    for cookie in customer.jar:
        if cookie.name in {shop.session, TICKET}:
            assert f"{len(cookie.value or '')} characters as text" in page


def test_the_page_about_cookies_shows_no_key_and_no_cookie(shop: Shop, customer: Customer) -> None:
    customer.sign_in()
    customer.post("/basket/add", plant="snake")
    page = customer.get("/cookie").text
    secrets = re.findall(
        r"<value>([^<]+)</value>", "".join(file.read_text("utf-8") for file in shop.keys.glob("*.xml"))
    )
    assert secrets
    shown = [secret for secret in secrets if secret in page]
    held = [cookie.name for cookie in customer.jar if cookie.name != "csrftoken" and (cookie.value or "") in page]
    assert (shown, held) == ([], [])


def test_a_sign_in_of_many_claims_comes_in_chunks_and_ends_whole(customer: Customer) -> None:
    customer.sign_in("grace", "compiler")
    assert customer.names(TICKET) == [TICKET, *(f"{TICKET}C{number}" for number in (1, 2, 3))]
    page = customer.get("/cookie").text
    assert "3 chunks and their count" in page
    assert "greenhouse-002/visitors" in page
    customer.post("/sign-out")
    assert customer.names(TICKET) == []


def test_what_a_visitor_writes_is_text_on_every_page(customer: Customer) -> None:
    customer.get("/")
    customer.post("/basket/note", note="<script>alert(1)</script>")
    for path in ("/basket", "/cookie"):
        page = customer.get(path).text
        assert "&lt;script&gt;" in page
        assert "<script" not in page


def test_a_long_message_takes_chunks_and_a_longer_one_is_refused_with_a_hint(shop: Shop, customer: Customer) -> None:
    customer.get("/")
    customer.post("/basket/add", plant="fern")
    assert "a" * 4000 in customer.post("/basket/note", note="a" * 4000).text
    assert customer.names(shop.session) == [shop.session, f"{shop.session}C1", f"{shop.session}C2"]
    refused = customer.post("/basket/note", note="b" * 9000)
    assert refused.status == 413
    assert "8000 are allowed" in refused.main
    assert "keep sign-ins on the server" in refused.main
    after = customer.get("/basket").main
    assert "Maidenhair fern" in after
    assert "bbb" not in after


def test_a_new_key_logs_nobody_out_and_protects_what_is_written_next(shop: Shop, customer: Customer) -> None:
    """Failure story 33."""
    customer.sign_in()
    customer.post("/basket/add", plant="fern")
    before = key_of(customer, TICKET)
    new = shop.ring.manager.create_key(activate_now=True)
    wait_for("the shop to see the new key", lambda: str(new) in customer.get("/cookie").text)
    assert customer.who() == "ada"
    assert key_of(customer, TICKET) == before
    assert "Maidenhair fern" in customer.post("/basket/add", plant="fern").main
    assert key_of(customer, shop.session) == new


def test_a_revoked_key_logs_out_and_the_page_says_so(shop: Shop, customer: Customer) -> None:
    customer.sign_in()
    old = key_of(customer, TICKET)
    shop.ring.manager.create_key(activate_now=True)
    shop.ring.manager.revoke(old, "stolen")
    wait_for("the revocation to be seen", lambda: customer.who() is None)
    page = customer.get("/cookie").text
    assert '<span class="chip revoked">revoked</span>' in page
    assert "stolen" in page
    customer.sign_in()
    assert customer.who() == "ada"
    assert key_of(customer, TICKET) != old
