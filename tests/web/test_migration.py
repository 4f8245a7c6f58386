"""Old sessions: cookies from the real Flask, Starlette and Django are read, and others are refused."""

from __future__ import annotations

import json
import pickle
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import itsdangerous
import pytest
from django.core.signing import JSONSerializer, TimestampSigner
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from dpmiddleware import telemetry
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sessions.migration import DjangoSessions, FlaskSessions, SignedSessions, StarletteSessions

SECRET = "the secret that was used until now"
OLDER = "the secret before that one, in the fallbacks"
ADA: dict[str, Any] = {"user": "ada", "cart": [1, {"n": 2}], "é": "ü"}
LONG: dict[str, Any] = {"text": "the same words again and again " * 40}


def soon(days: float = 1) -> datetime:
    return datetime.now(timezone.utc) + timedelta(days=days)


def by_flask(data: Mapping[str, Any], secret: str = SECRET) -> str:
    """The cookie that a Flask application sets."""
    app = Flask(__name__)
    app.secret_key = secret

    @app.route("/")
    def write() -> str:
        session.update(data)
        return ""

    client = app.test_client()
    client.get("/")
    cookie = client.get_cookie("session")
    assert cookie is not None
    return str(cookie.value)


def by_starlette(data: Mapping[str, Any], secret: str = SECRET) -> str:
    """The cookie that a Starlette application sets."""

    def write(request: Request) -> Response:
        request.session.update(data)
        return PlainTextResponse("")

    client = TestClient(
        Starlette(routes=[Route("/", write)], middleware=[Middleware(SessionMiddleware, secret_key=secret)])
    )
    client.get("/")
    return str(client.cookies["session"]).strip('"')


def django_signer(secret: str = SECRET) -> TimestampSigner:
    """What ``signing.dumps`` and ``loads`` make for the signed_cookies engine, without a settings module."""
    return TimestampSigner(key=secret, salt="django.contrib.sessions.backends.signed_cookies", fallback_keys=[])


def by_django(data: Mapping[str, Any], secret: str = SECRET) -> str:
    """The session key that Django's signed_cookies engine makes."""
    return str(django_signer(secret).sign_object(dict(data), serializer=JSONSerializer, compress=True))


def read_by_flask(value: str) -> dict[str, Any]:
    app = Flask(__name__)
    app.secret_key = SECRET
    with app.test_request_context("/", headers={"Cookie": f"session={value}"}):
        return dict(session)


def read_by_starlette(value: str) -> dict[str, Any]:
    def read(request: Request) -> Response:
        return PlainTextResponse(json.dumps(request.session))

    app = Starlette(routes=[Route("/", read)], middleware=[Middleware(SessionMiddleware, secret_key=SECRET)])
    read_back: dict[str, Any] = TestClient(app).get("/", headers={"Cookie": f"session={value}"}).json()
    return read_back


def read_by_django(value: str) -> dict[str, Any]:
    read_back: dict[str, Any] = django_signer().unsign_object(value, serializer=JSONSerializer, max_age=60)
    return read_back


FRAMEWORKS = [
    pytest.param(FlaskSessions, by_flask, read_by_flask, id="flask"),
    pytest.param(StarletteSessions, by_starlette, read_by_starlette, id="starlette"),
    pytest.param(DjangoSessions, by_django, read_by_django, id="django"),
]
every_framework = pytest.mark.parametrize(("kind", "written_by", "read_by"), FRAMEWORKS)
Kind = type[SignedSessions]
Write = Callable[..., str]
Read = Callable[[str], dict[str, Any]]


# --- accepted -----------------------------------------------------------------------------------------------


@every_framework
@pytest.mark.parametrize("data", [pytest.param(ADA, id="short"), pytest.param(LONG, id="long, so compressed")])
def test_story_17_a_session_of_the_framework_is_read(
    kind: Kind, written_by: Write, read_by: Read, data: dict[str, Any]
) -> None:
    old = kind(SECRET, until=soon()).loads(written_by(data), datetime.now(timezone.utc))
    assert old is not None
    assert old.data == data


@every_framework
def test_the_new_session_is_told_when_the_old_one_would_have_ended(
    kind: Kind, written_by: Write, read_by: Read
) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    old = kind(SECRET, until=soon(0.5), max_age=timedelta(days=1)).loads(written_by(ADA), soon(0.25))
    assert old is not None
    assert before <= old.issued <= datetime.now(timezone.utc)
    assert old.ends == old.issued + timedelta(days=1)


