"""Which cookies of an application are sealed: names, and patterns with ``*``; and the Cookie header without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.web.cookies.header import pairs

__all__ = ["MAX_LENGTH", "Names"]

MAX_LENGTH: Final = 256
"""Characters of a name; longer ones match no pattern."""

_TOKEN_BYTES: Final = bytes(c for c in range(33, 127) if c not in b'"(),/:;<=>?@[\\]{}')
_OTHER_BYTES: Final = bytes(c for c in range(256) if c not in _TOKEN_BYTES)
_PATTERN: Final = re.compile(r"[*!#$%&'+\-.^_`|~0-9A-Za-z]+")


class Names:
    """Names of cookies and patterns of names, ``["sid", "auth*"]``; compared exactly."""

    def __init__(self, cookies: Sequence[str]) -> None:
        if isinstance(cookies, str) or not cookies:
            raise ConfigurationError(
                f"cookies={cookies!r} is not a list of names and patterns", hint='write cookies=["sid", "auth*"]'
            )
        for name in cookies:
            if not _PATTERN.fullmatch(name):
                raise ConfigurationError(
                    f"{printable(name, 80)!r} is not the name of a cookie, or a pattern of names",
                    hint="use letters, digits and -._, and * for any characters",
                )
        self._expression = re.compile("|".join(map(_expression, cookies)))
        self._beginnings = [name.partition("*")[0].encode("ascii") for name in cookies]

    def match(self, name: str) -> bool:
        """Whether a name is one of these or matches a pattern. Linear in its length."""
        return self._expression.fullmatch(name) is not None

    def may_be_in(self, header: bytes) -> bool:
        """Whether a Cookie header can contain such a name; for most requests it cannot."""
        return any(header.find(beginning) >= 0 for beginning in self._beginnings)

    def replaced_in(
        self,
        header: bytes,
        values: Mapping[str, str],
        chunk_names: Container[str],
        keeps: Callable[[bytes, list[str]], bool] = lambda _, __: False,
    ) -> bytes:
        """A Cookie header with ``values`` in place of these cookies and their chunks; the rest of it as it was.

        keeps: whether a part of the header stays nevertheless, in which a parser could read these names.
        """
        parts: list[bytes] = []
        left = dict(values)
        for part in header.split(b";"):
            pair = next(pairs(part), None)
            names = _possible_names(part) if pair is None else [pair[0]]
            if any(name in chunk_names for name in names):
                continue
            ours = [name for name in names if self.match(name)]
            if pair is not None and pair[0] in left and ours:
                parts.append(f" {pair[0]}={left.pop(pair[0])}".encode("ascii"))
            elif not ours or keeps(part, ours):
                parts.append(part)
        return b";".join(parts).strip()


def _expression(pattern: str) -> str:
    """A pattern as a regular expression without backtracking: what a ``*`` has matched is not tried again."""
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{text})" for text in middle) + ".*" + last


def _possible_names(part: bytes) -> list[str]:
    """What a lenient parser may read as the name of a cookie in a malformed part.

    That is all before the first ``=``, or any token before a ``=``; without one, the part itself, as Werkzeug reads it,
    or its last token.
    """
    names = [part.partition(b"=")[0].strip().decode("latin-1")]
    for text in part.split(b"=")[:-1] or [part]:
        end = text.rstrip(_OTHER_BYTES)
        names.append(end[len(end.rstrip(_TOKEN_BYTES)) :].decode("ascii"))
    return names
