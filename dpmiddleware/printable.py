r"""Makes foreign text (from a store, a client, a URL) safe to show in a log or a terminal.

Control characters become ``\x..`` escapes: the reason of a revocation cannot rewrite a line of the terminal, and a
cookie cannot forge a line of the log. Markup is not escaped here; that is the task of the page that shows the text.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus, urlsplit

__all__ = ["printable", "without_password", "without_secrets"]

_SECRET_WORDS: Final = (
    *(
        "pass",
        "pasw",
        "pwd",
        "secret",
        "secrt",
        "token",
        "sig",
        "accountkey",
        "accesskey",
        "access_key",
        "cred",
        "auth",
    ),
    *("private", "apikey", "api_key", "encryption"),
)
_HARMLESS: Final = frozenset(
    (
        *("key", "db", "host", "port", "driver", "mode", "uri", "charset", "service_name", "endpoint", "region"),
        *("schema", "table", "trust", "exchange", "padding", "options", "application_name", "client_name", "protocol"),
        *("collation", "unix_socket", "target_session_attrs", "trustservercertificate", "encrypt", "cipher"),
    )
)
_HARMLESS_KINDS: Final = ("ssl", "timeout", "keepalive", "pool", "retry", "max_", "min_", "health_check")
"""Parameters whose values are shown; of others only what is too short for a secret."""
_TOO_SHORT: Final = 4
_WITH_LONE_PASSWORDS: Final = ("redis", "unix", "valkey", "http", "openbao", "s3", "azblob")
"""Schemes where a user without a password is more likely a password or token in the wrong place."""
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*")
_SCHEME_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-"
_BETWEEN_WORDS: Final = re.compile(r"([\s'\"])")
_BETWEEN_PARAMETERS: Final = re.compile("([&;])")
_AFTER_AUTHORITY: Final = re.compile("[/?#]")
_HOST_AND_PORT: Final = re.compile("[A-Za-z0-9.-]+:[0-9]+")
_ELLIPSIS: Final = "…"


def printable(text: object, limit: int = 200) -> str:
    """``str(text)`` on one line: unprintable characters are escaped, and text beyond ``limit`` characters is cut."""
    whole = str(text)
    if len(whole) <= limit and whole.isprintable():
        return whole
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in whole[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + _ELLIPSIS


def without_password(url: str) -> str:
    """``url`` with ``***`` in place of its password and of parameters that may be secrets.

    Nothing else is changed. Takes time in proportion to the length, whatever the text is.
    """
    try:
        urlsplit(hidden := _hidden(url, nested=True))
    except ValueError:
        return "(unreadable URL)"
    return printable(hidden, 500)


def without_secrets(text: str) -> str:
    """``text`` with `without_password` applied to the URLs in it."""
    return "".join(map(_url_hidden, _BETWEEN_WORDS.split(text)))


def _url_hidden(word: str) -> str:
    start = ":/" if ":/" in word else ":"
    if start not in word or (start == ":" and "@" not in word):
        return word
    before = word.partition(start)[0].rstrip(_SCHEME_CHARACTERS)
    return before + without_password(word[len(before) :])


def _hidden(url: str, *, nested: bool) -> str:
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    start, rest = scheme[0], _without_odd_password(url[scheme.end() :], after_slashes=scheme[0].endswith("://"))
    base, question, query = rest.partition("#")[0].partition("?")
    name = start.partition(":")[0].lower()
    if name.startswith(_WITH_LONE_PASSWORDS) and start.endswith("://"):
        user, at, _ = _AFTER_AUTHORITY.split(base, maxsplit=1)[0].rpartition("@")
        if at and not user.endswith(":***"):
            base = f"***{base[len(user) :]}"
    if "=" in base:  # a connection string
        words = _BETWEEN_PARAMETERS.split(base)
        words[::2] = [_parameter_hidden(word, nested=nested, strict=False) for word in words[::2]]
        base = "".join(words)
    words = _BETWEEN_PARAMETERS.split(query)
    words[::2] = [
        _parameter_hidden(word, nested=nested, is_redis=name.startswith(("redis", "unix"))) for word in words[::2]
    ]
    return start + base + question + "".join(words)


def _without_odd_password(rest: str, *, after_slashes: bool) -> str:
    """What follows the scheme, without a password, even if that contains an unescaped ``/``, ``?``, ``#`` or ``@``.

    Everything after the colon of the user name, up to the last ``@``, is taken for a password unless it is a port.
    """
    user, colon, after = rest.partition(":")
    if not colon or any(c in user for c in "/?#@[]"):
        return rest
    authority = _AFTER_AUTHORITY.split(after, maxsplit=1)[0]
    within = after.partition("?")[0] if "@" in authority else after
    if "@" in within:
        return f"{user}:***@{after[within.rindex('@') + 1 :]}"
    port, *hosts = authority.split(",")
    is_port = port.isdigit() and all(_HOST_AND_PORT.fullmatch(host) for host in hosts)
    return rest if is_port or not authority or not after_slashes else f"{user}:***{after[len(authority) :]}"


def _parameter_hidden(parameter: str, *, nested: bool, strict: bool = True, is_redis: bool = False) -> str:
    """A parameter whose value may be seen. ``strict``: of an unknown name, only what is too short for a secret."""
    name, equals, value = parameter.partition("=")
    plain, lowered = unquote_plus(value), unquote_plus(name).lower()
    if any(word in lowered for word in _SECRET_WORDS) or (lowered == "key" and not is_redis and equals):
        return f"{name}{equals}***" if equals else name
    if any(f"{word}=" in plain.lower() for word in ("password", "pwd", "accountkey", "sig", "secret", "token")):
        return f"{name}=***"  # a connection string in a parameter
    if "@" in plain:
        shown = _hidden(plain, nested=False) if nested else "***"
        return parameter if shown == plain else f"{name}={shown}"
    is_known = lowered in _HARMLESS or any(kind in lowered for kind in _HARMLESS_KINDS)
    may_be_secret = strict and not is_known and len(plain) > _TOO_SHORT
    return f"{name}{equals}***" if may_be_secret else parameter
