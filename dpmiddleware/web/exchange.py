"""`Exchange`: what a shell asks of one request and its response; the answer while there is no key ring."""

from __future__ import annotations

from typing import Final, Protocol

from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.caching import Headers, RawHeaders

__all__ = ["RETRY_AFTER", "UNAVAILABLE", "RawExchange", "TextExchange"]

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
    def failure(self) -> KeyManagementError | None:
        """What the application met when it touched the exchange's part, and may have caught: an outage all the same."""
        ...

    @property
    def untouched(self) -> bool:
        """Whether there is nothing to say in the response."""
        ...

    def close(self) -> None:
        """The response starts, and nothing more can be said in its headers; called in place of ``finish``."""
        ...


class TextExchange(Exchange, Protocol):
    """One for WSGI."""

    def finish(self, headers: Headers) -> Headers:
        """The headers of the response; called before it starts. May raise `KeyManagementError`."""
        ...


class RawExchange(Exchange, Protocol):
    """One for ASGI."""

    def finish_raw(self, headers: RawHeaders) -> RawHeaders:
        """The headers of the response; called before it starts. May raise `KeyManagementError`."""
        ...
