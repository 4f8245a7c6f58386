"""What Chromium sent, again: nothing of a page's own is refused, and nothing from elsewhere passes, with one exception.

The exception is a refused POST that the page which answered it sends again: the browser calls that same-origin, because
it is. So our refusal contains no script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from dpmiddleware.cross_origin import CrossOriginRules, Verdict, decide
from tests.interop.vectors import load

REQUESTS: Final[list[dict[str, Any]]] = load("chromium-requests")["requests"]
OWN_PAGES: Final = (
    "same-origin",
    "itself",
    "same-origin -> same-origin (307)",
    "same-origin page inside a cross-site page (iframe)",
    "blob: iframe in same-origin page",
    "srcdoc iframe in same-origin page",
)
"""Senders that are pages of the target; further ones begin with "same-origin, Referrer-Policy" or "same-origin (…)"."""


def is_own(request: dict[str, Any]) -> bool:
    sender = str(request["sender"])
    return sender in OWN_PAGES or sender.startswith(("same-origin, Referrer-Policy:", "same-origin (ordinary profile"))


def is_repeated(request: dict[str, Any]) -> bool:
    """Sent by the page that answered a foreign POST."""
    site = request["headers"].get("sec-fetch-site")
    return request["group"] in {"F", "M"} and not is_own(request) and site == "same-origin"


def verdicts(rules: CrossOriginRules) -> Iterator[tuple[dict[str, Any], Verdict]]:
    for each in REQUESTS:
        facts = (each["method"], each["scheme"], each["host"], each["headers"], "/t", "websocket" in each)
        yield each, decide(*facts, rules=rules)


def test_what_a_page_sends_to_its_own_origin_is_allowed() -> None:
    own = [(each, verdict) for each, verdict in verdicts(CrossOriginRules()) if is_own(each)]
    assert len(own) > 120
    assert [each for each, verdict in own if not verdict.allowed] == []
    reasons = {verdict.reason for each, verdict in own if each["method"] != "QUERY"}
    assert reasons == {"same_origin", "own_origin"}, "and without an event"


def test_what_comes_from_elsewhere_is_refused_unless_the_answer_repeats_it() -> None:
    foreign = [(each, verdict) for each, verdict in verdicts(CrossOriginRules()) if not is_own(each)]
    passed = [each for each, verdict in foreign if verdict.allowed]
    assert len(foreign) > 300
    assert passed == [each for each, _ in foreign if is_repeated(each)]
    assert len(passed) == 8
    assert not any("websocket" in each for each in passed)


def test_with_required_headers_and_configured_origins_a_browser_notices_no_difference() -> None:
    origins = {f"{each['scheme']}://{each['host']}" for each in REQUESTS}
    for origin in origins:
        rules = CrossOriginRules(origins=[origin], require_headers=True)
        refused = [
            each
            for each, verdict in verdicts(rules)
            if is_own(each) and f"{each['scheme']}://{each['host']}" == origin and not verdict.allowed
        ]
        assert refused == []


def test_every_request_had_an_origin_and_no_websocket_had_anything_else() -> None:
    """Two facts that the order of the steps rests on."""
    assert all("origin" in each["headers"] for each in REQUESTS)
    sockets = [each["headers"] for each in REQUESTS if "websocket" in each]
    assert Counter(name for headers in sockets for name in headers) == {"origin": len(sockets)}
