"""What SQL databases and drivers differ in: the engine, timeouts, the table, the meaning of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable, without_password
from dpmiddleware.secret_sources import password_text
from dpmiddleware.urls import take_options

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

__all__ = ["TABLE", "engine_of", "is_collision", "key_table", "reason", "says_no_table"]

TABLE: Final = "DataProtectionKeys"

_CONNECT: Final[dict[str, dict[str, Any]]] = {
    # keepalives detect a lost peer within half a minute; PgBouncer cannot handle prepared statements
    "psycopg": {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5, "prepare_threshold": None},
    "psycopg2": {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5},
    "pg8000": {"timeout": 4},
    "pymysql": {"connect_timeout": 3, "read_timeout": 4, "write_timeout": 4},
    "mysqldb": {"connect_timeout": 3, "read_timeout": 4, "write_timeout": 4},
    "mysqlconnector": {"connection_timeout": 4},
    "pysqlite": {"timeout": 3},
}
_COLLISIONS: Final = {1020, 1205, 1213}
"""MySQL: record changed since it was read, lock wait timeout, deadlock. Other databases use SQLSTATE class 40."""


def engine_of(url: str) -> Engine:
    """Return an engine with a small pool and short timeouts. `ConfigurationError` for a bad URL or a missing driver."""
    import sqlalchemy
    from sqlalchemy import event, exc

    plain, own = take_options(url, "password")
    try:
        parsed = sqlalchemy.make_url(plain)
        dialect = parsed.get_dialect()()
        if dialect.name == "sqlite" and parsed.database in {None, "", ":memory:"}:
            raise ConfigurationError(
                "SQLite in memory has a separate database per thread", hint="write memory:, or name a file"
            )
        options: dict[str, Any] = {
            "connect_args": {k: v for k, v in _CONNECT.get(dialect.driver, {}).items() if k not in parsed.query},
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

        def give_password(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
            options["password"] = password_text(own["password"])

        listen: Any = event.listen  # it has no types
        listen(engine, "do_connect", give_password)

    return engine


def key_table() -> Any:
    """Return the table of .NET's Entity Framework Core, as a SQLAlchemy ``Table``."""
    import sqlalchemy as sql
    from sqlalchemy.dialects.mysql import LONGTEXT

    text = sql.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
    return sql.Table(
        TABLE,
        sql.MetaData(),
        sql.Column("Id", sql.Integer, sql.Identity(), primary_key=True),
        sql.Column("FriendlyName", text),
        sql.Column("Xml", text),
        sqlite_autoincrement=True,  # as .NET creates it: an Id is never reused
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )


def is_collision(error: BaseException | None) -> bool:
    """Whether an error of a driver means that a transaction collided with another one."""
    state = str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
    number = error.args[0] if error is not None and error.args else None
    return state.startswith("40") or number in _COLLISIONS


def says_no_table(error: BaseException | None) -> bool:
    """Whether an error means that the table is missing, on PostgreSQL, MySQL and SQLite."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    number = error.args[0] if error is not None and error.args else None
    return state == "42P01" or number == 1146 or str(error).startswith("no such table")


def reason(error: BaseException | None) -> str:
    """Return the first line of a driver's error; the rest may quote the row, which is a key."""
    if "DataError" in type(error).__name__:
        return type(error).__name__
    return printable((str(error).splitlines() or [type(error).__name__])[0])
