"""Flask: ``flask.session`` and sign-in on a ring of keys.

    ProtectedSessions(data_protection=dp).init_app(app)                   # flask.session
    CookieAuthentication(data_protection=dp, login_path="/login").init_app(app)

Then ``sign_in(principal)``, ``sign_out()``, ``current_principal``, ``@login_required`` wherever a request is. Both
read ``DATA_PROTECTION_APPLICATION``, ``DATA_PROTECTION_REPOSITORY``, ``DATA_PROTECTION_KEY_WRAPPER`` … from
``app.config`` where they are given no ``data_protection=`` (names of `DataProtection.from_config`, in capitals).

The session's cookie is the one that ``SESSION_COOKIE_*`` and ``PERMANENT_SESSION_LIFETIME`` describe, with
``SameSite=Lax`` and ``Secure`` as the request where they say nothing. Where there is no ring, a page that needs one is
answered 503 with ``Retry-After``.

Before: the server. After: `dpmiddleware.web.session_cookie`, `dpmiddleware.web.authentication`, then the application.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache, wraps
from operator import itemgetter
from typing import Any, Final, TypeVar, Unpack, cast

import flask
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.datastructures import Headers
from werkzeug.local import LocalProxy

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.web.authentication import AUTHENTICATION_KEY, AuthenticateResult, CookieAuthenticator
from dpmiddleware.web.authentication import CookieAuthentication as RequestAuthentication
from dpmiddleware.web.authentication_options import (
    CookieAuthenticationOptions,
    OptionArguments,
    allow_cookie_redirect,
    api,
)
from dpmiddleware.web.caching import with_cookies
from dpmiddleware.web.cookies import CookieSettings
from dpmiddleware.web.exchange import RETRY_AFTER, UNAVAILABLE
from dpmiddleware.web.migration import SignedSessions
from dpmiddleware.web.redirects import without_body
from dpmiddleware.web.session import Session
from dpmiddleware.web.session_cookie import SessionCookie, SessionExchange
from dpmiddleware.web.steps import drive
from dpmiddleware.web.ticket import AuthenticationProperties, Principal
from dpmiddleware.wsgi import SESSION_KEY, cookie_header, is_https, web_request

__all__ = [
    "CookieAuthentication",
    "FlaskFormat",
    "FlaskSession",
    "ProtectedSessions",
    "allow_cookie_redirect",
    "api",
    "authenticate",
    "challenge",
    "current_principal",
    "forbid",
    "get_data_protection",
    "login_required",
    "sign_in",
    "sign_out",
]

_EXTENSION: Final = "dpmiddleware"
_AUTHENTICATOR: Final = "dpmiddleware.authenticator"
_PREFIX: Final = "DATA_PROTECTION_"
_EXCHANGE: Final = "dpmiddleware.session_exchange"

_TAGGED: Final = '" '
"""Tags are names that begin with a space: without one there is nothing to look for, value by value."""

_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
"""What JSON holds as it is; a class made of one of them may be written otherwise."""

_decode: Final = json.JSONDecoder().raw_decode

_configuration: Final = itemgetter(
    "PERMANENT_SESSION_LIFETIME",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PATH",
    "APPLICATION_ROOT",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_PARTITIONED",
)
"""What of ``app.config`` describes sessions; cheaper to compare on each request than to make their settings."""
_GETTERS: Final = tuple(name for name in vars(SessionInterface) if name.startswith("get_cookie_"))
"""Flask's methods that look it up."""
_AMENDED: Final = frozenset(("vary", "cache-control"))
"""Headers that `with_cookies` may change; others it only adds to."""

_View = TypeVar("_View", bound=Callable[..., Any])


# --- sessions -----------------------------------------------------------------------------------------------


