"""Issue: Django's ``session_key`` was the text of the cookie, and ``chunks-2`` for everybody with a long session.

It is the id of the session if there is one, else ``None``, wherever an application asks for it. Only a store outside of
our middleware has the value of the cookie as its key once it was saved: its caller sets the cookie.
"""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoMiddleware
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django import Principal, sign_in, sign_out
from dpmiddleware.django.channels import WebSocketSessions
from dpmiddleware.django.sessions import SessionMiddleware, SessionStore
from dpmiddleware.web.sessions.migration import DjangoSessions
from tests.clients import DownRepository, StoppedClock

SECRET = "the secret of the project until now"
ID = re.compile(r"[\w-]{22}")

View = Callable[[HttpRequest], Any]


@pytest.fixture(scope="module", autouse=True)
def _project() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    with override_settings(ROOT_URLCONF=__name__):
        yield


VIEW: list[View] = []


def page(request: HttpRequest) -> HttpResponse:
    answer: HttpResponse = VIEW[0](request)
    return answer


async def page_async(request: HttpRequest) -> HttpResponse:
    await VIEW[0](request)
    return HttpResponse()


urlpatterns = [path("page", page), path("async", page_async)]


def visit(client: Client, view: Callable[[Any], Any], status: int = 200) -> Any:
    """What a view returns in a request of this client."""
    found: list[Any] = []

    def answer(request: HttpRequest) -> HttpResponse:
        found.append(view(request))
        return HttpResponse(status=status)

    VIEW[:] = [answer]
    client.get("/page")
    return found[0]


def key(request: Any) -> str | None:
    found: str | None = request.session.session_key
    return found


def store_for(name: str | None) -> Any:
    return SessionStore(name)


def sign_in_as(request: Any, name: str) -> None:
    sign_in(request, Principal(name, claims={"sub": name}))


def write(length: int = 10, **more: Any) -> Callable[[Any], None]:
    return lambda request: request.session.update({"text": "x" * length} | more)


@pytest.fixture(params=[10, 5000], ids=["one-cookie", "several-cookies"])
def length(request: pytest.FixtureRequest) -> int:
    """The length of a session."""
    return int(request.param)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def returning(length: int) -> Client:
    """A client with a session of this length."""
    client = Client()
    visit(client, write(length))
    return client


# --- the key over requests ------------------------------------------------------------------------------------


def test_the_key_is_the_id_and_stays_over_requests(returning: Client, length: int) -> None:
    first = visit(returning, key)
    assert ID.fullmatch(first)
    visit(returning, write(length + 1))
    assert visit(returning, key) == first == visit(returning, lambda request: request.META["dpmiddleware.session"].id)


def test_strangers_do_not_share_a_key(length: int) -> None:
    keys = set()
    for _ in range(3):
        stranger = Client()
        visit(stranger, write(length))
        keys.add(visit(stranger, key))
    assert len(keys) == 3


@pytest.mark.parametrize(
    "cookie",
    ["x", "12345678", "chunks-2", "chunks-1", "é", "CfDJ8" + "A" * 103, "A" * 22, "", "a b", '"12345678"'],
)
def test_a_text_of_the_client_is_never_the_key(client: Client, cookie: str) -> None:
    client.cookies["sessionid"] = cookie
    assert visit(client, lambda request: (key(request), request.session._session_key)) == (None, None)
    assert visit(client, lambda request: (write()(request), key(request))) == (None, None)
    assert SessionStore(cookie).session_key is None


def test_a_new_session_has_a_key_once_it_is_saved(client: Client) -> None:
    def view(request: Any) -> Any:
        keys = [key(request)]
        request.session["a"] = 1
        keys.append(key(request))
        request.session.save()
        return request, [*keys, key(request)]

    request, keys = visit(client, view)
    assert keys[:2] == [None, None]
    assert visit(client, key) == keys[2] == key(request)


