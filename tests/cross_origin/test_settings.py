"""Options in a call, in ``app.config`` and in Django's settings; what they refuse at start, and under which name."""

from __future__ import annotations

import logging
from typing import Any

import flask
import pytest
import quart
from django.core import checks
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from flask.views import MethodView

from dpmiddleware import asgi, wsgi
from dpmiddleware.cross_origin import CrossOriginRules, cross_origin_exempt
from dpmiddleware.errors import ConfigurationError, WrongTypeError
from dpmiddleware.flask import CrossOriginProtection, ProtectedSessions
from dpmiddleware.quart import CrossOriginProtection as QuartProtection
from tests.cross_origin.shells import FOREIGN, MIDDLEWARE, OWN, SHELLS, Request, ask_wsgi, django_settings, within
from tests.fakes import events

SETTING = "DATA_PROTECTION_CROSS_ORIGIN"
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "null": ({"trusted_origins": ["null"]}, "trusted_origins='null' is not an origin", "exempt the path"),
    "wildcard": ({"trusted_origins": ["https://*.example"]}, "'https://*.example' is not an origin", "one by one"),
    "path": ({"trusted_origins": ["https://a.example/x"]}, "is not an origin", "without a path: https://a.example"),
    "no scheme": ({"trusted_origins": ["a.example"]}, "'a.example' is not an origin", "write a scheme and a host"),
    "own origin": ({"origins": ["shop"]}, "origins='shop' is not an origin", "write a scheme and a host"),
    "bad IDN": ({"origins": ["https://" + "ü" * 70 + ".example"]}, "is not an origin", "write a scheme"),
    "everything": ({"exempt": ["/"]}, "exempt='/' exempts every path", "list the paths"),
    "relative path": ({"exempt": ["hooks"]}, "exempt='hooks' can never match", "write a path like /hooks"),
    "odd path": ({"exempt": ["/a/../b"]}, "exempt='/a/../b' can never match", "write a path like /hooks"),
    "path with a query": ({"exempt": ["/a?b"]}, "exempt='/a?b' can never match", "write a path like /hooks"),
    "unknown word": ({"same_site": "maybe"}, "same_site='maybe' is unknown", 'use "deny" or "allow"'),
    "unknown need": ({"require_headers": "all"}, "require_headers='all' is unknown", 'use True, False or "cookies"'),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("make", [CrossOriginRules, SHELLS["wsgi"], SHELLS["flask"]])
def test_a_wrong_option_is_refused_at_start_with_a_hint(case: str, make: Any) -> None:
    options, message, hint = WRONG[case]
    with pytest.raises(ConfigurationError) as caught:
        make(**options)
    assert message in str(caught.value)
    assert hint in caught.value.hint


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "text for a list": ({"trusted_origins": "https://a.example"}, "trusted_origins"),
    "no function": ({"on_refused": 7}, "on_refused"),
    "no switch": ({"report_only": "yes"}, "report_only"),
    "misspelt": ({"trusted_origin": ["https://a.example"]}, "trusted_origin"),
}


@pytest.mark.parametrize("case", MISTAKES)
@pytest.mark.parametrize("make", [SHELLS["wsgi"], CrossOriginProtection, QuartProtection])
def test_a_plain_mistake_names_the_argument(case: str, make: Any) -> None:
    options, name = MISTAKES[case]
    with pytest.raises(ConfigurationError) as caught:
        make(**options)
    assert name in str(caught.value)
    assert caught.value.hint


def test_an_origin_over_http_may_be_trusted_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dpmiddleware"):
        CrossOriginProtection(flask.Flask("a"), trusted_origins=["http://localhost:3000", "https://a.example"])
    told = events(caplog, "insecure_origin_trusted")
    assert [event["origin"] for event in told] == ["http://localhost:3000"]


def test_what_cannot_be_marked_is_a_mistake() -> None:
    with pytest.raises(WrongTypeError):
        cross_origin_exempt(len)


