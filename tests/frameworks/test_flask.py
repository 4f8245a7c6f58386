"""Flask: sessions with all of Flask's types, sign-in, configuration, Flask-Login beside it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID, uuid4

import flask
import flask_login
import pytest
from flask.json.provider import DefaultJSONProvider
from flask.json.tag import TaggedJSONSerializer
from markupsafe import Markup

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, CookieTooLargeError, RepositoryError
from dpmiddleware.flask import (
    CookieAuthentication,
    FlaskFormat,
    ProtectedSessions,
    api,
    authenticate,
    challenge,
    current_principal,
    get_data_protection,
    login_required,
    sign_in,
    sign_out,
)
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.migration import FlaskSessions
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Principal
from dpmiddleware.wsgi import CookieAuthenticationMiddleware, CookieProtectionMiddleware
from tests.clients import DownRepository, StoppedClock, set_cookies
from tests.fakes import WatchedTicketStore

ADA = Principal("ada", roles=["admin"])
VALUES: dict[str, Any] = {
    "markup": Markup("<b>&amp;</b>"),
    "date": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "tuple": (1, ("a", 2)),
    "bytes": b"\0\xff",
    "uuid": UUID(int=7),
    "nested": {"list": [1, {"tuple": (1,)}], "é": None},
}


@pytest.fixture
def dp() -> DataProtection:
    """With the clock of the machine: the cookie jar of the test client has no other."""
    return DataProtection("shop", repository="memory:")


@pytest.fixture
def app(dp: DataProtection) -> flask.Flask:  # noqa: C901 (one view after the other)
    app = flask.Flask(__name__)
    app.testing = True
    ProtectedSessions(data_protection=dp).init_app(app)
    CookieAuthentication(data_protection=dp, login_path="/login").init_app(app)

    @app.get("/put")
    def put() -> str:
        flask.session.update(VALUES)
        return "ok"

    @app.get("/edit")
    def edit() -> str:
        flask.session["nested"]["list"][1]["tuple"] = (1, 2)
        return "ok"

    @app.get("/get")
    def get() -> str:
        flask.g.seen = dict(flask.session)
        app.extensions["seen"] = flask.g.seen
        return "ok"

    @app.get("/held")
    def held() -> str:
        return str(cast("Any", flask.session)._get_current_object() is not None)

    @app.get("/bare")
    def bare() -> str:
        return "ok"

    @app.get("/flash")
    def flash() -> str:
        flask.flash("saved")
        return "ok"

    @app.get("/permanent")
    def permanent() -> str:
        flask.session.permanent = True
        return "ok"

    @app.get("/huge")
    def huge() -> str:
        flask.session["huge"] = "x" * 9000
        return "ok"

    @app.get("/login")
    def login() -> str:
        sign_in(ADA, AuthenticationProperties(is_persistent=True))
        return str(current_principal.name)

    @app.get("/logout")
    def logout() -> str:
        sign_out()
        return "bye"

    @app.get("/me")
    def me() -> flask.Response:
        ticket = authenticate().ticket
        return flask.jsonify([current_principal.name, list(current_principal.roles), ticket is not None])

    @app.get("/private")
    @login_required
    def private() -> str:
        return "private"

    @app.get("/private-async")
    @login_required
    async def private_async() -> str:
        return "private"

    @app.get("/data")
    @api
    def data() -> Any:
        return {} if current_principal.is_authenticated else challenge()

    return app


def signs_in() -> str:
    sign_in(ADA)
    return "in"


def signs_in_and_writes() -> str:
    sign_in(ADA)
    flask.session["a"] = 1
    return "in"


def seen(client: Any) -> dict[str, Any]:
    client.get("/get")
    found: dict[str, Any] = client.application.extensions["seen"]
    return found


# --- sessions -----------------------------------------------------------------------------------------------


def test_story_32_flasks_types_come_back_as_what_they_were(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/put")
    assert seen(client) == VALUES
    assert {name: type(value) for name, value in seen(client).items()} == {
        name: type(value) for name, value in VALUES.items()
    }


def test_story_28_an_edit_deep_inside_is_kept(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/put")
    client.get("/edit")
    assert seen(client)["nested"]["list"][1] == {"tuple": (1, 2)}


def test_the_cookie_tells_nothing_and_no_secret_key_is_needed(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/put")
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.value.startswith("CfDJ8")
    assert app.secret_key is None


def test_story_31_what_caches_are_told(app: flask.Flask) -> None:
    client = app.test_client()
    assert "Cache-Control" not in client.get("/bare").headers
    written = client.get("/put")
    assert (written.headers["Vary"], written.headers["Cache-Control"]) == ("Cookie", "no-store")
    read = client.get("/get")
    assert read.headers["Vary"] == "Cookie"
    assert "Cache-Control" not in read.headers
    bare = client.get("/bare")
    assert "Vary" not in bare.headers
    assert "Vary" not in client.get("/held").headers, "a page that looks the session up, and not into it"
    flashed = client.get("/flash")
    assert flashed.headers["Cache-Control"] == "no-store", "a page that only writes a message"


def test_a_permanent_session_outlives_the_browser(app: flask.Flask) -> None:
    client = app.test_client()
    [temporary] = set_cookies(client.get("/put").headers)
    assert temporary.attribute("expires") is None
    [permanent] = set_cookies(client.get("/permanent").headers)
    assert permanent.attribute("expires") is not None


def test_flasks_settings_describe_the_cookie(app: flask.Flask) -> None:
    app.config.update(
        SESSION_COOKIE_NAME="__Secure-sid",
        SESSION_COOKIE_PATH="/shop",
        SESSION_COOKIE_DOMAIN="shop.example",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="None",
        SESSION_COOKIE_PARTITIONED=True,
        SESSION_COOKIE_HTTPONLY=False,
    )
    [cookie] = set_cookies(app.test_client().get("/put").headers)
    assert cookie.name == "__Secure-sid"
    assert cookie.attributes == ("domain=shop.example", "path=/shop", "secure", "samesite=none", "partitioned")


@pytest.mark.parametrize("name", VALUES, ids=str)
def test_each_of_flasks_types_is_found_by_itself(app: flask.Flask, name: str) -> None:
    """What holds no tag is not searched for one."""
    for value_format in (FlaskFormat(), FlaskFormat(app.json)):
        for mapping in ({name: VALUES[name]}, {"deep": [{"er": VALUES[name]}]}, *PLAIN):
            assert value_format.loads(value_format.dumps(mapping)) == mapping


class Word(str):
    __slots__ = ()

    def __html__(self) -> str:
        return "<i>word</i>"


PLAIN: list[dict[str, Any]] = [
    {},
    {" t": "no tuple"},
    {" di": {" b": [1]}},
    {"plain": [1, "x"], "é": None, "a": [True, 1.5, {"b": {}, "a": []}], "quoted": 'x" t'},
    {"deep": [[[{" t": 1, "u": 2}], {" u": 1}]]},
]


@pytest.mark.parametrize("sort_keys", [True, False])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_what_needs_no_tag_is_written_as_flask_writes_it(sort_keys: bool, ensure_ascii: bool) -> None:
    app = flask.Flask(__name__)
    value_format = FlaskFormat(app.json)
    app.json.sort_keys, app.json.ensure_ascii = sort_keys, ensure_ascii  # type: ignore[attr-defined]  # the default one
    odd = ({"a": Word("word")}, {"a": [HTTPStatus.OK]}, {"a": OrderedDict({" t": 1})}, {"z": date(2026, 3, 1), "a": 1})
    with app.app_context():
        for mapping in (*PLAIN, *odd, VALUES):
            assert value_format.dumps(mapping) == TaggedJSONSerializer().dumps(mapping).encode()


def test_an_applications_own_json_is_used_for_its_sessions_too(app: flask.Flask) -> None:
    class Shouting(DefaultJSONProvider):
        def loads(self, s: str | bytes, **kwargs: Any) -> Any:
            return {name: value.upper() for name, value in super().loads(s, **kwargs).items()}

    app.add_url_rule("/a", "a", lambda: flask.session.update(a="x") or "ok")
    client = app.test_client()
    client.get("/a")
    assert seen(client) == {"a": "x"}
    app.json = Shouting(app)
    assert seen(client) == {"a": "X"}


@pytest.mark.parametrize("data", [b"[]", b"1", b'{"a":1}x', b'{"a":1', b"", b"\xff"])
def test_what_is_no_json_object_is_no_session(app: flask.Flask, data: bytes) -> None:
    for value_format in (FlaskFormat(), FlaskFormat(app.json)):
        with pytest.raises(ValueError, match=r"JSON|Expecting|delimiter|decode|Extra data"):
            value_format.loads(data)


def test_a_configuration_that_changes_between_requests_counts(app: flask.Flask) -> None:
    client = app.test_client()
    assert [cookie.name for cookie in set_cookies(client.get("/put").headers)] == ["session"]
    app.config.update(SESSION_COOKIE_NAME="sid", SESSION_COOKIE_PATH=None, APPLICATION_ROOT="/shop")
    [cookie] = set_cookies(client.get("/put").headers)
    assert (cookie.name, cookie.attribute("path")) == ("sid", "/shop")
    app.permanent_session_lifetime = timedelta(seconds=0)
    with pytest.raises(ConfigurationError, match="PERMANENT_SESSION_LIFETIME"):
        client.get("/put")


def test_headers_that_speak_of_caches_are_amended(app: flask.Flask) -> None:
    def answer(**headers: str) -> flask.Response:
        response = flask.Response("ok")
        response.headers.extend({name.replace("_", "-"): value for name, value in headers.items()})
        return response

    app.add_url_rule("/read", "read", lambda: answer(**flask.request.args, n=str(len(flask.session))))
    app.add_url_rule("/write", "write", lambda: flask.session.update(a=uuid4()) or answer(**flask.request.args))
    client = app.test_client()
    client.get("/write")

    def told(path: str) -> tuple[list[str], list[str]]:
        headers = client.get(path).headers
        return headers.getlist("Vary"), headers.getlist("Cache-Control")

    assert told("/read") == (["Cookie"], [])
    assert told("/read?vary=Accept") == (["Accept, Cookie"], [])
    assert told("/read?Vary=*&Cache-Control=public") == (["*"], ["public"])
    assert told("/write") == (["Cookie"], ["no-store"])
    assert told("/write?Cache-Control=public") == (["Cookie"], ["no-store"])
    assert told("/write?cache-control=private&Vary=cookie") == (["cookie"], ["private"])


def test_a_domain_is_written_without_its_leading_dot(app: flask.Flask) -> None:
    """Browsers pass over the dot; Werkzeug's client would keep the cookie to itself."""
    app.config.update(SESSION_COOKIE_DOMAIN=".example.com", SERVER_NAME="www.example.com")
    client = app.test_client()
    [cookie] = set_cookies(client.get("/put").headers)
    assert cookie.attribute("domain") == "example.com"
    assert client.get_cookie("session", domain="example.com") is not None


