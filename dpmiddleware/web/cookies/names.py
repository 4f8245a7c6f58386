"""Names of cookies: patterns with ``*``, and what a lenient parser might take for a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable

__all__ = ["matcher", "possible_names"]

_TOKEN_BYTES: Final = bytes(c for c in range(33, 127) if c not in b'"(),/:;<=>?@[\\]{}')
_OTHER_BYTES: Final = bytes(c for c in range(256) if c not in _TOKEN_BYTES)
_PATTERN: Final = re.compile(r"[*!#$%&'+\-.^_`|~0-9A-Za-z]+")


def matcher(cookies: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name is, or matches, one of these. Linear in the name's length."""
    if isinstance(cookies, str) or not cookies:
        raise ConfigurationError("cookies= takes a list of names and patterns", hint='cookies=["sid", "auth*"]')
    for name in cookies:
        if not _PATTERN.fullmatch(name):
            raise ConfigurationError(f"{printable(name, 80)!r} is not the name of a cookie, or a pattern of names")
    expression = re.compile("|".join(map(_expression, cookies)))
    return lambda name: expression.fullmatch(name) is not None


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; what a ``*`` has matched is not tried again (as in fnmatch)."""
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{text})" for text in middle) + ".*" + last


def possible_names(part: bytes) -> list[str]:
    """What a lenient parser might take for the name of a cookie in a malformed part.

    That is any token before a ``=``; without one, the part itself, as Werkzeug reads it, or its last token.
    """
    names: list[str] = []
    for text in part.split(b"=")[:-1] or [part]:
        end = text.rstrip(_OTHER_BYTES)
        names.append(end[len(end.rstrip(_TOKEN_BYTES)) :].decode("ascii"))
    return names
