"""Keys in Redis or Valkey, as ASP.NET Core's ``PersistKeysToStackExchangeRedis`` stores them (extra ``redis``).

One list, ``DataProtection-Keys`` unless ``?key=`` names another, has one element per document, without names.

Reading, asking for the version and committing are one script each: one round trip, and one moment of the list. The
version is the number of elements and the SHA-1 of their SHA-1s. The server hashes every element, because one in the
middle may have been replaced; the answer has less than 100 bytes. A commit appends first, then removes.

The operator has to configure Redis so that it persists its data and evicts nothing; `dpm check` looks whether it does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.extras import import_extra
from dpmiddleware.keys.interfaces import MAX_DOCUMENTS, MAX_TOTAL_SIZE, Snapshot, StoredDocument, check_size
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.base import Repository, check_one_given
from dpmiddleware.repositories.documents import text_of
from dpmiddleware.repositories.findings import StoreFinding
from dpmiddleware.repositories.markup import bare
from dpmiddleware.repositories.redis_settings import STATE, RedisState, findings_of, read_info
from dpmiddleware.repositories.url_parameters import bad_value, named_arguments, unknown_parameter
from dpmiddleware.secret_sources import password_text
from dpmiddleware.urls import check_password, check_redis, take_options

__all__ = ["DEFAULT_KEY", "RedisKeyRepository"]

DEFAULT_KEY: Final = "DataProtection-Keys"
_SECONDS: Final = 2.0
"""The time limit of connecting, and of each receive."""

# In pieces of 100, so that a script never holds a long list twice.
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
local found, size = redis.call('LRANGE', KEYS[1], 0, -1), 0
for place, element in ipairs(found) do
  if #element > tonumber(ARGV[1]) then found[place] = #element else size = size + #element end
end
if size > tonumber(ARGV[2]) or #found > tonumber(ARGV[3]) then return {'', {#found, size}} end
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
_HINT: Final = "check that the server runs, that this host reaches it, and user and password; loaded keys stay in use"
_HINTS: Final = (
    ("WRONGTYPE", "name another list with ?key=; this key of Redis holds something else"),
    ("NOPERM", "allow this user +eval +llen +lrange +rpush +lset +lrem on this key"),
    ("READONLY", "give the address of the primary, or a Sentinel client; this is a replica"),
    ("OOM", "raise maxmemory; Redis has no memory left, and nothing was written"),
)


class RedisKeyRepository(Repository):
    """A `KeyRepository` in a Redis list.

    Give either ``url`` or ``client``.

    url: ``redis://[user:password@]host[:port]/database[?key=…&password=env:NAME]``; or ``rediss://``, ``unix://``. It
        may contain redis-py's own parameters.
    client: of redis-py or valkey-py: plain, cluster, or a Sentinel's ``master_for``. Its timeouts are not changed.
    key: the list; ``?key=`` of a URL comes first.
    """

    def __init__(self, url: str | None = None, *, client: Any = None, key: str = DEFAULT_KEY) -> None:
        check_one_given("Redis", url, client)
        if ".asyncio" in type(client).__module__:
            raise ConfigurationError(
                "a key ring cannot use an asyncio client of Redis", hint="give a redis.Redis, not a redis.asyncio.Redis"
            )
        self._key = key
        if url is not None:
            plain, own = take_options(url, "key", "password")
            self._key = own.get("key", key)
            super().__init__(without_password(url))
            self._client = _client(plain, own.get("password"))
        else:
            self._client = client
            super().__init__(f"{_address(client)} list {printable(key)}")
        self._is_own = client is None
        self._errors = _errors_of(self._client)

    def _abandon(self) -> None:
        """Close the connections, if nobody else uses them."""
        if self._is_own:
            self._client.connection_pool.disconnect(inuse_connections=True)

    def read(self) -> Snapshot:
        """Return all elements and the version. One round trip."""
        version, elements = self._run("read", _READ, MAX_SIZE, MAX_TOTAL_SIZE, MAX_DOCUMENTS)
        if not version:
            check_size(elements[0], elements[1], self.location)
        return Snapshot(
            tuple(
                StoredDocument(None, b"", str(place), TOO_LARGE)
                if isinstance(element, int)
                else StoredDocument(None, text_of(_bytes(element)), str(place))
                for place, element in enumerate(elements)
            ),
            _bytes(version).decode("ascii"),
        )

    def version(self) -> str:
        """Return the number of elements and a digest. One round trip with a short answer."""
        return _bytes(self._run("read", _ASK)).decode("ascii")

    def commit(
        self, *, add: Sequence[StoredDocument] = (), remove: Sequence[StoredDocument] = (), expected: str
    ) -> None:
        """See `KeyRepository`. One script; names are not stored. `MalformedDocumentError` for invalid XML."""
        places = [document.locator for document in remove]
        added = [bare(document.data) for document in add]
        if not self._run("write to", _COMMIT, expected, uuid4().hex, len(places), *places, *added):
            raise self._conflict()

    def findings(self) -> list[StoreFinding]:
        """Return what may lose the ring: persistence, eviction, expiry. What the server does not say is a note."""
        memory, persistence, seconds = self._run("read", STATE)
        info = read_info("\n".join(_bytes(text).decode("utf-8", "replace") for text in (memory, persistence)))
        state = RedisState(info, self._save_points(), seconds if isinstance(seconds, int) else -1)
        return list(findings_of(state, self.location))

    def _save_points(self) -> str | None:
        """When snapshots are saved, by the server of a cluster that has the list; ``None`` if that is refused."""
        try:
            node_of = getattr(self._client, "get_node_from_key", None)
            where = {} if node_of is None else {"target_nodes": [node_of(self._key)]}
            found: Mapping[str, str | bytes] = self._client.config_get("save", **where)
            return None if "save" not in found else _bytes(found["save"]).decode("utf-8", "replace")
        except self._errors:
            return None

    def _run(self, doing: str, script: str, *arguments: str | bytes | int) -> Any:
        try:
            return self._client.eval(script, 1, self._key, *arguments)
        except self._errors as error:
            hint = next((hint for word, hint in _HINTS if word in str(error)), _HINT)
            raise self._failed(doing, error, hint) from error
        except TypeError as error:
            unknown = unknown_parameter(error, self._parameters)
            if unknown is None:
                raise
            raise self._failed(doing, *unknown) from error
        except ConfigurationError as error:  # the password's variable or file is missing
            raise self._failed(doing, error, error.hint) from error

    def _parameters(self) -> set[str]:
        """What the client's library reads from a URL."""
        return named_arguments(self._client.connection_pool.connection_class)


