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
        parts = urlsplit(url)
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