def test_a_session_that_does_not_fit_is_an_error_with_a_hint(app: flask.Flask) -> None:
    with pytest.raises(CookieTooLargeError) as caught:
        app.test_client().get("/huge")
    assert caught.value.hint


def test_session_transactions_of_the_test_client_work(app: flask.Flask) -> None:
    client = app.test_client()
    with client.session_transaction() as session:
        session["a"] = 1
    assert seen(client) == {"a": 1}


def test_a_session_ends_when_flask_says(dp: DataProtection) -> None:
    clock = StoppedClock()
    app = flask.Flask(__name__)
    app.permanent_session_lifetime = timedelta(hours=1)
    ProtectedSessions(data_protection=DataProtection("shop", repository="memory:", clock=clock)).init_app(app)
    app.add_url_rule("/", view_func=lambda: str(flask.session.setdefault("n", 1)))
    client = app.test_client(use_cookies=False)
    [made] = set_cookies(client.get("/").headers)
    headers = {"Cookie": f"session={made.value}"}
    clock.forward(timedelta(hours=1))
    assert client.get("/", headers=headers).headers.getlist("Set-Cookie"), "half of it is gone: renewed"
    clock.forward(timedelta(seconds=1))
    app.view_functions["<lambda>"] = lambda: str(dict(flask.session))
    assert client.get("/", headers=headers).text == "{}"


