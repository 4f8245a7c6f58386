"""``flask.session`` in a protected cookie.

The cookie is the one that ``SESSION_COOKIE_*`` and ``PERMANENT_SESSION_LIFETIME`` describe, with ``SameSite=Lax`` and
``Secure`` as the request where they say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, ClassVar, Final, cast

import flask
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin

from dpmiddleware.annotations import span
from dpmiddleware.arguments import checked
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.flask.authentication import AUTHENTICATOR, authentication_of
from dpmiddleware.flask.extension import finish, register
from dpmiddleware.keys import waiting
from dpmiddleware.naming import SESSION_COOKIE, renamed
from dpmiddleware.secret_sources import shown_value
from dpmiddleware.serialization import json_encoder, serialize
from dpmiddleware.web import parts
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import RequestSession, SessionCookie
from dpmiddleware.web.sessions.old_sessions import OldSessions
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import json_object, mapping_in
from dpmiddleware.wsgi import SESSION_KEY, cookie_header, is_https, where

__all__ = ["MAX_TOTAL", "FlaskFormat", "FlaskInterface", "FlaskSession", "ProtectedSessions"]

_PART: Final = "dpmiddleware.session_part"

_TAGGED: Final = '" '
"""Tags are names that begin with a space. Text without this needs no search for them."""

_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
"""Types that JSON writes without a tag; a subclass may be written differently."""

_LIFETIME: Final = "PERMANENT_SESSION_LIFETIME"
MAX_TOTAL: Final = "SESSION_COOKIE_MAX_TOTAL"
"""A setting of ours: ``max_total`` of `CookieSettings`."""

_configuration: Final = itemgetter(
    _LIFETIME,
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PATH",
    "APPLICATION_ROOT",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_PARTITIONED",
    MAX_TOTAL,
)
"""The part of ``app.config`` that describes sessions. Comparing it is cheaper than creating the settings again."""
_GETTERS: Final = tuple(name for name in vars(SessionInterface) if name.startswith("get_cookie_"))
"""Flask's methods that read it."""


class FlaskFormat:
    """Flask's tagged JSON: tuples, bytes, ``Markup``, ``UUID`` and ``datetime`` keep their types.

    provider: the application's ``app.json``; by default that of the current application, read each time.
    """

    name = "flask"

    def __init__(self, provider: JSONProvider | None = None) -> None:
        self._serializer = TaggedJSONSerializer()
        self._provider = provider if isinstance(provider, DefaultJSONProvider) and _is_standard(provider) else None

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """Tagged JSON as bytes."""
        return serialize(self._dumps, dict(mapping), "session").encode()

    def _dumps(self, values: dict[str, Any]) -> str:
        provider = self._provider
        if provider is not None and self._is_plain((values,)):
            return _encoder(provider.ensure_ascii, provider.sort_keys)(values)
        return self._serializer.dumps(values)

    def loads(self, data: bytes) -> dict[str, Any]:
        """The mapping that `dumps` wrote."""
        text = data.decode()
        if self._provider is not None and _TAGGED not in text:
            return json_object(text)
        return mapping_in(self._serializer.loads, text, "JSON object")

    def _is_plain(self, values: Iterable[Any]) -> bool:
        """Whether all values, nested ones too, are written without a tag."""
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


def _lifetime(app: flask.Flask) -> timedelta:
    """``PERMANENT_SESSION_LIFETIME``, which Flask does not check."""
    given = app.config[_LIFETIME]
    try:
        return span(given)
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(
            f"{_LIFETIME}={shown_value(given)} is not a time",
            hint=f"set {_LIFETIME} = timedelta(hours=1), or a number of seconds",
        ) from None


def _is_standard(provider: DefaultJSONProvider) -> bool:
    """Whether a provider reads and writes as Flask's own does."""
    methods = ((provider.dumps, DefaultJSONProvider.dumps), (provider.loads, DefaultJSONProvider.loads))
    return all(getattr(method, "__func__", None) is flasks for method, flasks in methods)


@lru_cache(maxsize=4)
def _encoder(ensure_ascii: bool, sort_keys: bool) -> Callable[[object], str]:
    """Encodes plain values as `DefaultJSONProvider` does."""
    return json_encoder(ensure_ascii=ensure_ascii, sort_keys=sort_keys)


