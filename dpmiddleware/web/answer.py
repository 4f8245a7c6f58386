"""`Part`: one piece of this package in one request. `Answer`: what a part changes in the response.

Both know no framework. A shell only applies an `Answer` to its own type of response: it drops headers, adds headers,
and replaces status and body where the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple, Protocol

from dpmiddleware import telemetry
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.steps import Steps

__all__ = [
    "FIXED",
    "LOOKED_AT",
    "RETRY_AFTER",
    "TITLED",
    "UNCHANGED",
    "VARIES",
    "Answer",
    "Headers",
    "Part",
    "clears",
    "depends_on_cookies",
    "never_stored",
    "not_stored",
    "unavailable",
]

Headers = list[tuple[str, str]]
"""The headers of a response as (name in any case, value)."""

RETRY_AFTER: Final = ("retry-after", "5")
"""In an outage: seconds, a little longer than the pause after a failed load."""
_OUTAGE_BODY: Final = b"Service Unavailable\n"
_OUTAGE_HEADERS: Final[Headers] = [
    ("content-type", "text/plain; charset=utf-8"),
    ("content-length", str(len(_OUTAGE_BODY))),
    ("cache-control", "no-store"),
    RETRY_AFTER,
]
_VARY: Final = ("vary", "Cookie")
_NO_STORE: Final = ("cache-control", "no-store")
_NEVER_STORED: Final = (
    ("cache-control", "no-cache,no-store"),
    ("pragma", "no-cache"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
)
FIXED: Final = (_VARY, _NO_STORE, *_NEVER_STORED)
"""Headers that are always the same; a shell may keep them in its own form."""
LOOKED_AT: Final = frozenset(("set-cookie", "vary", *(name for name, _ in _NEVER_STORED)))
"""Names of the headers that an answer may depend on, in lower case."""
_OF_A_BODY: Final = ("content-", "etag", "last-modified")


class _Titled(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return name.title()


TITLED: Final = _Titled({name: name.title() for name in LOOKED_AT})
"""Names of headers with the usual capitals, by their names in lower case."""


class Answer(NamedTuple):
    """What one part of a request changes in the response.

    added: headers to add; their names are in lower case, as in ASGI.
    dropped: names of headers to remove first, in lower case.
    status: the new status; ``None``: the application's.
    body: the new body; ``None``: the application's.
    """

    added: Sequence[tuple[str, str]] = ()
    dropped: AbstractSet[str] = frozenset()
    status: int | None = None
    body: bytes | None = None

    @property
    def titled(self) -> Sequence[tuple[str, str]]:
        """What is added, with names in the usual capitals; programs for WSGI look for ``Set-Cookie`` as it is."""
        return [(TITLED[name], value) for name, value in self.added]

    def drops(self, name: str) -> bool:
        """Whether to remove the headers of this name (in lower case); those that describe a body go with it."""
        return name in self.dropped or (self.body is not None and name.startswith(_OF_A_BODY))

    def applied_to(self, headers: Sequence[tuple[str, str]]) -> Headers:
        """The headers of a response with this answer in them."""
        return [*(header for header in headers if not self.drops(header[0].lower())), *self.added]

    def then(self, other: Answer) -> Answer:
        """Combine this answer with ``other``, which was computed for the response that this one leads to."""
        return Answer(
            other.applied_to(self.added),
            self.dropped | other.dropped,
            self.status if other.status is None else other.status,
            self.body if other.body is None else other.body,
        )


class Part(Protocol):
    """One piece of this package in one request: a session, a sign-in, the cookies of an application.

    A shell calls the methods in this order: ``ahead`` before the application runs, and when the response is about to
    start ``work`` and ``answer``, or ``close`` if the part is not touched.
    """

    @property
    def failure(self) -> KeyManagementError | None:
        """An outage that the part has met. Shells set it too, and each later use of the part raises it again."""
        ...

    @failure.setter
    def failure(self, error: KeyManagementError | None) -> None: ...

    @property
    def companions(self) -> tuple[Part, ...]:
        """Further parts that go with this one; they join the request together with it."""
        ...

    @property
    def touched(self) -> bool:
        """Whether the part changes the response: the application has used it."""
        ...

    def ahead(self) -> Steps[object] | None:
        """What to wait for before the application runs, so that nothing waits on an event loop; ``None``: nothing."""
        ...

    def close(self) -> None:
        """The response starts, and the part does not change it: from now on it is too late for that."""
        ...

    def work(self, status: int) -> Steps[object] | None:
        """What to wait for before `answer`; ``None``: nothing. status: that of the application's response."""
        ...

    def answer(self, status: int, headers: Headers) -> Answer:
        """What to change in the response, just before it starts. May raise `KeyManagementError`.

        status: that of the application's response.
        headers: those of the application's response that are named in `LOOKED_AT`.
        """
        ...


UNCHANGED: Final = Answer()
VARIES: Final = Answer([_VARY])
"""That of a part that was read, but not written."""


def depends_on_cookies(headers: Headers, set_cookies: Sequence[str] = ()) -> Answer:
    """For a response with these headers that depends on a cookie and sets the given ones.

    Adds ``Vary: Cookie``. A response that sets cookies also gets ``Cache-Control: no-store``, unless it already says
    ``private`` or ``no-store``.
    """
    if not headers:
        return _answer(headers, set_cookies, (_NO_STORE,)) if set_cookies else VARIES
    keep = not set_cookies or _words(headers, "cache-control") & {"private", "no-store"}
    return _answer(headers, set_cookies, () if keep else (_NO_STORE,))


def never_stored(headers: Headers, set_cookies: Sequence[str]) -> Answer:
    """As `depends_on_cookies`, with ASP.NET Core's three headers that keep a sign-in out of every cache."""
    return _answer(headers, set_cookies, _NEVER_STORED)


def not_stored(headers: Headers) -> Answer:
    """As `depends_on_cookies`, with ``no-store`` in place of what the response says about caching."""
    return _answer(headers, (), () if "no-store" in _words(headers, "cache-control") else (_NO_STORE,))


def clears(kinds: Sequence[str]) -> Answer:
    """For a response after which the browser deletes what it has of the site (Clear-Site-Data)."""
    return Answer([("clear-site-data", ", ".join(f'"{kind}"' for kind in kinds))], frozenset(("clear-site-data",)))


def _answer(headers: Headers, set_cookies: Sequence[str], caching: Sequence[tuple[str, str]]) -> Answer:
    lines = [("set-cookie", line) for line in set_cookies]
    if not headers:
        return Answer([*lines, _VARY, *caching])
    dropped = {name for name, _ in caching}
    vary = [value for name, value in headers if name.lower() == "vary" and value.strip()]
    if _words(headers, "vary").isdisjoint(("cookie", "*")):
        lines.append(("vary", ", ".join((*vary, "Cookie"))))
        dropped.add("vary")
    return Answer([*lines, *caching], dropped.intersection(name.lower() for name, _ in headers))


def unavailable(error: KeyManagementError, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """The whole response while there is no key ring: 503, so that an outage signs nobody out.

    headers: those of the response that it replaces.
    """
    telemetry.emit("unavailable", "error", "answered 503: there is no key ring", error=error, code=error.code)
    return Answer(_OUTAGE_HEADERS, {name.lower() for name, _ in headers}, 503, _OUTAGE_BODY)


def _words(headers: Headers, wanted: str) -> set[str]:
    """The members of a comma-separated header, in lower case."""
    return {word.strip().lower() for name, value in headers if name.lower() == wanted for word in value.split(",")}
