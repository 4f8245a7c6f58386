"""The pictures of the README and the documentation are what the pages look like.

`make pictures` takes them: this file with ``--write-pictures``. A picture carries the words that its page had then, so
a picture of a page that has changed since is a failure, and no two pictures need to be equal in each pixel.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image, PngImagePlugin

from example_apps.slot_swap.serve import open_control_room
from tests.browser.test_control_room import FORM, GREETING, expect_panes, sign_in_and_swap
from tests.browser.test_in_chromium import keep_note, sign_in

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
WIDTH, SCALE, MARGIN = 960, 1.5, 10
LARGEST = 80_000
COLOURS = 128
ON_EACH_RUN_ANOTHER = re.compile(r"[0-9a-f]{8}(?=…|-)|(?<=-)[0-9a-f]{4,12}\b|\d+")
"""Ids of keys, dates and sizes."""


class Shown(NamedTuple):
    """What is taken a picture of. words: the parts of the page whose words are compared. until: its last element."""

    page: Any
    parts: list[Any]
    until: str

    @property
    def words(self) -> str:
        """The words of the picture, without what is another on each run."""
        return ON_EACH_RUN_ANOTHER.sub("#", "\n".join(part.inner_text() for part in self.parts))

    def picture(self) -> Image.Image:
        """From the top of the page to the end of the last element, in few colours."""
        self.page.mouse.move(0, 0)
        box = self.page.locator(self.until).last.bounding_box()
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": box["y"] + box["height"] + MARGIN}
        taken = self.page.screenshot(clip=clip, full_page=True)
        return Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def cookie_of_a_shop(page: Any, request: pytest.FixtureRequest) -> Shown:
    """*What is in the cookie?*, with a basket and a message in the session."""
    url = request.getfixturevalue("town").shop("flask")
    sign_in(page, url)
    for plant in ("fern", "aloe"):
        page.goto(url)
        with page.expect_navigation():
            page.click(f"button[value={plant}]")
    keep_note(page, url, "Happy birthday, Grace! Water it on Mondays.")
    page.goto(f"{url}cookie")
    return Shown(page, [page.locator(part) for part in ("header", "h1", ".lead", "#the-session")], "#the-session")


def swapped_panes(page: Any, request: pytest.FixtureRequest) -> Shown:
    """The control room of the slot swap, after a swap."""
    folder = request.getfixturevalue("tmp_path")
    page.goto(request.getfixturevalue("stack").enter_context(open_control_room(folder)))
    sign_in_and_swap(page)
    expect_panes(page, FORM, GREETING)
    parts = [page.locator(part) for part in ("header", "#verdicts", "#slots-own", "#slots-shared")]
    return Shown(page, parts + [pane.locator("body") for pane in page.frames[1:]], "iframe")


PICTURES = {"cookie": cookie_of_a_shop, "swapped": swapped_panes}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_the_words_of_its_page(name: str, browser: Any, request: pytest.FixtureRequest) -> None:
    file = FOLDER / f"{name}.png"
    with browser.new_context(viewport={"width": WIDTH, "height": 800}, device_scale_factor=SCALE) as context:
        shown = PICTURES[name](context.new_page(), request)
        if request.config.getoption("--write-pictures", default=False):
            words = PngImagePlugin.PngInfo()
            words.add_itxt("Words", shown.words, zip=True)
            shown.picture().save(file, optimize=True, pnginfo=words)
        with Image.open(file) as picture:
            assert picture.info["Words"] == shown.words, "the page has changed; `make pictures` takes new pictures"
            assert picture.width == WIDTH * SCALE
    assert file.stat().st_size < LARGEST


@pytest.mark.parametrize("document", ["README.md", "docs/slots.md"])
def test_what_an_alternative_text_quotes_is_in_the_picture(document: str) -> None:
    text = " ".join(ROOT.joinpath(document).read_text("utf-8").split())
    for alternative, name in re.findall(r"!\[([^\]]+)\](?:\[picture-|\(pictures/)(\w+)", text):
        quoted = re.findall("“([^”]+)”", alternative)
        with Image.open(FOLDER / f"{name}.png") as picture:
            assert quoted
            assert [words for words in quoted if words not in picture.info["Words"]] == []


def test_each_picture_is_taken_here() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(PICTURES)