# --- Flask and Quart --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make_app", "extension"), [(flask.Flask, CrossOriginProtection), (quart.Quart, QuartProtection)]
)
class TestConfig:
    def test_the_options_may_be_in_the_configuration(self, make_app: Any, extension: Any) -> None:
        app = make_app("shop")
        app.config[SETTING] = {"trusted_origins": ["https://login.example"]}
        extension(app, exempt=["/hooks"])
        rules = app.extensions["dpmiddleware.cross_origin"].rules
        assert rules.trusted == {"https://login.example"}
        assert rules.exempts("/hooks")

    def test_an_error_of_the_configuration_names_it(self, make_app: Any, extension: Any) -> None:
        app = make_app("shop")
        app.config[SETTING] = {"trusted_origins": ["login.example"]}
        with pytest.raises(ConfigurationError, match="DATA_PROTECTION_CROSS_ORIGIN"):
            extension(app)

    def test_an_unknown_name_is_refused(self, make_app: Any, extension: Any) -> None:
        app = make_app("shop")
        app.config[SETTING] = {"trusted": []}
        with pytest.raises(ConfigurationError, match="'trusted' is unknown") as caught:
            extension(app)
        assert caught.value.hint == "use trusted_origins"

    def test_what_both_give_is_refused(self, make_app: Any, extension: Any) -> None:
        app = make_app("shop")
        app.config[SETTING] = {"exempt": ["/hooks"]}
        with pytest.raises(ConfigurationError, match="exempt is given in DATA_PROTECTION_CROSS_ORIGIN and in the call"):
            extension(app, exempt=["/other"])

    def test_the_extension_is_there_once(self, make_app: Any, extension: Any) -> None:
        app = make_app("shop")
        extension(app)
        with pytest.raises(ConfigurationError, match="already has cross-origin protection"):
            extension(app)


def test_the_setting_is_not_one_of_the_ring() -> None:
    app = flask.Flask("shop")
    app.config |= {SETTING: {}, "DATA_PROTECTION_APPLICATION": "shop", "DATA_PROTECTION_REPOSITORY": "memory:"}
    ProtectedSessions(app)
    CrossOriginProtection(app)


def test_a_class_of_views_in_flask_may_have_the_mark() -> None:
    @cross_origin_exempt
    class Hook(MethodView):
        def post(self) -> str:
            return "hook"

    class Derived(Hook):
        pass

    app = flask.Flask("shop")
    CrossOriginProtection(app)
    app.add_url_rule("/hook", view_func=Hook.as_view("hook"))
    app.add_url_rule("/derived", view_func=Derived.as_view("derived"))
    client = app.test_client()
    assert client.post("/hook", headers=dict(FOREIGN)).text == "hook"
    assert client.post("/derived", headers=dict(FOREIGN)).status_code == 403, "the mark is of one class"


# --- Django -----------------------------------------------------------------------------------------------------------


def problems(**settings: Any) -> list[str]:
    """What ``manage.py check`` says."""
    with override_settings(**settings):
        found = checks.run_checks()
    return [f"{each.id} {each.msg} | {each.hint}" for each in found if "E006" in str(each.id) or "E001" in str(each.id)]


def test_manage_py_check_finds_a_wrong_setting() -> None:
    assert problems(DATA_PROTECTION_CROSS_ORIGIN={"exempt": ["/hooks/"]}) == []
    (found,) = problems(DATA_PROTECTION_CROSS_ORIGIN={"trusted_origins": ["login.example"]})
    assert "dpmiddleware.E006" in found
    assert "DATA_PROTECTION_CROSS_ORIGIN[\"trusted_origins\"]='login.example' is not an origin" in found
    (found,) = problems(DATA_PROTECTION_CROSS_ORIGIN={"replaces": True})
    assert "use replaces_csrf" in found
    (found,) = problems(DATA_PROTECTION_CROSS_ORIGIN=["https://a.example"])
    assert "is not a mapping" in found
    (found,) = problems(DATA_PROTECTION_CROSS_ORIGIN={"replaces_csrf": "yes"})
    assert "set it to True or False" in found


