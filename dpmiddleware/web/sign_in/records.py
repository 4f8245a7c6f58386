"""What is logged and counted about sign-ins: that one began, was renewed, ended, and which.

Each sign-in has an id, 128 random bits in the items of its ticket, kept by every renewal. A record contains
`mark_of` it: the first 16 hex digits of its SHA-256. So the records of one sign-in belong together, on all members and
for all keys, and nothing in a log is a name or leads to one.

The hash has no key. The id cannot be guessed, so a key would hide nothing; and with one, records of before and after
its rotation would not belong together. The id is not a credential: neither it nor its hash opens anything.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from dpmiddleware import telemetry
from dpmiddleware.web.sign_in.ticket import Ticket

__all__ = ["NOT_IN_STORE", "REJECTED", "began", "ended", "mark_of", "renewed", "signed_out"]

_SAFE: Final = {"GET", "HEAD"}
NOT_IN_STORE: Final = "Identity missing in session store"
REJECTED: Final = "No principal."
"""Failures of `AuthenticateResult`, in ASP.NET Core's words."""
_REASONS: Final = {
    "Ticket expired": "expired",
    "Sign-in ended": "absolute",
    "Authenticated in the future": "future",
    NOT_IN_STORE: "not_in_store",
    REJECTED: "rejected",
}
"""The words for the failures of `AuthenticateResult` in logs and counters. Other failures are not an end."""


def mark_of(ticket: Ticket | None) -> str:
    """What a record says in place of a sign-in's id; empty for tickets without one, as ASP.NET Core issues them."""
    identifier = None if ticket is None else ticket.properties.sign_in_id
    return "" if not identifier else hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class _Mark:
    """`mark_of` a ticket; computed only where the record is written."""

    __slots__ = ("_ticket",)

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    def __str__(self) -> str:
        return mark_of(self._ticket)


def began(ticket: Ticket) -> None:
    """A user signed in."""
    telemetry.emit("signed_in", "info", scheme=ticket.scheme, sign_in=mark_of(ticket))


def renewed(ticket: Ticket, reason: str) -> None:
    """A ticket was written again: ``sliding``, or ``reauthenticated``."""
    telemetry.emit("sign_in_renewed", "debug", reason=reason, scheme=ticket.scheme, sign_in=_Mark(ticket))


def signed_out(ticket: Ticket | None, method: str) -> None:
    """A user signed out; nothing if nobody was signed in. method: of the request; a warning, once, if it is GET."""
    if ticket is not None:
        telemetry.emit("signed_out", "info", scheme=ticket.scheme, sign_in=mark_of(ticket))
    if method in _SAFE:
        _warn_of_get(method)


@lru_cache
def _warn_of_get(method: str) -> None:
    """Once per process: any page, mail or prefetching browser can sign a user out with a link or an image."""
    telemetry.emit("sign_out_by_get", "warning", "a sign-out in a request that other sites can cause", method=method)


def ended(failure: str, scheme: str, ticket: Ticket | None = None) -> None:
    """A ticket that opened does not count any more."""
    reason = _REASONS.get(failure)
    if reason is not None:
        telemetry.emit("sign_in_ended", "info", reason=reason, scheme=scheme, sign_in=mark_of(ticket))
