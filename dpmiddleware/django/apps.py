"""Django: the settings of an application, and the findings of ``manage.py check``.

    DATA_PROTECTION = {"application": "shop", "repository": "django:default", "key_wrapper": "awskms:///…"}
    DATA_PROTECTION_COOKIE_AUTHENTICATION = {"login_path": "/login", …}    # options of cookie authentication
    DATA_PROTECTION_CROSS_ORIGIN = {"trusted_origins": ["https://…"], …}   # options of cross-origin protection
    DATA_PROTECTION_SESSION_MIGRATION = DjangoSessions(store="db", until=…)

``DATA_PROTECTION`` has the names of `DataProtection.from_config`, or is a `DataProtection` object. Without it, the
variables ``DPM_…`` count (`DataProtection.from_env`).

While tests run, it gives a ring in memory, so that no test touches the real one. A test sets another one with
``override_settings``; ``"TEST": {"repository": …}`` in ``DATA_PROTECTION`` sets one for all tests.
"""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from dpmiddleware import under_test
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.forks import after_fork
from dpmiddleware.names import refuse_unknown
from dpmiddleware.naming import CROSS_ORIGIN, DJANGO
from dpmiddleware.ring_in_memory import RingInMemory
from dpmiddleware.settings import is_in_environment
from dpmiddleware.tracebacks import hides_locals

__all__ = ["ENGINE", "DataProtectionConfig", "get_data_protection", "middleware_of", "report_findings"]

ENGINE: Final = "dpmiddleware.django.sessions"
_MIDDLEWARE: Final = "dpmiddleware.django.sessions.SessionMiddleware"
_SIGNER: Final = "dpmiddleware.django.signing.ProtectedSigner"
_ROW_PER_SESSION: Final = ("allauth.usersessions", "qsessions", "user_sessions")
"""Applications that list the sessions of a user and end them, in a table with a row per session."""
_SETTING: Final = "DATA_PROTECTION"
_SETTINGS: Final = (
    _SETTING,
    "DATA_PROTECTION_COOKIE_AUTHENTICATION",
    CROSS_ORIGIN,
    "DATA_PROTECTION_SESSION_MIGRATION",
)
_HINT: Final = (
    'set DATA_PROTECTION = {"application": "shop", "repository": "django:default"}; '
    "or leave it out, and set DPM_APPLICATION, DPM_REPOSITORY and others in the environment"
)

_OF_A_PLACE: Final = ("repository", "key_wrapper", "signer", "trusted_signers", "auto_create_keys")
"""What a ring for tests has for itself."""

_lock = threading.Lock()
_made: dict[tuple[int, bool], tuple[object, DataProtection]] = {}
_overrides = 0
"""How many ``override_settings`` of ``DATA_PROTECTION`` are in force."""


@after_fork
def _renew_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


class DataProtectionConfig(AppConfig):
    """The application ``dpmiddleware.django``."""

    name = "dpmiddleware.django"
    label = "dpmiddleware"
    verbose_name = "Data protection"

    def ready(self) -> None:
        """Register the checks."""
        checks.register(check_settings)
        checks.register(report_findings, checks.Tags.security, deploy=True)


def get_data_protection() -> DataProtection:
    """The data protection of ``settings.DATA_PROTECTION``: one object until the setting changes."""
    given: object = getattr(settings, "DATA_PROTECTION", None)
    in_test = not _overrides and under_test.is_running()
    if isinstance(given, DataProtection) and not in_test:
        return given
    made = _made.get((id(given), in_test))  # without the lock: in each request
    return made[1] if made is not None else _made_from(given, in_test=in_test)


@hides_locals
def _made_from(given: object, *, in_test: bool) -> DataProtection:
    with _lock:
        made = _made.get((id(given), in_test))
        if made is None:
            _made.clear()
            made = _made[id(given), in_test] = (given, _from_setting(given, in_test=in_test))
        return made[1]


def _from_setting(given: object, *, in_test: bool) -> DataProtection:
    if isinstance(given, DataProtection):
        return RingInMemory.like(given)
    _refuse_unknown_settings()
    if given is None and is_in_environment(os.environ):
        return (RingInMemory if in_test else DataProtection).from_env()
    if not isinstance(given, Mapping):
        problem = "not set" if given is None else f"not a mapping: it is of the type {type(given).__name__}"
        raise ConfigurationError(f"settings.DATA_PROTECTION is {problem}", hint=_HINT)
    values = {str(name).lower(): value for name, value in given.items()}
    tests = values.pop("test", None)
    if not in_test:
        return DataProtection.from_config(values, naming=DJANGO)
    if not tests:
        return RingInMemory.from_config(values, naming=DJANGO)
    kept = {name: value for name, value in values.items() if name not in _OF_A_PLACE}
    own = {str(name).lower(): value for name, value in tests.items()}
    return DataProtection.from_config(kept | own, naming=DJANGO)


