"""The shops on a desktop and on a phone, in light and in dark: everything can be read, and nothing is cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection
from example_apps.flask_shop import app as flask_shop
from example_apps.shared_login.farm import open_farm as open_shared_login
from tests.browser.looks import SCHEMES, SCREENS, cut_off, hard_to_read, is_dark, profile
from tests.browser.test_in_chromium import keep_note, sign_in

PAGES = ("", "basket", "account", "cookie", "sign-in")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_each_page_of_a_shop_fits_the_screen_and_can_be_read(browser: Any, town: Any, screen: str, scheme: str) -> None:
    """The frameworks have the same templates."""
    url = town.shop("flask")
    with browser.new_context(**profile(screen, scheme)) as visitor:
        page = visitor.new_page()
        sign_in(page, url)
        page.goto(url)
        page.click("article:first-child button")
        page.wait_for_url(f"{url}basket")
        for path in PAGES:
            page.goto(f"{url}{path}")
            assert (path, is_dark(page)) == (path, scheme == "dark")
            assert (path, hard_to_read(page)) == (path, [])
            assert (path, cut_off(page)) == (path, [])


@pytest.mark.parametrize("screen", SCREENS)
def test_the_shared_sign_in_has_the_colours_of_each_member(browser: Any, tmp_path: Path, screen: str) -> None:
    with open_shared_login(tmp_path) as url:
        for scheme in SCHEMES:
            with browser.new_context(**profile(screen, scheme)) as visitor:
                page = visitor.new_page()
                page.goto(f"{url}flask/")
                assert hard_to_read(page) == []
                page.fill("#name", "ada")
                page.fill("#password", "analytical")
                page.click("main button")
                page.wait_for_selector("text=Sign out")
                for path in ("flask/", "starlette/", "starlette/private"):
                    page.goto(f"{url}{path}")
                    assert is_dark(page) == (scheme == "dark")
                    assert hard_to_read(page) == []
                    assert cut_off(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_went_wrong_can_be_read(browser: Any, town: Any, scheme: str) -> None:
    """A wrong password, a message that is too long, and a cookie under a key that was revoked."""
    url = town.shop("flask")
    with browser.new_context(**profile("desktop", scheme)) as visitor:
        page = visitor.new_page()
        page.goto(f"{url}sign-in")
        page.fill("#name", "ada")
        page.fill("#password", "guessed")
        page.click("main button")
        page.wait_for_selector("[role=alert]")
        assert hard_to_read(page) == []
        keep_note(page, url, "a" * 12_000)
        page.wait_for_selector("[role=alert]")
        assert hard_to_read(page) == []
        sign_in(page, url)
        before = town.data_protection
        before.manager.revoke(before.current().keys[0].id, "stolen")
        after = DataProtection("shop", repository=before.repository)
        page.goto(f"{town.site(flask_shop.make_app(after), 'shop.test')}cookie")
        assert page.locator(".chip.revoked").count() == 2
        assert hard_to_read(page) == []


def test_what_sticks_out_of_its_box_is_seen(page: Any) -> None:
    page.set_content("<div style='width:200px'><p style='width:300px'>wide</p><p>narrow</p></div>")
    assert cut_off(page) == ["p in div: wide"]


def test_contrast_that_is_too_low_is_seen(page: Any) -> None:
    """The measure itself: grey on white, text that is nearly transparent, and text that nobody sees."""
    page.set_content(
        "<p style='color:#999'>grey</p><p style='opacity:.4'>pale</p><p style='color:#666'>enough</p>"
        "<p style='color:#888;font-size:30px'>large</p><p hidden style='color:#fff'>hidden</p>"
        "<div style='background:#222'><p style='color:#333'>dark</p></div>"
    )
    assert [each.partition(":")[0] for each in hard_to_read(page)] == ["grey", "pale", "dark"]
