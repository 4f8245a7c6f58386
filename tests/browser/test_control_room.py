"""`dpm demo slot-swap --serve` in Chromium: on a desktop and a phone, in light and dark, with and without scripts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from example_apps.slot_swap.serve import open_control_room
from tests.browser.looks import SCHEMES, SCREENS, cut_off, hard_to_read, is_dark, profile

SIDES = ("own", "shared")
NOBODY = re.compile(r"^○ nobody is signed in$")
SIGNED_IN = re.compile(r"^✓ signed in: this slot has key [0-9a-f]{8}…$")
STILL = re.compile(r"^✓ still signed in: this slot has key [0-9a-f]{8}…$")
LOGGED_OUT = re.compile(r"^✗ logged out: this slot has no key [0-9a-f]{8}…$")
GREETING, FORM = "Good to see you, ada.", "Sign in"

with_and_without_scripts = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each test has a browser of its own; which version is in production depends on the tests before it."""
    with open_control_room(tmp_path_factory.mktemp("farms")) as url:
        yield url


@pytest.fixture
def open_page(browser: Any, room: str) -> Iterator[Any]:
    """Opens the page in a new browser. At the end: nothing was complained of, and nothing came from elsewhere."""
    contexts, complaints, hosts = [], [], set()

    def open_page(screen: str = "desktop", scheme: str = "light", *, scripts: bool = True, url: str = room) -> Any:
        contexts.append(browser.new_context(**profile(screen, scheme, scripts=scripts)))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert hosts <= {"127.0.0.1", "localhost"}


def press(page: Any, words: str) -> None:
    page.get_by_role("button", name=words, exact=True).first.click()


def expect_verdicts(page: Any, own: re.Pattern[str], shared: re.Pattern[str]) -> None:
    """Waits until both are as said."""
    from playwright.sync_api import expect

    for side, words in zip(SIDES, (own, shared), strict=True):
        expect(page.locator(f"#verdict-{side} b")).to_have_text(words, timeout=30_000)


def expect_panes(page: Any, own: str, shared: str) -> None:
    from playwright.sync_api import expect

    for title, words in (("One ring per slot", own), ("One shared ring", shared)):
        pane = page.frame_locator(f'iframe[title="The shop: {title}"]')
        expect(pane.locator("h1")).to_have_text(words, timeout=30_000)


def keys_shown(page: Any, place: str) -> list[str]:
    return list(page.locator(f"{place} .key").all_inner_texts())


def sign_in_and_swap(page: Any) -> None:
    press(page, "Sign ada in on both sides")
    expect_verdicts(page, SIGNED_IN, SIGNED_IN)
    press(page, "Swap the slots")
    expect_verdicts(page, LOGGED_OUT, STILL)


def expect_good_looks(page: Any, scheme: str) -> None:
    """In the page and in both panes."""
    assert len(page.frames) == 3
    for frame in page.frames:
        assert is_dark(frame) == (scheme == "dark")
        assert hard_to_read(frame) == []
        assert cut_off(frame) == []


@with_and_without_scripts
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_one_button_signs_in_one_swaps_and_the_verdicts_say_what_came_of_it(
    open_page: Any, screen: str, scheme: str, scripts: bool
) -> None:
    page = open_page(screen, scheme, scripts=scripts)
    expect_verdicts(page, NOBODY, NOBODY)
    expect_panes(page, FORM, FORM)
    press(page, "Sign ada in on both sides")
    expect_verdicts(page, SIGNED_IN, SIGNED_IN)
    expect_panes(page, GREETING, GREETING)
    before = keys_shown(page, "#verdicts")
    press(page, "Swap the slots")
    expect_verdicts(page, LOGGED_OUT, STILL)
    expect_panes(page, FORM, GREETING)
    assert keys_shown(page, "#verdicts") == before, "nobody has a new cookie"
    assert page.title() == "One ring per slot: logged out; One shared ring: still signed in"
    expect_good_looks(page, scheme)
    press(page, "Swap the slots")
    expect_verdicts(page, SIGNED_IN, SIGNED_IN)
    expect_panes(page, GREETING, GREETING)


@with_and_without_scripts
def test_on_a_phone_the_verdicts_come_first_and_the_buttons_are_at_hand(open_page: Any, scripts: bool) -> None:
    page = open_page("phone", scripts=scripts)
    sign_in_and_swap(page)
    places = [
        "h1",
        "#verdict-own",
        "#verdict-shared",
        "#slots-own",
        "iframe >> nth=0",
        "#slots-shared",
        "iframe >> nth=1",
    ]
    boxes = [page.locator(place).bounding_box() for place in places]
    for above, below in itertools.pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"]
    assert boxes[2]["y"] + boxes[2]["height"] < SCREENS["phone"].height / 2, "both without scrolling"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    for button in page.locator(".actions button").all():
        box = button.bounding_box()
        assert box["height"] >= 44
        assert 0 < box["y"] < box["y"] + box["height"] <= SCREENS["phone"].height
    box, bar = page.locator("main").bounding_box(), page.locator(".actions").bounding_box()
    assert box["y"] + box["height"] <= bar["y"], "nothing stays behind the buttons"


