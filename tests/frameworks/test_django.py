"""Django: sessions, messages, signed cookies, the admin and sign-in, with everything of ours in place."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.signing import JSONSerializer
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django import apps, get_data_protection
from dpmiddleware.django import signing as ours
from dpmiddleware.django.authentication import PrincipalUser
from dpmiddleware.django.session_cookie import DjangoFormat, session_cookie
from dpmiddleware.django.sessions import SessionMiddleware, SessionStore
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError
from dpmiddleware.web.sessions.migration import DjangoSessions
from dpmiddleware.web.sign_in.claims import Principal
from tests.clients import DownRepository, StoppedClock, set_cookies
from tests.farm.test_fork import held_by_another_thread, in_child

SECRET = "the secret of the project until now"


@pytest.fixture(scope="module", autouse=True)
def _accounts() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    users: Any = get_user_model().objects
    users.all().delete()  # another module of this process may have made some
    users.create_superuser("root", password="secret")
    users.create_user("bob", password="secret")
    yield
    connection.close()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def clock() -> Iterator[StoppedClock]:
    """A clock under the ring, as if it were the machine's."""
    clock = StoppedClock()
    with override_settings(DATA_PROTECTION=DataProtection("shop", repository="memory:", clock=clock)):
        yield clock


def put(client: Client, **values: Any) -> Any:
    return client.get("/put", {"values": json.dumps(values)})


def held(client: Client) -> Any:
    return client.get("/get").json()


def cookies(response: Any) -> dict[str, str]:
    """Name → the text of each Set-Cookie, as the server would send it."""
    return {name: morsel.OutputString() for name, morsel in response.cookies.items()}


# --- sessions -----------------------------------------------------------------------------------------------


def test_a_session_is_kept_in_a_protected_cookie(client: Client) -> None:
    response = put(client, user="ada")
    assert cookies(response)["sessionid"].startswith("sessionid=CfDJ8")
    assert held(client) == {"user": "ada"}


def test_attributes_are_those_of_the_settings(client: Client) -> None:
    with override_settings(
        SESSION_COOKIE_NAME="sid",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PATH="/x",
    ):
        text = cookies(put(client, a=1))["sid"]
    assert text.endswith("; path=/x; secure; samesite=strict; httponly")
    assert "; expires=" in text


def test_story_28_an_edit_deep_inside_is_kept(client: Client) -> None:
    put(client, nested={"list": [1]})
    client.get("/edit")
    assert held(client) == {"nested": {"list": [1, 2]}}


def test_story_29_a_long_session_goes_in_chunks_and_comes_back_to_one(client: Client) -> None:
    response = put(client, text="x" * 4500)
    assert set(cookies(response)) == {"sessionid", "sessionidC1", "sessionidC2"}
    assert held(client) == {"text": "x" * 4500}
    put(client, text="short")
    assert held(client) == {"text": "short"}
    assert not client.cookies["sessionidC1"].value


def test_a_session_that_does_not_fit_is_an_error_when_it_is_written(client: Client) -> None:
    with pytest.raises(CookieTooLargeError):
        put(client, text="x" * 9000)


def test_story_31_what_caches_are_told(client: Client) -> None:
    written = put(client, a=1)
    assert (written["Vary"], written["Cache-Control"]) == ("Cookie", "no-store")
    read = client.get("/get")
    assert (read["Vary"], read.get("Cache-Control")) == ("Cookie", None)
    bare = client.get("/bare")
    assert (bare.get("Vary"), bare.get("Cache-Control"), bare.cookies) == (None, None, {})


@pytest.mark.parametrize(
    ("view", "given", "told"),
    [
        ("get", {}, ("Cookie", None)),
        ("get", {"vary": "Accept"}, ("Accept, Cookie", None)),
        ("get", {"Vary": "accept, COOKIE", "Cache-Control": "public"}, ("accept, COOKIE", "public")),
        ("put", {}, ("Cookie", "no-store")),
        ("put", {"Vary": "*", "cache-control": "max-age=60"}, ("*", "no-store")),
        ("put", {"Cache-Control": "private, max-age=60"}, ("Cookie", "private, max-age=60")),
    ],
)
def test_headers_that_speak_of_caches_are_amended(view: str, given: dict[str, str], told: tuple[str, str]) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        _ = request.session.get("a")
        if view == "put":
            request.session["a"] = 1
        return HttpResponse("ok", headers=given)

    response: Any = SessionMiddleware(answer)(RequestFactory().get("/"))
    assert (response["Vary"], response.get("Cache-Control")) == told
    assert [name for name in response.headers if name.lower() == "vary"] == ["Vary"]


