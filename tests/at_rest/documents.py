"""Key documents around a wrapping: written, read, and used for a payload."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor, BoundEncryptor
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.interfaces import KeyWrapper, StoredDocument
from dpmiddleware.keys.wrapping import unwrap, wrap
from dpmiddleware.protection.payload import associated_data, head_of

__all__ = ["bound", "new_document"]


def new_document(wrapper: KeyWrapper, *, ring: str = "shop") -> str:
    """A new key that is valid now, wrapped, as it would be stored."""
    now = Instant.of(datetime.now(timezone.utc)) - timedelta(hours=1)
    element = document.new_key(
        uuid.uuid4(),
        creation=now,
        activation=now,
        expiration=now + timedelta(days=90),
        algorithm=Algorithm.AES_256_CBC_HMACSHA256,
        secret=Secret.random(),
    )
    wrap(element, wrapper, ring)
    return document.dump(element).data.decode()


def bound(text: str, wrappers: Sequence[KeyWrapper], *purposes: str, ring: str = "shop") -> BoundEncryptor:
    """The key in a stored document, unwrapped and bound to ``purposes``."""
    loaded = document.load(StoredDocument(None, text.encode()))
    assert isinstance(loaded, document.KeyDocument)
    suite, secret = unwrap(loaded, wrappers, ring)
    key_id = loaded.id.bytes_le
    return AuthenticatedEncryptor(secret, suite).bind(associated_data(key_id, purposes), head_of(key_id))
