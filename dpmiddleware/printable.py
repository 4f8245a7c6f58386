r"""Makes foreign text (from a store, a client, a URL) safe to show in a log or a terminal.

Control characters become ``\x..`` escapes: the reason of a revocation cannot rewrite a line of the terminal, and a
cookie cannot forge a line of the log. Markup is not escaped here; that is the task of the page that shows the text.
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
    """``str(text)`` on one line: unprintable characters are escaped, and text beyond ``limit`` characters is cut."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + _ELLIPSIS


def without_password(url: str) -> str:
    """``url`` with ``***`` in place of its password and of query parameters that look like passwords."""
    try:
        parts = urlsplit(_without_odd_password(url))
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
        shown = shown.replace(":", "://", 1)  # urlunsplit omits an empty authority
    return printable(shown, 500)


def _without_odd_password(url: str) -> str:
    """``url`` without its password, even if the password contains an unescaped ``/``, ``?`` or ``#``.

    Everything after the colon of the user name, up to the last ``@``, is taken for a password unless it is a port.
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
