"""The session cookie that Django's settings describe: ``SESSION_COOKIE_*`` and ``SESSION_SERIALIZER``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, cast

from django.conf import settings
from django.core.signing import JSONSerializer
from django.utils.module_loading import import_string

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.naming import SESSION_COOKIE, renamed
from dpmiddleware.serialization import json_encoder, serialize
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.cookie import SessionCookie
from dpmiddleware.web.sessions.old_sessions import OldSessions
from dpmiddleware.web.sessions.stored import json_object, mapping_in

__all__ = ["DjangoFormat", "session_cookie"]

_COOKIE_SETTINGS: Final = (
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_SERIALIZER",
)
_MAX_TOTAL: Final = "SESSION_COOKIE_MAX_TOTAL"
"""A setting of ours: ``max_total`` of `CookieSettings`."""
_MIGRATION: Final = "DATA_PROTECTION_SESSION_MIGRATION"
_asked_for: Final = itemgetter(*_COOKIE_SETTINGS)

_DEFAULT: Final = CookieSettings("default").max_total
_encode: Final = json_encoder()


class DjangoFormat:
    """``SESSION_SERIALIZER``, JSON by default."""

    name = "django"

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """The mapping as the serializer writes it."""
        return bytes(serialize(self._serializer.dumps, dict(mapping), "session"))

    def loads(self, data: bytes) -> dict[str, Any]:
        """The mapping that `dumps` wrote."""
        return mapping_in(self._serializer.loads, data)


class _JsonFormat(DjangoFormat):
    """Writes the same bytes as `JSONSerializer`, which creates an encoder for each call."""

    def dumps(self, mapping: Mapping[str, Any]) -> bytes:
        """See `DjangoFormat`."""
        return serialize(_encode, dict(mapping), "session").encode("latin-1")

    def loads(self, data: bytes) -> dict[str, Any]:
        """See `DjangoFormat`."""
        return json_object(data.decode("latin-1"))


@lru_cache(maxsize=8)
def _session_cookie(
    protection: DataProtection,
    described: tuple[Any, ...],
    migration: OldSessions | None,
    max_total: int,
    whole: bool,
) -> SessionCookie:
    name, path, domain, secure, http_only, same_site, serializer_name = described
    if not isinstance(migration, OldSessions | None):
        raise ConfigurationError(
            f"{_MIGRATION} is a {type(migration).__name__}", hint="use DjangoSessions(...), or None"
        )
    with renamed(SESSION_COOKIE):
        cookie = CookieSettings(
            name,
            path=path,
            domain=domain,
            secure="always" if secure else "same_as_request",
            http_only=bool(http_only),
            same_site=cast("Any", same_site.lower() if isinstance(same_site, str) else same_site or None),
            chunk_size=None if whole else 4050,
            max_total=max_total,
        )
    serializer = import_string(serializer_name)()
    value_format = (_JsonFormat if type(serializer) is JSONSerializer else DjangoFormat)(serializer)
    return SessionCookie(
        protection, cookie, idle=None, value_format=value_format, migration=migration, keeps_empty=True
    )


def session_cookie(*, whole: bool = False) -> SessionCookie:
    """The session cookie of the current settings. whole: never in chunks."""
    known = vars(settings)  # settings that were read before; an attribute costs ten times as much
    try:
        described, migration, max_total = _asked_for(known), known.get(_MIGRATION), known.get(_MAX_TOTAL, _DEFAULT)
    except KeyError:
        described = tuple(getattr(settings, name) for name in _COOKIE_SETTINGS)
        migration, max_total = getattr(settings, _MIGRATION, None), getattr(settings, _MAX_TOTAL, _DEFAULT)
    return _session_cookie(get_data_protection(), described, migration, max_total, whole)
