"""One sign-in shared with a running ASP.NET Core over HTTP, as two applications behind one host would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.cookies.text import SetCookie
from tests.fakes import StoppedClock
from tests.frameworks.http_vectors import Answer, handler_clock, options_of
from tests.frameworks.test_http_vectors import starlette_app, starlette_client
from tests.interop.peer import ABSENT, find_peer

STARTS_WITHIN = 60.0  # seconds


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Browser:
    """Two applications, one jar."""

    def __init__(self, there: str, here: Any, clock: StoppedClock) -> None:
        self.jar: dict[str, str] = {}
        self.there_url, self._here, self.clock = there, here, clock
        self._opener = urllib.request.build_opener(NoRedirect)

    def there(self, path: str) -> Answer:
        """Ask ASP.NET Core."""
        request = urllib.request.Request(self.there_url + path, headers=self._headers())
        try:
            with self._opener.open(request, timeout=20) as response:
                return self._take(Answer(response.status, list(response.headers.items()), response.read().decode()))
        except urllib.error.HTTPError as error:
            return self._take(Answer(error.code, list(error.headers.items()), error.read().decode()))

    def here(self, path: str) -> Answer:
        """Ask our application."""
        response = starlette_client(self._here).get(path, headers=self._headers())
        return self._take(Answer(response.status_code, list(response.headers.multi_items()), response.text))

    def at(self, moment: datetime) -> None:
        """What time it is for cookie authentication, there and here."""
        self.clock.moment = moment
        self.there(f"/clock?now={quote(moment.isoformat())}")

    def _headers(self) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return {"Cookie": cookie} if cookie else {}

    def _take(self, answer: Answer) -> Answer:
        for line in answer.all("set-cookie"):
            cookie = SetCookie.parse(line)
            self.jar.pop(cookie.name, None)
            if cookie.value:
                self.jar[cookie.name] = cookie.value
        return answer


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A running ASP.NET Core with its keys in a folder: (URL, folder)."""
    program = find_peer()
    if program is None:
        pytest.skip(ABSENT)
    keys = tmp_path_factory.mktemp("keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    spec = {"store": {"kind": "fs", "path": str(keys)}, "app": "shop"}
    process = subprocess.Popen(
        [program, "serve", url, json.dumps(spec), "{}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"{url}/bare", process)
        yield url, keys
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, "ASP.NET Core ended before it answered"
            assert time.monotonic() < deadline, "ASP.NET Core did not start"
            time.sleep(0.05)


@pytest.fixture
def browser(there: tuple[str, Path]) -> Browser:
    url, keys = there
    Browser(url, None, handler_clock()).there("/login?name=first")  # so that the ring has its key
    clock = handler_clock()
    dp = DataProtection("shop", repository=keys, key_wrapper="plain:", auto_create_keys=False)
    browser = Browser(url, starlette_app(dp, options_of({"options": {}}, clock)), clock)
    browser.at(datetime(2030, 1, 1, tzinfo=timezone.utc))
    return browser


def same_ticket(browser: Browser) -> Any:
    """What both read in the cookie; they agree."""
    there, here = browser.there("/me"), browser.here("/me")
    assert (there.status, here.status) == (200, 200)
    assert json.loads(there.body) == json.loads(here.body)
    return json.loads(here.body)


@pytest.mark.parametrize("pad", [0, 9000], ids=["one cookie", "four chunks"])
def test_who_signs_in_there_is_signed_in_here(browser: Browser, pad: int) -> None:
    browser.there(f"/login?name=ada&role=admin&pad={pad}")
    assert len(browser.jar) == (1 if pad == 0 else 5)
    assert browser.here("/admin").body == "admin ada"
    assert same_ticket(browser)["scheme"] == "Cookies"


@pytest.mark.parametrize("pad", [0, 9000], ids=["one cookie", "four chunks"])
def test_who_signs_in_here_is_signed_in_there(browser: Browser, pad: int) -> None:
    browser.here(f"/login?name=ada&role=admin&pad={pad}")
    assert len(browser.jar) == (1 if pad == 0 else 5)
    assert browser.there("/admin").body == "admin ada"
    same_ticket(browser)


@pytest.mark.parametrize("signs_in", ["here", "there"])
@pytest.mark.parametrize("renews", ["here", "there"])
def test_either_side_renews_what_either_side_wrote(browser: Browser, signs_in: str, renews: str) -> None:
    getattr(browser, signs_in)("/login?name=ada&persistent=true")
    browser.at(browser.clock.moment + timedelta(days=8))
    assert getattr(browser, renews)("/secret").all("set-cookie")
    browser.at(browser.clock.moment + timedelta(days=6))
    ticket = same_ticket(browser)
    assert ticket["properties"][".expires"] == "Wed, 23 Jan 2030 00:00:00 GMT"


@pytest.mark.parametrize("signs_in", ["here", "there"])
@pytest.mark.parametrize("signs_out", ["here", "there"])
@pytest.mark.parametrize("pad", [0, 9000], ids=["one cookie", "four chunks"])
def test_either_side_signs_out_whom_either_side_signed_in(
    browser: Browser, signs_in: str, signs_out: str, pad: int
) -> None:
    getattr(browser, signs_in)(f"/login?name=ada&pad={pad}")
    assert getattr(browser, signs_out)("/logout").status == 200
    assert browser.jar == {}
    assert (browser.there("/me").status, browser.here("/me").status) == (401, 401)


def test_a_shorter_ticket_of_one_side_leaves_no_chunk_of_the_other(browser: Browser) -> None:
    browser.there("/login?name=ada&pad=9000")
    browser.here("/login?name=ada&pad=4000")
    assert len(browser.jar) == 3
    browser.there("/login?name=ada")
    assert len(browser.jar) == 1
    same_ticket(browser)


def test_both_send_a_stranger_to_the_same_page(browser: Browser) -> None:
    there, here = browser.there("/secret?a=1"), browser.here("/secret?a=1")
    assert (there.status, here.status) == (302, 302)
    [absolute], [path] = there.all("location"), here.all("location")
    assert absolute == browser.there_url + path


# --- the absolute end ---------------------------------------------------------------------------------------


@pytest.fixture
def ending(there: tuple[str, Path]) -> Browser:
    """The same two applications; ours ends sign-ins after 30 days, as it does by default."""
    url, keys = there
    clock = handler_clock()
    dp = DataProtection("shop", repository=keys, key_wrapper="plain:", auto_create_keys=False)
    browser = Browser(url, starlette_app(dp, {"clock": clock}), clock)
    browser.at(datetime(2030, 1, 1, tzinfo=timezone.utc))
    return browser


def test_aspnet_core_renews_our_ticket_carries_when_the_user_authenticated_and_we_still_end_it(ending: Browser) -> None:
    begin = ending.clock.moment
    ending.here("/login?name=ada&persistent=true")
    for day in (8, 16, 24, 29):
        ending.at(begin + timedelta(days=day))
        ending.there("/me")
        assert same_ticket(ending)["properties"][".dpm_authenticated"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    ending.at(begin + timedelta(days=30))
    assert (ending.there("/me").status, ending.here("/me").status) == (200, 200)
    ending.at(begin + timedelta(days=30, seconds=1))
    assert (ending.there("/me").status, ending.here("/me").status) == (200, 401), "it is for .NET to end it there"


def test_a_sign_in_of_aspnet_core_ends_here_30_days_after_the_last_issue_that_it_says(ending: Browser) -> None:
    begin = ending.clock.moment
    ending.there("/login?name=ada&persistent=true&expires=2030-06-01T00:00:00Z")
    ending.at(begin + timedelta(days=30))
    assert ending.here("/me").status == 200
    ending.at(begin + timedelta(days=30, seconds=1))
    assert (ending.there("/me").status, ending.here("/me").status) == (200, 401)


def test_a_sign_in_of_aspnet_core_that_we_renew_once_has_an_end_from_then_on(ending: Browser) -> None:
    begin = ending.clock.moment
    ending.there("/login?name=ada&persistent=true")
    ending.at(begin + timedelta(days=8))
    assert ending.here("/me").all("set-cookie")
    for day in (16, 24, 30):
        ending.at(begin + timedelta(days=day))
        ending.there("/me")
        assert same_ticket(ending)["properties"][".dpm_authenticated"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    ending.at(begin + timedelta(days=30, seconds=1))
    assert ending.here("/me").status == 401