def test_the_response_gives_a_new_session_its_key(client: Client) -> None:
    """Middleware around ours reads it after the view, as with Django's engines."""
    request = visit(client, lambda request: (write()(request), request)[1])
    assert key(request) == visit(client, key)
    assert key(visit(Client(), lambda request: (request.session.get("a"), request)[1])) is None


GIVES: dict[str, Callable[[Any], Any]] = {
    "save": lambda session: session.save(),
    "create": lambda session: session.create(),
    "cycle_key": lambda session: session.cycle_key(),
}
ASYNC: dict[str, Callable[[Any], Any]] = {
    "asave": lambda session: session.asave(),
    "acreate": lambda session: session.acreate(),
    "acycle_key": lambda session: session.acycle_key(),
}


@pytest.mark.parametrize("name", GIVES)
def test_an_empty_session_that_was_saved_is_kept_with_its_key(client: Client, name: str) -> None:
    """The anonymous cart: its row has the key, and nothing is in the session."""
    first = visit(client, lambda request: (GIVES[name](request.session), key(request))[1])
    assert ID.fullmatch(first)
    assert visit(client, lambda request: (key(request), request.session.is_empty())) == (first, False)
    assert visit(client, key) == first
    visit(client, lambda request: request.session.get("nothing"))
    visit(client, write())
    assert visit(client, key) == first


@pytest.mark.parametrize("name", ASYNC)
def test_async_views_get_a_key_too(name: str) -> None:
    found: list[Any] = []

    async def view(request: Any) -> None:
        await ASYNC[name](request.session)
        same = SessionStore(key(request))
        found.extend([key(request), await same.aexists(key(request))])
        await same.aset("a", 1)

    async def again(request: Any) -> None:
        found.extend([key(request), await request.session.aget("a")])

    async def visits() -> None:
        client = AsyncClient()
        for each in (view, again):
            VIEW[:] = [each]
            await client.get("/async")

    asyncio.run(visits())
    assert ID.fullmatch(found[0])
    assert found == [found[0], True, found[0], 1]


def test_a_key_that_is_got_or_created_is_that_of_the_saved_session(client: Client) -> None:
    """A private method of Django's that applications call."""

    def view(request: Any) -> tuple[str, str | None]:
        got = request.session._get_or_create_session_key()
        request.session.modified = True
        return got, key(request)

    got, shown = visit(client, view)
    assert visit(client, lambda request: request.session._get_or_create_session_key()) == got == shown
    assert visit(client, key) == got


def test_nothing_is_kept_for_an_error_page(client: Client) -> None:
    visit(client, lambda request: request.session.create(), status=500)
    assert client.cookies == {}


EMPTIES: dict[str, Callable[[Any], Any]] = {
    "clear": lambda session: session.clear(),
    "pop": lambda session: session.pop("text"),
    "del": lambda session: session.__delitem__("text"),
}


@pytest.mark.parametrize("name", EMPTIES)
def test_an_emptied_session_keeps_its_key_as_with_djangos_engines(returning: Client, name: str) -> None:
    first = visit(returning, key)
    visit(returning, lambda request: EMPTIES[name](request.session))
    assert visit(returning, lambda request: (key(request), dict(request.session))) == (first, {})


ENDS: dict[str, Callable[[Any], Any]] = {
    "flush": lambda request: request.session.flush(),
    "delete": lambda request: request.session.delete(),
    "delete its key": lambda request: request.session.delete(key(request)),
    "delete through another store": lambda request: SessionStore(key(request)).delete(),
    "delete by key through another store": lambda request: SessionStore().delete(key(request)),
    "empty": lambda request: request.META["dpmiddleware.session"].empty(),
    "sign out": sign_out,
}


@pytest.mark.parametrize("name", ENDS)
def test_a_session_that_ended_has_no_key(returning: Client, name: str) -> None:
    first = visit(returning, key)

    def view(request: Any) -> Any:
        ENDS[name](request)
        return key(request), request.session.exists(first), SessionStore(first).session_key

    assert visit(returning, view) == (None, False, None)
    assert not returning.cookies["sessionid"].value
    assert visit(returning, key) is None


