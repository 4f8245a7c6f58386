"""Issue: plain mistakes (``sign_in("ada")``, ``ProtectedSessions(dp)``) ended in an AttributeError or a TypeError.

Every public callable is found, and called with each of its arguments wrong. It takes the value, or it raises an error
of ours that has a hint. A new public callable is covered at once, or has to be named here.
"""

from __future__ import annotations

import inspect
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import Any, NamedTuple
from unittest import mock

import django
import fastapi
import flask
import pytest
from django.core.signing import BadSignature
from itsdangerous import BadData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from werkzeug import exceptions
from werkzeug.local import LocalProxy

from dpmiddleware import asgi, wsgi
from dpmiddleware.clock import SystemClock
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, DataProtectionError, WrongTypeError
from dpmiddleware.flask import CookieAuthentication, FlaskSessions, ProtectedSessions
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.protection.serializer import ProtectedSerializer
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.starlette import require_fresh_principal, require_role
from dpmiddleware.web.cookies.options import ProtectionOptions
from dpmiddleware.web.cookies.policy import CookiePolicy
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionOptions
from dpmiddleware.web.sign_in.authentication import AUTHENTICATION_KEY, CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, OptionArguments
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.return_urls import WebRequest

MODULES = ("", ".flask", ".django", ".django.signing", ".starlette", ".wsgi", ".asgi")
NOT_CALLED = {
    "made by this package, for applications to look at": (
        *("AuthenticateResult", "Credentials", "DataProtector", "FlaskSession", "PrincipalUser", "User"),
        *("RedirectContext", "SignedInContext", "SigningInContext", "SigningOutContext", "SlidingExpirationContext"),
        *("ValidatePrincipalContext", "DeviceContext"),
    ),
    "constants and interfaces": ("Algorithm", "ClaimTypes", "ClaimValueTypes", "TicketStore"),
    "for other shells, which call them in each request": ("cookie_header", "is_https", "web_request", "where"),
    "called by frameworks only": (
        *(".flask.FlaskFormat", ".django.CookieAuthenticationMiddleware", ".django.SessionMiddleware"),
        ".django.CrossOriginProtectionMiddleware",
        ".django.signing.ProtectedSigner",
    ),
    "of a part of a request, which shells call": (
        *("RequestAuthentication.ahead", "RequestAuthentication.answer", "RequestAuthentication.work"),
        *("RequestAuthentication.attach", "RequestAuthentication.detach", "RequestAuthentication.has"),
        *("RequestAuthentication.instead", "RequestAuthentication.read"),
    ),
    "of a ring, which protectors call": ("DataProtection.wait", "DataProtection.wait_is_due"),
}

RING = DataProtection("shop", repository=MemoryKeyRepository())
ADA = Principal("ada")
WRONG: dict[str, Any] = {
    "None": None,
    "int": 5,
    "float": 2.5,
    "text": "ada",
    "bytes": b"ada",
    "dict": {"a": 1},
    "list": ["a", 1],
    "object": object(),
    "span": timedelta(hours=1),
    "date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "ring": RING,
    "principal": ADA,
    "class": dict,
    "function": lambda: None,
}


def _authentication() -> RequestAuthentication:
    """That of a request in which a user has signed in."""
    made = CookieAuthenticator(RING).begin(WebRequest())
    made.sign_in(ADA)
    return made


def _starlette_request() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": [], AUTHENTICATION_KEY: _authentication()})


def _django_request() -> Any:
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.META[AUTHENTICATION_KEY] = _authentication()
    request.resolver_match = None
    return request


def _settings_file() -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
        file.write('[data_protection]\napplication = "shop"\n')
    return file.name


def _application(*_: object) -> list[bytes]:
    return []


GOOD: dict[str, Callable[[], Any]] = {
    "app": lambda: _application,
    "application": lambda: "shop",
    "cookies": lambda: ["sid"],
    "data": lambda: "text",
    "data_protection": lambda: RING,
    "endpoint": lambda: lambda request: request,
    "f": io.StringIO,
    "get_response": lambda: _application,
    "level": lambda: "report",
    "max_age": lambda: timedelta(hours=1),
    "name": lambda: "sid",
    "obj": lambda: {"a": 1},
    "payload": lambda: b"{}",
    "principal": lambda: ADA,
    "properties": AuthenticationProperties,
    "request": _starlette_request,
    "s": lambda: ProtectedSerializer(RING).dumps(1),
    "secret_key": lambda: "s" * 20,
    "read": lambda: dict,  # a function of an old session's key
    "settings": lambda: {"application": "shop", "repository": "memory:"},
    "type": lambda: "sub",
    "until": lambda: datetime.now(timezone.utc) + timedelta(days=1),
    "uri": lambda: "/",
    "url": lambda: "/",
    "value": lambda: "7",
    "view": lambda: lambda: "page",
}
"""Arguments that a callable cannot be without, by name."""

