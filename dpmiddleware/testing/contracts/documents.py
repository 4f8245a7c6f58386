"""Documents of keys and revocations, as a ring stores them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final
from uuid import UUID, uuid4

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.interfaces import KeyWrapper, StoredDocument
from dpmiddleware.keys.wrapping import wrap

__all__ = ["DAY", "NOON", "id_of", "key_document", "revocation_document"]

NOON: Final = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
DAY: Final = timedelta(days=1)


def key_document(
    now: datetime = NOON,
    *,
    key_id: UUID | None = None,
    created: timedelta = -DAY,
    activated: timedelta | None = None,
    expires: timedelta = 60 * DAY,
    algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256,
    secret: Secret | None = None,
    wrapper: KeyWrapper | None = None,
    ring: str = "shop",
) -> StoredDocument:
    """A key whose dates differ from ``now`` by these spans; by default activated when created."""
    moment = Instant.of(now)
    element = document.new_key(
        key_id or uuid4(),
        creation=moment + created,
        activation=moment + (created if activated is None else activated),
        expiration=moment + expires,
        algorithm=algorithm,
        secret=secret or Secret.random(),
    )
    if wrapper is not None:
        wrap(element, wrapper, ring)
    return document.dump(element)


def revocation_document(
    key_id: UUID | None, now: datetime = NOON, *, dated: timedelta = timedelta(0), reason: str = "stolen"
) -> StoredDocument:
    """A revocation of one key, or with ``None`` of all keys created before its date."""
    return document.dump(document.new_revocation(key_id, date=Instant.of(now) + dated, reason=reason))


def id_of(stored: StoredDocument) -> UUID:
    """The id of a stored key."""
    return UUID((stored.name or "").removeprefix("key-"))
