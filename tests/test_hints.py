"""The hint of an error is shown wherever the error is: by tracebacks, logs, error pages, Sentry and pytest. Once."""

from __future__ import annotations

import copy
import io
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import django
import pytest
import sentry_sdk.utils
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.debug.tbtools import DebugTraceback

from dpmiddleware import ConfigurationError, errors
from dpmiddleware.errors import DataProtectionError, RepositoryError, TamperedPayloadError
from tests.every_error import ERRORS, error_of, hint_of

ROOT = Path(__file__).parents[1]
Shown = Callable[[DataProtectionError], str]


def raised(error: BaseException) -> BaseException:
    """``error``, with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


def in_a_traceback(error: DataProtectionError) -> str:
    return "".join(traceback.format_exception(raised(error)))


def in_a_log(error: DataProtectionError) -> str:
    stream = io.StringIO()
    logger = logging.getLogger("tests.hints")
    logger.handlers = [logging.StreamHandler(stream)]
    logger.error("the request failed", exc_info=raised(error))
    return stream.getvalue()


def in_flasks_log(error: DataProtectionError) -> str:
    stream, app = io.StringIO(), Flask("shop")
    app.logger.handlers = [logging.StreamHandler(stream)]

    @app.get("/")
    def page() -> str:
        raise error

    assert app.test_client().get("/").status_code == 500
    return stream.getvalue()


def on_flasks_error_page(error: DataProtectionError) -> str:
    return DebugTraceback(raised(error)).render_traceback_text()


def on_djangos_error_page(error: DataProtectionError) -> str:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    caught = raised(error)
    page = ExceptionReporter(RequestFactory().get("/"), type(caught), caught, caught.__traceback__)
    return page.get_traceback_text().partition("Traceback (most recent call last):")[2]


def on_starlettes_error_page(error: DataProtectionError) -> str:
    def page(_: object) -> None:
        raise error

    app = Starlette(debug=True, routes=[Route("/", page)])
    return TestClient(app, raise_server_exceptions=False).get("/").text


def in_sentry(error: DataProtectionError) -> str:
    event, _ = sentry_sdk.utils.event_from_exception(raised(error))
    return str(event.get("exception"))


PLACES: dict[str, Shown] = {
    "a traceback": in_a_traceback,
    "a log": in_a_log,
    "Flask's log": in_flasks_log,
    "Flask's error page": on_flasks_error_page,
    "Django's error page": on_djangos_error_page,
    "Starlette's error page": on_starlettes_error_page,
    "Sentry": in_sentry,
}


def test_the_errors_are_those_of_the_whole_package() -> None:
    assert set(errors.__all__) | {"WrongTypeError", "UsageError", "IncompleteReadingError"} <= set(ERRORS)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ERRORS)
def test_a_place_shows_the_hint_once(place: str, name: str) -> None:
    assert PLACES[place](error_of(name)).count(hint_of(name)) == 1


def test_pytest_shows_each_hint_once(tmp_path: Path) -> None:
    test = "import pytest\nfrom tests.every_error import ERRORS, error_of\n\n"
    test += "@pytest.mark.parametrize('name', ERRORS)\ndef test_it(name):\n    raise error_of(name)\n"
    (tmp_path / "test_shop.py").write_text(test, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    shown = [line.removeprefix("E ").strip() for line in done.stdout.splitlines()]
    assert {name: shown.count(hint_of(name)) for name in ERRORS} == dict.fromkeys(ERRORS, 1)


# --- one note, whatever happens to the error --------------------------------------------------------------------------


def test_a_hint_is_given_by_the_constructor_or_by_the_class() -> None:
    assert RepositoryError("down", hint="start it").__notes__ == ["start it"]
    assert TamperedPayloadError("changed").__notes__ == [TamperedPayloadError.hint]
    assert ConfigurationError("wrong").__notes__ == []


def test_a_replaced_hint_replaces_the_note() -> None:
    error = RepositoryError("down", hint="start it")
    error.add_note("asked at noon")
    error.hint = "start the other one"
    assert error.__notes__ == ["start the other one", "asked at noon"]
    error.hint = ""
    assert error.__notes__ == ["asked at noon"]


def test_a_note_that_says_the_hint_again_is_not_shown_again() -> None:
    error = RepositoryError("down", hint="start it")
    error.add_note(error.hint)
    error.__notes__ = [*error.__notes__, "asked at noon"]
    assert error.__notes__ == ["start it", "asked at noon"]


def test_a_note_is_text_as_for_every_exception() -> None:
    for error in (RepositoryError("down"), ValueError("down")):
        with pytest.raises(TypeError, match="note must be a str, not 'int'"):
            error.add_note(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("name", [name for name in ERRORS if name != "IncompleteReadingError"])
def test_a_copy_has_the_note_once_and_its_own_further_notes(
    name: str, again: Callable[[DataProtectionError], DataProtectionError]
) -> None:
    error = error_of(name)
    error.add_note("asked at noon")
    other = again(again(error))
    other.add_note("asked again")
    assert other.__notes__ == [hint_of(name), "asked at noon", "asked again"]
    assert error.__notes__ == [hint_of(name), "asked at noon"]


def test_an_error_that_is_raised_again_and_again_keeps_one_note() -> None:
    """The same error is raised for all requests while the store does not answer."""
    error = RepositoryError("down", hint="start it")
    for _ in range(3):
        raised(error)
    assert in_a_traceback(error).count("start it") == 1


@pytest.mark.parametrize("suppressed", [False, True], ids=["cause shown", "from None"])
def test_an_error_that_takes_over_the_hint_of_its_cause_shows_it_once(suppressed: bool) -> None:
    cause = ConfigurationError("the variable RING_SECRET is not set", hint="set it")
    with pytest.raises(RepositoryError) as caught:
        raise RepositoryError(f"cannot read: {cause}", hint=cause.hint) from None if suppressed else cause
    assert in_a_traceback(caught.value).count("set it") == 1
    assert caught.value.hint == "set it"


def test_another_hint_of_the_cause_is_shown_too() -> None:
    cause = ConfigurationError("the variable RING_SECRET is not set", hint="set it")
    with pytest.raises(RepositoryError) as caught:
        raise RepositoryError("cannot read", hint="look at the log") from cause
    shown = in_a_traceback(caught.value)
    assert shown.index("set it") < shown.index("look at the log")