@pytest.mark.parametrize("secure", [True, False])
def test_a_cookie_is_secure_as_the_request_is(client: Client, secure: bool) -> None:
    text = cookies(client.get("/put", secure=secure))["sessionid"]
    assert ("; secure" in text) is secure
    text = cookies(client.get("/flush", secure=secure))["sessionid"]
    assert ("; secure" in text) is secure


def test_a_written_cookie_can_be_looked_at(client: Client) -> None:
    morsel = put(client, a=1).cookies["sessionid"]
    assert (morsel.key, morsel.coded_value[:5]) == ("sessionid", "CfDJ8")
    assert (morsel["path"], morsel["samesite"], morsel["httponly"], morsel["secure"]) == ("/", "lax", True, "")
    assert parsedate_to_datetime(morsel["expires"]) > datetime.now(timezone.utc)
    assert morsel["max-age"] == settings.SESSION_COOKIE_AGE


def test_a_written_cookie_survives_djangos_cache(client: Client) -> None:
    """Which pickles whole responses; put around the sessions, as Django's documentation has it."""
    morsel = put(client, a=1).cookies["sessionid"]
    for twin in (pickle.loads(pickle.dumps(morsel)), copy.copy(morsel), copy.deepcopy(morsel)):
        assert (twin.OutputString(), dict(twin)) == (morsel.OutputString(), dict(morsel))
        assert (twin.key, twin.value) == (morsel.key, morsel.value)


def test_a_setting_that_changes_counts_from_the_next_request_on(client: Client) -> None:
    put(client, a=1)
    before = settings.SESSION_COOKIE_NAME
    try:
        settings.SESSION_COOKIE_NAME = "sid"
        assert set(put(client, a=1).cookies) == {"sid"}
    finally:
        settings.SESSION_COOKIE_NAME = before
    with override_settings(DATA_PROTECTION={"application": "other", "repository": "memory:"}):
        assert held(client) == {}
    assert set(put(client, a=2).cookies) == {"sessionid"}


def test_flushing_ends_the_cookie(client: Client) -> None:
    put(client, a=1)
    response = client.get("/flush")
    assert "expires=Thu, 01 Jan 1970 00:00:00 GMT" in cookies(response)["sessionid"]
    assert held(client) == {}


@pytest.mark.parametrize("value", ["garbage", "", "x" * 100_000, "chunks-9", "é"])
def test_story_26_a_bad_cookie_is_an_anonymous_page(client: Client, value: str) -> None:
    client.cookies["sessionid"] = value
    response = client.get("/get")
    assert (response.status_code, response.json()) == (200, {})


def test_an_error_page_writes_no_session(client: Client) -> None:
    put(client, a=1)
    assert client.get("/fail").cookies == {}
    assert held(client) == {"a": 1}


def test_sessions_end_as_django_says(client: Client, clock: StoppedClock) -> None:
    put(client, a=1)
    clock.forward(timedelta(seconds=settings.SESSION_COOKIE_AGE))
    assert held(client) == {"a": 1}
    clock.forward(timedelta(seconds=1))
    assert held(client) == {}


def test_set_expiry_counts(client: Client, clock: StoppedClock) -> None:
    put(client, a=1)
    response = client.get("/expiry?seconds=60")
    assert "expires=Sun, 01 Mar 2026 12:01:00 GMT" in cookies(response)["sessionid"]
    clock.forward(timedelta(seconds=61))
    assert held(client) == {}
    put(client, a=1)
    assert "expires" not in cookies(client.get("/expiry?seconds=0"))["sessionid"]


@pytest.mark.parametrize("use_tz", [True, False])
def test_an_expiry_given_as_a_date_counts_with_and_without_time_zones(clock: StoppedClock, use_tz: bool) -> None:
    with override_settings(USE_TZ=use_tz):
        for days, left in ((-1000, {}), (3650, {"a": 1})):
            store = SessionStore()
            store["a"] = 1
            store.set_expiry(timedelta(days=days))
            store.save()
            found = SessionStore(store.session_key)
            assert {name: value for name, value in found.items() if name == "a"} == left


def test_async_views_have_their_session() -> None:
    async def visit() -> Any:
        client = AsyncClient()
        await client.get("/put")
        await client.get("/put-async")
        return (await client.get("/get")).json()

    assert asyncio.run(visit()) == {"a": 1, "b": 1}