GOOD_OF: dict[str, dict[str, Any]] = {
    ".django.signing": {"s": lambda: import_module("dpmiddleware.django.signing").dumps(1)},
    ".django": {"request": _django_request},
    "RedisTicketStore": {"url": lambda: "redis://127.0.0.1:6379"},
    "DataProtection.from_toml": {"path": _settings_file},
    "TimeLimitedDataProtector.unprotect": {"data": lambda: RING.create_protector("p").time_limited().protect("text")},
    "TimeLimitedDataProtector.unprotect_with_expiry": {
        "data": lambda: RING.create_protector("p").time_limited().protect("text")
    },
    "ProtectedSerializer.load": {"f": lambda: io.StringIO(ProtectedSerializer(RING).dumps(1))},
    "DataProtector.unprotect": {"data": lambda: RING.create_protector("p").protect("text")},
    "DataProtector.dangerous_unprotect": {"data": lambda: RING.create_protector("p").protect("text")},
}
NEEDED: dict[str, set[str]] = {"DjangoSessions": {"secret_key"}}
"""Arguments that have a default, but without which another one would be needed."""
VARIABLE: dict[str, tuple[Any, ...]] = {"purposes": ("p",), "roles": ("admin",)}


class Case(NamedTuple):
    """One argument of a callable, and what is wrong about it."""

    place: str
    name: str
    function: Callable[..., Any]
    argument: str


def objects() -> Iterator[tuple[str, str, Any]]:
    """Public callables: the module, a name, and the callable."""
    seen: set[int] = set()
    for place in MODULES:
        module = import_module(f"dpmiddleware{place}")
        for name in module.__all__:
            found = getattr(module, name)
            if isinstance(found, LocalProxy) or not (inspect.isroutine(found) or isinstance(found, type)):
                continue
            is_error = isinstance(found, type) and issubclass(found, Exception)
            if not is_error and id(found) not in seen:
                seen.add(id(found))
                yield place, name, found
    of = {
        DataProtection: lambda: RING,
        DataProtector: lambda: RING.create_protector("p"),
        TimeLimitedDataProtector: lambda: RING.create_protector("p").time_limited(),
        ProtectedSerializer: lambda: ProtectedSerializer(RING),
        RequestAuthentication: _authentication,
    }
    for kind, make in of.items():
        for name, method in inspect.getmembers(kind, inspect.isroutine):
            if not name.startswith("_"):
                yield "", f"{kind.__name__}.{name}", _of_a_new_one(make, name, method)


def _of_a_new_one(make: Callable[[], Any], name: str, method: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(make(), name)(*args, **kwargs)

    call.__signature__ = inspect.signature(getattr(make(), name))  # type: ignore[attr-defined]  # what inspect reads
    return call


OPTIONS: dict[object, Any] = {
    f"Unpack[{kind.__name__}]": kind for kind in (OptionArguments, ProtectionOptions, SessionOptions)
}
EXEMPT = {name for names in NOT_CALLED.values() for name in names}


def arguments_of(function: Callable[..., Any]) -> Iterator[str]:
    """The names of all arguments; those of ``**options`` one by one."""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            yield name
        elif parameter.annotation in OPTIONS:
            yield from OPTIONS[parameter.annotation].__annotations__


CASES = [
    Case(place, name, function, argument)
    for place, name, function in objects()
    if not {name, f"{place}.{name}"} & EXEMPT
    for argument in arguments_of(function)
]


def call(case: Case, *wrong: Any) -> Any:
    """Call it with its argument wrong, if a value is given; those that it cannot be without are right."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    parameters = inspect.signature(case.function).parameters
    for name, parameter in parameters.items():
        is_wrong = bool(wrong) and name == case.argument
        is_needed = parameter.default is parameter.empty or name in NEEDED.get(case.name, ())
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += wrong if is_wrong else VARIABLE[name]
        elif parameter.kind is parameter.KEYWORD_ONLY and (is_wrong or is_needed):
            kwargs[name] = wrong[0] if is_wrong else good(case, name)
        elif is_wrong and not is_needed:
            kwargs[name] = wrong[0]
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD and is_needed:
            args.append(wrong[0] if is_wrong else good(case, name))
    if wrong and case.argument not in parameters:
        kwargs[case.argument] = wrong[0]
    return case.function(*args, **kwargs)


def good(case: Case, argument: str) -> Any:
    for place in (case.name, case.place):
        if argument in GOOD_OF.get(place, {}):
            return GOOD_OF[place][argument]()
    return GOOD[argument]()


@pytest.fixture(scope="module", autouse=True)
def _frameworks() -> Iterator[None]:
    """A Django project, and a request of a Flask application."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    app = flask.Flask("shop")
    CookieAuthentication(data_protection=RING).init_app(app)
    with app.test_request_context(), mock.patch.dict(os.environ, DPM_APPLICATION="shop"):
        yield


def error_of(function: Callable[[], object]) -> Exception | None:
    """The error of a call, unless it is one of itsdangerous or Django: their users expect those."""
    try:
        made = function()
        if inspect.iscoroutine(made):
            made.close()
    except (BadData, BadSignature):
        return None
    except Exception as error:  # noqa: BLE001 (which one is the question)
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.place}.{case.name}-{case.argument}".lstrip("."))
def test_a_wrong_argument_is_an_error_with_a_hint(case: Case) -> None:
    for name, wrong in WRONG.items():
        if case.argument == "serializer" and name in {"class", "function"}:
            continue  # what a call of them returns is seen when it is used
        if (
            case.argument == "max_age"
            and name in {"int", "float", "span"}
            and ".require_fresh" in f"{case.place}.{case.name}"
        ):
            continue  # a right one; the anonymous user of Flask's request is asked to sign in
        error = error_of(lambda wrong=wrong: call(case, wrong))  # type: ignore[misc]  # bound now
        assert error is None or (isinstance(error, DataProtectionError) and error.hint), (wrong, error)


