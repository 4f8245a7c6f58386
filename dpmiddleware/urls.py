"""Configuration URLs, which name a store, a key wrapper or a signer, taken apart. ::

    scheme://[host]/path[?option=value&…]

`take_options` takes the options of ours out of a URL that a library opens (redis-py, SQLAlchemy); the rest is the
library's and stays as written. `ConfigurationURL` is a URL of ours, which contains nothing unknown. No URL contains a
secret: an option names where to find it (`dpmiddleware.secret_sources`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_plus, urlsplit

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable, without_password

__all__ = ["ConfigurationURL", "check_password", "check_redis", "take_options"]

_AFTER_AUTHORITY: Final = re.compile("[/?#]")
_DRIVE: Final = re.compile(r"/[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class ConfigurationURL:
    """The parts of a URL. ``host``: as written, with port. ``path``: decoded, with its first slash."""

    scheme: str
    host: str
    path: str
    options: dict[str, str]

    @classmethod
    def parse(cls, url: str, *options: str) -> ConfigurationURL:
        """Take ``url`` apart. `ConfigurationError` for an option that is not one of ``options``, and for a fragment."""
        if "#" in url:
            raise ConfigurationError(f"{without_password(url)} has a fragment", hint="write %23 for #")
        plain, found = take_options(url, *options)
        try:
            parts = urlsplit(plain)
        except ValueError:
            raise ConfigurationError("a configuration URL cannot be parsed", hint="write scheme://host/path") from None
        if parts.query:
            unknown = printable(parts.query.partition("=")[0])
            known = f"use only: {', '.join(sorted(options))}" if options else "remove the option"
            shown = without_password(url.partition("?")[0])
            raise ConfigurationError(f"{shown} has the unknown option {unknown}", hint=known)
        return cls(parts.scheme, parts.netloc, unquote(parts.path), found)

    def file(self) -> Path:
        """Return the path of a local file. `ConfigurationError` if there is a host, or no path."""
        if self.host or not self.path:
            raise ConfigurationError(
                f"{self.scheme}: does not name a file",
                hint=f"write three slashes before an absolute path: {self.scheme}:///etc/shop/file",
            )
        return Path(self.path[1:] if _DRIVE.match(self.path) else self.path)


def check_password(url: str) -> None:
    """`ConfigurationError` for a password that contains an unescaped ``/ ? # @``.

    A library would take a part of it for the host, the port or the path, and repeat it in its own errors.
    """
    rest = url.partition("//")[2]
    authority = _AFTER_AUTHORITY.split(rest, maxsplit=1)[0]
    user, colon, password = authority.partition(":")
    is_port = password.isdigit() or "[" in user or "," in authority
    cut_short = colon and "@" not in authority and not is_port
    if authority.count("@") > 1 or cut_short:
        raise ConfigurationError(
            f"{without_password(url)} cannot be understood: its password contains / ? # or @, or its host is missing",
            hint="write %2F for /, %3F for ?, %23 for #, %40 for @; or give the password apart: ?password=env:NAME",
        )


def check_redis(url: str) -> None:
    """`ConfigurationError` for a URL of Redis whose path is not the number of a database.

    redis-py passes over such a path, and uses database 0; after a third slash, ``redis:///host/0``, of this machine.
    """
    scheme, _, rest = url.partition("?")[0].partition("://")
    path = rest.partition("/")[2].replace("/", "")
    if scheme.lower() != "unix" and path and not path.isdecimal():
        raise ConfigurationError(
            f"{without_password(url)} cannot be understood: its path is not the number of a database",
            hint="write redis://host:6379/0, with two slashes before the host",
        )


def take_options(url: str, *names: str) -> tuple[str, dict[str, str]]:
    """Return ``url`` without the query parameters ``names``, and their decoded values.

    `ConfigurationError` for one that is empty or given twice.
    """
    base, question, query = url.partition("?")
    taken: dict[str, str] = {}
    kept: list[str] = []
    for pair in query.split("&") if question else ():
        name, _, value = pair.partition("=")
        if name not in names:
            kept.append(pair)
        elif name in taken or not value:
            problem = f"{without_password(url)}: the option {name} is empty or given twice"
            raise ConfigurationError(problem, hint=f"give {name} one value, or leave it out")
        else:
            taken[name] = unquote_plus(value)
    return (f"{base}?{'&'.join(kept)}" if kept else base), taken
