"""What the cookies of a request show to everybody, and what the ring says of the keys that protect them.

Nothing is decrypted here: magic and key id stand in clear at the start of every payload. What was inside the cookie
the shop knows from its session and its user, and hands over as ``contents``.
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
    """A key as a page shows it; dates are days or minutes in UTC. Its bytes are nobody's business."""

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
    """One cookie of a request, over as many parts as it came in.

    parts: (name, characters). payload, plaintext: bytes; ``None`` where it is no payload of ours, and for an unknown
    algorithm. key: ``None`` where this ring does not have it.
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
    """The cookie called ``name`` in a Cookie header. contents: what the application found inside."""
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
    """All keys, the newest first."""
    keys = sorted(data_protection.current().keys, key=lambda key: key.creation_date, reverse=True)
    return [_facts(data_protection, key) for key in keys]


def in_session(session: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The values of a session that are the visitor's to see; tokens against forgery and the like are not."""
    basket = ", ".join(f"{count} × {plant}" for plant, count in session.get("basket", {}).items())
    return [(name, text) for name, text in (("basket", basket), ("note", str(session.get("note", "")))) if text]


def in_ticket(ticket: Ticket | None) -> list[tuple[str, str]]:
    """The claims of who is signed in, and the terms of the sign-in."""
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