FOUND = {f"{case.place}.{case.name}": case for case in CASES}.values()


@pytest.mark.parametrize("case", FOUND, ids=lambda case: f"{case.place}.{case.name}".lstrip("."))
def test_right_arguments_are_taken(case: Case) -> None:
    """Otherwise the test above would say nothing about wrong ones."""
    error = error_of(lambda: call(case))
    is_refused = isinstance(error, HTTPException | exceptions.HTTPException)  # the user of a request may be anonymous
    assert error is None or is_refused, error


CONSTRUCTORS = [case for case in FOUND if isinstance(case.function, type)]


@pytest.mark.parametrize("case", CONSTRUCTORS, ids=lambda case: f"{case.place}.{case.name}".lstrip("."))
def test_arguments_without_or_with_a_wrong_name_are_an_error_with_a_hint(case: Case) -> None:
    for args, kwargs in (((RING,), {}), ((RING,) * 30, {}), ((), {"data_protektion": RING}), ((), {})):
        error = error_of(lambda a=args, k=kwargs: case.function(*a, **k))  # type: ignore[misc]  # bound now
        assert error is None or (isinstance(error, DataProtectionError) and error.hint), (args, kwargs, error)


def test_what_is_not_called_here_exists() -> None:
    names = {text for place, name, _ in objects() for text in (name, f"{place}.{name}")}
    assert names >= EXEMPT


# --- seconds, and texts in any case -----------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3600, 3600.0])
def test_seconds_are_taken_for_a_time_span(seconds: Any) -> None:
    hour, until = timedelta(hours=1), datetime.now(timezone.utc) + timedelta(minutes=5)
    assert CookieSettings("sid", max_age=seconds).max_age == hour
    assert CookieAuthenticationOptions(expire_time_span=seconds).expire_time_span == hour
    assert FlaskSessions("s" * 20, until=until, max_age=seconds).max_age == hour
    policy = RotationPolicy(refresh=seconds, poll=seconds, lifetime=seconds * 216, max_stale=seconds * 2)
    assert policy.lifetime == timedelta(days=9)
    assert (policy.poll, policy.refresh, policy.max_stale) == (hour, hour, 2 * hour)
    limited = RING.create_protector("p").time_limited()
    _, expires = limited.unprotect_with_expiry(limited.protect("text", lifetime=seconds))
    assert expires is not None
    assert timedelta(minutes=59) < expires - datetime.now(timezone.utc) <= hour


@pytest.mark.parametrize("shell", [wsgi, asgi])
def test_middleware_takes_seconds(shell: Any) -> None:
    sessions = shell.SessionMiddleware(_application, data_protection=RING, idle=3600, absolute=7200.0).sessions
    assert (sessions._idle, sessions._absolute) == (3_600_000, 7_200_000)
    options = shell.CookieAuthenticationMiddleware(_application, data_protection=RING, expire_time_span=60)
    assert options.authenticator.options.expire_time_span == timedelta(minutes=1)
    sealed = shell.CookieProtectionMiddleware(_application, data_protection=RING, cookies=["sid"], max_age=60)
    assert sealed.protection._max_age == timedelta(minutes=1)