def test_story_17_sessions_that_flask_signed_are_taken_over(dp: DataProtection) -> None:
    secret = "the secret of the application until now"
    old = flask.Flask(__name__)
    old.secret_key = secret
    new = flask.Flask(__name__)
    until = datetime.now(timezone.utc) + timedelta(days=31)
    ProtectedSessions(new, data_protection=dp, migration=FlaskSessions(secret, until=until))
    for app in (old, new):
        app.add_url_rule("/put", "put", lambda: flask.session.update(VALUES) or "ok")
        app.add_url_rule("/get", "get", lambda app=app: app.extensions.update(seen=dict(flask.session)) or "ok")
    before, after = old.test_client(), new.test_client()
    before.get("/put")
    cookie = before.get_cookie("session")
    assert cookie is not None
    after.set_cookie("session", cookie.value)
    assert seen(after) == VALUES
    cookie = after.get_cookie("session")
    assert cookie is not None
    assert cookie.value.startswith("CfDJ8")


def test_flask_logins_remember_cookie_rides_the_ring(app: flask.Flask, dp: DataProtection) -> None:
    app.secret_key = "Flask-Login signs its cookie with this one"
    flask_login.LoginManager(app).user_loader(Remembered)
    app.wsgi_app = CookieProtectionMiddleware(  # type: ignore[method-assign]  # Flask's documented way
        app.wsgi_app, data_protection=dp, cookies=["remember_token"]
    )
    app.add_url_rule("/remember", "remember", lambda: str(flask_login.login_user(Remembered("7"), remember=True)))
    app.add_url_rule("/who", "who", lambda: str(flask_login.current_user.get_id()))
    client = app.test_client()
    client.get("/remember")
    client.delete_cookie("session")
    cookie = client.get_cookie("remember_token")
    assert cookie is not None
    assert cookie.value.startswith("CfDJ8")
    assert client.get("/who").text == "7"


