"""Put a ring that nobody signed under a signer's care: show what would be trusted from now on, then sign just that.

`unsigned_documents` reads the store and says what it found; `sign` signs exactly those bytes, in one commit at the
version that was shown. What somebody plants while a person reads the list moves the version, and nothing is signed.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from dpmiddleware.errors import ConfigurationError, DocumentSignatureError, MalformedDocumentError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.document import KeyDocument, RevocationDocument
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.reader import SetAside
from dpmiddleware.telemetry import emit

__all__ = ["Adoption", "sign", "unsigned_documents"]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a ring holds at ``version``.

    unsigned: keys and revocations that nobody signed; signing them is trusting them. signed: how many are trusted
    already. left_out: what cannot be read, or carries a signature that does not count here; it is never signed.
    """

    version: str
    unsigned: tuple[KeyDocument | RevocationDocument, ...]
    signed: int
    left_out: tuple[SetAside, ...]

    @property
    def newest_creation(self) -> Instant | None:
        """Of the keys among ``unsigned``: a revocation of all one tick later reaches every one of them."""
        return max((one.creation_date for one in self.unsigned if isinstance(one, KeyDocument)), default=None)


def unsigned_documents(manager: KeyManager) -> Adoption:
    """Read the store, and sort its documents by who vouches for them. `ConfigurationError` without a signer."""
    if manager.signer is None or manager.verifier is None:
        raise ConfigurationError("there is nobody to sign with", hint="--signer ed25519:///path/to/signer.pem")
    snapshot = manager.repository.read()
    unsigned: list[KeyDocument | RevocationDocument] = []
    left_out: list[SetAside] = []
    signed = 0
    for stored in snapshot.documents:
        try:
            loaded = document.load(stored)
        except MalformedDocumentError as error:
            left_out.append(SetAside(stored, str(error)))
            continue
        try:
            manager.verifier.verify(loaded.element)
        except MalformedDocumentError as error:
            left_out.append(SetAside(stored, str(error)))
        except DocumentSignatureError as error:
            if error.reason == "unsigned":
                unsigned.append(loaded)
            else:
                left_out.append(SetAside(stored, str(error), refused=True))
        else:
            signed += 1
    return Adoption(snapshot.version, tuple(unsigned), signed, tuple(left_out))


def sign(manager: KeyManager, adoption: Adoption) -> int:
    """Sign what was shown; how many documents that are. `VersionConflict` if the store has moved: look again."""
    if manager.signer is None:
        raise ConfigurationError("there is nobody to sign with", hint="--signer ed25519:///path/to/signer.pem")
    if not adoption.unsigned:
        return 0
    signed = [_signed(manager, one.stored, one.element) for one in adoption.unsigned]
    manager.repository.commit(add=signed, remove=[one.stored for one in adoption.unsigned], expected=adoption.version)
    emit("ring_signed", "warning", documents=len(signed), location=manager.repository.location)
    return len(signed)


def _signed(manager: KeyManager, stored: StoredDocument, element: ET.Element) -> StoredDocument:
    assert manager.signer is not None  # noqa: S101 (asked by the caller)
    manager.signer.sign(element, manager.clock.now())
    written = document.dump(element)
    return StoredDocument(stored.name or written.name, written.data)