def test_the_engine_works_with_djangos_own_middleware(client: Client) -> None:
    theirs = "django.contrib.sessions.middleware.SessionMiddleware"
    with override_settings(MIDDLEWARE=[theirs], CSRF_USE_SESSIONS=False):
        put(client, a=1)
        assert client.cookies["sessionid"].value.startswith("CfDJ8")
        assert held(client) == {"a": 1}
        client.get("/flush")
        assert held(client) == {}


def test_another_engine_works_with_our_middleware(client: Client) -> None:
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        put(client, a=1)
        assert not client.cookies["sessionid"].value.startswith("CfDJ8")
        assert held(client) == {"a": 1}


def test_the_store_by_itself_is_a_django_session() -> None:
    store = SessionStore()
    store["a"] = 1
    store.save()
    assert SessionStore(store.session_key).get("a") == 1
    assert not store.exists(store.session_key)
    store.delete()
    assert store.is_empty()


def test_a_key_that_the_application_sets_stays() -> None:
    store = SessionStore("x" * 8)
    store._session_key = "y" * 8
    assert store.session_key == "y" * 8
    store._session_key = "short"
    assert store.session_key is None


class Backwards(JSONSerializer):
    def dumps(self, obj: Any) -> bytes:
        return super().dumps(obj)[::-1]

    def loads(self, data: bytes) -> Any:
        return super().loads(data[::-1])


def test_sessions_are_written_by_the_serializer_of_the_settings(client: Client) -> None:
    values = {"a": [1, 1.5, None, True, {"b": "é\u2028", "1": {}}], "c": ""}
    put(client, **values)
    assert held(client) == values
    with override_settings(SESSION_SERIALIZER=f"{__name__}.Backwards"):
        assert held(client) == {}
        put(client, **values)
        assert held(client) == values


def test_json_is_written_as_djangos_serializer_writes_it() -> None:
    quick = session_cookie()._format
    assert type(quick) is not DjangoFormat
    plain = DjangoFormat(JSONSerializer())
    for mapping in ({}, {"b": 1, "a": [1.5, "é\u2028\ud800", {"": None}]}, {"x": float("inf"), "tuple": (1,)}):
        assert quick.dumps(mapping) == plain.dumps(mapping)
        assert quick.loads(plain.dumps(mapping)) == plain.loads(plain.dumps(mapping))
    for data in (b"[]", b"1", b'{"a":1}x', b'{"a":1', b"", b"\xff"):
        for value_format in (quick, plain):
            with pytest.raises(ValueError, match=r"mapping|JSON|Expecting|delimiter|Extra data"):
                value_format.loads(data)


def test_story_17_sessions_that_django_signed_are_taken_over(client: Client) -> None:
    now = datetime.now(timezone.utc)
    migration = DjangoSessions(SECRET, until=now + timedelta(days=14))
    with override_settings(DATA_PROTECTION_SESSION_MIGRATION=migration):
        client.cookies["sessionid"] = migration.dumps({"user": "ada"}, now)
        assert held(client) == {"user": "ada"}
        assert client.cookies["sessionid"].value.startswith("CfDJ8")
    assert held(client) == {"user": "ada"}


# --- accounts, the admin, messages --------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_a_child_forked_while_the_ring_is_put_together_has_its_ring() -> None:
    with (
        override_settings(DATA_PROTECTION={"application": "shop", "repository": "memory:"}),
        held_by_another_thread(apps._lock),
    ):
        in_child(lambda: get_data_protection().current())


def test_accounts_log_in_and_out(client: Client) -> None:
    client.get("/account/login?name=bob")
    assert client.get("/who").json() == [True, "bob", "User"]
    client.get("/account/logout")
    assert client.get("/who").json()[0] is False


def test_ada_out_bob_in_bob_sees_nothing_of_adas(client: Client) -> None:
    client.get("/account/login?name=root")
    put(client, letter="dear root")
    client.get("/account/login?name=bob")
    assert "letter" not in held(client)


def test_story_33_a_login_survives_a_rotation_of_the_ring(client: Client, clock: StoppedClock) -> None:
    client.get("/account/login?name=bob")
    protection = get_data_protection()
    before = protection.current().default
    clock.forward(timedelta(hours=1))
    protection.manager.create_key(activate_now=True)
    clock.forward(timedelta(minutes=1))
    protection.wait(None)
    after = protection.current().default
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert client.get("/who").json() == [True, "bob", "User"]
    put(client, a=1)
    assert client.get("/who").json() == [True, "bob", "User"]


def test_the_admin_works_unchanged(client: Client) -> None:
    assert client.get("/admin/").status_code == 302
    page = client.get("/admin/login/")
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())[0]
    form = {"username": "root", "password": "secret", "csrfmiddlewaretoken": token}
    answer = client.post("/admin/login/?next=/admin/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/auth/user/").status_code == 200


