"""Issue: a session changed after the response had started raised, where Flask and Django only lose the change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import django
import flask
import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django.sessions import SessionMiddleware, SessionStore
from dpmiddleware.flask import ProtectedSessions
from tests.fakes import events

PAGE = "<ul>{% for m in get_flashed_messages() %}<li>{{ m }}</li>{% endfor %}</ul>the rest"

CHANGES: dict[str, Callable[[Any], object]] = {
    "set": lambda session: session.__setitem__("a", 2),
    "pop": lambda session: session.pop("a", None),
    "setdefault": lambda session: session.setdefault("b", 1),
    "update": lambda session: session.update({"b": 1}),
    "clear": lambda session: session.clear(),
}


def lost(caplog: pytest.LogCaptureFixture) -> int:
    return len(events(caplog, "session_change_lost"))


@pytest.fixture
def app(dp: DataProtection) -> flask.Flask:
    app = flask.Flask("shop")
    ProtectedSessions(app, data_protection=dp)

    @app.get("/flash")
    def flash() -> str:
        flask.flash("saved")
        flask.session["a"] = 1
        return "ok"

    @app.get("/page")
    def page() -> Any:
        return flask.stream_template_string(PAGE)

    @app.get("/late/<name>")
    def late(name: str) -> Any:
        def body() -> Iterator[str]:
            yield "first, "
            CHANGES[name](flask.session)
            CHANGES[name](flask.session)
            yield "last"

        _ = flask.session.get("a") if "look" in flask.request.args else None
        return flask.stream_with_context(body())

    @app.get("/get")
    def get() -> Any:
        return dict(flask.session)

    return app


# --- Flask ----------------------------------------------------------------------------------------------------------


def test_a_streamed_page_broke_off_at_its_flashed_messages(app: flask.Flask, caplog: pytest.LogCaptureFixture) -> None:
    client = app.test_client()
    client.get("/flash")
    assert client.get("/page").text == "<ul><li>saved</li></ul>the rest"
    assert lost(caplog) == 1


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("query", ["", "?look"])
def test_a_late_change_in_flask_is_lost_and_said_once(
    app: flask.Flask, name: str, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = app.test_client()
    client.get("/flash")
    before = client.get("/get").json
    assert client.get(f"/late/{name}{query}").text == "first, last"
    assert lost(caplog) == 1
    assert client.get("/get").json == before


def test_the_session_of_the_last_request_of_a_test_client_is_usable(app: flask.Flask) -> None:
    with app.test_client() as client:
        client.get("/flash")
        assert flask.get_flashed_messages() == ["saved"]
        assert flask.get_flashed_messages() == ["saved"], "Flask keeps them for the request"
        flask.session["b"] = 2
        assert flask.session["b"] == 2, "the mapping has the change"
        assert "_flashes" not in flask.session


def test_a_teardown_function_may_change_the_session(app: flask.Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.teardown_request
    def teardown(_: Any) -> None:
        flask.session["left"] = True

    client = app.test_client()
    assert client.get("/flash").status_code == 200
    assert lost(caplog) == 1
    assert "left" not in client.get("/get").json  # type: ignore[operator]  # a dictionary


# --- Django ---------------------------------------------------------------------------------------------------------


def put(request: HttpRequest) -> HttpResponse:
    request.session["a"] = 1
    return HttpResponse()


def late(request: HttpRequest, name: str) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        yield "first, "
        CHANGES[name](request.session)
        CHANGES[name](request.session)
        yield "last"

    _ = request.session.get("a") if "look" in request.GET else None
    return StreamingHttpResponse(body())


def get(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(dict(request.session)))


urlpatterns = [path("put", put), path("late/<name>", late), path("get", get)]


@pytest.fixture
def in_django() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=["dpmiddleware.django.sessions.SessionMiddleware"]):
        yield


@pytest.mark.usefixtures("in_django")
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("query", ["", "?look"])
def test_a_late_change_in_django_is_lost_and_said_once(name: str, query: str, caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    client.get("/put")
    response: Any = client.get(f"/late/{name}{query}")
    assert b"".join(response.streaming_content) == b"first, last"
    assert lost(caplog) == 1
    assert client.get("/get").content == b"{'a': 1}"


@pytest.mark.usefixtures("in_django")
def test_a_request_of_the_request_factory_can_be_given_a_session() -> None:
    """The usual way: through the middleware, with a response that nobody sends. Then the view is called."""
    request = RequestFactory().get("/")
    SessionMiddleware(lambda _: HttpResponse())(request)
    request.session["cart"] = ["apples"]
    request.session.save()
    assert request.session["cart"] == ["apples"]
    request.session.set_expiry(60)
    request.session.cycle_key()
    assert request.session["cart"] == ["apples"]
    request.session.flush()
    assert request.session.is_empty()
    assert isinstance(request.session, SessionStore)
