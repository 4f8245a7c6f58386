"""Describes what everyone can see in the cookies of a request, and the keys that protect them.

Nothing is decrypted here: every payload begins with an unencrypted magic number and key id. The shop passes the content
of a cookie as ``contents``; it knows it from its session and its user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from dpmiddleware import DataProtection
from dpmiddleware.cli.inspection import plaintext_sizes
from dpmiddleware.errors import MalformedPayloadError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import peek_key_id
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.text import find
from dpmiddleware.web.sign_in.ticket import Ticket

__all__ = ["CookieFacts", "KeyFacts", "describe_cookie", "describe_ring", "in_session", "in_ticket"]

_CLAIMS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key as a page shows it, without its bytes. Dates are in UTC, to the minute."""

    id: UUID
    state: str
    is_default: bool
    algorithm: str
    created: str
    activated: str
    expires: str
    revoked: str


@dataclass(frozen=True, slots=True)
class CookieFacts:
    """One cookie of a request, which may consist of several parts.

    parts: name and number of characters of each part. payload: size in bytes; ``None`` if the value is not a payload.
    plaintext: smallest and largest size in bytes. key: the key. Both are ``None`` if the ring does not have the key.
    """

    title: str
    name: str
    parts: Sequence[tuple[str, int]]
    characters: int
    payload: int | None
    plaintext: tuple[int, int] | None
    key_id: UUID | None
    key: KeyFacts | None
    contents: Sequence[tuple[str, str]]


def describe_cookie(
    data_protection: DataProtection, header: bytes, name: str, title: str, contents: Sequence[tuple[str, str]]
) -> CookieFacts:
    """Describe a cookie of a request.

    data_protection: the ring.
    header: the Cookie header.
    name: the name of the cookie.
    title: a heading for the page.
    contents: names and values that the application found in the cookie.
    """
    whole = (chunks.join(name, partial(find, header)) or [""])[0]
    raw_id = peek_key_id(whole)
    key = None if raw_id is None else data_protection.current().find(raw_id)
    size = None if raw_id is None else _payload_size(whole)
    suite = None if key is None or key.encryptor is None else key.encryptor.suite
    return CookieFacts(
        title,
        name,
        _parts(name, header),
        len(whole),
        size,
        None if suite is None or size is None else plaintext_sizes(suite, size),
        None if raw_id is None else UUID(bytes_le=raw_id),
        None if key is None else _facts(data_protection, key),
        contents,
    )


def describe_ring(data_protection: DataProtection) -> list[KeyFacts]:
    """All keys of the ring, the newest first."""
    keys = sorted(data_protection.current().keys, key=lambda key: key.creation_date, reverse=True)
    return [_facts(data_protection, key) for key in keys]


def in_session(session: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The values of a session that the visitor has entered. CSRF tokens and other internal values are left out."""
    basket = ", ".join(f"{count} × {plant}" for plant, count in session.get("basket", {}).items())
    return [(name, text) for name, text in (("basket", basket), ("note", str(session.get("note", "")))) if text]


def in_ticket(ticket: Ticket | None) -> list[tuple[str, str]]:
    """The claims of the user, and the dates of the sign-in."""
    if ticket is None:
        return []
    claims = [(f"claim {claim.type.rpartition('/')[2]}", claim.value) for claim in ticket.principal]
    more = len(claims) - _CLAIMS_SHOWN
    properties = ticket.properties
    return [
        *claims[:_CLAIMS_SHOWN],
        *([("and", f"{more} more claims")] if more > 0 else []),
        *(
            (name, f"{moment:%Y-%m-%d %H:%M}")
            for name, moment in (("issued", properties.issued_utc), ("ends", properties.expires_utc))
            if moment is not None
        ),
        ("kept when the browser is closed", "yes" if properties.is_persistent else "no"),
    ]


def _parts(name: str, header: bytes) -> list[tuple[str, int]]:
    values = find(header, name)
    parts = [(name, len(value)) for value in values]
    for value in values:
        for chunk in chunks.chunk_names(name, chunks.announced(value)):
            parts += [(chunk, len(each)) for each in find(header, chunk)]
    return parts


def _payload_size(text: str) -> int | None:
    try:
        return len(base64url.decode(text))
    except MalformedPayloadError:
        return None


def _facts(data_protection: DataProtection, key: Key) -> KeyFacts:
    default = data_protection.current().default
    revoked = "" if key.revocation is None else key.revocation.reason or "without a reason"
    return KeyFacts(
        key.id,
        key.state(Instant.of(data_protection.now())).value,
        default is not None and default.id == key.id,
        key.algorithm,
        _date(key.creation_date),
        _date(key.activation_date),
        _date(key.expiration_date),
        revoked,
    )


def _date(instant: Instant) -> str:
    return f"{instant.to_datetime():%Y-%m-%d %H:%M}"