def test_a_csrf_token_of_before_the_login_is_not_the_users_afterwards(client: Client) -> None:
    with override_settings(CSRF_USE_SESSIONS=True):
        client.get("/admin/login/")
        before = held(client)["_csrftoken"]
        client.get("/account/login?name=bob")
        bobs = held(client).get("_csrftoken")
        assert bobs not in {None, before}
        client.get("/login")
        assert held(client).get("_csrftoken") not in {None, before, bobs}


def test_messages_in_cookies_ride_the_ring(client: Client) -> None:
    client.get("/say")
    assert client.cookies["messages"].value.startswith("CfDJ8")
    assert client.get("/said").content.decode() == "saved ✓"


# --- sign-in ------------------------------------------------------------------------------------------------


def test_a_ticket_is_the_user_and_no_account(client: Client) -> None:
    client.get("/login")
    assert client.get("/who").json() == [True, "ada", "PrincipalUser"]
    client.get("/logout")
    assert client.get("/who").json()[0] is False


def test_a_name_in_a_ticket_never_becomes_an_account(client: Client) -> None:
    user = PrincipalUser(Principal("root", roles=["admin"]))
    assert [
        user.is_staff,
        user.is_superuser,
        user.has_perm("x"),
        user.has_perms(["x"]),
        user.has_module_perms("x"),
    ] == [*[False] * 5]
    assert not user.is_anonymous


def test_without_a_ticket_the_account_stays(client: Client) -> None:
    client.get("/account/login?name=bob")
    assert client.get("/who").json() == [True, "bob", "User"]


def account_of(principal: Principal) -> Any:
    return get_user_model().objects.filter(username="bob").first() if principal.name == "ada" else None


def test_the_application_may_say_whose_account_it_is(client: Client) -> None:
    options = {"login_path": "/login", "user": f"{__name__}.account_of"}
    for user in (account_of, options["user"]) if __name__ == "tests.frameworks.test_django" else (account_of,):
        with override_settings(DATA_PROTECTION_COOKIE_AUTHENTICATION=options | {"user": user}):
            visitor = Client()
            visitor.get("/login")
            assert visitor.get("/who").json() == [True, "bob", "User"]


@pytest.mark.parametrize("path", ["/private", "/private-async"])
def test_login_required_sends_a_browser_to_the_login_page(client: Client, path: str) -> None:
    response = client.get(path, {"a": 1})
    assert (response.status_code, response.content) == (302, b"")
    assert response["Location"] == f"/login?ReturnUrl=%2F{path[1:]}%3Fa%3D1"
    response = client.get("/login", {"ReturnUrl": path})
    assert (response.status_code, response["Location"]) == (302, path)
    assert client.get(path).content == b"private"
    assert client.get("/no")["Location"] == "/Account/AccessDenied?ReturnUrl=%2Fno"


def test_a_marked_view_tells_its_caller_401(client: Client) -> None:
    assert client.get("/data").status_code == 401
    assert client.get("/private", headers={"X-Requested-With": "XMLHttpRequest"}).status_code == 401


def test_the_cookie_of_a_sign_in_is_written_as_everywhere(client: Client) -> None:
    response = client.get("/login")
    [cookie] = set_cookies([("set-cookie", cookies(response)[".AspNetCore.Cookies"])])
    assert cookie.attributes[1:] == ("path=/", "samesite=lax", "httponly")
    assert (response["Cache-Control"], response["Pragma"]) == ("no-cache,no-store", "no-cache")


def test_the_session_goes_with_the_sign_in(client: Client) -> None:
    put(client, cart=[1])
    client.get("/login")
    assert held(client) == {"cart": [1]}
    client.get("/logout")
    assert held(client) == {}


@pytest.mark.parametrize("store", [None, "memory:"])
def test_async_views_know_the_user(store: str | None) -> None:
    async def visit() -> Any:
        client = AsyncClient()
        await client.get("/login")
        return [(await client.get(path)).json() for path in ("/who-async", "/who")]

    with override_settings(DATA_PROTECTION_COOKIE_AUTHENTICATION={"session_store": store}):
        assert asyncio.run(visit()) == [[True, "ada", "PrincipalUser"]] * 2


# --- signed values ------------------------------------------------------------------------------------------