class Remembered(flask_login.UserMixin):  # type: ignore[misc]  # the library has no types
    def __init__(self, user_id: str) -> None:
        self.id = user_id


# --- sign-in ------------------------------------------------------------------------------------------------


def test_who_signs_in_is_the_current_principal(app: flask.Flask) -> None:
    client = app.test_client()
    assert client.get("/me").json == [None, [], False]
    assert client.get("/login").text == "ada"
    assert client.get("/me").json == ["ada", ["admin"], True]
    client.get("/logout")
    assert client.get("/me").json == [None, [], False]


@pytest.mark.parametrize("path", ["/private", "/private-async"])
def test_login_required_challenges_plain_and_async_views(app: flask.Flask, path: str) -> None:
    client = app.test_client()
    answer = client.get(path)
    assert (answer.status_code, answer.data) == (302, b"")
    assert answer.headers["Location"] == f"/login?ReturnUrl=%2F{path[1:]}"
    client.get("/login")
    assert client.get(path).text == "private"


def test_a_marked_view_tells_its_caller_401(app: flask.Flask) -> None:
    assert app.test_client().get("/data").status_code == 401


def test_signing_in_follows_a_local_return_url(app: flask.Flask) -> None:
    answer = app.test_client().get("/login?ReturnUrl=/private")
    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, "/private", b"")