class _Credentials:
    """Gives redis-py user and password, each time it connects."""

    def __init__(self, username: str | None, reference: str) -> None:
        self._username = username
        self._reference = reference

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = password_text(self._reference)
        return (self._username, password) if self._username else (password,)


def _client(url: str, password: str | None) -> Any:
    redis = import_extra("redis", "redis", "a key ring in Redis")
    from redis import connection
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    check_password(url)
    check_redis(url)
    options: dict[str, Any] = {
        "socket_connect_timeout": _SECONDS,
        "socket_timeout": _SECONDS,
        "retry": Retry(NoBackoff(), 0),  # one try already takes the whole time limit
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
            f"{without_password(url.partition('?')[0])} is not a URL of Redis: {type(error).__name__}",
            hint=bad_value(error) or "write redis://host:6379/0",
        ) from None


def _errors_of(client: Any) -> tuple[type[BaseException], ...]:
    """Return what the client's library raises; it has been imported, because there is a client."""
    libraries = {base.__module__.partition(".")[0] for base in type(client).__mro__}
    modules = [sys.modules.get(f"{library}.exceptions") for library in libraries]
    names = ("RedisError", "RedisClusterException", "ValkeyError", "ValkeyClusterException")
    found = (getattr(module, name) for module in modules for name in names if hasattr(module, name))
    return (OSError, UnicodeDecodeError, *found)


def _address(client: Any) -> str:
    """Return the address of a given client, as far as it shows one."""
    pool: Any = getattr(client, "connection_pool", None)
    options: dict[str, Any] = getattr(pool, "connection_kwargs", None) or {}
    if "host" in options:
        return printable(f"redis://{options['host']}:{options.get('port', 6379)}/{options.get('db') or 0}")
    if "path" in options:
        return printable(f"unix://{options['path']}")
    service = getattr(pool, "service_name", "")
    return f"{type(client).__name__}{f' of {printable(service)}' if service else ''}"


def _bytes(text: bytes | str) -> bytes:
    """Return bytes, also from a client that decodes answers."""
    return text.encode("utf-8") if isinstance(text, str) else text