@every_framework
@pytest.mark.parametrize(
    "order", [pytest.param([SECRET, OLDER], id="in order"), pytest.param([OLDER, SECRET], id="reversed")]
)
def test_story_23_secrets_count_whatever_their_order(
    kind: Kind, written_by: Write, read_by: Read, order: list[str]
) -> None:
    sessions = kind(order[0], fallbacks=order[1:], until=soon())
    for secret in (SECRET, OLDER):
        assert sessions.loads(written_by(ADA, secret), datetime.now(timezone.utc)) is not None


def test_the_types_of_flask_come_back_as_they_were() -> None:
    data = {
        "markup": Markup("<b>"),
        "tuple": (1, 2),
        "bytes": b"\0",
        "uuid": UUID(int=7),
        "date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    }
    old = FlaskSessions(SECRET, until=soon()).loads(by_flask(data), datetime.now(timezone.utc))
    assert old is not None
    assert old.data == data
    assert isinstance(old.data["markup"], Markup)


@every_framework
@pytest.mark.parametrize("data", [pytest.param(ADA, id="short"), pytest.param(LONG, id="long")])
def test_story_25_the_old_format_is_written_for_members_that_know_no_other(
    kind: Kind, written_by: Write, read_by: Read, data: dict[str, Any]
) -> None:
    sessions = kind(SECRET, fallbacks=[OLDER], until=soon(), writes_old=True)
    now = datetime.now(timezone.utc)
    written = sessions.dumps(data, now)
    assert read_by(written) == data
    old = sessions.loads(written, now)
    assert old is not None
    assert old.data == data


@every_framework
def test_what_is_left_is_counted(kind: Kind, written_by: Write, read_by: Read) -> None:
    before = telemetry.counts()
    kind(SECRET, until=soon()).loads(written_by(ADA), datetime.now(timezone.utc))
    after = telemetry.counts()
    name = ("session_migrated", kind.framework)
    assert after[name] == before.get(name, 0) + 1


# --- refused ------------------------------------------------------------------------------------------------


@every_framework
def test_after_until_an_old_cookie_is_refused(kind: Kind, written_by: Write, read_by: Read) -> None:
    sessions = kind(SECRET, until=soon(1))
    assert sessions.loads(written_by(ADA), soon(0.9)) is not None
    assert sessions.loads(written_by(ADA), soon(1.1)) is None
    assert sessions.loads(written_by(ADA), sessions.until) is None


@every_framework
def test_a_cookie_older_than_its_maximum_age_is_refused(kind: Kind, written_by: Write, read_by: Read) -> None:
    sessions = kind(SECRET, until=soon(1), max_age=timedelta(days=1))
    now = datetime.now(timezone.utc)
    old = sessions.loads(sessions.dumps(ADA, now - timedelta(days=1)), now.replace(microsecond=0))
    assert old is not None
    assert sessions.loads(sessions.dumps(ADA, now - timedelta(days=1, seconds=1)), now) is None


@every_framework
def test_a_cookie_from_the_future_is_refused(kind: Kind, written_by: Write, read_by: Read) -> None:
    sessions = kind(SECRET, until=soon(1))
    assert sessions.loads(sessions.dumps(ADA, soon(0.5)), datetime.now(timezone.utc)) is None


@every_framework
def test_a_cookie_under_another_secret_is_refused(kind: Kind, written_by: Write, read_by: Read) -> None:
    assert kind(OLDER, until=soon()).loads(written_by(ADA), datetime.now(timezone.utc)) is None


@every_framework
def test_a_changed_character_refuses_the_cookie(kind: Kind, written_by: Write, read_by: Read) -> None:
    sessions, value, now = kind(SECRET, until=soon()), written_by(ADA), datetime.now(timezone.utc)
    for position in range(len(value) - 1):  # the last character holds bits that base64 does not use
        changed = value[:position] + ("A" if value[position] != "A" else "B") + value[position + 1 :]
        assert sessions.loads(changed, now) is None, position


@every_framework
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="a dot"),
        pytest.param(":::", id="colons"),
        pytest.param("....", id="dots"),
        pytest.param("é.é.é", id="not ASCII"),
        pytest.param("\ud800", id="half a character"),
        pytest.param("a" * 100_000, id="a hundred thousand letters"),
        pytest.param("CfDJ8NpJ2XIKfUpDt_WHe26JcAz_kjRq2k", id="a payload of ours"),
    ],
)
def test_story_26_garbage_is_no_session(kind: Kind, written_by: Write, read_by: Read, value: str) -> None:
    assert kind(SECRET, until=soon()).loads(value, datetime.now(timezone.utc)) is None


