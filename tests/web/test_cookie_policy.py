"""The cookie policy: ASP.NET Core's cases, and cookies as Python frameworks write them."""

from __future__ import annotations

from typing import Any

import pytest

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.cookies.policy import CookiePolicy
from dpmiddleware.web.cookies.text import attributes, render
from tests.interop.vectors import load

CASES = load("cookies")["policy"]
SECURE = {"None": "never", "SameAsRequest": "same_as_request", "Always": "always"}


def as_written(cookie: dict[str, Any]) -> str:
    """The cookie as ASP.NET Core writes it without a policy; options that are left out mean the path /."""
    given = cookie.get("options") or {"path": "/"}
    same_site = given.get("sameSite")
    return render(
        cookie["name"],
        cookie["value"],
        attributes(
            path=given.get("path"),
            secure=given.get("secure", False),
            http_only=given.get("httpOnly", False),
            same_site=None if same_site is None else same_site.lower(),
        ),
    )


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{'-'.join(case['policy'].values())}-{case['https']}") for case in CASES]
)
def test_every_case_of_aspnet_core_comes_out_the_same(case: dict[str, Any]) -> None:
    same_site = case["policy"]["minimumSameSite"]
    policy = CookiePolicy(
        minimum_same_site=None if same_site == "Unspecified" else same_site.lower(),
        secure=SECURE[case["policy"]["secure"]],  # type: ignore[arg-type]  # one of the three
        http_only=case["policy"]["httpOnly"] == "Always",
    )
    headers = [("set-cookie", as_written(cookie)) for cookie in case["cookies"]]
    assert [value for _, value in policy.apply(headers, https=case["https"])] == case["set_cookie"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "a=1; Secure; HttpOnly; Path=/; SameSite=Lax",
            "a=1; Secure; HttpOnly; Path=/; SameSite=Lax",
            id="Werkzeug's, strict enough",
        ),
        pytest.param("a=1; Path=/; SameSite=None", "a=1; Path=/; secure; samesite=lax; httponly", id="too lax"),
        pytest.param("a=1; Path=/; samesite=bogus", "a=1; Path=/; secure; samesite=lax; httponly", id="unknown"),
        pytest.param(
            "a=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Partitioned",
            "a=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; secure; samesite=lax; httponly; Partitioned",
            id="a deletion",
        ),
        pytest.param("a=1; SameSite=Strict", "a=1; secure; SameSite=Strict; httponly", id="stricter stays"),
        pytest.param('a="x; y"', 'a="x; secure; samesite=lax; httponly; y"', id="an odd one"),
    ],
)
def test_cookies_of_other_writers_are_raised_to_the_policy(line: str, expected: str) -> None:
    policy = CookiePolicy(minimum_same_site="lax", secure="always", http_only=True)
    assert policy.apply([("Set-Cookie", line), ("X-Other", line)], https=False) == [
        ("Set-Cookie", expected),
        ("X-Other", line),
    ]


@pytest.mark.parametrize("options", [{"minimum_same_site": "lux"}, {"secure": "sometimes"}])
def test_words_that_are_none_of_the_policys_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        CookiePolicy(**options)
