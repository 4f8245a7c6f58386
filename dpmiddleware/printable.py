r"""Text from elsewhere (a store, a client, a URL), made fit to be shown in a log, a terminal or a page.

Control characters become ``\x..`` escapes, so that a revocation's reason cannot rewrite a terminal line and a
cookie cannot forge a log line; markup characters are escaped where a page is drawn, by the page.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

__all__ = ["printable", "without_password"]

_PASSWORD_PARAMETER = re.compile(
    r"(?i)((?:^|[&;])[^=&;]*(?:password|passwd|pwd|secret|token|sig|accountkey)[^=&;]*=)[^&;]*"
)
_CREDENTIALS = re.compile(r"(?s)(?P<user>[^:/?#]+://[^:/?#@\[\]]*:)(?P<rest>.*)")
_ELLIPSIS = "…"


def printable(text: object, limit: int = 200) -> str:
    """``str(text)`` on one line: what cannot be seen is escaped, what is longer than ``limit`` characters is cut."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + _ELLIPSIS


def without_password(url: str) -> str:
    """``url`` with the password of its authority and password-like query parameters replaced by ``***``."""
    try:
        parts = urlsplit(_closed(url))
    except ValueError:
        return "(unreadable URL)"
    authority = parts.netloc
    if "@" in authority:
        credentials, _, host = authority.rpartition("@")
        user, colon, _ = credentials.partition(":")
        authority = f"{user}{':***' if colon else ''}@{host}"
    query = _PASSWORD_PARAMETER.sub(r"\1***", parts.query)
    shown = urlunsplit((parts.scheme, authority, parts.path, query, ""))
    if url[len(parts.scheme) :].startswith(":///") and not shown.startswith(f"{parts.scheme}://"):
        shown = shown.replace(":", "://", 1)  # urlunsplit leaves out an empty authority
    return printable(shown, 500)


def _closed(url: str) -> str:
    """``url`` without its password also where that holds a ``/``, ``?`` or ``#`` that should have been escaped.

    What stands behind the user's colon and is no port is taken for a password, up to the last ``@``.
    """
    match = _CREDENTIALS.match(url)
    if match is None:
        return url
    rest = match["rest"]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    within = rest.partition("?")[0] if "@" in authority else rest
    if "@" in within:
        return f"{match['user']}***@{rest[within.rindex('@') + 1 :]}"
    return url if authority.isdigit() or not authority else f"{match['user']}***{rest[len(authority) :]}"