class FlaskFormat:
    """Flask's tagged JSON: tuples, bytes, ``Markup``, ``UUID`` and ``datetime`` come back as what they were.

    provider: the application's ``app.json``; left out: that of the current application, asked each time.
    """

    name = "flask"

    def __init__(self, provider: JSONProvider | None = None) -> None:
        self._serializer = TaggedJSONSerializer()
        self._provider = provider if isinstance(provider, DefaultJSONProvider) and _is_standard(provider) else None

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Tagged JSON as bytes."""
        values, provider = dict(mapping), self._provider
        if provider is not None and self._is_plain((values,)):
            return _encoder(provider.ensure_ascii, provider.sort_keys)(values).encode()
        return self._serializer.dumps(values).encode()

    def loads(self, data: bytes) -> dict[str, Any]:
        """The mapping that `dumps` wrote."""
        text = data.decode()
        if self._provider is None or _TAGGED in text:
            mapping, end = self._serializer.loads(text), len(text)
        else:
            mapping, end = _decode(text)
        if end != len(text) or not isinstance(mapping, dict):
            raise ValueError("not a JSON object")
        return cast("dict[str, Any]", mapping)

    def _is_plain(self, values: Iterable[Any]) -> bool:
        """Whether all of them, and what is in them, are written without any tag."""
        for value in values:
            kind = type(value)
            if kind is dict:
                looks_tagged = len(value) == 1 and next(iter(value)) in self._serializer.tags
                if looks_tagged or not self._is_plain(value.values()):
                    return False
            elif kind is list:
                if not self._is_plain(value):
                    return False
            elif kind not in _PLAIN:
                return False
        return True


def _is_standard(provider: DefaultJSONProvider) -> bool:
    """Whether it reads and writes as Flask's own, whatever its options."""
    methods = ((provider.dumps, DefaultJSONProvider.dumps), (provider.loads, DefaultJSONProvider.loads))
    return all(getattr(method, "__func__", None) is flasks for method, flasks in methods)


@lru_cache(maxsize=4)
def _encoder(ensure_ascii: bool, sort_keys: bool) -> Callable[[object], str]:
    """As `DefaultJSONProvider` writes what needs no help."""
    return json.JSONEncoder(ensure_ascii=ensure_ascii, sort_keys=sort_keys, separators=(",", ":")).encode


class FlaskSession(Session, SessionMixin):
    """``flask.session``: a dictionary with ``permanent``, ``modified``, ``accessed``, read at first use."""


class ProtectedSessions:
    """Flask extension: keeps ``flask.session`` in a protected cookie.

    data_protection: else from ``DATA_PROTECTION_*``. cookie: its settings, in place of ``SESSION_COOKIE_*``.
    migration: reads (or writes) the cookies that Flask signed under a ``SECRET_KEY``.
    absolute: how long after it was created a session ends; ``None``: it lives as long as it is used.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        data_protection: DataProtection | None = None,
        cookie: CookieSettings | None = None,
        migration: SignedSessions | None = None,
        absolute: timedelta | None = None,
    ) -> None:
        self._data_protection = data_protection
        self._cookie, self._migration, self._absolute = cookie, migration, absolute
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Put the sessions of ``app`` under its ring."""
        data_protection = _register(app, self._data_protection)
        app.session_interface = _Interface(data_protection, self._cookie, self._migration, self._absolute)


