"""The sessions that Django's engines ``db``, ``cache`` and ``cached_db`` keep on the server.

The cookie has a key of 32 lower-case letters and digits, which finds the session. Django's own code reads and writes
it, with Django's settings: the model, the cache, the serializer and the signature of what is stored are Django's.

The key is the id of the session from then on, so ``request.session.session_key`` stays the same.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.extras import import_extra
from dpmiddleware.names import nearest

__all__ = ["DjangoStore", "StoreName"]

StoreName = Literal["db", "cache", "cached_db"]
_NAMES: Final = ("db", "cache", "cached_db")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{22,40}")
"""Django's keys, and the ids of sessions that a member with ``writes_old`` has begun."""


class DjangoStore:
    """Sessions of one engine. name: the engine, as in ``django.contrib.sessions.backends.db``."""

    def __init__(self, name: StoreName) -> None:
        if name not in _NAMES:
            raise ConfigurationError(f"store={name!r} is not an engine of Django", hint=nearest(name, _NAMES))
        import_extra("django", "django", "reading Django's sessions")
        self.name = name

    def check(self) -> None:
        """`ConfigurationError` if the settings of Django do not allow to use the engine."""
        from django.apps import apps

        if self.name != "cache" and not apps.is_installed("django.contrib.sessions"):
            raise ConfigurationError(
                f"store={self.name!r} needs the table of django.contrib.sessions",
                hint="keep django.contrib.sessions in INSTALLED_APPS until the migration is over",
            )
        self._engine()

    def _engine(self) -> Any:
        """The engine's class of sessions."""
        return importlib.import_module(f"django.contrib.sessions.backends.{self.name}").SessionStore

    def read(self, key: str) -> dict[str, Any] | None:
        """The session with this key; ``None`` if there is none, or if it has ended."""
        if not _KEY.fullmatch(key):
            return None
        session = self._engine()(key)
        mapping: dict[str, Any] = session.load()
        return mapping if session.session_key == key else None

    def write(self, key: str, mapping: Mapping[str, Any], *, is_new: bool) -> None:
        """Store a session. ``SessionInterrupted``, as Django raises it, if another request has ended it meanwhile."""
        from django.contrib.sessions.backends.base import CreateError, UpdateError
        from django.contrib.sessions.exceptions import SessionInterrupted

        session = self._engine()(key)
        session._session_cache = dict(mapping)  # noqa: SLF001 (as Django's own cycle_key does)
        try:
            session.save(must_create=is_new)
        except CreateError:  # a member that writes the new form took it over and has left it here
            session.save()
        except UpdateError:
            raise SessionInterrupted("The session was ended by another request before this one was answered.") from None

    def delete(self, key: str) -> None:
        """Delete the session with this key, if there is one."""
        self._engine()().delete(key)
