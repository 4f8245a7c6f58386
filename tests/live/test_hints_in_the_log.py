"""The hint of an error is in gunicorn's log once, below the message: nobody saw it, because only `dpm` printed it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.every_error import ERRORS, hint_of
from tests.live.browser import Browser
from tests.live.serving import Site, gunicorn
from tests.servers import wait_for


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with gunicorn("tests.live.apps.mistaken:wsgi") as site:
        yield site


@pytest.mark.parametrize("name", ERRORS)
def test_the_log_of_a_failed_request_shows_the_hint_once(name: str, site: Site) -> None:
    assert Browser(site.port).get(f"/{name}").status == 500
    wait_for("the traceback", lambda: hint_of(name) in site.log())
    assert Browser(site.port).get("/alive").status == 200  # by then, the request before it has been logged
    lines = site.log().splitlines()
    assert lines.count(hint_of(name)) == 1
    assert name in lines[lines.index(hint_of(name)) - 1]