def test_on_a_desktop_each_verdict_is_above_its_pane_and_both_panes_are_in_sight(open_page: Any) -> None:
    page = open_page("desktop")
    sign_in_and_swap(page)
    for number, side in enumerate(SIDES):
        verdict = page.locator(f"#verdict-{side}").bounding_box()
        pane = page.locator(f"iframe >> nth={number}").bounding_box()
        assert (verdict["x"], verdict["width"]) == (pane["x"], pane["width"])
        assert verdict["y"] + verdict["height"] <= pane["y"]
        assert pane["y"] + pane["height"] <= SCREENS["desktop"].height


def test_the_colour_of_a_key_is_that_of_its_ring_and_its_id_stands_there_too(open_page: Any) -> None:
    page = open_page()
    sign_in_and_swap(page)
    own, shared = (
        [key.get_attribute("class").split()[1] for key in page.locator(f"#slots-{side} .key").all()] for side in SIDES
    )
    assert sorted(own[:2]) == ["production", "staging"]
    assert own[2] == own[1], "the cookie is of the slot that is staging now"
    assert shared == ["shared"] * 3
    assert len(set(keys_shown(page, "#slots-own"))) == 2
    assert len(set(keys_shown(page, "#slots-shared"))) == 1
    pane = page.frame_locator("iframe >> nth=0")
    assert pane.locator(".key.unknown").inner_text() == keys_shown(page, "#verdict-own")[0]
    assert "cannot be used here" in pane.locator("dl").inner_text()


def test_a_screen_reader_hears_the_verdicts_and_only_when_they_change(open_page: Any) -> None:
    """The live region stays in the page, and a verdict is replaced in it as a whole."""
    page = open_page()
    press(page, "Sign ada in on both sides")
    expect_verdicts(page, SIGNED_IN, SIGNED_IN)
    page.evaluate("""() => {
      window.heard = [];
      new MutationObserver((changes) => { for (const change of changes) window.heard.push(change.target.id); })
        .observe(document.querySelector("[aria-live=polite]"), { childList: true, characterData: true, subtree: true });
    }""")
    press(page, "Swap the slots")
    expect_verdicts(page, LOGGED_OUT, STILL)
    for _ in range(2):
        with page.expect_response(lambda response: urlsplit(response.url).path == "/"):
            pass
    assert page.evaluate("window.heard") == ["verdict-own", "verdict-shared"]
    assert page.locator("[aria-live] [aria-atomic=true]").count() == 2
    assert page.evaluate("document.activeElement.textContent") == "Swap the slots", "the focus stays"


def test_with_the_keyboard_alone_it_works_and_the_focus_is_seen(open_page: Any) -> None:
    page = open_page()
    for words, own, shared in [
        ("Sign ada in on both sides", SIGNED_IN, SIGNED_IN),
        ("Swap the slots", LOGGED_OUT, STILL),
    ]:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == words
        outline = page.evaluate("getComputedStyle(document.activeElement).outline")
        assert "3px" in outline
        assert "solid" in outline
        page.keyboard.press("Enter")
        expect_verdicts(page, own, shared)


def test_with_scripts_the_verdict_follows_what_somebody_does_in_a_pane(open_page: Any) -> None:
    page = open_page()
    pane = page.frame_locator("iframe >> nth=0")
    pane.locator("#name").fill("ada")
    pane.locator("#password").fill("analytical")
    pane.locator("button").click()
    expect_verdicts(page, SIGNED_IN, NOBODY)
    pane.get_by_text("Sign out").click()
    expect_verdicts(page, NOBODY, NOBODY)


def test_without_scripts_it_says_how_to_get_that_verdict(open_page: Any) -> None:
    page = open_page(scripts=False)
    press(page, "Sign ada in on both sides")
    expect_verdicts(page, SIGNED_IN, SIGNED_IN)
    page.frame_locator("iframe >> nth=1").get_by_text("Sign out").click()
    expect_panes(page, GREETING, FORM)
    page.get_by_role("link", name="reload this page").click()
    expect_verdicts(page, SIGNED_IN, NOBODY)


def test_a_page_whose_server_has_ended_says_so(browser: Any, room: str) -> None:
    with browser.new_context(**profile("desktop", "light")) as context:
        page = context.new_page()
        page.goto(room)
        said = page.get_by_role("status").and_(page.get_by_text("The demonstration does not answer."))
        assert not said.is_visible()
        context.set_offline(True)
        said.wait_for()
        context.set_offline(False)
        said.wait_for(state="hidden")


def test_the_policy_forbids_scripts_in_the_page_and_other_places(browser: Any, room: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        policy = page.goto(room).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
        assert "unsafe" not in policy
        page.evaluate("""() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
        }""")
        assert page.evaluate("window.ran") is None


@with_and_without_scripts
def test_under_the_name_localhost_it_works_as_well(open_page: Any, room: str, scripts: bool) -> None:
    """Browsers keep its cookies apart from those of 127.0.0.1, so the panes have the same name as the page."""
    page = open_page(scripts=scripts, url=room.replace("127.0.0.1", "localhost"))
    sign_in_and_swap(page)
    expect_panes(page, FORM, GREETING)


def test_the_page_is_small(browser: Any, room: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page, sizes = context.new_page(), {}
        page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
        page.goto(room, wait_until="networkidle")
        assert sum(size for url, size in sizes.items() if url.startswith(room)) < 16_000
