"""Cookie authentication without a framework: sign-in, sliding, challenges, return URLs, events, the session store."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError, RepositoryError
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.protection import base64url
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.options import (
    CookieAuthenticationOptions,
    OptionArguments,
    allow_cookie_redirect,
    api,
)
from dpmiddleware.web.sign_in.return_urls import WebRequest, is_local, location
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Claim, ClaimTypes, Principal, Ticket
from dpmiddleware.web.sign_in.ticket_cookie import SESSION_ID_CLAIM
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore, entry_name
from dpmiddleware.web.steps import Call, drive
from tests.fakes import NOON, StoppedClock, WatchedTicketStore
from tests.interop.vectors import load
from tests.web.browser import Visitor, finished
from tests.web.ticket_json import to_json

ADA, BOB = Principal("ada"), Principal("bob")
FORTNIGHT = timedelta(days=14)
NO_CACHE = {"cache-control": "no-cache,no-store", "pragma": "no-cache", "expires": "Thu, 01 Jan 1970 00:00:00 GMT"}


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def dp(clock: StoppedClock) -> DataProtection:
    return DataProtection("shop", repository="memory:", key_wrapper="plain:", clock=clock)


@pytest.fixture
def visitor(dp: DataProtection) -> Visitor:
    return Visitor(CookieAuthenticator(dp))


def visitor_with(dp: DataProtection, **options: Any) -> Visitor:
    return Visitor(CookieAuthenticator(dp, CookieAuthenticationOptions(**options)))


def sign_in(principal: Principal = ADA, **properties: Any) -> Callable[[RequestAuthentication], None]:
    return lambda auth: auth.sign_in(principal, AuthenticationProperties(**properties))


def sign_out(auth: RequestAuthentication) -> None:
    auth.sign_out()


def look(auth: RequestAuthentication) -> None:
    """A page that shows who is signed in."""
    assert auth.principal is not None


def challenge(auth: RequestAuthentication, endpoint: object = None) -> int:
    auth.challenge(endpoint=endpoint)
    return 401


def forbid(auth: RequestAuthentication, endpoint: object = None) -> int:
    auth.forbid(endpoint=endpoint)
    return 403


def user(visitor: Visitor) -> str | None:
    """Who the application takes the visitor for."""
    seen: list[str | None] = []
    visitor.visit(lambda auth: seen.append(auth.principal.name))
    return seen[0]


def failure(visitor: Visitor) -> str | None:
    seen: list[str | None] = []
    visitor.visit(lambda auth: seen.append(auth.result.failure))
    return seen[0]


# --- signing in and out -------------------------------------------------------------------------------------


def test_who_signs_in_is_known_until_they_sign_out(visitor: Visitor) -> None:
    assert user(visitor) is None
    visitor.visit(sign_in())
    assert user(visitor) == "ada"
    visitor.visit(sign_out)
    assert (user(visitor), visitor.jar) == (None, {})


def test_in_plain_wsgi_and_asgi_authenticate_gives_the_result(visitor: Visitor) -> None:
    """It gave a generator, which is true where nobody is signed in."""
    found: list[Any] = []

    def ask(auth: RequestAuthentication) -> None:
        found.append(auth.authenticate())

    visitor.visit(ask)
    visitor.visit(sign_in())
    visitor.visit(ask)
    nobody, ada = found
    assert (nobody.succeeded, nobody.ticket) == (False, None)
    assert ada.ticket.principal == ADA


def test_the_cookie_is_that_of_aspnet_core(visitor: Visitor) -> None:
    [line] = visitor.visit(sign_in()).cookies
    assert line.startswith(".AspNetCore.Cookies=CfDJ8")
    assert line.endswith("; path=/; samesite=lax; httponly")


def test_a_persistent_sign_in_outlives_the_browser(visitor: Visitor) -> None:
    [line] = visitor.visit(sign_in(is_persistent=True)).cookies
    assert "; expires=Sun, 06 Dec 2026 12:00:00 GMT; path=/" in line


def test_times_that_the_application_sets_win(visitor: Visitor, clock: StoppedClock) -> None:
    issued, expires = NOON - timedelta(hours=1), NOON + timedelta(hours=2)
    visitor.visit(sign_in(issued_utc=issued, expires_utc=expires, is_persistent=True))
    seen: list[tuple[datetime | None, datetime | None]] = []

    def show(auth: RequestAuthentication) -> None:
        ticket = auth.result.ticket
        assert ticket is not None
        seen.append((ticket.properties.issued_utc, ticket.properties.expires_utc))

    visitor.visit(show)
    assert seen == [(issued, expires)]


def test_in_the_request_that_signs_in_the_user_is_known_at_once(visitor: Visitor) -> None:
    seen: list[str | None] = []

    def page(auth: RequestAuthentication) -> None:
        seen.append(auth.principal.name)
        auth.sign_in(ADA)
        seen.append(auth.principal.name)
        auth.sign_out()
        seen.append(auth.principal.name)

    visitor.visit(page)
    assert seen == [None, "ada", None]
    assert visitor.jar == {}, "the last word counts"


def test_signing_in_after_signing_out_signs_in(visitor: Visitor) -> None:
    visitor.visit(sign_in())

    def switch(auth: RequestAuthentication) -> None:
        auth.sign_out()
        auth.sign_in(BOB)

    assert len(visitor.visit(switch).cookies) == 1
    assert user(visitor) == "bob"


def test_who_is_not_authenticated_cannot_sign_in(dp: DataProtection, visitor: Visitor) -> None:
    nobody = Principal("ada", authentication_type="")
    with pytest.raises(ConfigurationError, match="not authenticated"):
        visitor.visit(sign_in(nobody))
    lenient = visitor_with(dp, require_authenticated_sign_in=False)
    lenient.visit(sign_in(nobody))
    assert user(lenient) == "ada"


def test_signing_in_out_and_renewing_forbid_caching_and_looking_only_varies(
    visitor: Visitor, clock: StoppedClock
) -> None:
    public = {"Cache-Control": "public, max-age=60", "Expires": "tomorrow"}
    for app in (sign_in(), sign_out, sign_in()):
        answer = visitor.visit(app, headers=public)
        assert {name: answer[name] for name in NO_CACHE} == NO_CACHE
        assert answer["vary"] == "Cookie"
    looked = visitor.visit(look, headers=public)
    assert (looked["cache-control"], looked["vary"], looked.cookies) == ("public, max-age=60", "Cookie", [])
    clock.advance(days=8)
    renewed = visitor.visit(look, headers=public)
    assert {name: renewed[name] for name in NO_CACHE} == NO_CACHE


def test_story_31_a_page_that_does_not_ask_who_you_are_is_left_as_it_is(visitor: Visitor, clock: StoppedClock) -> None:
    visitor.visit(sign_in())
    clock.advance(days=13)
    answer = visitor.visit(headers={"Cache-Control": "public"})
    assert answer.headers == [("Cache-Control", "public")]


def test_story_31_a_challenge_varies_by_cookie_and_says_nothing_about_caching(visitor: Visitor) -> None:
    answer = visitor.visit(challenge)
    assert (answer["vary"], answer["cache-control"], answer.cookies) == ("Cookie", None, [])


def test_a_ticket_that_no_browser_would_bring_back_is_refused_when_it_is_written(visitor: Visitor) -> None:
    with pytest.raises(CookieTooLargeError, match="8000") as caught:
        visitor.visit(sign_in(Principal("ada", claims=[Claim("pad", "x" * 20_000)])))
    assert caught.value.hint


def test_story_29_a_long_ticket_goes_in_chunks_and_leaves_none_behind(visitor: Visitor) -> None:
    visitor.visit(sign_in(Principal("ada", claims=[Claim("pad", "x" * 4500)])))
    assert len(visitor.jar) == 3
    assert user(visitor) == "ada"
    visitor.visit(sign_in())
    assert list(visitor.jar) == [".AspNetCore.Cookies"]
    visitor.visit(sign_in(Principal("ada", claims=[Claim("pad", "x" * 4500)])))
    visitor.visit(sign_out)
    assert visitor.jar == {}


def test_story_30_the_cookie_is_deleted_with_the_attributes_that_it_was_set_with(dp: DataProtection) -> None:
    cookie = CookieSettings(
        "sid", path="/app", domain="example.com", secure="always", same_site="none", partitioned=True
    )
    visitor = visitor_with(dp, cookie=cookie)
    attributes = "; domain=example.com; path=/app; secure; samesite=none; httponly; partitioned"
    assert visitor.visit(sign_in()).cookies[0].endswith(attributes)
    assert visitor.visit(sign_out).cookies == ["sid=; expires=Thu, 01 Jan 1970 00:00:00 GMT" + attributes]


# --- what counts as a ticket --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param("garbage", "Unprotect ticket failed", id="garbage"),
        pytest.param("CfDJ8" + "A" * 200, "Unprotect ticket failed", id="a payload of nobody"),
        pytest.param("chunks-3", "Unprotect ticket failed", id="a marker without chunks"),
        pytest.param("chunks-99999999999", "Unprotect ticket failed", id="a marker beyond reason"),
        pytest.param("A" * 9000, "Unprotect ticket failed", id="over-long"),
        pytest.param("", None, id="empty"),
    ],
)
def test_story_26_a_bad_cookie_is_nobody_and_stays_where_it_is(visitor: Visitor, value: str, why: str | None) -> None:
    visitor.jar[".AspNetCore.Cookies"] = value
    answer = visitor.visit(look)
    assert (answer.status, answer.cookies) == (200, [])
    assert failure(visitor) == why


def test_a_ticket_of_another_scheme_or_another_application_is_nobody(dp: DataProtection, clock: StoppedClock) -> None:
    first, second = visitor_with(dp, scheme="A", cookie="sid"), visitor_with(dp, scheme="B", cookie="sid")
    first.visit(sign_in())
    second.jar = first.jar
    assert user(second) is None
    elsewhere = Visitor(CookieAuthenticator(DataProtection("x", repository="memory:", key_wrapper="plain:")), first.jar)
    assert user(elsewhere) is None


def test_two_cookies_of_two_users_are_nobody(visitor: Visitor) -> None:
    visitor.visit(sign_in(ADA))
    first = visitor.header
    visitor.visit(sign_in(BOB))
    both = WebRequest(first + b"; " + visitor.header)
    auth = visitor.authenticator.begin(both)
    assert auth.principal == Principal()


def test_a_bad_cookie_beside_a_good_one_locks_nobody_out(visitor: Visitor) -> None:
    visitor.visit(sign_in())
    for header in (b".AspNetCore.Cookies=bad; " + visitor.header, visitor.header + b"; .AspNetCore.Cookies=bad"):
        assert visitor.authenticator.begin(WebRequest(header)).principal.name == "ada"


def _with_ticket(visitor: Visitor, dp: DataProtection, data: bytes) -> None:
    purposes = ("Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationMiddleware", "Cookies", "v2")
    visitor.jar = {".AspNetCore.Cookies": base64url.encode(dp.create_protector(*purposes).protect(data))}


def test_an_expiry_that_cannot_be_read_has_passed(visitor: Visitor, dp: DataProtection) -> None:
    _with_ticket(visitor, dp, Ticket("Cookies", ADA, AuthenticationProperties({".expires": "never"})).serialize())
    assert failure(visitor) == "Ticket expired"


def test_properties_of_another_version_are_refused_and_not_taken_for_none(visitor: Visitor, dp: DataProtection) -> None:
    data = Ticket("Cookies", ADA).serialize()
    assert data.endswith(b"\1\0\0\0\0\0\0\0")
    _with_ticket(visitor, dp, data[:-8] + b"\2\0\0\0\0\0\0\0")
    assert failure(visitor) == "Unprotect ticket failed"


def test_a_ticket_without_an_expiry_holds_and_is_never_renewed(
    visitor: Visitor, dp: DataProtection, clock: StoppedClock
) -> None:
    _with_ticket(visitor, dp, Ticket("Cookies", ADA).serialize())
    clock.advance(days=60)
    assert user(visitor) == "ada"
    assert visitor.visit(look).cookies == []


@pytest.mark.parametrize("case", [pytest.param(c, id=c["name"]) for c in load("tickets")["tickets"] if "cookie" in c])
def test_a_cookie_of_aspnet_core_signs_its_user_in(case: dict[str, Any]) -> None:
    vectors = load("tickets")
    documents = [StoredDocument(None, text.encode()) for text in vectors["documents"]]
    dp = DataProtection(
        vectors["application"],
        repository=MemoryKeyRepository(documents),
        key_wrapper="plain:",
        clock=StoppedClock(NOON),
        auto_create_keys=False,
    )
    options = CookieAuthenticationOptions(scheme=case["scheme"], cookie=CookieSettings("sid"))
    auth = CookieAuthenticator(dp, options).begin(WebRequest(b"sid=" + case["cookie"].encode()))
    ticket = auth.result.ticket
    assert ticket is not None
    # what is read is labelled with the scheme that read it, as in ASP.NET Core
    assert to_json(ticket) == case["ticket"] | {"scheme": case["scheme"]}


# --- sliding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "renewed"),
    [
        pytest.param(timedelta(days=7), False, id="exactly half"),
        pytest.param(timedelta(days=7, seconds=1), True, id="a second more"),
        pytest.param(timedelta(days=14), True, id="the last moment"),
        pytest.param(timedelta(days=14, seconds=1), False, id="too late"),
    ],
)
def test_a_ticket_is_renewed_once_more_than_half_of_it_is_gone(
    visitor: Visitor, clock: StoppedClock, after: timedelta, renewed: bool
) -> None:
    visitor.visit(sign_in())
    clock.advance(seconds=after.total_seconds())
    assert bool(visitor.visit(look).cookies) is renewed
    assert (user(visitor) is None) is (after > FORTNIGHT)


def test_a_renewal_keeps_the_tickets_own_lifetime(dp: DataProtection, clock: StoppedClock) -> None:
    visitor = visitor_with(dp, expire_time_span=timedelta(days=1))
    visitor.visit(sign_in(expires_utc=NOON + timedelta(days=2), is_persistent=True))
    clock.advance(hours=30)
    [line] = visitor.visit(look).cookies
    assert "expires=Wed, 25 Nov 2026 18:00:00 GMT" in line


def test_a_renewal_passes_on_what_it_does_not_know(visitor: Visitor, clock: StoppedClock) -> None:
    visitor.visit(lambda auth: auth.sign_in(ADA, AuthenticationProperties({"LoginProvider": "x", ".persistent": ""})))
    clock.advance(days=8)
    visitor.visit(look)
    auth = visitor.authenticator.begin(WebRequest(visitor.header))
    ticket = auth.result.ticket
    assert ticket is not None
    assert list(ticket.properties.items) == [
        *("LoginProvider", ".persistent", ".issued", ".dpm_authenticated", ".dpm_sign_in", ".expires")
    ]
    assert ticket.principal == ADA


@pytest.mark.parametrize(
    ("options", "properties"),
    [
        pytest.param({"sliding_expiration": False}, {}, id="sliding is off"),
        pytest.param({}, {"allow_refresh": False}, id="this ticket may not"),
    ],
)
def test_a_ticket_that_does_not_slide_is_not_renewed(
    dp: DataProtection, clock: StoppedClock, options: dict[str, Any], properties: dict[str, Any]
) -> None:
    visitor = visitor_with(dp, **options)
    visitor.visit(sign_in(**properties))
    clock.advance(days=13)
    assert visitor.visit(look).cookies == []
    clock.advance(days=2)
    assert user(visitor) is None


def test_a_renewal_happens_on_an_error_page_too_and_not_beside_a_sign_out(
    visitor: Visitor, clock: StoppedClock
) -> None:
    visitor.visit(sign_in())
    clock.advance(days=8)

    def fail(auth: RequestAuthentication) -> int:
        assert auth.principal.name == "ada"
        return 500

    assert visitor.visit(fail).cookies[0].startswith(".AspNetCore.Cookies=CfDJ8")
    clock.advance(days=8)

    def leave(auth: RequestAuthentication) -> None:
        assert auth.principal.name == "ada"
        auth.sign_out()

    [line] = visitor.visit(leave).cookies
    assert line.startswith(".AspNetCore.Cookies=;")


def test_story_27_a_slow_read_only_response_does_not_undo_a_sign_in(visitor: Visitor) -> None:
    slow = visitor.authenticator.begin(WebRequest(visitor.header))
    assert slow.principal == Principal()
    visitor.visit(sign_in())
    late = finished(slow, [])
    assert [name for name, _ in late.headers] == ["vary"]
    assert user(visitor) == "ada"


def test_with_the_ticket_in_the_cookie_a_slow_renewal_undoes_a_sign_out(visitor: Visitor, clock: StoppedClock) -> None:
    """A limitation, and documented: only a session store can know that the ticket ended meanwhile."""
    visitor.visit(sign_in())
    clock.advance(days=8)
    slow = visitor.authenticator.begin(WebRequest(visitor.header))
    look(slow)
    visitor.visit(sign_out)
    assert any(name == "set-cookie" and "=CfDJ8" in value for name, value in finished(slow, []).headers)


# --- challenges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "path", "status"),
    [pytest.param(challenge, "Login", 401, id="challenge"), pytest.param(forbid, "AccessDenied", 403, id="forbid")],
)
def test_a_browser_is_redirected_and_a_program_told(
    visitor: Visitor, app: Callable[..., int], path: str, status: int
) -> None:
    answer = visitor.visit(app, "/secret?a=1&b=%2F")
    expected = f"/Account/{path}?ReturnUrl=%2Fsecret%3Fa%3D1%26b%3D%252F"
    assert (answer.status, answer["location"], answer.replaces_body) == (302, expected, True)

    def endpoint() -> None: ...

    for told in (
        visitor.visit(app, "/secret", requested_with="XMLHttpRequest"),
        visitor.visit(partial(app, endpoint=api(endpoint)), "/secret"),
    ):
        expected = f"/Account/{path}?ReturnUrl=%2Fsecret"
        assert (told.status, told["location"], told.replaces_body) == (status, expected, False)
    assert visitor.visit(app, "/s?x-requested-WITH=XMLHttpRequest").status == status


@pytest.mark.parametrize(
    ("url", "requested_with"),
    [
        pytest.param("/?X-Requested-With=xmlhttprequest", "", id="another case in the query"),
        pytest.param("/?X-Requested-With=XMLHttpRequest&x-requested-with=XMLHttpRequest", "", id="twice in the query"),
        pytest.param("/", "xmlhttprequest", id="another case in the header"),
        pytest.param("/", "XMLHttpRequest, XMLHttpRequest", id="twice in the header"),
    ],
)
def test_what_only_looks_like_a_script_is_redirected(visitor: Visitor, url: str, requested_with: str) -> None:
    assert visitor.visit(challenge, url, requested_with=requested_with).status == 302


def test_the_predicate_says_what_an_api_is_and_a_mark_on_the_route_overrules_it(dp: DataProtection) -> None:
    seen: list[object] = []

    def predicate(request: object) -> bool:
        seen.append(request)
        return True

    visitor = visitor_with(dp, is_api_request=predicate)

    def endpoint() -> None: ...

    assert visitor.visit(challenge).status == 401
    assert seen == ["the request"]
    assert visitor.visit(partial(challenge, endpoint=api(allow_cookie_redirect(endpoint)))).status == 302
    assert visitor.visit(partial(challenge, endpoint=allow_cookie_redirect(api(endpoint)))).status == 302


def test_a_challenge_whose_response_was_not_returned_changes_nothing(visitor: Visitor) -> None:
    def undecided(auth: RequestAuthentication) -> int:
        auth.challenge()
        return 200

    assert visitor.visit(undecided).status == 200


def test_a_plain_401_of_the_application_stays_one(visitor: Visitor) -> None:
    def refuse(auth: RequestAuthentication) -> int:
        return 401

    assert visitor.visit(refuse).status == 401


def test_the_application_says_where_to_return_to(visitor: Visitor) -> None:
    def ask(auth: RequestAuthentication) -> int:
        auth.challenge(AuthenticationProperties(redirect_uri="/cart?x=é"))
        return 401

    assert visitor.visit(ask)["location"] == "/Account/Login?ReturnUrl=%2Fcart%3Fx%3D%C3%A9"


def test_paths_and_the_parameter_have_the_names_they_are_given(dp: DataProtection) -> None:
    visitor = visitor_with(dp, login_path="/signin", access_denied_path="/nö", return_url_parameter="zurück")
    assert visitor.visit(challenge, "/a")["location"] == "/signin?zur%C3%BCck=%2Fa"
    assert visitor.visit(forbid, "/a")["location"] == "/n%C3%B6?zur%C3%BCck=%2Fa"


def test_where_the_application_is_mounted_comes_first(visitor: Visitor) -> None:
    auth = visitor.authenticator.begin(WebRequest(path_base="/shop", path="/cart", query="q"))
    auth.challenge()
    headers = dict(finished(auth, [], 401).headers)
    assert headers["location"] == "/shop/Account/Login?ReturnUrl=%2Fshop%2Fcart%3Fq"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_challenge_stays_here_whatever_the_request(path_base: str, path: str, query: str) -> None:
    dp = DataProtection("shop", repository="memory:", key_wrapper="plain:")
    auth = CookieAuthenticator(dp).begin(WebRequest(path_base=path_base, path=path, query=query))
    auth.challenge()
    target = dict(finished(auth, [], 401).headers)["location"]
    assert target.isascii()
    assert target.isprintable()
    assert urlsplit(urljoin("https://shop.example/", target)).netloc == "shop.example"
    assert target[0] == "/" != target[1]


# --- return URLs --------------------------------------------------------------------------------------------

RETURN_URLS = [
    pytest.param("/", "/", id="the root"),
    pytest.param("/a?b=c&d=e#f", "/a?b=c&d=e#f", id="query and fragment"),
    pytest.param("/?x", "/?x", id="a query only"),
    pytest.param("/%2F%2Fevil.example", "/%2F%2Fevil.example", id="escaped slashes stay escaped"),
    pytest.param("/é", "/%C3%A9", id="not ASCII"),
    pytest.param("/ x", "/%20x", id="a space"),
    pytest.param("/a\\b", "/a%5Cb", id="a backslash inside"),
    pytest.param("/\u2028", "/%E2%80%A8", id="a line separator"),
    pytest.param("/\ud800", "/%ED%A0%80", id="half a character"),
    pytest.param('/"<>', "/%22%3C%3E", id="markup"),
    pytest.param("", None, id="empty"),
    pytest.param("secret", None, id="relative"),
    pytest.param("~/x", None, id="a tilde"),
    pytest.param("//evil.example", None, id="two slashes"),
    pytest.param("///evil.example", None, id="three slashes"),
    pytest.param("/\\evil.example", None, id="slash, backslash"),
    pytest.param("\\\\evil.example", None, id="backslashes"),
    pytest.param("/\t/evil.example", None, id="a tab between slashes"),
    pytest.param("\t//evil.example", None, id="a tab before"),
    pytest.param(" //evil.example", None, id="a space before"),
    pytest.param("/\r\nSet-Cookie: a=b", None, id="a line break"),
    pytest.param("/\x00", None, id="NUL"),
    pytest.param("/\x7f", None, id="DEL"),
    pytest.param("/\x85", None, id="NEL"),
    pytest.param("http://evil.example/", None, id="another host"),
    pytest.param("https://shop.example/secret", None, id="this host in full"),
    pytest.param("javascript:alert(1)", None, id="a script"),
]


@pytest.mark.parametrize(("given_url", "goes_to"), RETURN_URLS)
@pytest.mark.parametrize("app", [pytest.param(sign_in(), id="login"), pytest.param(sign_out, id="logout")])
def test_after_signing_in_or_out_a_browser_goes_where_it_wanted_within_this_host(
    dp: DataProtection, app: Callable[[RequestAuthentication], None], given_url: str, goes_to: str | None
) -> None:
    visitor = visitor_with(dp, login_path="/here", logout_path="/here")
    answer = visitor.visit(app, f"/here?ReturnUrl={quote(given_url, safe='', errors='surrogatepass')}")
    wanted = goes_to if goes_to is None or "\ud800" not in given_url else "/%EF%BF%BD%EF%BF%BD%EF%BF%BD"
    assert (answer.status, answer["location"]) == ((200, None) if goes_to is None else (302, wanted))
    assert answer.cookies


def test_a_return_url_given_twice_counts_for_nothing(dp: DataProtection) -> None:
    """ASP.NET Core joins the two with a comma."""
    visitor = visitor_with(dp, login_path="/login")
    answer = visitor.visit(sign_in(), "/login?ReturnUrl=/a&returnurl=/b")
    assert (answer.status, answer["location"]) == (200, None)


def test_a_return_url_counts_at_the_login_path_only_in_any_case_and_without_trailing_slash(dp: DataProtection) -> None:
    visitor = visitor_with(dp, login_path="/LOGIN")
    assert visitor.visit(sign_in(), "/login?returnURL=/a")["location"] == "/a"
    assert visitor.visit(sign_in(), "/login/?ReturnUrl=/a")["location"] is None
    assert visitor.visit(sign_in(), "/elsewhere?ReturnUrl=/a")["location"] is None
    assert visitor.visit(sign_out, "/login?ReturnUrl=/a")["location"] is None


def test_a_status_of_the_application_other_than_200_stands(dp: DataProtection) -> None:
    visitor = visitor_with(dp, login_path="/login")

    def refused(auth: RequestAuthentication) -> int:
        auth.sign_in(ADA)
        return 303

    answer = visitor.visit(refused, "/login?ReturnUrl=/a", headers={"Location": "/welcome"})
    assert (answer.status, answer["location"]) == (303, "/welcome")


def test_a_redirect_uri_of_the_application_is_followed_wherever_it_leads(visitor: Visitor) -> None:
    answer = visitor.visit(sign_in(redirect_uri="https://sso.example/done?a=b"), "/anywhere")
    assert (answer.status, answer["location"]) == (302, "https://sso.example/done?a=b")


def test_a_script_that_signs_in_is_told_where_to_go_and_reads_the_answer(dp: DataProtection) -> None:
    visitor = visitor_with(dp, login_path="/login")
    answer = visitor.visit(sign_in(), "/login?ReturnUrl=/a", requested_with="XMLHttpRequest")
    assert (answer.status, answer["location"], answer.replaces_body) == (200, "/a", False)


def test_more_query_fields_than_anybody_needs_are_not_looked_at(dp: DataProtection) -> None:
    visitor = visitor_with(dp, login_path="/login")
    answer = visitor.visit(sign_in(), "/login?" + "&" * 5000 + "a=b&" * 5000 + "ReturnUrl=/a")
    assert (answer.status, answer["location"]) == (200, None)


@given(st.text(max_size=30))
def test_what_counts_as_local_is_on_this_host_for_whoever_resolves_it(url: str) -> None:
    if is_local(url):
        assert urlsplit(urljoin("https://shop.example/login", location(url))).netloc == "shop.example"


# --- events -------------------------------------------------------------------------------------------------


def test_events_come_in_aspnet_cores_order(dp: DataProtection, clock: StoppedClock) -> None:
    order: list[str] = []

    class Events(CookieAuthenticationEvents):
        def signing_in(self, context: Any) -> None:
            order.append("signing_in")

        def signed_in(self, context: Any) -> None:
            order.append("signed_in")

        def check_sliding_expiration(self, context: Any) -> None:
            order.append(f"check_sliding_expiration {context.elapsed_time.days} {context.remaining_time.days}")

        def validate_principal(self, context: Any) -> None:
            order.append("validate_principal")

        def signing_out(self, context: Any) -> None:
            order.append("signing_out")

        def redirect_to_login(self, context: Any) -> None:
            order.append("redirect_to_login")

        def redirect_to_access_denied(self, context: Any) -> None:
            order.append("redirect_to_access_denied")

        def redirect_to_return_url(self, context: Any) -> None:
            order.append("redirect_to_return_url")

    visitor = visitor_with(dp, events=Events(), login_path="/login")
    visitor.visit(challenge)
    visitor.visit(forbid)
    visitor.visit(sign_in(), "/login?ReturnUrl=/")
    clock.advance(days=1)
    visitor.visit(look)
    visitor.visit(sign_out)
    assert order == [
        *("redirect_to_login", "redirect_to_access_denied"),
        *("signing_in", "signed_in", "redirect_to_return_url"),
        *("check_sliding_expiration 1 13", "validate_principal"),
        "signing_out",
    ]


def test_signing_in_may_change_the_principal_the_terms_and_the_cookie(dp: DataProtection) -> None:
    def change(context: Any) -> None:
        context.principal = Principal("ada", roles=["admin"])
        context.properties.is_persistent = True
        context.properties.expires_utc = None
        context.cookie = CookieSettings(context.cookie.name, same_site="strict")

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(signing_in=change))
    [line] = visitor.visit(sign_in()).cookies
    assert "expires=Sun, 06 Dec 2026 12:00:00 GMT" in line
    assert "samesite=strict" in line
    roles: list[tuple[str, ...]] = []
    visitor.visit(lambda auth: roles.append(auth.principal.roles))
    assert roles == [("admin",)]


def test_validation_may_reject_and_the_cookie_stays(dp: DataProtection, clock: StoppedClock) -> None:
    def reject(context: Any) -> None:
        context.principal = None

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=reject))
    visitor.visit(sign_in())
    clock.advance(days=8)
    answer = visitor.visit(look)
    assert (user(visitor), failure(visitor), answer.cookies) == (None, "No principal.", [])
    assert visitor.jar, "a rejected ticket is neither deleted nor, though half of it is gone, renewed"


def test_an_event_that_is_given_later_has_its_say_from_the_next_request_on(dp: DataProtection) -> None:
    events = CookieAuthenticationEvents()
    visitor = visitor_with(dp, events=events)
    visitor.visit(sign_in())
    visitor.visit(look)
    assert user(visitor) == "ada"

    def reject(context: Any) -> None:
        context.principal = None

    events.validate_principal = reject  # type: ignore[method-assign]
    visitor.visit(look)
    assert (user(visitor), failure(visitor)) == (None, "No principal.")


def test_validation_may_replace_the_principal_for_now_or_for_good(dp: DataProtection) -> None:
    renew = True

    def refresh(context: Any) -> None:
        context.principal = Principal("ada", roles=["fresh"])
        context.should_renew = renew

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=refresh))
    visitor.visit(sign_in())
    assert visitor.visit(look).cookies
    renew = False
    assert visitor.visit(look).cookies == []


def test_what_validation_changes_for_one_request_does_not_slip_into_a_renewal(
    dp: DataProtection, clock: StoppedClock
) -> None:
    def dress_up(context: Any) -> None:
        context.principal = Principal("ada", roles=["for this request"])
        context.properties.items["scratch"] = "x"

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=dress_up))
    visitor.visit(sign_in())
    clock.advance(days=8)
    assert visitor.visit(look).cookies
    plain = Visitor(CookieAuthenticator(dp), visitor.jar)
    auth = plain.authenticator.begin(WebRequest(plain.header))
    assert auth.principal.roles == ()
    assert auth.result.ticket is not None
    assert "scratch" not in auth.result.ticket.properties.items


def test_sliding_may_be_hastened_or_held_off(dp: DataProtection, clock: StoppedClock) -> None:
    def turn_round(context: Any) -> None:
        context.should_renew = not context.should_renew

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(check_sliding_expiration=turn_round))
    visitor.visit(sign_in())
    assert visitor.visit(look).cookies
    clock.advance(days=8)
    assert visitor.visit(look).cookies == []


def test_a_redirect_may_be_answered_otherwise(dp: DataProtection) -> None:
    def answer_otherwise(context: Any) -> None:
        context.status, context.redirect_uri = (418, None) if not context.is_api else (None, "/x\r\ny")

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(redirect_to_login=answer_otherwise))
    answer = visitor.visit(challenge)
    assert (answer.status, answer["location"], answer.replaces_body) == (418, None, True)
    told = visitor.visit(challenge, requested_with="XMLHttpRequest")
    assert (told.status, told["location"]) == (401, "/x%0D%0Ay")


def test_an_error_in_an_event_is_the_applications(dp: DataProtection) -> None:
    def fail(context: Any) -> None:
        raise LookupError("no such user")

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(signing_in=fail))
    with pytest.raises(LookupError, match="no such user"):
        visitor.visit(sign_in())


def test_a_coroutine_function_needs_asgi(dp: DataProtection) -> None:
    async def check(context: Any) -> None: ...

    visitor = visitor_with(dp, events=CookieAuthenticationEvents(validate_principal=check))
    visitor.visit(sign_in())
    with pytest.raises(ConfigurationError, match=r"check.* is a coroutine function"):
        visitor.visit(look)


def test_steps_may_handle_the_error_of_what_they_asked_for() -> None:
    def steps() -> Any:
        try:
            yield Call(lambda: 1 / 0)
        except ZeroDivisionError:
            answer = yield Call(int, ("7",))
            return answer

    assert drive(steps()) == 7


# --- the session store --------------------------------------------------------------------------------------


@pytest.fixture
def store() -> MemoryTicketStore:
    return MemoryTicketStore()


@pytest.fixture
def kept(dp: DataProtection, store: MemoryTicketStore) -> Visitor:
    """A visitor whose tickets are kept on the server."""
    return visitor_with(dp, session_store=store)


def key_of(visitor: Visitor) -> str:
    reference = visitor.authenticator.cookie._cookie.open(visitor.header, Ticket.deserialize).content
    assert reference is not None
    key = reference.principal.value(SESSION_ID_CLAIM)
    assert key is not None
    return key


def test_story_34_a_cookie_replayed_after_sign_out_is_refused(kept: Visitor, store: MemoryTicketStore) -> None:
    kept.visit(sign_in())
    stolen = dict(kept.jar)
    kept.visit(sign_out)
    kept.jar = stolen
    assert (user(kept), failure(kept), len(store)) == (None, "Identity missing in session store", 0)


def test_the_cookie_is_small_and_the_ticket_is_not(kept: Visitor) -> None:
    kept.visit(sign_in(Principal("ada", claims=[Claim("pad", "x" * 100_000)])))
    assert len(kept.header) < 500
    assert user(kept) == "ada"


def test_the_store_betrays_neither_claims_nor_a_usable_cookie(kept: Visitor, store: MemoryTicketStore) -> None:
    kept.visit(sign_in(Principal("ada@shop.example", roles=["admin"])))
    key = key_of(kept)
    [(name, (value, _))] = store._entries.items()
    assert name == entry_name(key)
    assert key not in name
    for secret in (key.encode(), b"ada@shop.example", b"admin", ClaimTypes.ROLE.encode()):
        assert secret not in value
        assert base64.b64encode(secret)[:12] not in value
    assert value.startswith(b"\x09\xf0\xc9\xf0"), "sealed by the ring"


def test_signing_in_over_a_live_key_takes_a_new_one(kept: Visitor, store: MemoryTicketStore) -> None:
    """ASP.NET Core keeps the key; then who had planted it would be signed in as well."""
    kept.visit(sign_in(ADA))
    planted = dict(kept.jar)
    first = key_of(kept)
    kept.visit(sign_in(BOB))
    assert key_of(kept) != first
    assert len(store) == 1
    kept.jar = planted
    assert user(kept) is None


def test_a_renewal_keeps_the_key_and_moves_the_end(kept: Visitor, clock: StoppedClock) -> None:
    kept.visit(sign_in(is_persistent=True))
    key = key_of(kept)
    clock.advance(days=8)
    assert "expires=Mon, 14 Dec 2026" in kept.visit(look).cookies[0]
    assert key_of(kept) == key
    clock.advance(days=13)
    assert user(kept) == "ada"


def test_a_renewal_in_flight_does_not_bring_back_who_signed_out(
    kept: Visitor, store: MemoryTicketStore, clock: StoppedClock
) -> None:
    kept.visit(sign_in())
    clock.advance(days=8)
    before = dict(kept.jar)
    slow = kept.authenticator.begin(WebRequest(kept.header))
    look(slow)
    kept.visit(sign_out)
    late = finished(slow, [])
    assert [name for name, _ in late.headers] == ["vary"]
    assert len(store) == 0
    kept.jar = before
    assert user(kept) is None


def test_an_expired_ticket_is_taken_out_of_the_store(
    kept: Visitor, store: MemoryTicketStore, clock: StoppedClock
) -> None:
    kept.visit(sign_in())
    clock.advance(days=15)
    assert failure(kept) == "Ticket expired"
    assert len(store) == 0
    clock.jump(days=-10)
    assert user(kept) is None


@pytest.mark.parametrize("damage", ["swapped", "edited", "raw", "cut", "empty"])
def test_a_value_that_was_tampered_with_in_the_store_is_nobody(
    dp: DataProtection, store: MemoryTicketStore, damage: str
) -> None:
    ada, admin = visitor_with(dp, session_store=store), visitor_with(dp, session_store=store)
    ada.visit(sign_in(ADA))
    admin.visit(sign_in(Principal("root", roles=["admin"])))
    name, others = entry_name(key_of(ada)), entry_name(key_of(admin))
    value = store.get(name)
    assert value is not None
    damaged = {
        "swapped": store.get(others),
        "edited": value[:-40] + bytes([value[-40] ^ 1]) + value[-39:],
        "raw": Ticket("Cookies", Principal("root", roles=["admin"])).serialize(),
        "cut": value[:30],
        "empty": b"",
    }[damage]
    assert damaged is not None
    store.put(name, damaged, None)
    assert (user(ada), failure(ada)) == (None, "Identity missing in session store")


def test_a_ticket_of_another_scheme_does_not_open_in_the_same_store(
    dp: DataProtection, store: MemoryTicketStore
) -> None:
    first = visitor_with(dp, session_store=store, scheme="A")
    first.visit(sign_in())
    second = visitor_with(dp, session_store=store, scheme="B")
    _, value = second.authenticator.cookie._seal_entry("key", Ticket("B", BOB))
    assert first.authenticator.cookie._open_entry("key", value) is None


def test_a_whole_ticket_in_the_cookie_does_not_count_where_a_store_is_used(dp: DataProtection, kept: Visitor) -> None:
    plain = Visitor(CookieAuthenticator(dp))
    plain.visit(sign_in())
    kept.jar = plain.jar
    assert failure(kept) == "SessionId missing"


def test_a_store_that_is_down_is_an_outage_and_not_a_sign_out(dp: DataProtection) -> None:
    visitor = visitor_with(dp, session_store=WatchedTicketStore(down=True))
    visitor.visit(sign_in())

    def forgiving(auth: RequestAuthentication) -> None:
        with pytest.raises(RepositoryError):
            _ = auth.principal

    with pytest.raises(RepositoryError):  # though the application swallowed it
        visitor.visit(forgiving)
    assert visitor.visit().status == 200, "who does not ask goes on"


def test_a_key_in_the_cookie_that_is_not_known_is_never_used(kept: Visitor, store: MemoryTicketStore) -> None:
    kept.visit(sign_in())
    store.remove(entry_name(key_of(kept)))
    old = key_of(kept)
    kept.visit(sign_in())
    assert key_of(kept) != old


# --- the session that goes with it --------------------------------------------------------------------------


class FakeSession:
    is_frozen = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self.owner: Callable[[], str | None] = lambda: None

    def bind(self, owner: Callable[[], str | None]) -> None:
        self.owner = owner

    def renew(self, subject: str | None = None) -> None:
        self.calls.append(("renew", subject))

    def empty(self) -> None:
        self.calls.append(("empty", None))


def test_signing_in_renews_the_session_for_its_subject_and_signing_out_empties_it(dp: DataProtection) -> None:
    session = FakeSession()
    visitor = Visitor(CookieAuthenticator(dp), session=session)
    visitor.visit(look)
    assert session.calls == []
    visitor.visit(sign_in())
    visitor.visit(sign_out)
    assert session.calls == [("renew", ADA.subject), ("empty", None)]


def test_the_session_is_told_whose_it_may_be_by_the_cookie_and_not_by_what_comes_of_the_request(
    dp: DataProtection,
) -> None:
    session = FakeSession()
    visitor = Visitor(CookieAuthenticator(dp), session=session)
    visitor.visit(sign_in())
    owners: list[str | None] = []

    def switch(auth: RequestAuthentication) -> None:
        owners.append(session.owner())
        auth.sign_in(BOB)
        owners.append(session.owner())

    visitor.visit(switch)
    visitor.visit(lambda auth: owners.append(session.owner()))
    assert owners == [ADA.subject, ADA.subject, BOB.subject]


def test_signing_in_after_the_response_has_started_is_an_error(visitor: Visitor) -> None:
    auth = visitor.authenticator.begin(WebRequest())
    finished(auth, [])
    with pytest.raises(ConfigurationError, match="after the response"):
        auth.sign_in(ADA)


def test_the_session_follows_where_an_event_puts_another_user_in_place(dp: DataProtection) -> None:
    def impersonate(context: Any) -> None:
        context.principal = BOB

    session = FakeSession()
    visitor = visitor_with(dp, events=CookieAuthenticationEvents(signing_in=impersonate))
    visitor.session = session
    visitor.visit(sign_in())
    assert session.calls == [("renew", ADA.subject), ("renew", BOB.subject)]


# --- options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"scheme": ""}, id="no scheme"),
        pytest.param({"login_path": "login"}, id="a relative path"),
        pytest.param({"login_path": ""}, id="no path"),
        pytest.param({"login_path": "//evil.example"}, id="another host"),
        pytest.param({"login_path": "https://sso.example/"}, id="a URL"),
        pytest.param({"logout_path": "/out?x=1"}, id="a path with a query"),
        pytest.param({"access_denied_path": "/no\n"}, id="a path with a line break"),
        pytest.param({"return_url_parameter": ""}, id="no parameter"),
        pytest.param({"expire_time_span": timedelta()}, id="no time"),
        pytest.param({"session_store": "postgresql:///x"}, id="a store that is none"),
        pytest.param({"cookie": "a b"}, id="a name that no cookie can have"),
    ],
)
def test_options_that_cannot_work_are_refused_at_start(dp: DataProtection, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        CookieAuthenticator(dp, CookieAuthenticationOptions(**options))


def test_an_event_that_is_no_function_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError, match="signed_in"):
        CookieAuthenticationEvents(signed_in="log")  # type: ignore[arg-type]  # the point


def test_the_scheme_names_the_cookie_as_in_aspnet_core(dp: DataProtection) -> None:
    assert visitor_with(dp, scheme="My App").authenticator.cookie.settings.name == ".AspNetCore.My%20App"
    assert visitor_with(dp, scheme="My App", cookie="sid").authenticator.cookie.settings.name == "sid"


def test_what_the_middleware_takes_are_the_options() -> None:
    assert set(OptionArguments.__annotations__) == {field.name for field in fields(CookieAuthenticationOptions)}


def test_options_by_url_make_the_store() -> None:
    assert isinstance(CookieAuthenticationOptions(session_store="memory:").store, MemoryTicketStore)