class _Interface(SessionInterface):
    """What Flask asks of sessions."""

    def __init__(
        self,
        data_protection: DataProtection,
        cookie: CookieSettings | None,
        migration: SignedSessions | None,
        absolute: timedelta | None,
    ) -> None:
        self._data_protection = data_protection
        self._cookie, self._migration, self._absolute = cookie, migration, absolute
        self._overridden = [name for name in _GETTERS if getattr(type(self), name) is not vars(SessionInterface)[name]]
        self._made: tuple[object, SessionCookie] | None = None

    def open_session(self, app: flask.Flask, request: flask.Request) -> FlaskSession:
        """The session of a request; it is opened when somebody touches it."""
        environ = request.environ
        exchange = self._session_cookie(app).begin(
            cookie_header(environ), https=is_https(environ), session_type=FlaskSession
        )
        session = environ[SESSION_KEY] = exchange.session
        environ[_EXCHANGE] = exchange
        if AUTHENTICATION_KEY in environ:
            environ[AUTHENTICATION_KEY].attach(session)
        elif _AUTHENTICATOR in app.extensions:
            session.bind(lambda: _authentication(app, request).subject)
        return cast("FlaskSession", session)

    def save_session(self, app: flask.Flask, session: SessionMixin, response: flask.Response) -> None:
        """Write what changed into the response."""
        exchange: SessionExchange = flask.request.environ[_EXCHANGE]
        if session.accessed:
            try:
                exchange.expires = self.get_expiration_time(app, session)
                lines = exchange.cookie.lines(exchange)
            except KeyManagementError as error:
                _become_unavailable(response, error)
                return
            _add_cookies(response, lines)
        exchange.close()

    def _session_cookie(self, app: flask.Flask) -> SessionCookie:
        """Made anew when the configuration has changed, as Flask allows until the first request."""
        described = (app.json, *_configuration(app.config))
        if self._overridden:
            described += tuple(getattr(self, name)(app) for name in self._overridden)
        made = self._made
        if made is not None and made[0] == described:
            return made[1]
        cookie = SessionCookie(
            self._data_protection,
            self._cookie or self._settings(app),
            idle=app.permanent_session_lifetime,
            absolute=self._absolute,
            value_format=FlaskFormat(app.json),
            migration=self._migration,
        )
        self._made = (described, cookie)
        return cookie

    def _settings(self, app: flask.Flask) -> CookieSettings:
        """The cookie in Flask's words."""
        domain, same_site = self.get_cookie_domain(app), self.get_cookie_samesite(app)
        return CookieSettings(
            self.get_cookie_name(app),
            path=self.get_cookie_path(app),
            domain=domain and domain.lstrip("."),  # as Werkzeug writes it, and as its test client can read it
            secure="always" if self.get_cookie_secure(app) else "same_as_request",
            http_only=self.get_cookie_httponly(app),
            same_site=cast("Any", "lax" if same_site is None else same_site.lower()),
            partitioned=self.get_cookie_partitioned(app),
        )


def _add_cookies(response: flask.Response, lines: Sequence[str]) -> None:
    """What `with_cookies` does, in place where it only adds."""
    headers = response.headers
    if not _AMENDED.isdisjoint([name.lower() for name, _ in headers]):
        response.headers = _replaced(headers, with_cookies(list(headers), lines))
        return
    for line in lines:
        headers.add("set-cookie", line)
    headers.add("vary", "Cookie")
    if lines:
        headers.add("cache-control", "no-store")


def _replaced(headers: Headers, finished: list[tuple[str, str]]) -> Headers:
    """The headers of a response, finished; those that were there stay as they are where they only grew."""
    before = list(headers)
    if finished[: len(before)] != before:
        return Headers(finished)
    for name, value in finished[len(before) :]:
        headers.add(name, value)
    return headers


# --- sign-in ------------------------------------------------------------------------------------------------


class CookieAuthentication:
    """Flask extension: cookie authentication; sign-ins can be shared with ASP.NET Core.

    Options: those of `dpmiddleware.web.authentication_options.CookieAuthenticationOptions`. Events are given Flask's
    request.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        data_protection: DataProtection | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        self._data_protection = data_protection
        self._options = CookieAuthenticationOptions(**options)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Let ``app`` sign people in. Call it before other extensions that change responses."""
        data_protection = _register(app, self._data_protection)
        app.extensions[_AUTHENTICATOR] = CookieAuthenticator(data_protection, self._options)
        app.after_request(_finish)


def sign_in(principal: Principal, properties: AuthenticationProperties | None = None) -> None:
    """Sign ``principal`` in with the response to this request; the session is renewed."""
    _current().sign_in(principal, properties)


def sign_out(properties: AuthenticationProperties | None = None) -> None:
    """Sign the user out with the response to this request; the session is emptied."""
    _current().sign_out(properties)


def authenticate() -> AuthenticateResult:
    """What the request's cookie said: the ticket with its properties, or why there is none."""
    return _current().result


def challenge(properties: AuthenticationProperties | None = None) -> flask.Response:
    """The response that sends a browser to the login page, and tells a program 401."""
    _current().challenge(properties, endpoint=_endpoint())
    return flask.Response(status=401)


def forbid(properties: AuthenticationProperties | None = None) -> flask.Response:
    """The response that sends a browser to the access-denied page, and tells a program 403."""
    _current().forbid(properties, endpoint=_endpoint())
    return flask.Response(status=403)


