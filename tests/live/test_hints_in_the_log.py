"""The hint of an error is in gunicorn's log once, below the message: nobody saw it, because only `dpm` printed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.every_error import ERRORS, hint_of
from tests.live.browser import Browser
from tests.live.serving import Ended, Site, gunicorn
from tests.live.test_cold_start import APP, documented_configuration, ring_wrapped_with_another_certificate
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


def test_a_server_that_does_not_start_says_its_reason_in_full_once_and_what_to_do_once(tmp_path: Path) -> None:
    """The reason was in three lines before the traceback, and no line said what to configure."""
    settings = ring_wrapped_with_another_certificate(tmp_path)
    with (
        pytest.raises(Ended) as ended,
        gunicorn(f"{APP}:wsgi", "--config", documented_configuration(tmp_path), DPM_APPLICATION="shop", **settings),
    ):
        pass
    before, traceback, after = ended.value.log.partition("Traceback (most recent call last):")
    assert before.count("which is not configured") == 1
    assert before.count("(as before)") == 2
    assert traceback
    assert after.count("add that certificate, with its private key, to key_wrapper=") == 1
