"""Issue: Django's ``session_key`` on real servers.

Strangers with long sessions shared a cart, and social logins lost their state.
"""

from __future__ import annotations

import re

import pytest

from tests.live.browser import Browser
from tests.live.serving import Site

ID = re.compile(r"[\w-]{22}")


@pytest.fixture(params=[10, 5000], ids=["one-cookie", "several-cookies"])
def characters(request: pytest.FixtureRequest) -> int:
    """The length of a session."""
    return int(request.param)


def visitor(site: Site, name: str, characters: int) -> Browser:
    browser = Browser(site.port)
    assert browser.get(f"/write?name={name}&characters={characters}").status == 200
    return browser


def test_the_key_is_an_id_that_stays(django_site: Site, characters: int) -> None:
    ada, bob = (visitor(django_site, name, characters) for name in ("ada", "bob"))
    key = ada.get("/key_first").json()
    assert ID.fullmatch(key)
    assert ada.get(f"/write?name=ada&characters={5010 - characters}").status == 200  # one cookie <-> several
    assert ada.get("/key").json() == [key, "ada"]
    assert bob.get("/key").json() != [key, "bob"]
    new = ada.get("/cycle").json()
    assert new != [key, "ada"]
    assert ada.get("/key").json() == new


def test_strangers_do_not_share_a_cart(django_site: Site, characters: int) -> None:
    ada, bob = (visitor(django_site, name, characters) for name in ("ada", "bob"))
    assert ada.get("/add?item=gift").json() == ["gift"]
    assert bob.get("/add?item=soap").json() == ["soap"]
    assert ada.get("/add?item=card").json() == ["gift", "card"]


def test_an_empty_session_keeps_its_cart(django_site: Site) -> None:
    ada, bob = Browser(django_site.port), Browser(django_site.port)
    assert [browser.get("/key_first").json() for browser in (ada, bob)] == [None, None]
    assert ada.get("/add?item=gift").json() == ["gift"]
    assert bob.get("/add?item=soap").json() == ["soap"]
    assert ada.get("/add?item=card").json() == ["gift", "card"]


@pytest.mark.parametrize("page", ["load", "load_async"])
def test_a_store_for_the_key_is_the_session_of_this_request_alone(
    django_site: Site, characters: int, page: str
) -> None:
    ada, bob = (visitor(django_site, name, characters) for name in ("ada", "bob"))
    key = ada.get("/key_first").json()
    assert ada.get(f"/{page}?key={key}").json() == ["ada", True]
    assert bob.get(f"/{page}?key={key}").json() == [None, False]
    assert ada.get(f"/{page}?key={key}").json() == ["ada", True]


def test_a_social_login_keeps_its_state(django_site: Site, characters: int) -> None:
    ada = visitor(django_site, "ada", characters)
    assert ada.get("/begin?state=abc").status == 200
    assert ada.get("/callback").json() == "abc"
    new = Browser(django_site.port)
    assert new.get("/begin?state=xyz").status == 200
    assert new.get("/callback").json() == "xyz"


@pytest.mark.parametrize("cookie", ["x", "12345678", "chunks-2", "CfDJ8" + "A" * 103, "A" * 22])
def test_a_client_does_not_choose_the_key(django_site: Site, cookie: str) -> None:
    chosen = {"Cookie": f"sessionid={cookie}"}
    assert Browser(django_site.port, headers=chosen).get("/key_first").json() is None
    assert Browser(django_site.port, headers=chosen).get("/key").json() == [None, None]
    cart = Browser(django_site.port, headers=chosen).get(f"/add?item={len(cookie)}").json()
    assert cart == [str(len(cookie))]