def test_the_key_of_a_stranger_ends_nothing(returning: Client, length: int) -> None:
    first = visit(returning, key)
    visit(returning, lambda request: [request.session.delete(name) for name in ("A" * 22, "x", "")])
    assert visit(returning, lambda request: (key(request), len(request.session["text"]))) == (first, length)


CYCLES: dict[str, Callable[[Any], Any]] = {
    "cycle_key": lambda request: request.session.cycle_key(),
    "create, and delete by the old key": lambda request: (
        request.session.get("text"),
        (store := store_for(key(request))).get("text"),
        old := key(request),
        store.create(),
        store.delete(old),
    ),
    "create after a look": lambda request: (request.session.get("text"), request.session.create()),
    "our sign-in": lambda request: sign_in_as(request, "ada"),
}


@pytest.mark.parametrize("name", CYCLES)
def test_a_new_key_takes_the_content_along(returning: Client, name: str, length: int) -> None:
    first = visit(returning, key)
    second = visit(returning, lambda request: (CYCLES[name](request), key(request))[1])
    assert ID.fullmatch(second)
    assert second != first
    assert visit(returning, lambda request: (key(request), len(request.session["text"]))) == (second, length)


def test_create_takes_nothing_along_that_was_not_read(returning: Client) -> None:
    """As Django's engines that keep rows: `create` begins a session."""
    first = visit(returning, key)
    second = visit(returning, lambda request: (request.session.create(), key(request))[1])
    assert visit(returning, lambda request: (key(request), dict(request.session))) == (second, {})
    assert second != first


def test_a_session_of_another_user_has_no_key(client: Client) -> None:
    """It is discarded when it is read under another sign-in."""
    visit(client, lambda request: sign_in_as(request, "ada"))
    visit(client, write())
    assert visit(client, key)
    stolen = client.cookies["sessionid"].value
    bob = Client()
    visit(bob, lambda request: sign_in_as(request, "bob"))
    bob.cookies["sessionid"] = stolen
    assert visit(bob, key) is None


def test_a_session_that_django_signed_has_a_key(client: Client) -> None:
    now = datetime.now(timezone.utc)
    migration = DjangoSessions(SECRET, until=now + timedelta(days=14))
    with override_settings(DATA_PROTECTION_SESSION_MIGRATION=migration):
        client.cookies["sessionid"] = migration.dumps({"text": "x"}, now)
        first = visit(client, key)
        assert ID.fullmatch(first)
        assert visit(client, key) == first


def test_a_session_that_is_over_has_no_key(returning: Client) -> None:
    first = visit(returning, key)
    visit(returning, lambda request: request.session.set_expiry(datetime.now(timezone.utc) - timedelta(seconds=1)))
    assert visit(returning, lambda request: (key(request), SessionStore(first).exists(first))) == (None, False)


def test_a_page_that_looks_at_the_key_alone_depends_on_the_cookie(returning: Client) -> None:
    VIEW[:] = [lambda request: HttpResponse(key(request))]
    assert returning.get("/page")["Vary"] == "Cookie"
    down = DataProtection("shop", repository=DownRepository(), clock=StoppedClock())
    with override_settings(DATA_PROTECTION=down):
        assert Client().get("/page").content == b"None"
        assert returning.get("/page").status_code == 503


# --- a store for the id ---------------------------------------------------------------------------------------


def test_a_store_for_the_id_shares_the_session_of_the_request(returning: Client) -> None:
    """How django-allauth keeps the state of a social login; every one failed."""

    def begin(request: Any) -> None:
        request.session["state"] = "abc"
        request.session.save()
        request.session = SessionStore(key(request))
        request.session.modified = True

    visit(returning, begin)
    assert visit(returning, lambda request: request.session.get("state")) == "abc"


