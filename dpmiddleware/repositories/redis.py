"""Keys in Redis or Valkey, as ASP.NET Core's ``PersistKeysToStackExchangeRedis`` keeps them (extra ``redis``).

One list, ``DataProtection-Keys`` unless ``?key=`` says otherwise; one element, without names, for each document.

Reading, asking the version and committing are a script each, so each is one round trip and sees one moment. The
version is the number of elements and the SHA-1 of their SHA-1s: the server looks at every element, because somebody
may replace one in the middle; 100 bytes go over the wire. A commit appends first, then removes.

What Redis loses at a restart it loses: persistence, and that nothing is evicted, are its operator's to set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, Self
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError, MissingExtraError, RepositoryError
from dpmiddleware.keys.interfaces import Snapshot, StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.failures import conflict, failed
from dpmiddleware.repositories.markup import bare
from dpmiddleware.secret_sources import password_text
from dpmiddleware.urls import take_options

__all__ = ["DEFAULT_KEY", "RedisKeyRepository"]

DEFAULT_KEY: Final = "DataProtection-Keys"
_SECONDS: Final = 2.0
"""For connecting, and again for an answer: a refresh is held for less than five seconds."""

# In pieces of 100, so that a long list is never in the script's memory twice.
_VERSION: Final = """
local function version()
  local sums = {}
  for first = 0, redis.call('LLEN', KEYS[1]) - 1, 100 do
    for _, element in ipairs(redis.call('LRANGE', KEYS[1], first, first + 99)) do
      sums[#sums + 1] = redis.sha1hex(element)
    end
  end
  return #sums .. '-' .. redis.sha1hex(table.concat(sums))
end
"""
_ASK: Final = _VERSION + "return version()"
_READ: Final = (
    _VERSION
    + """
local found = redis.call('LRANGE', KEYS[1], 0, -1)
for place, element in ipairs(found) do
  if #element > tonumber(ARGV[1]) then found[place] = #element end
end
return {version(), found}
"""
)
_COMMIT: Final = (
    _VERSION
    + """
if version() ~= ARGV[1] then return 0 end
local removed = tonumber(ARGV[3])
for place = 4 + removed, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[place]) end
for place = 4, 3 + removed do redis.call('LSET', KEYS[1], ARGV[place], ARGV[2]) end
if removed > 0 then redis.call('LREM', KEYS[1], 0, ARGV[2]) end
return 1
"""
)
_HINT: Final = (
    "is it up, does this host reach it, are user and password right? the ring in memory stays until it answers"
)
_HINTS: Final = (
    ("WRONGTYPE", "this key of Redis holds something else: name another with ?key="),
    ("NOPERM", "the user needs +eval +llen +lrange +rpush +lset +lrem on this key"),
    ("READONLY", "this is a replica: give the address of the primary, or a Sentinel client"),
    ("OOM", "Redis has no memory left: raise maxmemory; nothing was written"),
)


class RedisKeyRepository:
    """A `KeyRepository` in a Redis list.

    Give a URL (``redis://``, ``rediss://``, ``unix://``; redis-py's own parameters may stand in it), or a ready
    ``client`` of redis-py or valkey-py: plain, cluster, or a Sentinel's ``master_for``. Its timeouts are then its own.
    """

    def __init__(self, url: str | None = None, *, client: Any = None, key: str = DEFAULT_KEY) -> None:
        if (url is None) == (client is None):
            raise ConfigurationError("Redis takes a URL or a client, one of them")
        if ".asyncio" in type(client).__module__:
            raise ConfigurationError(
                "an asyncio client cannot be used here", hint="give redis.Redis, not redis.asyncio"
            )
        self._key = key
        if url is not None:
            plain, own = take_options(url, "key", "password")
            self._key = own.get("key", key)
            self._location = without_password(url)
            self._client = _client(plain, own.get("password"))
        else:
            self._client = client
            self._location = f"{_address(client)} list {printable(key)}"
        self._errors = _errors_of(self._client)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """``redis://[user:password@]host[:port]/database[?key=…&password=env:NAME]``."""
        return cls(url)

    def __repr__(self) -> str:
        return f"RedisKeyRepository({self._location!r})"

    @property
    def location(self) -> str:
        """The URL without password; of a given client, its address and the list."""
        return self._location

    def read(self) -> Snapshot:
        """All elements and the version, in one round trip."""
        version, elements = self._run("read", _READ, MAX_SIZE)
        return Snapshot(
            tuple(
                StoredDocument(None, b"", str(place), TOO_LARGE)
                if isinstance(element, int)
                else StoredDocument(None, _bytes(element), str(place))
                for place, element in enumerate(elements)
            ),
            _bytes(version).decode("ascii"),
        )

    def version(self) -> str:
        """Number of elements and a digest, one short answer."""
        return _bytes(self._run("read", _ASK)).decode("ascii")

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """As the contract says, in one script. Names are not kept. `MalformedDocumentError` for what is no XML."""
        places = [document.locator for document in remove]
        added = [bare(document.data) for document in add]
        if not self._run("write to", _COMMIT, expected, uuid4().hex, len(places), *places, *added):
            raise conflict(self.location)

    def _run(self, doing: str, script: str, *arguments: str | bytes | int) -> Any:
        try:
            return self._client.eval(script, 1, self._key, *arguments)
        except self._errors as error:
            hint = next((hint for word, hint in _HINTS if word in str(error)), _HINT)
            raise failed(self.location, doing, error, hint) from error
        except ConfigurationError as error:  # the password's variable or file is not there
            raise RepositoryError(f"cannot {doing} {self.location}: {error}", hint=error.hint) from error


class _Credentials:
    """What redis-py asks for user and password, each time it connects."""

    def __init__(self, username: str | None, reference: str) -> None:
        self._username = username
        self._reference = reference

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = password_text(self._reference)
        return (self._username, password) if self._username else (password,)


def _client(url: str, password: str | None) -> Any:
    try:
        import redis
        from redis import connection
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise MissingExtraError("redis", "a key ring in Redis") from None
    options: dict[str, Any] = {
        "socket_connect_timeout": _SECONDS,
        "socket_timeout": _SECONDS,
        "retry": Retry(NoBackoff(), 0),  # each try takes as long as all may take
    }
    try:
        parse_url: Any = connection.parse_url  # it has no types
        found: dict[str, Any] = dict(parse_url(url))
        if password is not None:
            found.pop("password", None)
            options["credential_provider"] = _Credentials(found.pop("username", None), password)
        connection_class = found.pop("connection_class", redis.Connection)
        pool: Any = redis.ConnectionPool
        return redis.Redis(connection_pool=pool(connection_class=connection_class, **{**options, **found}))
    except (ValueError, redis.RedisError) as error:
        raise ConfigurationError(
            f"{without_password(url)} is no address of a Redis: {printable(error)}", hint="redis://host:6379/0"
        ) from None


def _errors_of(client: Any) -> tuple[type[BaseException], ...]:
    """What the client's own library raises; a client comes from a library that has been imported."""
    found: list[type[BaseException]] = [OSError, UnicodeDecodeError]
    for library in {base.__module__.partition(".")[0] for base in type(client).__mro__}:
        exceptions = sys.modules.get(f"{library}.exceptions")
        for name in ("RedisError", "RedisClusterException", "ValkeyError", "ValkeyClusterException"):
            error = getattr(exceptions, name, None)
            if error is not None:
                found.append(error)
    return tuple(found)


def _address(client: Any) -> str:
    """Where a given client leads, as far as it says so."""
    pool: Any = getattr(client, "connection_pool", None)
    options: dict[str, Any] = getattr(pool, "connection_kwargs", None) or {}
    if "host" in options:
        return printable(f"redis://{options['host']}:{options.get('port', 6379)}/{options.get('db') or 0}")
    if "path" in options:
        return printable(f"unix://{options['path']}")
    service = getattr(pool, "service_name", "")
    return f"{type(client).__name__}{f' of {printable(service)}' if service else ''}"


def _bytes(text: bytes | str) -> bytes:
    """A client may have been told to decode answers."""
    return text.encode("utf-8") if isinstance(text, str) else text
