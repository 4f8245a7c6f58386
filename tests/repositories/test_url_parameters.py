"""A parameter of a store's URL that its driver does not know is named, with the nearest one that it knows."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pymysql
import pytest

from dpmiddleware import DataProtection
from dpmiddleware.errors import DataProtectionError, RepositoryError
from dpmiddleware.repositories.url_parameters import named_arguments, unknown_parameter
from tests.servers import Server

CORRECT = "correct or leave out this parameter of the URL"
REDIS = {
    "/0?socket_timeut=3": ("socket_timeut", "use socket_timeout"),
    "/0?ssl_cert_req=none": ("ssl_cert_req", CORRECT),
    "/0?xyzzy=1": ("xyzzy", CORRECT),
}
"""Parameters of TLS are known only to connections with TLS."""


@pytest.mark.parametrize("query", REDIS)
def test_a_parameter_that_redis_py_does_not_know_is_named(query: str, redis_server: Server) -> None:
    name, hint = REDIS[query]
    dp = DataProtection("shop", repository=f"{redis_server.address}{query}")
    with pytest.raises(RepositoryError, match=f"the URL has the parameter '{name}', which the driver") as caught:
        dp.manager.read()
    assert caught.value.hint == hint


SQL = {
    "postgresql": ("postgresql+psycopg://postgres@{}/postgres?sslmod=require", "sslmod", "use sslmode"),
    "mariadb": ("mysql+pymysql://root@{}/mysql?read_timeot=3", "read_timeot", "use read_timeout"),
}


@pytest.mark.parametrize("server", SQL)
def test_a_parameter_that_a_database_driver_does_not_know_is_named(
    server: str, postgres_server: Server, mariadb_server: Server
) -> None:
    url, name, hint = SQL[server]
    address = (postgres_server if server == "postgresql" else mariadb_server).address
    host = address.rpartition("@")[2].rpartition("//")[2].partition("/")[0]
    dp = DataProtection("shop", repository=url.format(host))
    with pytest.raises(RepositoryError, match=f"the URL has the parameter '{name}', which the driver") as caught:
        dp.manager.read()
    assert caught.value.hint == hint


def test_the_words_of_each_driver_are_understood() -> None:
    errors: list[Exception] = []
    calls: list[Callable[[], object]] = [
        lambda: psycopg.conninfo.make_conninfo("", sslmod="require"),
        lambda: pymysql.connections.Connection(sslmod="require", defer_connect=True),  # type: ignore[call-overload]  # the point
        dict[str, str]().popitem,  # another error
    ]
    for call in calls:
        with pytest.raises(Exception) as caught:
            call()
        errors.append(caught.value)
    said = [unknown_parameter(error, lambda: {"sslmode", "port"}) for error in errors]
    named = ("the URL has the parameter 'sslmod', which the driver does not know", "use sslmode")
    assert said == [named, named, None]


def test_a_name_that_may_be_a_secret_is_not_repeated() -> None:
    error = TypeError(f"__init__() got an unexpected keyword argument '{'a1B2' * 10}'")
    assert unknown_parameter(error, lambda: ["port"]) == (
        "the URL has a parameter that the driver does not know",
        "correct the parameters of the URL",
    )


def test_arguments_of_bases_count() -> None:
    class Base:
        def __init__(self, host: str, password: str) -> None: ...

    class Derived(Base):
        def __init__(self, port: int, **kwargs: str) -> None: ...

    assert named_arguments(Derived) == {"host", "port"}, "nobody is told to put a password there"


BAD_VALUES = {
    "a time of psycopg": (
        "postgresql",
        "postgresql+psycopg://postgres@{}/postgres?connect_timeout=soon",
        "connect_timeout",
    ),
    "a choice of libpq": ("postgresql", "postgresql+psycopg://postgres@{}/postgres?sslmode=maybe", "sslmode"),
    "a number of libpq": ("postgresql", "postgresql+psycopg://postgres@{}/postgres?keepalives=x", "keepalives"),
    "a number of redis-py": ("redis", "redis://{}/0?socket_timeout=soon", "socket_timeout"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_value_that_a_driver_cannot_read_has_a_hint_that_names_its_parameter(
    case: str, postgres_server: Server, redis_server: Server
) -> None:
    kind, url, name = BAD_VALUES[case]
    address = (postgres_server if kind == "postgresql" else redis_server).address
    host = address.rpartition("@")[2].rpartition("//")[2].partition("/")[0]
    with pytest.raises(DataProtectionError) as caught:
        DataProtection("shop", repository=url.format(host)).manager.read()
    assert caught.value.hint == f"correct the value of {name} in the URL"