def test_signed_cookies_ride_the_ring(client: Client) -> None:
    assert client.get("/signed").content == b"none"
    assert client.cookies["choice"].value.startswith("CfDJ8")
    assert client.get("/signed").content == b"tea; with milk"
    client.cookies["other"] = client.cookies["choice"].value
    client.cookies["choice"] = "x" + client.cookies["choice"].value
    assert client.get("/signed").content == b"none"


def test_dumps_and_loads_have_djangos_signature() -> None:
    value = {"a": [1, "é"], "long": "x" * 1000}
    text = ours.dumps(value, salt="links", compress=True)
    assert ours.loads(text, salt="links", max_age=timedelta(seconds=60)) == value
    with pytest.raises(signing.BadSignature):
        ours.loads(text, salt="others")
    with pytest.raises(signing.BadSignature):
        ours.loads(text[:-4] + "AAAA", salt="links")
    with pytest.raises(ConfigurationError, match="key cannot be used"):
        ours.dumps(value, key="k")


@pytest.mark.parametrize("value", [123, 1.5, True, b"raw"], ids=str)
def test_what_is_no_text_is_signed_as_django_signs_it(value: Any) -> None:
    signer = ours.ProtectedSigner()
    assert signer.unsign(signer.sign(value)) == str(value)


def test_no_signature_is_made_under_a_secret_that_everybody_knows() -> None:
    """Django's signer would, with the text that stands in the place of a key."""
    with pytest.raises(ConfigurationError, match="no separate signature"):
        ours.ProtectedSigner().signature("x")


def test_signed_values_age(clock: StoppedClock) -> None:
    text = ours.dumps("x")
    clock.forward(timedelta(seconds=60))
    assert ours.loads(text, max_age=60) == "x"
    clock.forward(timedelta(seconds=1))
    with pytest.raises(signing.SignatureExpired):
        ours.loads(text, max_age=60)
    assert ours.loads(text) == "x"


# --- outages and settings -----------------------------------------------------------------------------------


def test_without_a_ring_a_page_that_needs_one_is_503_and_others_go_on() -> None:
    down = DataProtection("shop", repository=DownRepository(), clock=StoppedClock())
    with override_settings(DATA_PROTECTION=down):
        client = Client(raise_request_exception=False)
        assert client.get("/bare").status_code == 200
        client.cookies["sessionid"] = "CfDJ8" + "A" * 103
        for path in ("/put", "/get", "/login"):
            response = client.get(path)
            assert (response.status_code, response.get("Retry-After"), path) == (503, "5", path)


def test_one_object_as_long_as_the_setting_stays() -> None:
    assert get_data_protection() is get_data_protection()
    first = get_data_protection()
    with override_settings(DATA_PROTECTION={"APPLICATION": "other", "REPOSITORY": "memory:"}):
        assert get_data_protection().application == "other"
    assert get_data_protection() is not first or get_data_protection().application == "shop"


@pytest.mark.parametrize("given", [None, "shop", {}, {"application": "shop", "keys": 1}])
def test_a_setting_that_cannot_be_meant_is_found_at_start(given: object) -> None:
    with override_settings(DATA_PROTECTION=given):
        found = {message.id for message in run_checks() if message.id and message.id.startswith("dpmiddleware")}
    assert found == {"dpmiddleware.E001"}


def test_checks_for_deployment_name_what_should_not_go_into_production() -> None:
    def found(**changed: Any) -> set[str]:
        with override_settings(**changed):
            messages = run_checks(include_deployment_checks=True)
        return {str(message.id)[-4:] for message in messages if str(message.id).startswith("dpmiddleware")}

    assert found() == {"W001", "W002", "W005"}
    theirs = ["django.contrib.sessions.middleware.SessionMiddleware", *settings.MIDDLEWARE[1:]]
    assert found(MIDDLEWARE=theirs, SIGNING_BACKEND="django.core.signing.TimestampSigner") >= {"W003", "W004"}
    assert "E002" in found(SESSION_SERIALIZER="django.contrib.sessions.serializers.PickleSerializer")
    good = {"application": "shop", "repository": "/var/lib/shop/keys", "key_wrapper": "secret:env:PATH"}
    assert found(DATA_PROTECTION=good, SESSION_COOKIE_SECURE=True) == set()


def test_checks_look_for_the_ring_and_create_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBSITE_INSTANCE_ID", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with override_settings(DATA_PROTECTION={"application": "shop"}):
        found = {message.id for message in run_checks(include_deployment_checks=True, databases=["default"])}
    assert "dpmiddleware.W002" in found
    assert list(tmp_path.iterdir()) == []


def test_the_admins_own_checks_pass() -> None:
    assert not [message for message in run_checks() if message.is_serious()]
