"""What drivers of SQL databases differ in: the engine, timeouts, the meaning of errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories.url_parameters import named_arguments
from dpmiddleware.secret_sources import password_text
from dpmiddleware.urls import check_password, take_options

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

__all__ = ["CONNECT", "engine_of", "has_no_file", "is_collision", "parameters_of", "reason", "says_no_table"]

CONNECT: Final[dict[str, dict[str, Any]]] = {
    # keepalives detect a lost peer within half a minute; PgBouncer cannot handle prepared statements
    "psycopg": {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5, "prepare_threshold": None},
    "psycopg2": {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5},
    "pg8000": {"timeout": 4},
    "pymysql": {"connect_timeout": 3, "read_timeout": 4, "write_timeout": 4},
    "mysqldb": {"connect_timeout": 3, "read_timeout": 4, "write_timeout": 4},
    "mysqlconnector": {"connection_timeout": 4},
    "pysqlite": {"timeout": 3},
    "pyodbc": {"timeout": 3},
    "pymssql": {"login_timeout": 3, "timeout": 4},
    "oracledb": {"tcp_connect_timeout": 3.0},
}
"""Driver → its arguments for short timeouts."""
_COLLISIONS: Final = {1020, 1205, 1213, 60, 8177, 30006}
"""MySQL: record changed since it was read, lock wait timeout, deadlock (SQL Server: 1205). Oracle: deadlock, cannot
serialize, lock wait timeout. Other databases use SQLSTATE class 40."""
_NO_TABLE: Final = {"42P01", "42S02", 1146, 208, 942}
"""PostgreSQL; ODBC; MySQL; SQL Server; Oracle."""
_KNOWN: Final = {"postgresql", "mysql", "mariadb", "sqlite", "mssql", "oracle"}


def has_no_file(engine: Engine) -> bool:
    """Whether this is SQLite and its file does not exist, in a folder that does; a connection would create it."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name.startswith((":", "file:")):
        return False
    return Path(name).absolute().parent.is_dir() and not Path(name).exists()


def _is_in_memory(url: URL) -> bool:
    """Whether SQLite keeps this database in memory (sqlite.org/inmemorydb.html): ``mode=memory`` is for URIs."""
    return url.database in {None, ""} or ":memory:" in str(url.database) or url.query.get("mode") == "memory"


def engine_of(url: str) -> Engine:
    """Return an engine with a small pool and short timeouts. `ConfigurationError` for a bad URL or a missing driver."""
    import sqlalchemy
    from sqlalchemy import event, exc

    check_password(url)
    plain, own = take_options(url, "password")
    try:
        parsed = sqlalchemy.make_url(plain)
        dialect = parsed.get_dialect()()
        if dialect.name == "sqlite" and _is_in_memory(parsed):
            raise ConfigurationError(
                "SQLite in memory has a separate database per thread", hint="write memory:, or name a file"
            )
        options: dict[str, Any] = {
            "connect_args": {k: v for k, v in CONNECT.get(dialect.driver, {}).items() if k not in parsed.query},
            "isolation_level": "AUTOCOMMIT",
            "hide_parameters": True,  # because they are keys
        }
        if dialect.name != "sqlite":
            # no transaction is open when a connection is returned, so a reset would waste a round trip
            options |= {"pool_size": 1, "max_overflow": 4, "pool_timeout": 3, "pool_reset_on_return": None}
        engine = sqlalchemy.create_engine(parsed, **options)
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigurationError(
            f"{without_password(url)} is not a URL of a database: {type(error).__name__}",
            hint="write postgresql+psycopg://user@host/database",
        ) from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{without_password(url)} needs a driver that is not installed", hint=f"run pip install {error.name}"
        ) from None
    if "password" in own:

        def give_password(dialect: Any, _record: object, arguments: list[Any], options: dict[str, Any]) -> None:
            """Each driver has its own place for it, some a text with quotes."""
            arguments[:], named = dialect.create_connect_args(parsed.set(password=password_text(own["password"])))
            options.update(named)

        listen: Any = event.listen  # it has no types
        listen(engine, "do_connect", give_password)

    return engine


def parameters_of(dialect: Any) -> set[str]:
    """What the driver reads from a URL, as far as it can be found out."""
    if dialect.driver == "psycopg":
        from psycopg.pq import Conninfo

        return {option.keyword.decode() for option in Conninfo.get_defaults()} - {"password"}
    connection = getattr(getattr(dialect.dbapi, "connections", None), "Connection", None)
    return named_arguments(connection) if isinstance(connection, type) else set()


def is_collision(error: BaseException | None) -> bool:
    """Whether an error of a driver means that a transaction collided with another one."""
    return any(code in _COLLISIONS or re.fullmatch("40...", str(code)) for code in _codes(error))


def says_no_table(error: BaseException | None, dialect: str) -> bool:
    """Whether an error of a driver may mean that the table is missing. Other dialects than those of SQLAlchemy: yes."""
    found = not _NO_TABLE.isdisjoint(_codes(error)) or str(error).startswith("no such table")
    return found or dialect not in _KNOWN


def _codes(error: BaseException | None) -> set[str | int]:
    """SQLSTATE and number of an error, wherever its driver has them."""
    first: Any = error.args[0] if error is not None and error.args else None
    named = [getattr(error, name, None) for name in ("sqlstate", "pgcode", "errno")]
    return {code for code in (*named, getattr(first, "code", None), first) if isinstance(code, str | int)}


def reason(error: BaseException | None) -> str:
    """Return the first line of a driver's error, up to a ``<``: the rest may quote the row, which is a key."""
    if "DataError" in type(error).__name__:
        return type(error).__name__
    return printable((str(error).splitlines() or [type(error).__name__])[0].partition("<")[0])