class FlaskSession(Session, SessionMixin):
    """``flask.session``: a dictionary with ``permanent``, ``modified``, ``accessed``, read at first use."""

    refuses_late_changes = False

    @property
    def accessed(self) -> bool:
        """Whether a value was read, changed or asked for.

        What the frameworks set here is ignored. Flask from 3.1.3 and Quart from 0.23 set it when the session is looked
        up, without knowing what for, and Quart looks it up in every request, to save it. That would open every session,
        and make every page one that depends on cookies.
        """
        return self.touched

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Nothing is set: see above."""


@checked
class ProtectedSessions:
    """Flask extension: keeps ``flask.session`` in a protected cookie.

    data_protection: by default from ``DATA_PROTECTION_*``.
    cookie: its settings, instead of ``SESSION_COOKIE_*``.
    migration: reads (or writes) the cookies that Flask signs with a ``SECRET_KEY``.
    absolute: how long a session lives after it was created; ``None``: as long as it is used.
    """

    _foreign_names: ClassVar = {
        "secret_key": "pass data_protection=; to read the sessions that Flask signed, also "
        "migration=FlaskSessions(secret_key, until=...)"
    }

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        data_protection: DataProtection | None = None,
        cookie: CookieSettings | None = None,
        migration: OldSessions | None = None,
        absolute: timedelta | None = None,
    ) -> None:
        self._data_protection = data_protection
        self._cookie, self._migration, self._absolute = cookie, migration, absolute
        if app is not None:
            self.init_app(app)

    @checked
    def init_app(self, app: flask.Flask) -> None:
        """Protect the sessions of ``app``."""
        data_protection = register(app, self._data_protection)
        app.config.setdefault(MAX_TOTAL, CookieSettings("default").max_total)
        app.session_interface = FlaskInterface(data_protection, self._cookie, self._migration, self._absolute)


class FlaskInterface(SessionInterface):
    """Flask's interface to sessions."""

    def __init__(
        self,
        data_protection: DataProtection,
        cookie: CookieSettings | None,
        migration: OldSessions | None,
        absolute: timedelta | None,
    ) -> None:
        self._data_protection = data_protection
        self._cookie, self._migration, self._absolute = cookie, migration, absolute
        self._overridden = [name for name in _GETTERS if getattr(type(self), name) is not vars(SessionInterface)[name]]
        self._made: tuple[object, SessionCookie] | None = None

    def open_session(self, app: flask.Flask, request: flask.Request) -> FlaskSession:
        """The session of a request; it is opened when the application touches it."""
        environ = request.environ
        part = self.cookie_of(app).begin(cookie_header(environ), (where, environ), is_https(environ), FlaskSession)
        session = environ[SESSION_KEY] = part.session
        environ[_PART] = part
        has_sign_in = AUTHENTICATOR in app.extensions
        if has_sign_in:
            session.bind(lambda: authentication_of(app, request).subject)
        parts.join(environ, part, binds=not has_sign_in)
        return cast("FlaskSession", session)

    def save_session(self, app: flask.Flask, session: SessionMixin, response: flask.Response) -> None:
        """Write what has changed into the response."""
        environ = flask.request.environ
        if _PART not in environ:  # the context was made with a session
            self.open_session(app, flask.request)
        part: RequestSession = environ[_PART]
        if session is not part.session:
            part.adopt(session)
        if part.session.touched:
            try:
                part.expires = self.get_expiration_time(app, cast("FlaskSession", part.session))
            except KeyManagementError as error:
                part.failure = error
            finish(response, part)
        else:
            part.close()
        if environ[parts.PARTS_KEY][0] is part:  # the middleware around an application answers later
            waiting.end()  # here, because Flask examines each function of teardown_request in each request

    def cookie_of(self, app: flask.Flask) -> SessionCookie:
        """The session cookie of the current configuration, which may change until the first request."""
        described = (app.json, *_configuration(app.config))
        if self._overridden:
            described += tuple(getattr(self, name)(app) for name in self._overridden)
        made = self._made
        if made is not None and made[0] == described:
            return made[1]
        with renamed({**SESSION_COOKIE, "idle": _LIFETIME}):
            cookie = SessionCookie(
                self._data_protection,
                self._cookie or self._settings(app),
                idle=_lifetime(app),
                absolute=self._absolute,
                value_format=FlaskFormat(app.json),
                migration=self._migration,
            )
        self._made = (described, cookie)
        return cookie

    def _settings(self, app: flask.Flask) -> CookieSettings:
        """The settings of the cookie, from Flask's configuration."""
        domain, same_site = self.get_cookie_domain(app), self.get_cookie_samesite(app)
        return CookieSettings(
            self.get_cookie_name(app),
            path=self.get_cookie_path(app),
            domain=domain.lstrip(".")
            if isinstance(domain, str)
            else domain,  # as Werkzeug writes it, and as its test client can read it
            secure="always" if self.get_cookie_secure(app) else "same_as_request",
            http_only=bool(self.get_cookie_httponly(app)),
            same_site=cast("Any", "lax" if same_site is None else same_site),
            partitioned=bool(self.get_cookie_partitioned(app)),
            max_total=app.config[MAX_TOTAL],
        )
