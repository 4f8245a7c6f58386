"""Issue: in Django, who the user is stayed as it was for the rest of the request that signed in or out."""

from __future__ import annotations

import pytest

from tests.live.browser import Browser
from tests.live.serving import Site

ADA, NOBODY = ["ada"] * 3, ["nobody"] * 3
CASES = {
    "look,in,look": [NOBODY, ADA],
    "in,look,out,look": [ADA, NOBODY],
    "in,out,look": [NOBODY],
    "look,in,look,out,look,in,look": [NOBODY, ADA, NOBODY, ADA],
    "in,look,again,look": [ADA, ADA],
}


@pytest.mark.parametrize("page", ["steps", "steps_async"])
def test_the_user_follows_at_once(django_site: Site, page: str) -> None:
    for steps, looks in CASES.items():
        browser = Browser(django_site.port)
        if "again" in steps:
            browser.get(f"/{page}?do=in")
        assert browser.get(f"/{page}?do={steps}").json() == looks, steps
        assert browser.get(f"/{page}?do=look").json() == looks[-1:], f"the request after {steps}"