def login_required(view: _View) -> _View:
    """Challenge whoever is not signed in; plain and ``async`` views."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _current().principal.is_authenticated:
            return challenge()
        return flask.current_app.ensure_sync(view)(*args, **kwargs)

    return cast("_View", guarded)


def _current() -> RequestAuthentication:
    request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented so)
    return _authentication(flask.current_app, request)


current_principal: Principal = cast("Principal", LocalProxy(lambda: _current().principal))
"""The user of the request, nobody included."""


def _authentication(app: flask.Flask, request: flask.Request) -> RequestAuthentication:
    """That of the request: the middleware's around the application, else made at first use."""
    environ = request.environ
    if AUTHENTICATION_KEY not in environ:
        authenticator = app.extensions.get(_AUTHENTICATOR)
        if authenticator is None:
            raise ConfigurationError(
                "this application has no cookie authentication", hint="CookieAuthentication(…).init_app(app)"
            )
        authentication = environ[AUTHENTICATION_KEY] = authenticator.begin(web_request(environ, request))
        if isinstance(environ.get(SESSION_KEY), Session):
            authentication.attach(environ[SESSION_KEY])
    found: RequestAuthentication = environ[AUTHENTICATION_KEY]
    return found


def _finish(response: flask.Response) -> flask.Response:
    """Sign in, out, renew or redirect, before the session is saved."""
    authentication = flask.request.environ.get(AUTHENTICATION_KEY)
    if authentication is None or not authentication.touched:
        return response
    try:
        outcome = drive(authentication.finish(response.status_code, list(response.headers)))
    except KeyManagementError as error:
        _become_unavailable(response, error)
        return response
    if outcome.replaces_body:
        response.set_data(b"")
    response.status_code = outcome.status
    response.headers = Headers(without_body(outcome.headers) if outcome.replaces_body else outcome.headers)
    return response


def _endpoint() -> object:
    return flask.current_app.view_functions.get(flask.request.endpoint or "")


# --- both ---------------------------------------------------------------------------------------------------


def get_data_protection(app: flask.Flask | None = None) -> DataProtection:
    """The data protection of an application, by default the current one."""
    found = (app or flask.current_app).extensions.get(_EXTENSION)
    if not isinstance(found, DataProtection):
        raise ConfigurationError(
            "this application has no data protection", hint="ProtectedSessions(data_protection=dp).init_app(app)"
        )
    return found


def _register(app: flask.Flask, data_protection: DataProtection | None) -> DataProtection:
    """The application's data protection: the one given, that of another extension, or from its configuration."""
    found = data_protection or app.extensions.get(_EXTENSION) or _from_config(app)
    if app.extensions.setdefault(_EXTENSION, found) is not found:
        raise ConfigurationError(
            "this application has another data protection already", hint="give all extensions the same object"
        )
    if KeyManagementError not in app.error_handler_spec[None][None]:
        app.register_error_handler(KeyManagementError, _unavailable)
    return cast("DataProtection", found)


def _from_config(app: flask.Flask) -> DataProtection:
    given = {
        name.removeprefix(_PREFIX).lower(): value for name, value in app.config.items() if name.startswith(_PREFIX)
    }
    if not given:
        raise ConfigurationError(
            "no data protection for this application",
            hint="data_protection=DataProtection(…), or DATA_PROTECTION_APPLICATION and others in app.config",
        )
    return DataProtection.from_config(given)


def _unavailable(error: KeyManagementError) -> flask.Response:
    """The handler of outages; an application's own dealings with keys stay its errors."""
    environ = flask.request.environ
    parts = (environ.get(SESSION_KEY), environ.get(AUTHENTICATION_KEY))
    if get_data_protection().health().ready and not any(getattr(part, "failure", None) is error for part in parts):
        raise error
    response = flask.Response()
    _become_unavailable(response, error)
    return response


def _become_unavailable(response: flask.Response, error: KeyManagementError) -> None:
    """503 in the place of what the application answered: an outage is nobody's sign-out."""
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    response.set_data(UNAVAILABLE)
    response.status_code = 503
    response.headers = Headers(RETRY_AFTER)
