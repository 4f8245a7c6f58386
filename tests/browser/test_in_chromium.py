"""What a browser makes of our cookies: the shops of the examples in Chromium."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dpmiddleware.web.cookies.text import CookieSettings

TICKET = ".AspNetCore.Cookies"
ALL = pytest.mark.parametrize("framework", ["django", "flask", "starlette"])


def sign_in(page: Any, url: str, name: str = "ada", password: str = "analytical", *, keep: bool = False) -> None:
    """By the form, in a page or a frame."""
    page.goto(f"{url}sign-in?ReturnUrl=/account")
    page.fill("#name", name)
    page.fill("#password", password)
    if keep:
        page.check("[name=keep]")
    page.click("main button")
    page.wait_for_url(f"{url}account")


def sign_out(page: Any) -> None:
    page.click("text=Sign out")
    page.wait_for_selector("header >> text=Sign in")


def cookies(page: Any) -> dict[str, Any]:
    """What the browser holds of ours, by name; Django's token against forgery is not."""
    return {cookie["name"]: cookie for cookie in page.context.cookies() if cookie["name"] != "csrftoken"}


def is_signed_in(page: Any) -> bool:
    """Whether the shop in a page or frame knows its visitor."""
    page.wait_for_selector("header .name")
    return bool(page.locator("text=Sign out").count())


def keep_note(page: Any, url: str, note: str) -> None:
    page.goto(f"{url}basket")
    page.fill("#note", note)
    with page.expect_navigation():
        page.click("text=Save")


# --- sign-in and sessions -------------------------------------------------------------------------------------------


@ALL
def test_a_private_page_leads_to_the_sign_in_and_back(page: Any, town: Any, framework: str) -> None:
    url = town.shop(framework)
    page.goto(f"{url}account")
    assert page.url == f"{url}sign-in?ReturnUrl=%2Faccount"
    page.fill("#name", "ada")
    page.fill("#password", "analytical")
    page.click("main button")
    page.wait_for_url(f"{url}account")
    assert page.inner_text("h1") == "Good to see you, ada."
    assert cookies(page)[TICKET]["expires"] == -1, "it ends with the browser"
    assert TICKET not in page.evaluate("document.cookie"), "no script reads it"
    sign_in(page, url, keep=True)
    assert cookies(page)[TICKET]["expires"] > 0, "it outlives the browser"


@ALL
def test_a_session_works_in_chunks_and_above_its_cap_is_refused_with_a_message_that_helps(
    page: Any, town: Any, framework: str
) -> None:
    url, session = town.shop(framework), f"{framework}_session"
    page.goto(url)
    with page.expect_navigation():
        page.click("article:first-child button")
    keep_note(page, url, "a" * 4500)
    assert page.input_value("#note") == "a" * 4500
    assert sorted(cookies(page)) == [session, f"{session}C1", f"{session}C2"]
    page.fill("#note", "b" * 6000)
    with page.expect_navigation() as refused:
        page.click("text=Save")
    assert refused.value.status == 413
    assert "8000 are allowed" in page.inner_text("main")
    assert "keep sign-ins on the server" in page.inner_text("main")
    page.goto(f"{url}basket")
    assert "Maidenhair fern" in page.inner_text("main"), "nothing but the message is lost"
    assert "b" not in page.input_value("#note")


@ALL
def test_a_session_that_shrinks_leaves_no_chunk_behind(page: Any, town: Any, framework: str) -> None:
    url, session = town.shop(framework), f"{framework}_session"
    keep_note(page, url, "a" * 4500)
    keep_note(page, url, "short")
    assert sorted(cookies(page)) == [session]
    page.reload()
    assert page.input_value("#note") == "short"


@ALL
def test_sign_out_clears_every_chunk(page: Any, town: Any, framework: str) -> None:
    url, session = town.shop(framework), f"{framework}_session"
    keep_note(page, url, "a" * 4500)
    sign_in(page, url)
    assert sorted(cookies(page)) == [TICKET, *(f"{session}{chunk}" for chunk in ("", "C1", "C2"))]
    sign_out(page)
    assert cookies(page) == {}


