"""Sign the documents of a ring that was not signed so far: show what would be trusted, then sign exactly that.

`find_unsigned` reads the store, `sign` signs the documents that it found, in one commit at the version that it read. A
document that an attacker adds in between changes the version, and nothing is signed.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpmiddleware.errors import ConfigurationError, DocumentSignatureError, MalformedDocumentError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.document import KeyDocument, RevocationDocument
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.reading import Reason, SetAside
from dpmiddleware.keys.ring_policy import PolicyDocument
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import hides_locals

__all__ = ["ExistingDocuments", "find_unsigned", "sign"]


@dataclass(frozen=True, slots=True)
class ExistingDocuments:
    """What a ring holds at ``version``.

    unsigned: documents without a signature; signing them means to trust them.
    signed: how many documents have a trusted signature.
    left_out: documents that cannot be read, or that have a signature that is not trusted; they are never signed.
    """

    version: str
    unsigned: tuple[KeyDocument | RevocationDocument | PolicyDocument, ...]
    signed: int
    left_out: tuple[SetAside, ...]

    @property
    def newest_creation(self) -> Instant | None:
        """Of the unsigned keys. A revocation of all keys that is dated one tick later revokes every one of them."""
        return max((one.creation_date for one in self.unsigned if isinstance(one, KeyDocument)), default=None)


@hides_locals
def find_unsigned(manager: KeyManager) -> ExistingDocuments:
    """Read the store, and sort its documents by their signatures. `ConfigurationError` without a signer."""
    if manager.signer is None or manager.verifier is None:
        raise ConfigurationError("no signer is configured", hint="use --signer ed25519:///path/to/signer.pem")
    snapshot = manager.repository.read()
    unsigned: list[KeyDocument | RevocationDocument | PolicyDocument] = []
    left_out: list[SetAside] = []
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
                left_out.append(SetAside(stored, str(error), Reason.NOT_TRUSTED))
    signed = len(snapshot.documents) - len(unsigned) - len(left_out)
    return ExistingDocuments(snapshot.version, tuple(unsigned), signed, tuple(left_out))


@hides_locals
def sign(manager: KeyManager, found: ExistingDocuments) -> int:
    """Sign the unsigned documents, and return their number. `VersionConflict` if the store has changed since."""
    if manager.signer is None:
        raise ConfigurationError("no signer is configured", hint="use --signer ed25519:///path/to/signer.pem")
    if not found.unsigned:
        return 0
    signed: list[StoredDocument] = []
    for one in found.unsigned:
        manager.signer.sign(one.element, manager.clock.now())
        written = document.dump(one.element)
        signed.append(StoredDocument(one.stored.name or written.name, written.data))
    manager.repository.commit(add=signed, remove=[one.stored for one in found.unsigned], expected=found.version)
    emit("ring_signed", "warning", documents=len(signed), location=manager.repository.location)
    return len(signed)
