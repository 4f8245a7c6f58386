"""What is WSGI's own: generators, write(), errors after the start, bodies that want to be closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.wsgi import SESSION_KEY, CookieProtectionMiddleware, SessionMiddleware
from tests.clients import ask_wsgi

HTTP: dict[str, Any] = {"wsgi.url_scheme": "http"}


def test_a_session_may_be_changed_after_start_response(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        environ[SESSION_KEY]["a"] = 1
        return [b"ok"]

    assert [cookie.name for cookie in ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP).cookies] == ["session"]


def test_a_generator_may_change_it_before_its_first_piece(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        environ[SESSION_KEY]["a"] = 1
        yield b"one "
        yield b"two"

    answer = ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP)
    assert (answer.body, len(answer.cookies)) == (b"one two", 1)


def test_a_generator_that_changes_it_later_hears_of_it(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one "
        environ[SESSION_KEY]["a"] = 1

    with pytest.raises(ConfigurationError, match="after the response had started"):
        ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP)


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b"x"]])
def test_a_generator_of_little_is_a_response(dp: DataProtection, pieces: list[bytes]) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("204 No Content", [])
        yield from pieces

    answer = ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP)
    assert (answer.status, answer.body) == (204, b"".join(pieces))


def test_write_sends_the_headers_first(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        environ[SESSION_KEY]["a"] = 1
        write(b"one ")
        return [b"two"]

    answer = ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP)
    assert (answer.body, len(answer.cookies)) == (b"one two", 1)


def test_an_error_page_replaces_headers_that_are_not_out_yet(dp: DataProtection) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X", "1")])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [("X", "2")], sys.exc_info())
        return [b"sorry"]

    answer = ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP)
    assert (answer.status, answer.headers) == (500, [("X", "2")])


@pytest.mark.parametrize("generator", [True, False])
def test_the_body_is_closed(dp: DataProtection, generator: bool) -> None:
    closed: list[bool] = []

    class Body:
        def __init__(self, start: Any) -> None:
            self.start = start

        def __iter__(self) -> Iterator[bytes]:
            self.start()
            yield b"ok"

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Body:
        def start() -> None:
            start_response("200 OK", [])

        if not generator:
            start()
        return Body(start if generator else lambda: None)

    assert ask_wsgi(SessionMiddleware(app, data_protection=dp), HTTP).body == b"ok"
    assert closed == [True]


def test_a_body_whose_headers_cannot_be_sealed_is_closed_as_well(dp: DataProtection) -> None:
    closed: list[bool] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [("Set-Cookie", "sid=" + "x" * 9000)])
        return Body([b"ok"])

    with pytest.raises(ConfigurationError):
        ask_wsgi(CookieProtectionMiddleware(app, data_protection=dp, cookies=["sid"]), HTTP)
    assert closed == [True]


def test_a_werkzeug_application_behind_both_middlewares(dp: DataProtection) -> None:
    @Request.application
    def app(request: Request) -> Response:
        session = request.environ[SESSION_KEY]
        session["n"] = session.get("n", 0) + 1
        response = Response(f"{session['n']} {request.cookies.get('sid')}")
        response.set_cookie("sid", 'a "quoted", value', max_age=3600)
        return response

    both = CookieProtectionMiddleware(SessionMiddleware(app, data_protection=dp), data_protection=dp, cookies=["sid"])
    client = Client(both)
    assert client.get("/").text == "1 None"
    assert client.get("/").text == '2 a "quoted", value'
    cookie = client.get_cookie("sid")
    assert cookie is not None
    assert cookie.value.startswith("CfDJ8")
    assert cookie.max_age == 3600
