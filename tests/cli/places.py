"""Places that a verb of ``dpm`` may be pointed at: a ring that is in order, and what an operator finds on a bad day.

Keys are wrapped with a secret. Each place is made by one function; `PLACES` names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware.at_rest.secret_key import SecretKeyWrapper
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.sign_existing import find_unsigned, sign
from dpmiddleware.repositories.files import FileKeyRepository
from tests.fakes import DAY, id_of, key_document, put, revocation_document

__all__ = ["PLACES", "SECRETS", "Place", "make_signer", "sign_all"]

SECRETS: Final = {"RING_SECRET": "11" * 32, "NEXT_SECRET": "22" * 32, "LOST_SECRET": "33" * 32}
_OURS, _LOST = "secret:env:RING_SECRET", "secret:env:LOST_SECRET"


@dataclass
class Place:
    """A folder, how it is named (or not), and the key that a verb is sent for.

    folder: where the verb looks. named: whether it is told to. key: id of a key. ids: of all keys there.
    """

    folder: Path
    named: bool = True
    key: UUID = field(default_factory=lambda: UUID(int=5))
    ids: list[UUID] = field(default_factory=list)

    @property
    def store(self) -> FileKeyRepository:
        return FileKeyRepository(self.folder)

    def ring(self, wrapper: str = _OURS, **more: object) -> DataProtection:
        """The ring as a process sees it that starts now and creates nothing."""
        settings = {"application": "shop", "repository": str(self.folder), "key_wrapper": wrapper, **more}
        return DataProtection.from_config(settings, auto_create_keys=False)


def _filled(folder: Path, wrapper: str) -> Place:
    """Two keys: one expired a year ago, one protects."""
    now, wraps = datetime.now(timezone.utc), SecretKeyWrapper.from_url(wrapper)
    old = key_document(now, created=-500 * DAY, expires=-365 * DAY, wrapper=wraps)
    current = key_document(now, created=-5 * DAY, expires=80 * DAY, wrapper=wraps)
    place = Place(folder, key=id_of(current), ids=[id_of(old), id_of(current)])
    put(place.store, old, current)
    return place


def in_order(home: Path) -> Place:
    return _filled(home / "keys", _OURS)


def empty(home: Path) -> Place:
    folder = home / "keys"
    folder.mkdir(mode=0o700)
    return Place(folder)


def wrong_folder(home: Path) -> Place:
    """A folder with other files; the ring is in another one."""
    in_order(home)
    folder = home / "notes"
    folder.mkdir(mode=0o700)
    (folder / "notes.txt").write_text("not a key")
    return Place(folder)


def mistyped(home: Path) -> Place:
    in_order(home)
    return Place(home / "kyes")


def nothing_configured(home: Path) -> Place:
    return Place(home / ".aspnet" / "DataProtection-Keys", named=False)


def all_revoked(home: Path) -> Place:
    place, now = _filled(home / "keys", _OURS), datetime.now(timezone.utc)
    put(place.store, *(revocation_document(key, now, dated=timedelta(hours=-1)) for key in place.ids))
    return place


def all_unusable(home: Path) -> Place:
    """Wrapped with a secret that nobody has."""
    return _filled(home / "keys", _LOST)


def another_ring(home: Path) -> Place:
    """Signed by our signer, for another ring; here, only signed documents are accepted."""
    place = in_order(home)
    sign_all(place, ring="blog")
    return place


PLACES: Final[dict[str, Callable[[Path], Place]]] = {
    "in order": in_order,
    "empty": empty,
    "wrong folder": wrong_folder,
    "mistyped": mistyped,
    "nothing configured": nothing_configured,
    "all revoked": all_revoked,
    "all unusable": all_unusable,
    "another ring": another_ring,
}


def make_signer(home: Path) -> None:
    """``signer.pem`` and ``signer.pub``."""
    key = Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (home / "signer.pem").write_bytes(private)
    (home / "signer.pem").chmod(0o600)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (home / "signer.pub").write_bytes(public)


def sign_all(place: Place, ring: str = "shop") -> None:
    """Sign every document, for a ring of this name."""
    home = place.folder.parent
    manager = place.ring(ring=ring, signer=f"ed25519://{home}/signer.pem").manager
    sign(manager, find_unsigned(manager))
