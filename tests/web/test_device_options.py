"""The options of device-bound sign-ins, and what is said to a browser because of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.answer import Answer
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.device_bound.instructions import challenge_header, ended, instructions, offer_header, refusal
from dpmiddleware.web.device_bound.options import DeviceBound, device_bound_from

FORTNIGHT = timedelta(days=14)
CREDENTIAL = {"type": "cookie", "name": "auth.Bound", "attributes": "path=/; secure; samesite=lax; httponly"}


def said(answer: Answer) -> Any:
    return json.loads(answer.body or b"")


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["report", "Report", {"level": "report"}, DeviceBound("report")], ids=repr)
def test_a_level_is_a_word_a_mapping_or_an_object(given: Any) -> None:
    assert device_bound_from(given) == DeviceBound("report")


def test_a_settings_file_gives_seconds() -> None:
    options = device_bound_from({"level": "require", "short_lived": 900, "exclude": ["/media"]})
    assert options == DeviceBound("require", short_lived=timedelta(minutes=15), exclude=["/media"])


LEVELS = {"serve": (False, False), "report": (True, False), "require": (True, True)}


@pytest.mark.parametrize(("level", "does"), LEVELS.items(), ids=LEVELS)
def test_a_level_offers_and_enforces(level: Any, does: tuple[bool, bool]) -> None:
    options = DeviceBound(level)
    assert (options.offers, options.enforces) == does


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown level": ({"level": "always"}, "use serve, report, require"),
    "an unknown offer": ({"offer": "never"}, "use sign_in, always"),
    "refreshed with every request": ({"short_lived": timedelta(seconds=120)}, "not less than 5"),
    "no time to answer": ({"challenge_max_age": 0}, "leave out challenge_max_age="),
    "a negative grace": ({"grace": -1}, "leave out grace="),
    "a relative path": ({"path": "dbsc"}, "/.well-known/dbsc"),
    "a path with a slash at its end": ({"path": "/dbsc/"}, "/.well-known/dbsc"),
    "a path with a quote": ({"path": '/"'}, "/.well-known/dbsc"),
    "a relative path excluded": ({"exclude": ["static"]}, "/static"),
    "an initiator with a scheme": ({"allowed_refresh_initiators": ["https://x.example"]}, "partner.example"),
    "an initiator with a wrong star": ({"allowed_refresh_initiators": ["*x.example"]}, "partner.example"),
    "an unknown algorithm": ({"algorithms": ["none"]}, "ES256, RS256"),
    "no algorithm": ({"algorithms": []}, "ES256, RS256"),
    "a moment without a time zone": ({"since": datetime(2026, 1, 1)}, "timezone.utc"),  # noqa: DTZ001 (that is wrong)
    "a misspelt name": ({"shortlived": 600}, "short_lived"),
}


@pytest.mark.parametrize(("changed", "hint"), WRONG.values(), ids=WRONG)
def test_what_cannot_work_is_refused_with_a_hint(changed: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        device_bound_from({"level": "require", **changed})
    assert hint in caught.value.hint


def test_a_mapping_without_a_level_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no level"):
        device_bound_from({"short_lived": 600})


COOKIES: dict[str, tuple[dict[str, Any], timedelta, str]] = {
    "never Secure": ({"secure": "never"}, FORTNIGHT, "same_as_request"),
    "partitioned": ({"secure": "always", "partitioned": True}, FORTNIGHT, "partitioned=False"),
    "of a domain": ({"domain": "shop.example"}, FORTNIGHT, "leave out domain="),
    "without a path": ({"path": None}, FORTNIGHT, "path='/'"),
    "of a short sign-in": ({}, timedelta(minutes=10), "expire_time_span"),
}


@pytest.mark.parametrize(("changed", "life", "hint"), COOKIES.values(), ids=COOKIES)
def test_a_cookie_that_cannot_be_bound_is_refused(changed: dict[str, Any], life: timedelta, hint: str) -> None:
    options = DeviceBound("serve")
    options.refuse_for(CookieSettings("auth"), FORTNIGHT)
    with pytest.raises(ConfigurationError) as caught:
        options.refuse_for(CookieSettings("auth", **changed), life)
    assert hint in caught.value.hint


# --- what is said to a browser --------------------------------------------------------------------------------------


def test_the_instructions_are_exactly_these() -> None:
    """Without an origin: a proxy may have changed the Host header."""
    answer = instructions(DeviceBound("require"), "", "sid", CREDENTIAL, ["auth.Bound=x"])
    assert said(answer) == {
        "session_identifier": "sid",
        "refresh_url": "/.well-known/dbsc/refresh",
        "scope": {
            "include_site": False,
            "scope_specification": [{"type": "exclude", "domain": "*", "path": "/static"}],
        },
        "credentials": [CREDENTIAL],
    }
    headers = dict(answer.added)
    assert (answer.status, headers["set-cookie"], headers["cache-control"]) == (200, "auth.Bound=x", "no-store")
    assert (headers["content-type"], headers["content-length"]) == ("application/json", str(len(answer.body or b"")))


def test_paths_are_those_of_a_mounted_application_and_percent_encoded() -> None:
    options = DeviceBound("require", exclude=("/a", "/b"), allowed_refresh_initiators=("*.partner.example",))
    written = said(instructions(options, '/sh"op é', "sid", CREDENTIAL, []))
    base = "/sh%22op%20%C3%A9"
    assert written["refresh_url"] == f"{base}/.well-known/dbsc/refresh"
    assert [rule["path"] for rule in written["scope"]["scope_specification"]] == [f"{base}/a", f"{base}/b"]
    assert written["allowed_refresh_initiators"] == ["*.partner.example"]
    assert offer_header(options, '/sh"op é', "c")[1] == (
        f'(ES256 RS256);path="{base}/.well-known/dbsc/registration";challenge="c"'
    )


def test_nothing_is_excluded_if_nothing_is_to_be() -> None:
    assert said(instructions(DeviceBound("require", exclude=()), "", "s", CREDENTIAL, []))["scope"] == {
        "include_site": False
    }


def test_an_offer_names_the_preferred_algorithm_first() -> None:
    """Chromium takes the first one that it knows."""
    options = DeviceBound("require", algorithms=("RS256", "ES256"), path="/keys")
    assert offer_header(options, "", "c") == (
        "secure-session-registration",
        '(RS256 ES256);path="/keys/registration";challenge="c"',
    )


def test_a_challenge_names_its_session() -> None:
    """Without the identifier Chromium ends the session."""
    assert challenge_header("c", "sid") == ("secure-session-challenge", '"c";id="sid"')


def test_an_end_says_that_the_session_does_not_continue_whatever_the_identifier_is() -> None:
    for identifier in ("sid", '"', "é", ""):
        answer = ended(identifier)
        assert said(answer) == {"session_identifier": identifier, "continue": False}
        assert answer.status == 200


def test_a_refusal_is_not_a_page() -> None:
    answer = refusal(403, ("a", "b"))
    assert (answer.status, answer.body) == (403, b"")
    assert dict(answer.added) == {
        "a": "b",
        "content-length": "0",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
