"""Django: a setting that would fail in requests is an error of ``manage.py check``.

Each trial makes what a request makes of the settings. None does I/O. The database of a ring in ``django:…`` is read
only where checks of Django read one: in ``check --database``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.django.authentication import CookieAuthenticationMiddleware
from dpmiddleware.django.session_cookie import DjangoFormat
from dpmiddleware.django.sessions import SessionStore, begin
from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.repositories.django_database import DjangoKeyRepository
from dpmiddleware.web.sessions.migration import DjangoSessions
from dpmiddleware.web.sessions.stored import StoredSession, milliseconds

__all__ = ["check_database", "check_requests"]

_HINTS: Final = {
    "set secure='always'": "set SESSION_COOKIE_SECURE = True",
    "set http_only=True": "set SESSION_COOKIE_HTTPONLY = True",
    "set path='/'": "set SESSION_COOKIE_PATH = '/'",
    "leave out domain": "set SESSION_COOKIE_DOMAIN = None",
}
"""Hints about `CookieSettings`, with the names of Django's settings."""


@checks.register
def check_requests(**_: Any) -> list[checks.CheckMessage]:
    """Settings that requests would fail with. Found at each start."""
    try:
        get_data_protection()
    except ConfigurationError:
        return []  # another check reports it
    return [error for number, name, trial in _TRIALS for error in _errors(f"dpmiddleware.{number}", name, trial)]


@checks.register(checks.Tags.database)
def check_database(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Whether the table of the ring can be read. A warning: as an error it would keep ``migrate`` from creating it."""
    try:
        repository = get_data_protection().repository
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


def _errors(number: str, name: str, trial: Callable[[], object]) -> list[checks.CheckMessage]:
    try:
        trial()
    except ConfigurationError as error:
        return [checks.Error(f"{name}: {error}", hint=_HINTS.get(error.hint or "", error.hint), id=number)]
    except Exception as error:  # noqa: BLE001 (whatever a request would meet)
        return [checks.Error(f"{name}: {error!r}", hint="correct the setting that the error is about", id=number)]
    return []


def _session() -> None:
    engine = import_module(settings.SESSION_ENGINE).SessionStore
    if not issubclass(engine, SessionStore) or "Pickle" in str(settings.SESSION_SERIALIZER):  # that has a check
        return
    migration = getattr(settings, "DATA_PROTECTION_SESSION_MIGRATION", None)
    if isinstance(migration, DjangoSessions) and migration.store is not None:
        migration.store.check()
    store, now = engine(), get_data_protection().now()
    session = store.take(begin(b""))
    store.ends(session, StoredSession(milliseconds(now), milliseconds(now), b"", {}))
    _ = now + timedelta(seconds=int(store.get_expiry_age()))
    serializer = DjangoFormat(import_string(settings.SESSION_SERIALIZER)())
    serializer.loads(serializer.dumps({"a": 1}))


def _sign_in() -> None:
    _ = CookieAuthenticationMiddleware(lambda _: HttpResponse()).authenticator.now() - get_data_protection().now()


_TRIALS: Final[tuple[tuple[str, str, Callable[[], object]], ...]] = (
    ("E003", "SESSION_*", _session),
    ("E004", "DATA_PROTECTION_COOKIE_AUTHENTICATION", _sign_in),
    ("E005", "SIGNING_BACKEND", lambda: import_string(settings.SIGNING_BACKEND)),
    ("E005", "SECURE_PROXY_SSL_HEADER", lambda: HttpRequest().is_secure()),
)
