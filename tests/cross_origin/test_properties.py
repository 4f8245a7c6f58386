"""What must hold for any header: no text makes a foreign origin the own one, and no method makes a websocket safe."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.cross_origin import CrossOriginRules, decide
from dpmiddleware.cross_origin.decision import SAFE_METHODS
from dpmiddleware.cross_origin.origins import configured, is_own, normal, of_url
from dpmiddleware.errors import ConfigurationError

LABELS: Final = st.sampled_from(
    ["app", "evil", "example", "attacker", "xn--bcher-kva", "a-b", "localhost", "APP", "x_y"]
)
HOSTS: Final = st.one_of(
    st.lists(LABELS, min_size=1, max_size=3).map(".".join), st.sampled_from(["127.0.0.1", "[::1]", "app.example."])
)
PORTS: Final = st.sampled_from(["", ":80", ":443", ":0443", ":8443", ":65536", ":", ":x"])
SCHEMES: Final = st.sampled_from(["http", "https", "HTTPS", "ws", "ftp", "file", "capacitor", ""])
NOISE: Final = st.sampled_from(["", "/", "/x", "?x", "#x", "@evil.example", " ", "\t", ",", "\\", "%", "\x00", "é"])
AUTHORITIES: Final = st.tuples(HOSTS, PORTS).map("".join)
ORIGINS: Final = st.tuples(SCHEMES, st.sampled_from(["://", ":/", "//", ":"]), NOISE, AUTHORITIES, NOISE).map("".join)
TEXTS: Final = st.one_of(ORIGINS, st.just("null"), st.text(max_size=40))
SITES: Final = st.one_of(
    st.sampled_from(["", "same-origin", "same-site", "cross-site", "none", "Same-Origin"]), st.text(max_size=12)
)
HEADERS: Final = st.fixed_dictionaries(
    {}, optional={"sec-fetch-site": SITES, "origin": TEXTS, "referer": TEXTS, "cookie": st.just("a=b")}
)
RULES: Final = st.sampled_from(
    [
        CrossOriginRules(),
        CrossOriginRules(origins=["https://app.example"]),
        CrossOriginRules(trusted_origins=["https://evil.example"], exempt=["/hooks/"]),
        CrossOriginRules(same_site="allow", require_headers=True),
        CrossOriginRules(strict=True, require_headers="cookies"),
    ]
)
DEFAULT_PORT: Final = {"http": 80, "https": 443}
HOST_CHARACTERS: Final = set("abcdefghijklmnopqrstuvwxyz0123456789._-")


def reference(text: str) -> tuple[str, str, int] | None:
    """An origin taken apart without a regular expression and without our code."""
    scheme, separator, rest = text.partition("://")
    host, colon, port = rest.partition(":") if rest[:1] != "[" else rest.partition("]:")
    if rest[:1] == "[":
        host, name, allowed = host.rstrip("]") + "]", host.strip("[]"), set("abcdef0123456789:.")
        if (not colon and rest[-1:] != "]") or rest.count("[") > 1 or rest.count("]") > 1:
            return None
    else:
        name, allowed = host, HOST_CHARACTERS
    scheme, host = scheme.lower(), host.lower()
    if not separator or not name or set(name.lower()) - allowed or scheme not in DEFAULT_PORT:
        return None
    if colon and not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65_536):
        return None
    return scheme, host, int(port) if colon else DEFAULT_PORT[scheme]


@given(TEXTS, st.sampled_from(["http", "https", ""]), AUTHORITIES)
def test_an_origin_is_own_only_if_host_and_port_are_those_of_the_request(text: str, scheme: str, host: str) -> None:
    origin = reference(text)
    own = origin is not None and reference(f"{origin[0]}://{host}") == origin
    fits = origin is not None and (origin[0] == scheme or (origin[0] == "https" and scheme == "http"))
    assert is_own(normal(text), scheme, host) is (own and fits)


@given(HEADERS, TEXTS, RULES, st.sampled_from(["/t", "/admin", "/hooks"]))
def test_what_says_cross_site_passes_only_by_a_trusted_origin(
    headers: dict[str, str], host: str, rules: CrossOriginRules, path: str
) -> None:
    said = {**headers, "sec-fetch-site": "cross-site"}
    verdict = decide("POST", "https", host, said, path, rules=rules)
    assert verdict.allowed is (verdict.reason == "trusted_origin")
    if verdict.allowed:
        assert normal(said.get("origin", "")) in rules.trusted


@given(HEADERS, RULES)
def test_saying_cross_site_never_turns_a_refusal_into_a_pass(headers: dict[str, str], rules: CrossOriginRules) -> None:
    before = decide("POST", "https", "app.example", headers, rules=rules)
    after = decide("POST", "https", "app.example", {**headers, "sec-fetch-site": "cross-site"}, rules=rules)
    assert before.allowed or not after.allowed or after.reason == "trusted_origin"


@given(st.sampled_from(sorted(SAFE_METHODS)), HEADERS, RULES)
def test_a_websocket_is_never_safe(method: str, headers: dict[str, str], rules: CrossOriginRules) -> None:
    assert decide(method, "https", "app.example", headers, rules=rules).reason == "safe_method"
    handshake = decide(method, "https", "app.example", headers, "/t", True, rules=rules)
    assert handshake == decide("POST", "https", "app.example", headers, "/t", rules=rules)
    assert handshake.reason != "safe_method"


@given(HEADERS, RULES, st.text(max_size=20))
def test_anything_gets_a_verdict(headers: dict[str, str], rules: CrossOriginRules, text: str) -> None:
    verdict = decide(text, text, text, headers, text, rules=rules)
    assert verdict.reason.replace("_", "").isalpha()


@given(st.sampled_from(["", "null", "https://attacker.example", "http://app.example", "https://app.example/x"]))
def test_null_and_foreign_origins_pass_only_where_the_browser_calls_them_same_origin(origin: str) -> None:
    for site in ("", "none", "same-site", "cross-site", "other"):
        if (site, origin) not in {("", ""), ("none", "")}:
            said: dict[str, Any] = {"sec-fetch-site": site, "origin": origin}
            assert not decide("POST", "https", "app.example", said).allowed


@given(TEXTS)
def test_a_setting_is_an_origin_in_normal_form_or_an_error(text: str) -> None:
    if normal(text) or not text.isascii():
        with suppress(ConfigurationError):
            found = configured(text, "trusted_origins")
            assert normal(found) == found
            assert found.isascii()
    else:
        with pytest.raises(ConfigurationError) as caught:
            configured(text, "trusted_origins")
        assert caught.value.hint


URLS: Final = {
    "https://app.example/a?b#c": "https://app.example",
    "https://APP.example:443": "https://app.example",
    "http://[::1]:8000/": "http://[::1]:8000",
    "https://app.example?next=https://evil.example/": "https://app.example",
    "https://app.example#https://evil.example/": "https://app.example",
    "https://app.example@evil.example/": "",
    "https:///app.example": "",
    "about:blank": "",
    "": "",
}


@pytest.mark.parametrize("url", URLS)
def test_the_origin_of_a_referer(url: str) -> None:
    assert of_url(url) == URLS[url]


def test_with_configured_origins_a_host_that_was_bound_to_this_address_is_not_own() -> None:
    """DNS rebinding: the page and the request agree in everything, but neither is of this application."""
    rebound = {"sec-fetch-site": "same-origin", "origin": "https://rebound.attacker.example"}
    facts = ("POST", "https", "rebound.attacker.example", rebound)
    assert decide(*facts).allowed
    assert not decide(*facts, rules=CrossOriginRules(origins=["https://app.example"])).allowed


ODD_PATHS: Final = ["/hooks/../admin", "/hooks//x", "//hooks/", "/hooks/%2e%2e/admin", "/hooks/..\\admin", "/hooks/;x"]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_a_path_that_could_be_read_in_two_ways_is_not_exempt(path: str) -> None:
    assert not CrossOriginRules(exempt=["/hooks/"]).exempts(path)
