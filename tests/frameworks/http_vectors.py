"""The requests of ``http.json``, and what the application that answered them does, in no framework's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urljoin

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.protection import base64url
from dpmiddleware.purposes import authentication_cookie
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.text import CookieSettings, SetCookie, render
from dpmiddleware.web.sign_in.options import OptionArguments
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Claim, Principal, Ticket
from tests.fakes import StoppedClock
from tests.interop.vectors import load

__all__ = [
    "SCENARIOS",
    "Answer",
    "Ask",
    "Player",
    "options_of",
    "principal_of",
    "properties_of",
    "ring_of",
    "theirs_of",
]

SCENARIOS: list[dict[str, Any]] = load("http")["scenarios"]
SAME_SITE = {"Strict": "strict", "Lax": "lax", "None": "none", "Unspecified": None}
HOST = "http://shop.example"
CACHING = ("cache-control", "pragma", "expires")


def handler_clock() -> StoppedClock:
    """The clock of cookie authentication."""
    return StoppedClock(datetime(2030, 1, 1, tzinfo=timezone.utc))


def ring_of(scenario: dict[str, Any]) -> DataProtection:
    """The ring that ASP.NET Core had made."""
    documents = [StoredDocument(None, text.encode()) for text in scenario["documents"]]
    return DataProtection(
        scenario["application"],
        repository=MemoryKeyRepository(documents),
        key_wrapper="plain:",
        clock=StoppedClock(datetime(2026, 11, 23, 12, tzinfo=timezone.utc)),  # a day after the ring was created
        auto_create_keys=False,
    )


def options_of(scenario: dict[str, Any], clock: StoppedClock) -> OptionArguments:
    """Our options for ASP.NET Core's."""
    given = scenario["options"]
    options: dict[str, Any] = {"clock": clock, "absolute_time_span": None}  # there is none in ASP.NET Core
    names = {
        "loginPath": "login_path",
        "logoutPath": "logout_path",
        "accessDeniedPath": "access_denied_path",
        "returnUrlParameter": "return_url_parameter",
        "sliding": "sliding_expiration",
    }
    options |= {ours: given[theirs] for theirs, ours in names.items() if theirs in given}
    if "expireSeconds" in given:
        options["expire_time_span"] = timedelta(seconds=given["expireSeconds"])
    if given.get("sessionStore"):
        options["session_store"] = "memory:"
    secure = {"SameAsRequest": "same_as_request", "Always": "always", "None": "never"}
    options["cookie"] = CookieSettings(
        given.get("name", ".AspNetCore.Cookies"),
        path=given.get("path", "/"),
        domain=given.get("domain"),
        secure=secure[given.get("securePolicy", "SameAsRequest")],  # type: ignore[arg-type]  # one of the three
        http_only=given.get("httpOnly", True),
        same_site=SAME_SITE[given.get("sameSite", "Lax")],  # type: ignore[arg-type]  # one of the three
        max_age=timedelta(seconds=given["maxAgeSeconds"]) if "maxAgeSeconds" in given else None,
        max_total=16_384,
    )
    return options  # type: ignore[return-value]  # the fields of OptionArguments


def principal_of(query: dict[str, list[str]]) -> Principal:
    """Who ``/login?name=…&role=…&pad=…`` signs in."""
    pad = [Claim("pad", "".join(chr(97 + i % 26) for i in range(int(n)))) for n in query.get("pad", [])]
    return Principal(query["name"][0], roles=query.get("role", []), claims=pad)


def properties_of(query: dict[str, list[str]]) -> AuthenticationProperties:
    """On what terms."""

    def one(name: str) -> str | None:
        return query.get(name, [None])[0]

    expires, refresh = one("expires"), one("refresh")
    return AuthenticationProperties(
        is_persistent=one("persistent") == "true",
        expires_utc=None if expires is None else datetime.fromisoformat(expires),
        allow_refresh=None if refresh is None else refresh == "true",
        redirect_uri=one("redirect"),
    )


