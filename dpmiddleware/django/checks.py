"""Django: a setting that would fail in requests is an error of ``manage.py check``.

Each trial makes what a request makes of the settings. None does I/O. The database of a ring in ``django:…`` is read
only where checks of Django read one: in ``check --database``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from types import NoneType
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from dpmiddleware.cross_origin.django import CrossOriginProtectionMiddleware
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.django.authentication import CookieAuthenticationMiddleware
from dpmiddleware.django.session_cookie import DjangoFormat
from dpmiddleware.django.sessions import SessionStore, begin
from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.naming import CROSS_ORIGIN
from dpmiddleware.printable import printable
from dpmiddleware.repositories.django_database import DjangoKeyRepository
from dpmiddleware.secret_sources import may_be_secret
from dpmiddleware.web.sessions.migration import DjangoSessions
from dpmiddleware.web.sessions.stored import StoredSession, milliseconds

__all__ = ["check_database", "check_requests"]

_Step = tuple[str, Callable[[], object]]
"""The name of a setting, and what a request does with it."""
_MIGRATION: Final = "DATA_PROTECTION_SESSION_MIGRATION"
_HINTS: Final = {
    "SESSION_COOKIE_AGE": "set SESSION_COOKIE_AGE to a number of seconds, such as 1209600",
    "SESSION_ENGINE": "set SESSION_ENGINE = 'dpmiddleware.django.sessions'",
    "SESSION_SERIALIZER": "set SESSION_SERIALIZER to the path of a serializer, or leave it out",
    "SESSION_COOKIE_DOMAIN": "set SESSION_COOKIE_DOMAIN to text, or None",
    "SESSION_COOKIE_PATH": "set SESSION_COOKIE_PATH to text, such as '/'",
    _MIGRATION: "use DjangoSessions(SECRET_KEY, until=...), or None",
    "SIGNING_BACKEND": "set SIGNING_BACKEND = 'dpmiddleware.django.signing.ProtectedSigner'",
    "SECURE_PROXY_SSL_HEADER": "set SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')",
}


@checks.register
def check_requests(**_: Any) -> list[checks.CheckMessage]:
    """Settings that requests would fail with. Found at each start."""
    try:
        get_data_protection()
    except ConfigurationError:
        return []  # another check reports it
    return [error for number, steps in _TRIALS for error in _errors(f"dpmiddleware.{number}", steps)]


@checks.register(checks.Tags.database)
def check_database(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Whether the table of the ring can be read. A warning: as an error it would keep ``migrate`` from creating it."""
    try:
        repository = get_data_protection().with_parts().repository
    except ConfigurationError:
        return []  # another check reports it
    migrates = any("migrate" in word for word in sys.argv[1:2])  # whatever it finds missing, it is about to create
    if migrates or not isinstance(repository, DjangoKeyRepository) or repository.alias not in (databases or ()):
        return []
    try:
        repository.version()
    except RepositoryError as error:
        return [checks.Warning(str(error), hint=error.hint, id="dpmiddleware.W007")]
    return []


def _errors(number: str, steps: Callable[[], Iterator[_Step]]) -> Iterator[checks.CheckMessage]:
    """The first step that fails: those after it depend on it."""
    for name, step in steps():
        try:
            step()
        except ConfigurationError as error:
            yield checks.Error(f"{name}: {error}", hint=error.hint, id=number)
        except Exception as error:  # noqa: BLE001 (whatever a request would meet)
            yield checks.Error(f"{name}{_value(name)}: {error!r}", hint=_HINTS.get(name, f"correct {name}"), id=number)
        else:
            continue
        return


def _value(name: str) -> str:
    """The value of a setting, if it is text that holds no secret, or a number or a list of such."""
    if name == _MIGRATION or not hasattr(settings, name):
        return ""
    value = getattr(settings, name)
    shown = repr(value)
    is_plain = isinstance(value, (str, int, float, timedelta, list, tuple, NoneType))
    return f" = {printable(shown, 80)}" if is_plain and not may_be_secret(shown) else ""


def _session() -> Iterator[_Step]:
    engine: Any = None

    def find() -> None:
        nonlocal engine
        engine = import_module(settings.SESSION_ENGINE).SessionStore

    yield "SESSION_ENGINE", find
    if not issubclass(engine, SessionStore) or "Pickle" in str(settings.SESSION_SERIALIZER):  # that has a check
        return
    yield "SESSION_COOKIE_AGE", _age
    yield "SESSION_SERIALIZER", _serializer
    yield "SESSION_COOKIE_DOMAIN", lambda: hash(settings.SESSION_COOKIE_DOMAIN)
    yield "SESSION_COOKIE_PATH", lambda: hash(settings.SESSION_COOKIE_PATH)
    yield _MIGRATION, _migration
    yield "SESSION_COOKIE_*", lambda: begin(b"")
    yield "SESSION_ENGINE", lambda: _ends(engine())


def _age() -> None:
    _ = get_data_protection().now() + timedelta(seconds=settings.SESSION_COOKIE_AGE)


def _migration() -> None:
    migration = getattr(settings, _MIGRATION, None)
    hash(migration)
    if isinstance(migration, DjangoSessions) and migration.store is not None:
        migration.store.check()


def _serializer() -> None:
    serializer = DjangoFormat(import_string(settings.SESSION_SERIALIZER)())
    serializer.loads(serializer.dumps({"a": 1}))


def _ends(store: SessionStore) -> None:
    now = get_data_protection().now()
    session = store.take(begin(b""))
    store.ends(session, StoredSession(milliseconds(now), milliseconds(now), b"", {}))
    _ = now + timedelta(seconds=int(store.get_expiry_age()))


def _sign_in() -> Iterator[_Step]:
    middleware: Any = CookieAuthenticationMiddleware
    name = "DATA_PROTECTION_COOKIE_AUTHENTICATION"
    yield name, lambda: middleware(lambda _: HttpResponse()).authenticator.now() - get_data_protection().now()


def _cross_origin() -> Iterator[_Step]:
    yield CROSS_ORIGIN, lambda: CrossOriginProtectionMiddleware(lambda _: HttpResponse())


def _others() -> Iterator[_Step]:
    yield "SIGNING_BACKEND", lambda: import_string(settings.SIGNING_BACKEND)


def _proxy() -> Iterator[_Step]:
    yield "SECURE_PROXY_SSL_HEADER", lambda: HttpRequest().is_secure()


_TRIALS: Final[tuple[tuple[str, Callable[[], Iterator[_Step]]], ...]] = (
    ("E003", _session),
    ("E004", _sign_in),
    ("E005", _others),
    ("E005", _proxy),
    ("E006", _cross_origin),
)
