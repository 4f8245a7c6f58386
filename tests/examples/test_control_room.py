"""The control room of the slot swap without a browser: its verdicts, its forms, and what it shows of foreign text."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import replace
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from example_apps.slot_swap import on_behalf
from example_apps.slot_swap.look import named_key
from example_apps.slot_swap.room_page import Side, content_security_policy, room_page
from example_apps.slot_swap.serve import open_control_room
from example_apps.slot_swap.story import NAME, PASSWORD, open_farm
from example_apps.slot_swap.verdict import Verdict, verdict
from example_apps.slot_swap.visitor import Answer
from tests.examples.test_slot_swap import state_of
from tests.servers import free_port

KEY, OTHER = "31ee7a50-0000-4000-8000-000000000001", "99aa7a50-0000-4000-8000-000000000002"
ADA = Answer(signed_in_as=NAME, signed_in_at="1.0", slot="staging", version="2.0", cookie_key=KEY)
NOBODY = Answer(signed_in_as=None, signed_in_at=None, slot="staging", version="2.0", cookie_key=None)

VERDICTS = {
    "no cookie": (NOBODY, [KEY], Verdict("nobody", "nobody is signed in")),
    "before the swap": (replace(ADA, version="1.0"), [KEY], Verdict("in", "signed in: this slot has key", KEY)),
    "after it, same ring": (ADA, [KEY], Verdict("in", "still signed in: this slot has key", KEY)),
    "after it, another ring": (
        replace(NOBODY, cookie_key=KEY),
        [OTHER],
        Verdict("out", "logged out: this slot has no key", KEY),
    ),
    "a forged cookie": (
        replace(NOBODY, cookie_key=KEY),
        [KEY],
        Verdict("out", "logged out: this slot refuses a cookie under its key", KEY),
    ),
    "no answer": (None, [KEY], Verdict("silent", "this slot does not answer")),
}


@pytest.mark.parametrize(("answer", "ring", "expected"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_is_what_the_slot_says(answer: Answer | None, ring: list[str], expected: Verdict) -> None:
    assert verdict(answer, ring) == expected


def test_a_shop_is_asked_with_the_cookies_of_the_browser_and_its_cookies_are_handed_back(tmp_path: Path) -> None:
    with open_farm(tmp_path, shared=False) as farm:
        site = farm.front.url
        assert on_behalf.sign_in(site, "", NAME, "guessed") == []
        [line] = on_behalf.sign_in(site, "theme=dark", NAME, PASSWORD)
        cookies = f"theme=dark; {line.partition(';')[0]}"
        signed_in = on_behalf.who(site, cookies)
        assert signed_in is not None
        assert (signed_in.signed_in_as, signed_in.signed_in_at, signed_in.version) == (NAME, "1.0", "1.0")
        assert signed_in.cookie_key in farm.keys()[farm.ring_of(farm.production)]
        farm.front.swap()
        assert on_behalf.who(site, cookies) == replace(
            signed_in, signed_in_as=None, signed_in_at=None, slot="staging", version="2.0"
        )
        farm.staging.stop()
        assert on_behalf.who(site, cookies) is None, "the front answers 502"
        assert on_behalf.sign_in(site, cookies, NAME, PASSWORD) == []


def test_a_site_that_is_not_there_is_silent() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/"
    assert on_behalf.who(nowhere, "") is None
    assert on_behalf.sign_in(nowhere, "", NAME, PASSWORD) == []


def test_the_forms_work_for_a_program_and_the_state_is_there_as_json(tmp_path: Path) -> None:
    with open_control_room(tmp_path) as url:
        jar = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        page = browser.open(urljoin(url, "sign-in"), b"", timeout=30).read().decode()
        assert sorted(cookie.name for cookie in jar) == ["own", "shared"]
        assert page.count("signed in: this slot has key") == 2
        page = browser.open(urljoin(url, "swap"), b"", timeout=30).read().decode()
        assert "logged out: this slot has no key" in page
        assert "still signed in: this slot has key" in page
        assert [side["verdict"]["kind"] for side in state_of(url)] == ["nobody", "nobody"], "no cookies, no sign-in"
        for path, form in [("nothing", None), ("nothing", b""), ("", b"")]:
            with pytest.raises(urllib.error.HTTPError, match="404"):
                browser.open(urljoin(url, path), form, timeout=30)


def test_a_sign_in_is_not_taken_from_another_site(tmp_path: Path) -> None:
    with open_control_room(tmp_path) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        connection.request("POST", "/sign-in", headers={"Origin": "https://evil.example"})
        response = connection.getresponse()
        assert (response.status, response.headers.get_all("Set-Cookie")) == (403, None)


def test_the_page_escapes_what_it_shows_and_names_its_frames_in_the_policy() -> None:
    rings = {"production": "production", "staging": "staging"}
    keys: dict[str, list[str]] = {"production": [KEY], "staging": []}
    said = Verdict("out", "<u>", "<i>")
    side = Side("own", "<del>", "http://127.0.0.1:1/", "<em>", "2", rings, keys, "<s>", said, ["<script>alert(1)"])
    page = room_page([side])
    assert not [tag for tag in ("<del>", "<u>", "<i>", "<em>", "<s>", "<script>") if tag in page]
    assert "&lt;script&gt;alert(1)" in page
    assert f"its own ring: {named_key(KEY, 'production')}" in page
    assert "its own ring: no key yet" in page
    assert "frame-src http://127.0.0.1:1/;" in content_security_policy([side])
