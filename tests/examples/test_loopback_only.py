"""The demonstrations answer their own pages only: not another site in the same browser, and not under another name."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dpmiddleware.repositories.memory import MemoryKeyRepository
from example_apps.demo.loopback_only import guarded_asgi, guarded_wsgi, why_refused
from example_apps.flask_shop.app import make_app as flask_shop
from example_apps.plants.serving import serve_asgi, serve_wsgi
from example_apps.shared_login.farm import open_farm as open_shared_login
from example_apps.slot_swap.serve import open_control_room
from example_apps.starlette_shop.app import make_app as starlette_shop
from tests.fakes import data_protection

OURS = "127.0.0.1:8000"
REFUSED = {
    "another name (DNS rebinding)": ("GET", "evil.example:8000", None, None),
    "no name": ("GET", None, None, None),
    "a name that begins like ours": ("GET", "127.0.0.1.evil.example", None, None),
    "a user before another name": ("GET", "127.0.0.1@evil.example", None, None),
    "not a name": ("GET", "[::1", None, None),
    "a form of another site": ("POST", OURS, "https://evil.example", "cross-site"),
    "another site, an old browser": ("POST", OURS, "https://evil.example", None),
    "another program on this machine": ("POST", OURS, "http://127.0.0.1:9000", "same-site"),
    "a page without an origin": ("POST", OURS, "null", "cross-site"),
    "no origin, said to be another site": ("POST", OURS, None, "cross-site"),
    "another method": ("DELETE", OURS, "https://evil.example", None),
}
ACCEPTED = {
    "a page": ("GET", OURS, None, "none"),
    "a page under the name localhost": ("GET", "localhost:8000", None, None),
    "a page under its IPv6 address": ("GET", "[::1]:8000", None, None),
    "a link on another site": ("GET", OURS, None, "cross-site"),
    "its own form": ("POST", OURS, f"http://{OURS}", "same-origin"),
    "its own form under the name localhost": ("POST", "localhost:8000", "http://localhost:8000", "same-origin"),
    "a program": ("POST", OURS, None, None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_other_sites_send_is_refused(case: str) -> None:
    assert why_refused(*REFUSED[case])


@pytest.mark.parametrize("case", ACCEPTED)
def test_its_own_pages_and_programs_are_answered(case: str) -> None:
    assert not why_refused(*ACCEPTED[case])


def status_of(url: str, method: str, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in {**headers, **({"Content-Length": "0"} if method == "POST" else {})}.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def check(url: str, path: str = "/", form: str = "/") -> None:
    """A page that answers, and neither another name nor another site that does."""
    assert status_of(url, "GET", path, {}) < 400
    assert status_of(url, "GET", path, {"Host": "evil.example"}) == 403
    assert status_of(url, "POST", form, {"Origin": "https://evil.example"}) == 403


def test_the_control_room_of_the_slot_swap_took_a_swap_from_any_site(tmp_path: Path) -> None:
    with open_control_room(tmp_path) as url:
        check(url, form="/swap")
        state = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        state.request("GET", "/state")
        farms = json.load(state.getresponse())
        assert {farm["production"] for farm in farms} == {"1.0"}, "nothing was swapped"
        for farm in farms:
            check(farm["url"], form="/sign-in")
        assert status_of(url, "POST", "/swap", {"Origin": url.rstrip("/")}) == 303


def test_each_slot_is_guarded_behind_its_front_as_well(tmp_path: Path) -> None:
    from example_apps.slot_swap.story import open_farm

    with open_farm(tmp_path, shared=True) as farm:
        check(f"http://127.0.0.1:{farm.production.port}", form="/sign-in")


@pytest.fixture(params=["Flask", "Starlette"])
def shop(request: pytest.FixtureRequest) -> Iterator[str]:
    dp = data_protection(MemoryKeyRepository())
    if request.param == "Flask":
        with serve_wsgi(guarded_wsgi(flask_shop(dp))) as url:
            yield url
    else:
        with serve_asgi(guarded_asgi(starlette_shop(dp))) as url:
            yield url


def test_the_shops_are_guarded(shop: str) -> None:
    check(shop, form="/sign-in")


def test_the_shared_login_is_guarded(tmp_path: Path) -> None:
    with open_shared_login(tmp_path) as url:
        check(url, path="/flask/", form="/flask/sign-in")