def _refuse_unknown_settings() -> None:
    names = [name for name in dir(settings) if name.isupper()]
    similar = [] if _SETTING in names else difflib.get_close_matches(_SETTING, names, 1, 0.85)
    refuse_unknown([*similar, *(name for name in names if name.startswith(_SETTING))], _SETTINGS)


def _forget(*, setting: str, enter: bool = True, **_: Any) -> None:
    """A test has changed the settings, or changed them back."""
    global _overrides  # noqa: PLW0603
    if setting == _SETTING:
        _made.clear()
        _overrides = max(0, _overrides + (1 if enter else -1))


setting_changed.connect(_forget)


# --- checks -------------------------------------------------------------------------------------------------


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Settings that cannot work. Found at each start."""
    try:
        get_data_protection()
        _refuse_unknown_settings()
    except ConfigurationError as error:
        return [checks.Error(str(error), hint=error.hint, id="dpmiddleware.E001")]
    if settings.SESSION_ENGINE != ENGINE:
        return []
    if "Pickle" in str(settings.SESSION_SERIALIZER):
        return [
            checks.Error(
                "sessions are pickled", hint="set SESSION_SERIALIZER to a JSON serializer", id="dpmiddleware.E002"
            )
        ]
    return [
        checks.Warning(
            f"{name} cannot end sessions that are in cookies: it deletes its row, and the session stays valid",
            hint="set SESSION_ENGINE = 'django.contrib.sessions.backends.db', or do not install it",
            id="dpmiddleware.W006",
        )
        for name in _ROW_PER_SESSION
        if any(f"{installed}.".startswith(f"{name}.") for installed in settings.INSTALLED_APPS)
    ]


def _is_in_memory(given: object, protection: DataProtection) -> bool:
    """Whether the setting keeps the keys in memory; while tests run, its ring is there in any case."""
    if isinstance(protection, RingInMemory) and isinstance(given, Mapping):
        return {str(name).lower(): value for name, value in given.items()}.get("repository") == "memory:"
    return protection.repository.location == "memory:" and not isinstance(protection, RingInMemory)


def _is_unwrapped(given: object, protection: DataProtection) -> bool:
    """Whether keys are stored unencrypted; while tests run, whether the setting names no wrapper."""
    if not isinstance(protection, RingInMemory):
        return not protection.manager.wrappers
    if isinstance(given, DataProtection):
        return "key_wrapper" not in given.stated
    names = given if isinstance(given, Mapping) else is_in_environment(os.environ)
    return "key_wrapper" not in {str(name).lower() for name in names}


def middleware_of(wanted: type) -> Iterator[Any]:
    """The project's middleware of this class: under any of its names, or as a subclass."""
    for path in settings.MIDDLEWARE:
        kind: object = None
        with suppress(ImportError):  # Django names it when it starts
            kind = import_string(path)
        if isinstance(kind, type) and issubclass(kind, wanted):
            yield kind


def report_findings(**_: Any) -> list[checks.CheckMessage]:
    """Settings that are unfit for production. Found by ``check --deploy``."""
    try:
        protection = get_data_protection().with_parts()
    except ConfigurationError:
        return []  # check_settings reports it
    uses_engine = settings.SESSION_ENGINE == ENGINE
    given = getattr(settings, "DATA_PROTECTION", None)
    findings = (
        (
            _is_in_memory(given, protection),
            "W001",
            "keys are in memory only: a restart signs all users out, and workers do not share keys",
            "set a repository in DATA_PROTECTION",
        ),
        (
            _is_unwrapped(given, protection),
            "W002",
            "keys are stored unencrypted",
            "set a key_wrapper in DATA_PROTECTION",
        ),
        (
            uses_engine and not any(middleware_of(import_string(_MIDDLEWARE))),  # that module imports this one
            "W003",
            "sessions are protected, but Django's own middleware writes them: long sessions are lost",
            f"put {_MIDDLEWARE} in place of Django's middleware",
        ),
        (
            settings.SIGNING_BACKEND != _SIGNER,
            "W004",
            "signed cookies and messages still depend on SECRET_KEY",
            f"set SIGNING_BACKEND = {_SIGNER!r}",
        ),
        (
            uses_engine and not settings.SESSION_COOKIE_SECURE,
            "W005",
            "the session cookie is Secure only if Django sees the request as HTTPS",
            "set SESSION_COOKIE_SECURE = True, and behind a proxy SECURE_PROXY_SSL_HEADER as well",
        ),
    )
    reported = [finding for finding in findings if finding[0]]
    return [checks.Warning(text, hint=hint, id=f"dpmiddleware.{number}") for _, number, text, hint in reported]
