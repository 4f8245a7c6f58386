"""Tickets kept on the server: the cookie then holds a key only, and signing out ends the sign-in everywhere. ::

    key   := base64url of 32 random bytes, in the cookie (and there under the ring)
    name  := hex SHA-256 of key: what the store knows
    value := payload of the ring, purposes "dpmiddleware.TicketStore.v1", scheme, name; inside: a ticket, format 5

So a store betrays neither claims nor a usable cookie, and what is edited, swapped or written raw in it opens as
nothing. A renewal replaces a value that is there, and never brings back one that was removed.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Final, Protocol

from dpmiddleware.errors import ConfigurationError, RepositoryError
from dpmiddleware.extras import import_extra
from dpmiddleware.forks import after_fork
from dpmiddleware.printable import without_password
from dpmiddleware.urls import take_options

__all__ = ["MemoryTicketStore", "RedisTicketStore", "TicketStore", "entry_name", "new_key", "ticket_store_from"]

_KEY_BYTES: Final = 32
_TIMEOUT: Final = 2.0
_PREFIX: Final = "DataProtection-Tickets:"
_PURGE_EVERY: Final = 256


def new_key() -> str:
    """A key that nobody can guess: 256 random bits as base64url."""
    return secrets.token_urlsafe(_KEY_BYTES)


def entry_name(key: str) -> str:
    """The name under which the ticket of ``key`` is kept; the key cannot be told from it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class TicketStore(Protocol):
    """Sealed tickets by name, each for a while. Knows nothing of what is inside.

    The methods may be coroutine functions; then only the ASGI shell can use the store. Plain ones are called in a
    worker thread there, so they have to be safe for threads. A store that cannot be reached is a `RepositoryError`:
    an outage is not a sign-out. ``lifetime``: when the entry may be forgotten; ``None``: never.
    """

    def get(self, name: str) -> bytes | Awaitable[bytes | None] | None:
        """The value, or ``None`` where there is none (any more)."""
        ...

    def put(self, name: str, value: bytes, lifetime: timedelta | None) -> Awaitable[None] | None:
        """Keep a new value."""
        ...

    def replace(self, name: str, value: bytes, lifetime: timedelta | None) -> bool | Awaitable[bool]:
        """Put ``value`` in the place of one that is there, in one step. ``False``, and nothing kept, where none is."""
        ...

    def remove(self, name: str) -> Awaitable[None] | None:
        """Forget a value, if it is there."""
        ...


class MemoryTicketStore:
    """Tickets in this process: for tests, and for one process whose restart may sign everybody out."""

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
        """See `TicketStore`. Forgets what has ended now and then."""
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


class RedisTicketStore:
    """Tickets in Redis (extra ``redis``): one string an entry, with a time to live.

    url: ``redis://``, ``rediss://`` or ``unix://``; ``?key=`` names another prefix than ``DataProtection-Tickets:``.
    """

    def __init__(self, url: str) -> None:
        redis = import_extra("redis", "redis", "keeping tickets in Redis")
        self._errors: type[Exception] = redis.RedisError
        plain, options = take_options(url, "key")
        self._prefix = options.get("key", _PREFIX)
        self.location = without_password(plain)
        try:
            self._redis = redis.Redis.from_url(plain, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        except (ValueError, redis.RedisError) as error:
            raise ConfigurationError(f"{self.location} is no address of a Redis", hint="redis://host:6379/0") from error

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
                hint="is it running, and reachable from here?",
            ) from error


def ticket_store_from(given: TicketStore | str) -> TicketStore:
    """A store, or the one that a URL names: ``memory:``, ``redis://…``, ``rediss://…``, ``unix://…``."""
    if not isinstance(given, str):
        return given
    scheme = given.partition(":")[0].lower()
    if scheme == "memory":
        return MemoryTicketStore()
    if scheme in {"redis", "rediss", "unix"}:
        return RedisTicketStore(given)
    raise ConfigurationError(f"{without_password(given)} names no ticket store", hint="memory: or redis://host:6379/0")


def _milliseconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else max(1, int(lifetime.total_seconds() * 1000))


def _end(now: float, lifetime: timedelta | None) -> float:
    return float("inf") if lifetime is None else now + lifetime.total_seconds()