def test_an_empty_session_that_was_saved_survives_the_change_of_its_store(client: Client) -> None:
    def view(request: Any) -> str | None:
        request.session.save()
        request.session = SessionStore(key(request))
        return key(request)

    assert visit(client, view) == visit(client, key)


def test_two_stores_of_one_session_see_each_others_changes(returning: Client) -> None:
    def view(request: Any) -> Any:
        other = SessionStore(key(request))
        assert "b" not in other
        request.session["b"] = 1
        other["c"] = other["b"] + 1
        return request.session["c"], other.exists(key(request)), key(request) == other.session_key

    assert visit(returning, view) == (2, True, True)
    assert visit(returning, lambda request: (request.session["b"], request.session["c"])) == (1, 2)


def test_a_key_of_an_earlier_request_is_known_before_the_session_is_read(returning: Client, length: int) -> None:
    first = visit(returning, key)

    def view(request: Any) -> Any:
        return len(SessionStore(first)["text"]), SessionStore(first).exists(first)

    assert visit(returning, view) == (length, True)


def test_a_store_for_the_cookie_of_the_request_is_its_session(returning: Client, length: int) -> None:
    """``SessionStore(request.COOKIES["sessionid"])``, where a long session has ``chunks-2``."""

    def view(request: Any) -> Any:
        store = store_for(request.COOKIES["sessionid"])
        store["a"] = 1
        return len(store["text"]), store.session_key, key(request)

    first = visit(returning, key)
    assert visit(returning, view) == (length, first, first)
    assert visit(returning, lambda request: request.session["a"]) == 1
    ended = visit(returning, lambda request: (request.session.flush(), dict(store_for("chunks-2")), key(request)))
    assert ended == (None, {}, None)


def test_the_id_of_somebody_elses_session_opens_nothing(returning: Client) -> None:
    """Not in another request, not after it, and not outside of requests."""
    other = Client()
    visit(other, write())
    first, theirs = visit(returning, key), visit(other, key)

    def look(name: str) -> Any:
        return dict(SessionStore(name)), SessionStore(name).session_key, SessionStore().exists(name)

    assert visit(returning, lambda _: look(theirs)) == ({}, None, False)
    assert look(first) == ({}, None, False)


def test_the_id_of_before_is_nothing_after_a_cycle(returning: Client) -> None:
    first = visit(returning, key)

    def view(request: Any) -> Any:
        request.session.cycle_key()
        return SessionStore(first).exists(first), SessionStore(key(request)).exists(key(request))

    assert visit(returning, view) == (False, True)


# --- stores outside of our middleware -------------------------------------------------------------------------


def test_the_test_client_sees_the_session(returning: Client, length: int) -> None:
    """Of several cookies too, where the value of the first is ``chunks-2``."""
    session = returning.session
    assert (len(session["text"]), session.session_key) == (length, visit(returning, key))


@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle"])
def test_a_cookie_in_chunks_survives_being_copied(client: Client, how: str) -> None:
    visit(client, write(5000))
    twins: dict[str, Callable[[Any], Any]] = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda each: pickle.loads(pickle.dumps(each)),
    }
    twin: Any = twins[how](client.cookies["sessionid"])
    assert (twin.value, twin.coded_value) == ("chunks-2", "chunks-2")
    assert SessionStore(twin.value)["text"] == "x" * 5000


def test_what_the_test_client_saves_is_the_session_of_the_next_request(returning: Client, length: int) -> None:
    first = visit(returning, key)
    session: Any = returning.session
    session["a"] = 1
    session.save()
    returning.cookies["sessionid"] = session.session_key

    def look(request: Any) -> tuple[Any, ...]:
        return key(request), len(request.session["text"]), request.session["a"]

    assert visit(returning, look) == (first, length, 1)


