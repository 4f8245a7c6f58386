"""Stores for tickets on the server. The cookie then contains only a key, and signing out also ends copies of it. ::

    key   := base64url of 32 random bytes, in the protected cookie
    name  := hex SHA-256 of key: what the store sees
    value := payload of the ring, purposes "dpmiddleware.TicketStore.v1", scheme, name; inside: a ticket, format 5

So the store reveals neither claims nor a usable cookie, and an entry that was edited, swapped or written by somebody
else does not open. A renewal replaces an entry that exists; it never brings back one that was removed.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Final, Protocol

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.extras import import_extra
from dpmiddleware.forks import after_fork
from dpmiddleware.printable import without_password
from dpmiddleware.urls import check_redis, take_options

__all__ = ["MemoryTicketStore", "RedisTicketStore", "TicketStore", "entry_name", "new_key", "ticket_store_from"]

_KEY_BYTES: Final = 32
_TIMEOUT: Final = 2.0
_PREFIX: Final = "DataProtection-Tickets:"
_PURGE_EVERY: Final = 256


def new_key() -> str:
    """A new key: 256 random bits as base64url."""
    return secrets.token_urlsafe(_KEY_BYTES)


def entry_name(key: str) -> str:
    """The name of the entry for ``key``. The key cannot be computed from it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class TicketStore(Protocol):
    """Stores protected tickets by name, each for some time.

    The methods may be coroutine functions; then only ASGI applications can use the store. ASGI applications call plain
    functions in a worker thread, so they must be thread-safe. If the store cannot be reached, they raise
    `RepositoryError`: an outage is not a sign-out. ``lifetime`` is the time after which the entry may be deleted;
    ``None`` means never.
    """

    def get(self, name: str) -> bytes | Awaitable[bytes | None] | None:
        """The value of an entry; ``None`` if there is no such entry, or no longer."""
        ...

    def put(self, name: str, value: bytes, lifetime: timedelta | None) -> Awaitable[None] | None:
        """Add an entry."""
        ...

    def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool | Awaitable[bool]:
        """Replace the value of an entry, atomically. ``False`` if there is no such entry; then none is added."""
        ...

    def remove(self, name: str) -> Awaitable[None] | None:
        """Delete an entry, if it exists."""
        ...


class MemoryTicketStore:
    """Tickets in the memory of this process: for tests, and for a single process. A restart signs all users out."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[bytes, float]] = {}
        self._puts = 0
        self._renew_lock()
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        """Make the lock; in a forked child another one, because a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """See `TicketStore`."""
        with self._lock:
            value, ends = self._entries.get(name, (None, 0.0))
            return value if time.monotonic() < ends else None

    def put(self, name: str, value: bytes, lifetime: timedelta | None) -> None:
        """See `TicketStore`. Deletes expired entries from time to time."""
        now = time.monotonic()
        with self._lock:
            self._puts += 1
            if self._puts % _PURGE_EVERY == 0:
                self._entries = {kept: entry for kept, entry in self._entries.items() if now < entry[1]}
            self._entries[name] = (value, _end(now, lifetime))

    def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool:
        """See `TicketStore`."""
        now = time.monotonic()
        with self._lock:
            there = name in self._entries and now < self._entries[name][1]
            if there:
                self._entries[name] = (value, _end(now, lifetime))
            return there

    def remove(self, name: str) -> None:
        """See `TicketStore`."""
        with self._lock:
            self._entries.pop(name, None)

    def __len__(self) -> int:
        return len(self._entries)


@checked
class RedisTicketStore:
    """Tickets in Redis (extra ``redis``): one string per entry, with a time to live.

    url: ``redis://``, ``rediss://`` or ``unix://``. ``?key=`` sets the prefix of the names, by default
    ``DataProtection-Tickets:``.
    """

    def __init__(self, url: str) -> None:
        redis = import_extra("redis", "redis", "keeping tickets in Redis")
        self._errors: type[Exception] = redis.RedisError
        plain, options = take_options(url, "key")
        self._prefix = options.get("key", _PREFIX)
        self.location = without_password(plain)
        check_redis(plain)
        try:
            self._redis = redis.Redis.from_url(plain, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        except (ValueError, redis.RedisError) as error:
            raise ConfigurationError(
                f"{self.location} is not a Redis URL", hint="use redis://host:6379/0, for example"
            ) from error

    def get(self, name: str) -> bytes | None:
        """See `TicketStore`."""
        value = self._ask("get", self._prefix + name)
        return value if isinstance(value, bytes) else None

    def put(self, name: str, value: bytes, lifetime: timedelta | None) -> None:
        """See `TicketStore`."""
        self._ask("set", self._prefix + name, value, px=_milliseconds(lifetime))

    def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool:
        """See `TicketStore`."""
        return bool(self._ask("set", self._prefix + name, value, px=_milliseconds(lifetime), xx=True))

    def remove(self, name: str) -> None:
        """See `TicketStore`."""
        self._ask("delete", self._prefix + name)

    def _ask(self, command: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._redis, command)(*arguments, **options)
        except self._errors as error:
            raise RepositoryError(
                f"the ticket store {self.location} does not answer: {type(error).__name__}",
                hint="check that Redis runs and can be reached from this machine",
            ) from error


def ticket_store_from(given: TicketStore | str) -> TicketStore:
    """The store given, or the one of a URL: ``memory:``, ``redis://…``, ``rediss://…``, ``unix://…``."""
    if not isinstance(given, str):
        return given
    scheme = given.partition(":")[0].lower()
    if scheme == "memory":
        return MemoryTicketStore()
    if scheme in {"redis", "rediss", "unix"}:
        return RedisTicketStore(given)
    raise ConfigurationError(
        f"{without_password(given)} is not the URL of a ticket store", hint="use memory: or redis://host:6379/0"
    )


def _milliseconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else max(1, int(lifetime.total_seconds() * 1000))


def _end(now: float, lifetime: timedelta | None) -> float:
    return float("inf") if lifetime is None else now + lifetime.total_seconds()