def test_an_extension_of_flask_takes_seconds() -> None:
    app = flask.Flask("shop")
    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    ProtectedSessions(app, data_protection=RING, absolute=7200)  # type: ignore[arg-type]  # the point
    app.get("/")(lambda: flask.session.setdefault("name", "ada"))
    line = app.test_client().get("/").headers["Set-Cookie"]
    assert "samesite=strict" in line.lower()


@pytest.mark.parametrize("same_site", ["Lax", "lax", "LAX", "Strict"])
def test_texts_are_taken_in_any_case(same_site: Any) -> None:
    assert CookieSettings("sid", same_site=same_site).same_site == same_site.lower()
    assert CookieSettings("sid", secure="Always").secure == "always"  # type: ignore[arg-type]  # the point
    assert CookiePolicy(minimum_same_site=same_site).minimum_same_site == same_site.lower()
    options = wsgi.CookiePolicyMiddleware(_application, minimum_same_site=same_site, secure="Same_As_Request")  # type: ignore[arg-type]  # both
    assert options.policy == CookiePolicy(same_site.lower(), "same_as_request")


# --- what the errors say ----------------------------------------------------------------------------------------

SAID: dict[str, tuple[Callable[[], object], str, str]] = {
    "an extension gets the ring for the application": (
        lambda: ProtectedSessions(RING),  # type: ignore[arg-type]  # the point, here and below
        "ProtectedSessions() takes a Flask or None as app, not DataProtection",
        "pass it as data_protection=",
    ),
    "a name for a principal": (
        lambda: _authentication().sign_in("ada"),  # type: ignore[arg-type]
        "sign_in() takes a Principal as principal, not str",
        'pass a Principal, for example Principal("ada", claims={"sub": "7"})',
    ),
    "a dictionary for properties": (
        lambda: _authentication().sign_in(ADA, {"is_persistent": True}),  # type: ignore[arg-type]
        "sign_in() takes an AuthenticationProperties or None as properties, not dict",
        "pass an AuthenticationProperties or None, for example AuthenticationProperties(is_persistent=True)",
    ),
    "a value that was not there": (
        lambda: RING.create_protector("p").unprotect(None),  # type: ignore[type-var]
        "DataProtector.unprotect() takes text or bytes as data, not NoneType",
        "pass text or bytes",
    ),
    "an option with a wrong name": (
        lambda: wsgi.SessionMiddleware(_application, data_protection=RING, idel=60),  # type: ignore[call-arg]
        "the setting 'idel' is unknown",
        "use idle",
    ),
    "a forgotten ring": (
        lambda: wsgi.SessionMiddleware(_application),  # type: ignore[call-arg]
        "SessionMiddleware() missing a required argument: 'data_protection'",
        "name the arguments: app=, data_protection=",
    ),
    "a class in place of an object": (
        lambda: DataProtection("shop", clock=SystemClock),  # type: ignore[arg-type]
        "DataProtection() takes a Clock or None as clock, not type: it has no now, monotonic",
        "pass a Clock or None",
    ),
    "no role": (
        require_role,
        "require_role() names no role, so every user would be refused",
        'write Depends(require_role("admin"))',
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_an_error_names_the_argument_and_says_what_to_pass(case: str) -> None:
    function, message, hint = SAID[case]
    error = error_of(function)
    assert isinstance(error, ConfigurationError)
    assert (str(error), error.hint) == (message, hint)


def test_a_dependency_without_its_roles_is_found_when_the_route_is_made() -> None:
    """FastAPI took its parameter for a query parameter, and answered 422 to everybody."""
    app = fastapi.FastAPI()
    with pytest.raises(ConfigurationError, match="require_role is not a dependency"):
        app.get("/", dependencies=[fastapi.Depends(require_role)])(lambda: "page")
    app.get("/", dependencies=[fastapi.Depends(require_role("admin"))])(lambda: "page")


def test_nor_does_a_dependency_that_was_not_called_let_everybody_in() -> None:
    app = fastapi.FastAPI()
    with pytest.raises(ConfigurationError, match="require_fresh_principal is not a dependency"):
        app.get("/", dependencies=[fastapi.Depends(require_fresh_principal)])(lambda: "page")
    app.get("/", dependencies=[fastapi.Depends(require_fresh_principal(minutes=1))])(lambda: "page")


def test_no_error_shows_the_value() -> None:
    secret = "CANARY"
    for case in CASES:
        for wrong in ({secret: secret}, [secret], secret.encode()):
            error = error_of(lambda case=case, wrong=wrong: call(case, wrong))  # type: ignore[misc]  # bound now
            if isinstance(error, WrongTypeError):
                assert secret not in f"{error} {error.hint}", case