@pytest.mark.parametrize("name", GIVES)
def test_a_store_by_itself_gives_the_cookie_of_its_session(client: Client, name: str) -> None:
    """``s = SessionStore(); s.create(); client.cookies["sessionid"] = s.session_key``: as tests do."""
    store: Any = SessionStore()
    assert store.session_key is None
    GIVES[name](store)
    client.cookies["sessionid"] = str(store.session_key)
    first = visit(client, key)
    assert ID.fullmatch(first)
    opened = SessionStore(store.session_key)
    assert (opened.session_key, opened.exists(first), opened.is_empty()) == (first, True, False)
    store["a"] = 1
    store.save()
    client.cookies["sessionid"] = str(store.session_key)
    assert visit(client, lambda request: request.session["a"]) == 1


def test_the_test_clients_own_empty_session_is_one(client: Client) -> None:
    assert client.session.is_empty() is False  # it has saved it, and set its own cookie
    assert ID.fullmatch(client.session.session_key or "")
    assert client.session.session_key == visit(client, key)


def test_djangos_own_middleware_writes_the_value_and_shows_the_id(client: Client) -> None:
    theirs = "django.contrib.sessions.middleware.SessionMiddleware"
    with override_settings(MIDDLEWARE=[theirs], CSRF_USE_SESSIONS=False):
        assert visit(client, lambda request: (key(request), write()(request))) == (None, None)
        first = visit(client, key)
        assert ID.fullmatch(first)
        visit(client, write(20))
        assert visit(client, lambda request: (key(request), len(request.session["text"]))) == (first, 20)
        client.cookies["sessionid"] = "12345678"
        assert visit(client, key) is None


def test_djangos_own_middleware_shares_the_session_with_a_store_for_its_id() -> None:
    """As tests of other projects do: ``SessionMiddleware(…).process_request(request)``, with any engine."""
    client = Client()
    visit(client, write())
    request: Any = RequestFactory().get("/")
    request.COOKIES["sessionid"] = client.cookies["sessionid"].value
    DjangoMiddleware(lambda _: HttpResponse()).process_request(request)
    request.session["a"] = 1
    assert dict(SessionStore(key(request))) == {"text": "x" * 10, "a": 1}


def test_a_websocket_sees_the_session(returning: Client, length: int) -> None:
    """As Channels passes it on, which reads the cookie of that name alone."""
    header = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in returning.cookies.items())
    seen: list[Any] = []

    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        session = scope.get("session")
        if session is None:
            seen.append(None)
            return
        seen.append([len(await session.aget("text")), session.session_key])
        assert await SessionStore(session.session_key).aget("text") == await session.aget("text")

    async def connect(**scope: Any) -> None:
        headers = [(b"host", b"x"), *((b"cookie", part.encode()) for part in header.split("; "))]
        await WebSocketSessions(consumer)({"headers": headers, **scope}, None, None)

    asyncio.run(connect(type="websocket"))
    asyncio.run(connect(type="http"))
    asyncio.run(connect(type="websocket", session=None))
    assert seen == [[length, visit(returning, key)], None, None]


def test_the_usual_way_to_give_a_request_a_session() -> None:
    request: Any = RequestFactory().get("/")
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    request.session.save()
    assert ID.fullmatch(key(request) or "")
    assert SessionStore(key(request)).exists(key(request))


# --- applications that keep a row per session -----------------------------------------------------------------


@pytest.mark.parametrize(
    "installed", ["allauth.usersessions", "user_sessions", "qsessions", "user_sessions.apps.X", ""]
)
@pytest.mark.parametrize("engine", ["dpmiddleware.django.sessions", "django.contrib.sessions.backends.db"])
def test_applications_that_end_sessions_on_the_server_are_a_finding(installed: str, engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine):
        before = settings.INSTALLED_APPS
        settings.INSTALLED_APPS = [*before, installed]  # without importing it
        try:
            found = [message for message in run_checks() if message.id == "dpmiddleware.W006"]
        finally:
            settings.INSTALLED_APPS = before
    assert [installed.removesuffix(".apps.X") in each.msg for each in found] == [True] * (
        bool(installed) and engine.startswith("dpmiddleware")
    )
