"""Databases of the tests as aliases of Django's ``DATABASES``."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

import django
import pymysql
import sqlalchemy
from django.core.management import call_command
from django.db import connections

__all__ = ["django_database", "migrated", "settings_of"]

_ENGINES = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite3"}


def settings_of(url: str) -> dict[str, Any]:
    """The settings of the database that a URL of SQLAlchemy names."""
    parsed = sqlalchemy.make_url(url)
    backend = parsed.get_backend_name()
    if backend == "mysql" and find_spec("MySQLdb") is None:
        pymysql.install_as_MySQLdb()  # mysqlclient, which has to be compiled, is not here
    return {
        "ENGINE": f"django.db.backends.{_ENGINES[backend]}",
        "NAME": parsed.database or "",
        "USER": parsed.username or "",
        "PASSWORD": parsed.password or "",
        "HOST": parsed.host or "",
        "PORT": str(parsed.port or ""),
    }


@contextmanager
def django_database(given: str | dict[str, Any]) -> Generator[str]:
    """The alias of a database inside the ``with`` block: a URL of SQLAlchemy, or settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    alias = f"test_{uuid4().hex[:12]}"
    connections.settings[alias] = settings_of(given) if isinstance(given, str) else given
    connections.configure_settings(connections.settings)
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def migrated(alias: str) -> str:
    """``manage.py migrate dpmiddleware``."""
    call_command("migrate", "dpmiddleware", database=alias, verbosity=0)
    connections[alias].close()
    return alias