@ALL
def test_sign_out_clears_every_chunk_of_a_ticket(page: Any, town: Any, framework: str) -> None:
    """A long session and such a ticket together are over the budget of a session."""
    url = town.shop(framework)
    sign_in(page, url, "grace", "compiler")
    assert {f"{TICKET}{chunk}" for chunk in ("", "C1", "C2", "C3")} <= set(cookies(page))
    sign_out(page)
    assert cookies(page) == {}


@ALL
def test_the_back_button_after_sign_out_shows_no_private_page(page: Any, town: Any, framework: str) -> None:
    url = town.shop(framework)
    sign_in(page, url)
    keep_note(page, url, "for nobody else")
    page.goto(f"{url}cookie")
    page.goto(f"{url}account")
    sign_out(page)
    for private in ("account", "cookie", "basket"):
        page.go_back()
        page.wait_for_selector("header .name")
        assert page.url.startswith(f"{url}{private if private != 'account' else 'sign-in'}")
        assert not is_signed_in(page)
        assert "Good to see you" not in page.content()
        assert "for nobody else" not in page.content()


# --- attributes -----------------------------------------------------------------------------------------------------


def elsewhere(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Another site, with a link to, a form for and a frame of what its query names."""
    target = escape(dict(parse_qsl(environ["QUERY_STRING"])).get("to", "about:blank"))
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    page = f'<a href="{target}">go</a><form method="post" action="{target}"><button>send</button></form>'
    return [f'<!doctype html>{page}<iframe name="shop" src="{target}" width="900" height="600"></iframe>'.encode()]


def visit(page: Any, other: str, to: str) -> Any:
    """Open the other site with ``to`` in it; the frame, once it has loaded."""
    page.goto(f"{other}?to={to}", wait_until="load")
    return page.frame("shop")


def test_what_came_over_https_is_not_sent_over_http(page: Any, town: Any) -> None:
    """Secure, by default as the request."""
    safe, unsafe = town.shop(https=True), town.shop()
    sign_in(page, safe)
    assert cookies(page)[TICKET]["secure"]
    page.goto(unsafe)
    assert not is_signed_in(page)
    page.goto(safe)
    assert is_signed_in(page)


def test_over_http_a_browser_takes_no_cookie_that_is_always_secure(page: Any, town: Any) -> None:
    """What happens behind a proxy whose headers nobody honours does not: the cookie says Secure all the same."""
    always = CookieSettings(TICKET, secure="always")
    page.goto(f"{town.shop(ticket=always)}sign-in")
    page.fill("#name", "ada")
    page.fill("#password", "analytical")
    with page.expect_navigation():
        page.click("main button")
    assert not is_signed_in(page)
    assert cookies(page) == {}


def test_the_prefix_host_works_and_no_neighbour_can_set_such_a_cookie(page: Any, town: Any) -> None:
    def neighbour(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        lines = [("Set-Cookie", f"{name}=forged; Domain=shop.test; Path=/; Secure") for name in ("__Host-t", "plain")]
        start_response("200 OK", [("Content-Type", "text/plain"), *lines])
        return [b"set"]

    url = town.shop(
        "starlette",
        https=True,
        session=CookieSettings("__Host-s", secure="always"),
        ticket=CookieSettings("__Host-t", secure="always", max_total=16_384),
    )
    sign_in(page, url, "grace", "compiler")
    held = cookies(page)
    assert sorted(held) == ["__Host-t", "__Host-tC1", "__Host-tC2", "__Host-tC3"]
    assert all(cookie["domain"] == "shop.test" and cookie["secure"] for cookie in held.values())
    page.goto(town.site(neighbour, "neighbour.shop.test", https=True))
    assert sorted(cookies(page)) == [*sorted(held), "plain"]
    page.goto(url)
    assert is_signed_in(page)
    sign_out(page)
    assert sorted(cookies(page)) == ["plain"]


def test_a_neighbour_who_sets_a_cookie_of_our_name_signs_nobody_out(page: Any, town: Any) -> None:
    """Without the prefix a subdomain can add a cookie; what does not open counts for nothing beside what does."""

    def neighbour(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        line = f"{TICKET}=forged; Domain=shop.test; Path=/account"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", line)])
        return [b"set"]

    url = town.shop()
    sign_in(page, url)
    page.goto(town.site(neighbour, "neighbour.shop.test"))
    assert len([cookie for cookie in page.context.cookies() if cookie["name"] == TICKET]) == 2
    page.goto(f"{url}account")
    assert page.inner_text("h1") == "Good to see you, ada."


@pytest.mark.parametrize(
    ("same_site", "link", "form"),
    [
        pytest.param("strict", False, False, id="strict: never from elsewhere"),
        pytest.param("lax", True, False, id="lax: with a link, not with a form"),
        pytest.param("none", True, True, id="none: with both"),
    ],
)
def test_same_site_says_what_another_site_can_bring_about(
    page: Any, town: Any, same_site: Any, link: bool, form: bool
) -> None:
    """In frames of another site browsers send what is "none" only where people allow it, others never."""
    other = town.site(elsewhere, "elsewhere.test", https=True)
    ticket = CookieSettings(TICKET, secure="always", same_site=same_site)
    url = town.shop(https=True, ticket=ticket, trusted_origins=[other.rstrip("/")])
    sign_in(page, url)
    frame = visit(page, other, url)
    assert same_site == "none" or not is_signed_in(frame)
    page.click("text=go")
    page.wait_for_url(url)
    assert is_signed_in(page) is link
    visit(page, other, f"{url}sign-in")
    page.click("text=send")
    page.wait_for_url(f"{url}sign-in")
    assert is_signed_in(page) is form
    page.goto(url)
    assert is_signed_in(page), "within the site always"


def test_a_partitioned_sign_in_is_known_only_below_the_site_where_it_happened(page: Any, town: Any) -> None:
    """Chunks too, as long as all of the partition is within the 10,240 bytes that browsers keep of it."""
    parted: dict[str, Any] = {"secure": "always", "same_site": "none", "partitioned": True}
    session, ticket = CookieSettings("__Host-s", **parted), CookieSettings("__Host-t", **parted)
    url = town.shop("starlette", https=True, session=session, ticket=ticket)
    one, two = (town.site(elsewhere, host, https=True) for host in ("one.test", "two.test"))
    frame = visit(page, one, url)
    sign_in(frame, url)
    frame.goto(f"{url}basket")
    frame.fill("#note", "a" * 4500)
    with frame.expect_navigation():
        frame.click("text=Save")
    assert sorted(cookies(page)) == ["__Host-s", "__Host-sC1", "__Host-sC2", "__Host-t"]
    assert {urlsplit(cookie["partitionKey"]).hostname for cookie in cookies(page).values()} == {"one.test"}
    assert is_signed_in(visit(page, one, url))
    assert not is_signed_in(visit(page, two, url))
    page.goto(url)
    assert not is_signed_in(page)
    sign_out(visit(page, one, url))
    assert cookies(page) == {}


def test_a_browser_keeps_a_partitioned_session_up_to_the_most_that_settings_allow(page: Any, town: Any) -> None:
    """Above 10,240 bytes of a partition it would silently drop the oldest chunk: `CookieSettings` refuses that."""
    session = CookieSettings("__Host-s", secure="always", partitioned=True, max_total=10_240)
    url = town.shop(https=True, session=session)
    keep_note(page, url, "a" * 7400)
    assert sum(len(name) + len(cookie["value"]) for name, cookie in cookies(page).items()) > 10_000
    page.reload()
    assert page.input_value("#note") == "a" * 7400
