"""All 174 cases: through the pure function, and through every shell."""

from __future__ import annotations

from typing import Any, Final

import pytest

from dpmiddleware.cross_origin import CrossOriginRules, decide
from dpmiddleware.errors import ConfigurationError
from tests.cross_origin.shells import SHELLS, WITH_WEBSOCKETS, Ask, Request
from tests.interop.vectors import load

CASES: Final[list[dict[str, Any]]] = load("cross-origin-cases")["cases"]
STEPS: Final = {
    "safe method": "safe_method",
    "Sec-Fetch-Site: same-origin": "same_origin",
    "Sec-Fetch-Site: none": "by_user",
    "Sec-Fetch-Site: none with a foreign Origin": "none_with_foreign_origin",
    "Sec-Fetch-Site: cross-site": "cross_site",
    "Sec-Fetch-Site: same-site": "same_site",
    "headers disagree": "headers_disagree",
    "header twice": "several_values",
    "trusted origin": "trusted_origin",
    "own origin": "own_origin",
    "foreign Origin": "foreign_origin",
    "own Referer": "own_referer",
    "foreign Referer": "foreign_referer",
    "no browser headers": "no_headers",
    "no Sec-Fetch-Site and no Origin": "no_headers",
    "exempt": "exempt",
}
"""The words of the cases for our reasons. Any other ``Sec-Fetch-Site`` is ``unknown_site``."""
FINER: Final = {
    "030": "headers_disagree",  # allowed, and reported once
    "031": "headers_disagree",
    "045": "several_values",  # two values in one line are as two lines
    "119": "several_values",
}
UPPER_CASED: Final = {"011"}
"""Django on ASGI knows methods in capitals only, ours included: what is routed as GET is checked as GET."""


def options_of(case: dict[str, Any]) -> dict[str, Any]:
    return {"trusted_origins": case["trusted"], "exempt": case["exempt"], **case["options"]}


def joined(headers: list[list[str]]) -> dict[str, str]:
    """Headers as `decide` takes them."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return found


def named(case: dict[str, Any]) -> str:
    return f"{case['id']} {case['why'][:60]}"


def test_there_are_all_of_them() -> None:
    counted = {said: sum(case["expect"] == said for case in CASES) for said in ("allow", "deny", "config error")}
    assert counted == {"allow": 64, "deny": 100, "config error": 10}


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_case_comes_out_as_expected_by_the_step_that_is_named(case: dict[str, Any]) -> None:
    if case["expect"] == "config error":
        with pytest.raises(ConfigurationError) as caught:
            CrossOriginRules(**options_of(case))
        assert "trusted_origins=" in str(caught.value)
        assert caught.value.hint
        return
    facts = (case["method"], case["scheme"], case["host"], joined(case["headers"]), case["path"], case["websocket"])
    verdict = decide(*facts, rules=CrossOriginRules(**options_of(case)))
    assert verdict.allowed is (case["expect"] == "allow")
    step = STEPS.get(case["reason"], "unknown_site")
    assert verdict.reason == FINER.get(case["id"], step)


@pytest.mark.parametrize("name", SHELLS)
def test_the_shells_differ_in_nothing(name: str) -> None:
    """Every case in one test per shell; sites with the same options are one."""
    sites: dict[str, Ask] = {}
    wrong = []
    for case in CASES:
        if case["websocket"] and name == "django_asgi":
            continue  # websockets of Django are those of Channels, behind the middleware for ASGI
        if name == "django_asgi" and case["id"] in UPPER_CASED:
            continue
        options = options_of(case)
        if case["expect"] == "config error":
            with pytest.raises(ConfigurationError):
                SHELLS[name](**options)(Request())
            continue
        if repr(options) not in sites:
            sites[repr(options)] = SHELLS[name](**options)
        headers = [(header, value) for header, value in case["headers"]]
        request = Request(
            case["method"], case["path"], case["scheme"], case["host"], headers, websocket=case["websocket"]
        )
        status = sites[repr(options)](request).status
        if (status == 403) is not (case["expect"] == "deny"):
            wrong.append((case["id"], status, case["expect"], case["why"]))
    assert not wrong


def test_a_websocket_is_seen_by_every_shell_that_can_serve_one() -> None:
    for name in WITH_WEBSOCKETS:
        ask = SHELLS[name]()
        own, foreign = [("Origin", "https://app.example")], [("Origin", "https://attacker.example")]
        assert ask(Request("GET", headers=own, websocket=True)).status == 101, name
        assert ask(Request("GET", headers=foreign, websocket=True)).status == 403, name
