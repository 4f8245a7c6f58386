"""`Exchange`: what a shell asks of a request and its response; what caches must be told; the answer without a ring.

Before: `dpmiddleware.web.session_cookie`, `dpmiddleware.web.cookie_protection`. After: `dpmiddleware.wsgi`,
`dpmiddleware.asgi`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

__all__ = ["RETRY_AFTER", "UNAVAILABLE", "Exchange", "Headers", "with_cookies"]

Headers = list[tuple[str, str]]
"""The headers of a response as (name in any case, value)."""

UNAVAILABLE: Final = b"Service Unavailable\n"
"""The body of the answer while there is no key ring."""
RETRY_AFTER: Final[Headers] = [
    ("content-type", "text/plain; charset=utf-8"),
    ("content-length", str(len(UNAVAILABLE))),
    ("cache-control", "no-store"),
    ("retry-after", "5"),
]
"""Its headers: seconds, a little longer than a load that failed is held off."""


class Exchange(Protocol):
    """One request and its response, as one middleware sees them; made by what is in `dpmiddleware.web`."""

    @property
    def untouched(self) -> bool:
        """Whether there is nothing to say in the response."""
        ...

    def finish(self, headers: Headers) -> Headers:
        """The headers of the response; called before it starts. May raise `KeyManagementError`."""
        ...

    def close(self) -> None:
        """The response starts, and nothing more can be said in its headers; called in place of ``finish``."""
        ...


def with_cookies(headers: Headers, set_cookies: Sequence[str]) -> Headers:
    """The headers of a response that depends on a cookie, with these Set-Cookie lines (may be none) added.

    It gets ``Vary: Cookie``. If it sets a cookie it also gets ``Cache-Control: no-store``, in place of what it said,
    unless that was ``private`` or ``no-store``.
    """
    out = [*headers, *(("set-cookie", line) for line in set_cookies)]
    if not {"cookie", "*"} & _words(headers, "vary"):
        out.append(("vary", "Cookie"))
    if set_cookies and not {"private", "no-store"} & _words(headers, "cache-control"):
        out = [(name, value) for name, value in out if name.lower() != "cache-control"]
        out.append(("cache-control", "no-store"))
    return out


def _words(headers: Headers, wanted: str) -> set[str]:
    """The members of a comma-separated header, in lower case."""
    return {word.strip().lower() for name, value in headers if name.lower() == wanted for word in value.split(",")}