def test_the_session_goes_with_the_sign_in(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/put")
    client.get("/login")
    assert seen(client) == VALUES
    client.get("/logout")
    assert seen(client) == {}


def test_events_get_flasks_request_inside_of_its_context(app: flask.Flask, dp: DataProtection) -> None:
    paths: list[object] = []

    def signing_in(context: Any) -> None:
        paths.append((context.request.path, flask.request.path))

    other = flask.Flask(__name__)
    CookieAuthentication(other, data_protection=dp, events=CookieAuthenticationEvents(signing_in=signing_in))
    other.add_url_rule("/login", "login", signs_in)
    other.test_client().get("/login")
    assert paths == [("/login", "/login")]


def test_the_middleware_around_the_application_does_as_well(dp: DataProtection) -> None:
    app = flask.Flask(__name__)
    ProtectedSessions(app, data_protection=dp)
    app.wsgi_app = CookieAuthenticationMiddleware(  # type: ignore[method-assign]  # Flask's documented way
        app.wsgi_app, data_protection=dp
    )
    app.add_url_rule("/login", "login", signs_in_and_writes)
    app.add_url_rule("/me", "me", lambda: f"{current_principal.name} {flask.session.get('a')}")
    client = app.test_client()
    client.get("/login")
    assert client.get("/me").text == "ada 1"


# --- outages ------------------------------------------------------------------------------------------------


def test_without_a_ring_a_page_that_needs_one_is_503_and_others_go_on() -> None:
    app = flask.Flask(__name__)
    dp = DataProtection("shop", repository=DownRepository(), clock=StoppedClock())
    ProtectedSessions(app, data_protection=dp)
    CookieAuthentication(app, data_protection=dp)
    app.add_url_rule("/bare", "bare", lambda: "ok")
    app.add_url_rule("/put", "put", lambda: flask.session.update(a=1) or "ok")
    app.add_url_rule("/login", "login", signs_in)
    app.add_url_rule("/read", "read", lambda: str(flask.session.get("a")))
    app.add_url_rule("/swallow", "swallow", swallow)
    client = app.test_client()
    client.set_cookie("session", "CfDJ8" + "A" * 103)
    assert client.get("/bare").status_code == 200
    for path in ("/put", "/read", "/login", "/swallow"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers.get("Retry-After"), path) == (503, "5", path)
        assert not answer.headers.getlist("Set-Cookie")


def swallow() -> str:
    try:
        flask.session.get("a")
    except Exception:  # noqa: BLE001 (what applications do)
        return "anonymous"
    return "read"


def test_a_ticket_store_that_is_down_is_503(dp: DataProtection) -> None:
    app = flask.Flask(__name__)
    CookieAuthentication(app, data_protection=dp, session_store=WatchedTicketStore(down=True))
    app.add_url_rule("/login", "login", signs_in)
    app.add_url_rule("/me", "me", lambda: str(current_principal.name))
    client = app.test_client()
    client.get("/login")
    assert client.get("/me").status_code == 503


def test_an_applications_own_dealings_with_keys_stay_its_errors(app: flask.Flask, dp: DataProtection) -> None:
    def mistake() -> str:
        raise RepositoryError("the application's own store")

    app.add_url_rule("/mistake", "mistake", mistake)
    app.test_client().get("/put")
    with pytest.raises(RepositoryError):
        app.test_client().get("/mistake")


# --- configuration ------------------------------------------------------------------------------------------


def test_the_ring_comes_from_the_configuration_and_both_extensions_share_it() -> None:
    app = flask.Flask(__name__)
    app.config.update(DATA_PROTECTION_APPLICATION="shop", DATA_PROTECTION_REPOSITORY="memory:")
    ProtectedSessions(app)
    CookieAuthentication(app)
    assert get_data_protection(app).application == "shop"
    app.add_url_rule("/login", "login", signs_in_and_writes)
    assert len(app.test_client().get("/login").headers.getlist("Set-Cookie")) == 2


@pytest.mark.parametrize(
    ("config", "error"),
    [
        pytest.param({}, "no data protection", id="nothing"),
        pytest.param({"DATA_PROTECTION_REPOSITORY": "memory:"}, "application", id="no application"),
        pytest.param(
            {"DATA_PROTECTION_APPLICATION": "x", "DATA_PROTECTION_KEYS": ""},
            "DATA_PROTECTION_KEYS",
            id="an unknown name",
        ),
    ],
)
def test_a_configuration_that_is_none_is_an_error_at_start(config: dict[str, str], error: str) -> None:
    app = flask.Flask(__name__)
    app.config.update(config)
    with pytest.raises(ConfigurationError, match=error):
        ProtectedSessions(app)


def test_two_rings_in_one_application_are_an_error_at_start(app: flask.Flask) -> None:
    with pytest.raises(ConfigurationError, match="another data protection"):
        ProtectedSessions(app, data_protection=DataProtection("other", repository="memory:"))


def test_without_an_extension_the_error_says_what_is_missing() -> None:
    app = flask.Flask(__name__)
    app.testing = True
    app.add_url_rule("/", view_func=lambda: str(current_principal.name))
    with pytest.raises(ConfigurationError, match="no cookie authentication"):
        app.test_client().get("/")
    with pytest.raises(ConfigurationError, match="no data protection"):
        get_data_protection(app)


def test_settings_of_a_cookie_may_be_given_instead(dp: DataProtection) -> None:
    app = flask.Flask(__name__)
    ProtectedSessions(app, data_protection=dp, cookie=CookieSettings("__Host-s", secure="always", same_site="strict"))
    app.add_url_rule("/", view_func=lambda: flask.session.update(a=1) or "ok")
    [cookie] = set_cookies(app.test_client().get("/").headers)
    assert (cookie.name, cookie.attribute("samesite")) == ("__Host-s", "strict")