class Canary:
    """Records that it was unpickled."""

    sang = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return (_sing, ())


def _sing() -> None:
    Canary.sang = True


def _signed_for_flask(payload: bytes) -> str:
    signer = SecureCookieSessionInterface.key_derivation
    return (
        itsdangerous.TimestampSigner(SECRET, salt="cookie-session", key_derivation=signer)
        .sign(urlsafe_b64encode(payload).rstrip(b"="))
        .decode()
    )


def _signed_for_starlette(payload: bytes) -> str:
    return itsdangerous.TimestampSigner(SECRET).sign(b64encode(payload)).decode()


def _signed_for_django(payload: bytes, *, packed: bool = False) -> str:
    return str(django_signer().sign("." * packed + urlsafe_b64encode(payload).rstrip(b"=").decode()))


SIGNED = [
    pytest.param(FlaskSessions, _signed_for_flask, id="flask"),
    pytest.param(StarletteSessions, _signed_for_starlette, id="starlette"),
    pytest.param(DjangoSessions, _signed_for_django, id="django"),
]


@pytest.mark.parametrize(("kind", "sign"), SIGNED)
def test_a_pickled_session_is_refused_and_its_canary_never_sings(kind: Kind, sign: Callable[[bytes], str]) -> None:
    payload = pickle.dumps({"canary": Canary()})
    assert kind(SECRET, until=soon()).loads(sign(payload), datetime.now(timezone.utc)) is None
    assert not Canary.sang
    pickle.loads(payload)
    assert Canary.sang, "the canary cannot sing, so the test shows nothing"
    Canary.sang = False


@pytest.mark.parametrize(("kind", "sign"), SIGNED)
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[" * 100_00, id="ten thousand brackets"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_signed_and_no_mapping_in_json_is_refused(
    kind: Kind, sign: Callable[[bytes], str], payload: bytes
) -> None:
    assert kind(SECRET, until=soon()).loads(sign(payload)[:8192], datetime.now(timezone.utc)) is None


def test_a_session_that_swells_is_refused() -> None:
    bomb = zlib.compress(b'{"a":"' + b"a" * (1 << 21) + b'"}', 9)
    assert DjangoSessions(SECRET, until=soon()).loads(_signed_for_django(bomb, packed=True), soon(0)) is None


# --- checked at start ---------------------------------------------------------------------------------------


@every_framework
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"fallbacks": OLDER}, "as fallbacks, not", id="story 23: fallbacks given as a text"),
        pytest.param({"fallbacks": OLDER.encode()}, "as fallbacks, not", id="story 23: fallbacks given as bytes"),
        pytest.param({"fallbacks": [SECRET]}, "twice", id="story 23: the current key repeated"),
        pytest.param({"fallbacks": [SECRET.encode()]}, "twice", id="story 23: the current key repeated as bytes"),
        pytest.param({"fallbacks": ["dev"]}, "guess", id="story 23: a fallback too short"),
        pytest.param({"secret_key": "dev"}, "guess", id="story 23: a key too short"),
        pytest.param({"secret_key": ""}, "guess", id="an empty key"),
        pytest.param({"secret_key": None}, "takes text or bytes as secret_key", id="no key"),
        pytest.param({"until": datetime(2026, 1, 1)}, "time zone", id="an end without time zone"),  # noqa: DTZ001
        pytest.param({"until": soon(32)}, "later than the end of the last old cookie", id="an end too far ahead"),
        pytest.param({"max_age": timedelta()}, "not positive", id="no maximum age"),
    ],
)
def test_a_migration_that_cannot_be_meant_is_an_error_at_start(
    kind: Callable[..., SignedSessions], written_by: Write, read_by: Read, arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigurationError, match=error) as caught:
        kind(**({"secret_key": SECRET, "until": soon()} | arguments))
    assert SECRET not in str(caught.value)
    assert caught.value.hint


def test_until_has_to_be_said() -> None:
    with pytest.raises(TypeError, match="until"):
        FlaskSessions(SECRET)  # type: ignore[call-arg]  # the missing argument is what is tested


def test_a_migration_whose_end_is_past_still_starts() -> None:
    """A configuration must not begin to fail on the date in it."""
    assert FlaskSessions(SECRET, until=soon(-1)).loads(by_flask(ADA), soon(0)) is None