def test_djangos_own_trusted_origins_are_taken_over_unless_ours_are_given() -> None:
    from_provider = Request(headers=[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://login.example")])
    settings = {"CSRF_TRUSTED_ORIGINS": ["https://login.example"]}
    assert SHELLS["django"](settings=settings)(from_provider).status == 200
    assert SHELLS["django"](settings=settings, trusted_origins=[])(from_provider).status == 403


def test_a_wildcard_among_djangos_trusted_origins_is_refused_with_a_hint() -> None:
    (found,) = problems(CSRF_TRUSTED_ORIGINS=["https://*.example.com"])
    assert "CSRF_TRUSTED_ORIGINS='https://*.example.com' is not an origin" in found
    assert "list the origins one by one" in found


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse("form")


class Hook(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("hook")


@cross_origin_exempt
class Marked(Hook):
    pass


class Derived(Marked):
    pass


urlpatterns = [
    path("form", form),
    path("hook", csrf_exempt(Hook.as_view())),
    path("marked", csrf_exempt(Marked.as_view())),
    path("derived", csrf_exempt(Derived.as_view())),
]


def with_tokens(**options: Any) -> Any:
    """A site with Django's CSRF middleware after ours."""
    settings = override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[*MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"],
        DATA_PROTECTION_CROSS_ORIGIN=options,
        ALLOWED_HOSTS=["*"],
    )
    with settings:
        return within(settings, ask_wsgi(WSGIHandler()))


OWN_FORM = Request(path="/form", headers=OWN)


def test_tokens_are_still_needed_unless_this_check_replaces_them() -> None:
    assert with_tokens()(OWN_FORM).status == 403
    told = with_tokens(replaces_csrf=True)(OWN_FORM)
    assert (told.status, told.body) == (200, b"form")


def test_a_token_is_still_needed_where_the_browser_does_not_say_same_origin() -> None:
    ask = with_tokens(replaces_csrf=True, trusted_origins=["https://login.example"])
    by_origin = Request(path="/form", headers=[("Origin", "https://app.example")])
    by_trust = Request(path="/form", headers=[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://login.example")])
    without = Request(path="/form")
    for request in (by_origin, by_trust, without):
        told = ask(request)
        assert told.status == 403
        assert b"CSRF" in told.body, "Django's page, not ours"


def test_a_report_is_not_a_permission_to_leave_the_token_out() -> None:
    told = with_tokens(replaces_csrf=True, report_only=True)(Request(path="/form", headers=FOREIGN))
    assert told.status == 403
    assert b"CSRF" in told.body


def test_a_page_without_referrer_may_post_to_itself() -> None:
    """Django's own check refuses the site's form there: its Origin is null."""
    no_referrer = Request(path="/form", headers=[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")])
    assert with_tokens(replaces_csrf=True)(no_referrer).status == 200


def test_views_that_are_csrf_exempt_are_exempt_here_only_if_told() -> None:
    hook = Request(path="/hook", headers=FOREIGN)
    assert with_tokens()(hook).status == 403
    assert with_tokens(respect_csrf_exempt=True)(hook).body == b"hook"
    assert with_tokens(respect_csrf_exempt=True)(Request(path="/form", headers=FOREIGN)).status == 403


def test_a_class_of_views_in_django_may_have_the_mark() -> None:
    ask = with_tokens()
    assert ask(Request(path="/marked", headers=FOREIGN)).body == b"hook"
    assert ask(Request(path="/derived", headers=FOREIGN)).status == 403, "the mark is of one class"
    assert ask(Request(path="/nowhere", headers=FOREIGN)).status == 403


def test_a_host_that_a_proxy_forwards_counts_where_django_is_told_so() -> None:
    forwarded = Request(
        host="backend", headers=[("Origin", "https://app.example"), ("X-Forwarded-Host", "app.example")]
    )
    assert SHELLS["django"]()(forwarded).status == 403
    assert SHELLS["django"](settings={"USE_X_FORWARDED_HOST": True})(forwarded).status == 200


def test_a_request_that_is_https_to_django_is_https_here() -> None:
    insecure = Request(scheme="http", headers=[("Origin", "http://app.example"), ("X-Forwarded-Proto", "https")])
    assert SHELLS["django"]()(insecure).status == 200
    told = SHELLS["django"](settings={"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")})(insecure)
    assert told.status == 403


def test_an_asynchronous_function_answers_in_both_modes_of_django() -> None:
    async def page(request: HttpRequest, verdict: Any) -> HttpResponse:
        return HttpResponse("own", status=400)

    for shell in ("django", "django_asgi"):
        assert SHELLS[shell](on_refused=page)(Request(headers=FOREIGN)).body == b"own"


def test_the_settings_of_these_tests_are_those_of_the_shells() -> None:
    with django_settings():
        assert problems() == []


def test_the_names_of_plain_wsgi_and_asgi_are_the_same() -> None:
    for module in (wsgi, asgi):
        assert "CrossOriginProtectionMiddleware" in module.__all__