@dataclass
class Answer:
    """A response as a server sent it."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name]


Ask = Callable[[str, dict[str, str]], Answer]
"""(path with query, headers) → what the application answers."""


@dataclass
class Player:
    """Plays one scenario against an application, with the recorded cookies or with those that it sets itself."""

    scenario: dict[str, Any]
    ask: Ask
    clock: StoppedClock
    own_cookies: bool
    jar: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scheme = authentication_cookie("Cookies")
        self._protector = ring_of(self.scenario).create_protector(*scheme)

    def play(self) -> None:
        for step in self.scenario["steps"]:
            if "at" in step:
                self.clock.moment = datetime.fromisoformat(step["at"])
            if step["cookie"] is None:
                self.jar.clear()  # the client that was recorded had lost its cookies, or another one asked
            cookie = "; ".join(f"{n}={v}" for n, v in self.jar.items()) if self.own_cookies else step["cookie"]
            answer = self.ask(step["path"], {**step["headers"], **({"Cookie": cookie} if cookie else {})})
            self.compare(answer, expected_of(self.scenario, step), step["path"])
            for line in answer.all("set-cookie"):
                cookie_line = SetCookie.parse(line)
                self.jar.pop(cookie_line.name, None)
                if cookie_line.value:
                    self.jar[cookie_line.name] = cookie_line.value

    def compare(self, answer: Answer, expected: Answer, path: str) -> None:
        assert answer.status == expected.status, path
        for name in CACHING:
            assert answer.all(name) == expected.all(name), f"{path}: {name}"
        assert places(answer, path) == places(expected, path), path
        lengths = not self.scenario["options"].get("sessionStore")  # our keys are longer than a GUID
        written = self.without_our_items(answer) if lengths else answer
        assert shapes(written, lengths=lengths) == shapes(expected, lengths=lengths), path
        if expected.status != 302:
            self.compare_body(answer.body, expected.body, path)

    def without_our_items(self, answer: Answer) -> Answer:
        """The response with a ticket that says no more than one of ASP.NET Core, in as many chunks as that takes."""
        lines = [SetCookie.parse(line) for line in answer.all("set-cookie")]
        written = [cookie for cookie in lines if cookie.value]
        if not written:
            return answer
        values = {cookie.name: cookie.value for cookie in written}
        name, attributes = written[0].name, written[0].attributes
        [value] = chunks.join(name, lambda wanted: [values[wanted]] if wanted in values else [])
        ticket = Ticket.deserialize(self._protector.unprotect(base64url.decode(value)))
        bare = base64url.encode(self._protector.protect(theirs_of(ticket).serialize()))
        size = CookieSettings(name).chunk_size
        again = [render(each, part, attributes) for each, part in chunks.split(name, bare, attributes, size)]
        ended = [str(cookie) for cookie in lines if not cookie.value]
        return Answer(answer.status, [("set-cookie", line) for line in (*ended, *again)], answer.body)

    def compare_body(self, ours: str, theirs: str, path: str) -> None:
        assert ours == theirs, path


def theirs_of(ticket: Ticket) -> Ticket:
    """A ticket without what only we write into it."""
    items = {name: text for name, text in ticket.properties.items.items() if not name.startswith(".dpm_")}
    return Ticket(ticket.scheme, ticket.principal, AuthenticationProperties(items))


def expected_of(scenario: dict[str, Any], step: dict[str, Any]) -> Answer:
    """What ASP.NET Core answered, where we do not decide otherwise (docs/compatibility.md)."""
    recorded = Answer(step["status"], [(name, value) for name, value in step["response"]], step["body"])
    if recorded.status == 500 and "%C3%A9" in step["path"]:
        return _followed_to_e_acute(scenario, step)
    return recorded


def _followed_to_e_acute(scenario: dict[str, Any], step: dict[str, Any]) -> Answer:
    """``/é`` as return URL: ASP.NET Core fails on a header that it cannot write; here it is percent-encoded."""
    page = step["path"].partition("?")[0]
    other = next(s for s in scenario["steps"] if s["path"].startswith(page) and s["status"] == 302)
    headers = [(name, "/é" if name == "location" else value) for name, value in other["response"]]
    return Answer(302, headers, "")


def places(answer: Answer, path: str) -> list[str]:
    """``Location`` as a browser resolves and encodes it."""
    return [quote(urljoin(HOST + path, value), safe="%/:=&?#+,;@!$'()*~") for value in answer.all("location")]


def shapes(answer: Answer, *, lengths: bool) -> list[tuple[str, object, tuple[str, ...]]]:
    """Each Set-Cookie: name, value (markers and nothing as they are, payloads by their length), attributes in order.

    Without those that expire the name at other places, which ASP.NET Core does not do (docs/compatibility.md).
    """
    shown: list[tuple[str, object, tuple[str, ...]]] = []
    for line in answer.all("set-cookie"):
        cookie = SetCookie.parse(line)
        if not cookie.value and cookie.attributes[0] == "max-age=0":
            continue
        value: object = cookie.value
        if cookie.value and not cookie.value.startswith("chunks-"):
            value = len(cookie.value) if lengths else "a payload"
        shown.append((cookie.name, value, cookie.attributes))
    return shown
